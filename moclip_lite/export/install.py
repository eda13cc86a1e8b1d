"""Compared networks take their names in a folder, together with model.json, which lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ..engine.description import DESCRIPTION, write_description
from ..results.fold_folder import ONNX_PARTS, STAGES
from ..storage.digest import digest_file
from .network import OPSET, Exported

__all__ = ["install"]

_NETWORKS: Final = (*STAGES, *ONNX_PARTS, "pictures", "video", "text")
"""Names of all networks that an export may write; no other files of a folder are touched."""


def install(exported: Sequence[Exported], folder: Path, description: Mapping[str, Any]) -> list[Exported]:
    """Move networks into a folder, where model.json says what they are, and remove those of another export.

    model.json goes first and comes last: where it stands, the networks beside it are those that it lists.

    Args:
        exported: networks in a folder of drafts on the same disk.
        folder: of the files.
        description: what model.json says of them.

    Returns:
        The networks at their new places.
    """
    (folder / DESCRIPTION).unlink(missing_ok=True)
    for name in _NETWORKS:
        (folder / f"{name}.onnx").unlink(missing_ok=True)
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
    write_description(folder / DESCRIPTION, {**description, "opset": OPSET, "files": files})
    return installed
