"""Compared networks take their names in a folder, together with model.json, which lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.model_json import MODEL_JSON, read_model_json, write_model_json
from ..errors import CheckpointError, ConfigError
from ..results.fold_folder import ONNX_FOLDER, FoldFolder
from ..storage.digest import digest_file
from .network import OPSET, Exported

__all__ = ["install", "refuse_engine_folder"]


def refuse_engine_folder(folder: Path) -> None:
    """Refuse a folder whose ONNX files prediction uses: those of another export would take their place.

    Raises:
        ConfigError: it is the one of a run, or a copy of it.
    """
    place = folder.resolve()
    of_a_run = place.name == ONNX_FOLDER and FoldFolder(place.parent).config.is_file()
    if not of_a_run:
        try:
            of_a_run = "made_from" in read_model_json(place / MODEL_JSON)
        except CheckpointError:
            return
    if of_a_run:
        raise ConfigError(
            f"{folder} is for the ONNX files that predict uses, which `moclip export RUN --engine` writes; "
            "choose another folder with --out"
        )


def install(exported: Sequence[Exported], folder: Path, description: Mapping[str, Any]) -> list[Exported]:
    """Move networks into a folder, where model.json says what they are; remove those of the export before.

    model.json goes first and comes last: where it stands, the networks that it lists are those beside it. No
    other files of the folder are touched.

    Args:
        exported: networks in a folder of drafts on the same disk.
        folder: of the files.
        description: what model.json says of them.

    Returns:
        The networks at their new places.
    """
    before = _listed(folder)
    (folder / MODEL_JSON).unlink(missing_ok=True)
    for name in before:
        (folder / name).unlink(missing_ok=True)
    for file in exported:
        file.path.replace(folder / file.path.name)
    installed = [replace(file, path=folder / file.path.name) for file in exported]
    files = {
        file.path.name: {
            "inputs": file.inputs,
            "outputs": file.outputs,
            "difference": file.difference,
            "digest": digest_file(file.path),
        }
        for file in installed
    }
    write_model_json(folder / MODEL_JSON, {**description, "opset": OPSET, "files": files})
    return installed


def _listed(folder: Path) -> list[str]:
    """Networks that the export before wrote into a folder, by the names of their files."""
    try:
        files = read_model_json(folder / MODEL_JSON).get("files", {})
    except CheckpointError:
        return []
    return [name for name in files if Path(name).name == name and name.endswith(".onnx")]
