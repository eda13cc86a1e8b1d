"""What of a run folder leaves the machine: the files for prediction, without paths of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from ..engine.model_json import MODEL_JSON, NOT_OF_NETWORKS, read_model_json, sealed
from ..engine.network_file import described_network
from ..errors import CheckpointError, require_packages
from ..experiment.config import Experiment, load_run_settings
from ..experiment.settings.portable import portable
from ..results.fold_folder import ONNX_FOLDER, ONNX_PARTS, STAGES, FoldFolder
from ..results.run_folder import RunFolder
from ..storage.digest import digest_bytes, digest_file
from ..storage.files import read_json
from .private import PrivatePaths, map_texts
from .report import published_report

__all__ = ["CARD", "PAGE", "PREDICTION_FILES", "RUN_FILES", "portable_files", "private_paths"]

CARD: Final = "README.md"
PAGE: Final = "report.html"
_MODEL_PLACE: Final = f"{ONNX_FOLDER}/{MODEL_JSON}"
WEIGHTS: Final = tuple(f"{stage}.safetensors" for stage in STAGES)
PREDICTION_FILES: Final = (
    "config.yaml",
    "labels.json",
    "encoder.json",
    "timeline.json",
    "cascade.json",
    *WEIGHTS,
    _MODEL_PLACE,
    *(f"{ONNX_FOLDER}/{network}.onnx" for network in (*STAGES, *ONNX_PARTS)),
)
"""Files that prediction reads; no others of a repository are ever looked at, but for the next."""

RUN_FILES: Final = (*PREDICTION_FILES, "metrics.json", "report.md", CARD)


def portable_files(folder: FoldFolder, repository: str) -> dict[str, bytes | Path]:
    """Name in the repository -> content, or the file that holds it.

    Args:
        folder: of the run, or of a fold.
        repository: USER/NAME.

    Raises:
        CheckpointError: not a run folder, damaged, of several folds, without weights, or on precomputed
            features.
        MissingPackage: onnx is not installed, and the run has ONNX files.
    """
    folder.require()
    if folds := RunFolder(folder.path).fold_folders():
        raise CheckpointError(
            f"{folder.path} holds {len(folds)} folds, each with its own weights; "
            f"name one, such as {folds[0].path}"
        )
    experiment = load_run_settings(folder.config)
    if experiment.data.kind == "features" or experiment.data.appearance is not None:
        raise CheckpointError(
            f"{folder.path} was trained on a file of features, which others can't compute from videos"
        )
    files: dict[str, bytes | Path] = {
        name: folder.path / name
        for name in PREDICTION_FILES
        if (folder.path / name).is_file() and not name.startswith(ONNX_FOLDER)
    }
    if not set(files) & set(WEIGHTS):
        raise CheckpointError(f"{folder.path} holds no weights; `moclip run {folder.path}` trains them")
    run = RunFolder(folder.run_path)
    private = private_paths(folder)
    files["config.yaml"] = portable(experiment).to_yaml().encode()
    if folder.encoder.is_file():
        files[folder.encoder.name] = _as_json(map_texts(read_json(folder.encoder), private.hide))
    if (folder.path / _MODEL_PLACE).is_file():
        files |= _networks(folder.path / ONNX_FOLDER, portable(experiment), private)
    return files | published_report(run, experiment, repository, private.hide)


def private_paths(folder: FoldFolder) -> PrivatePaths:
    """The paths that must not leave the machine with a run folder.

    Raises:
        CheckpointError, ConfigError: its configuration is damaged.
    """
    return PrivatePaths(load_run_settings(folder.config), (folder.path, folder.run_path))


def _networks(place: Path, general: Experiment, private: PrivatePaths) -> dict[str, bytes | Path]:
    """model.json and the ONNX files that it lists, described for the general configuration.

    Raises:
        CheckpointError: they are damaged.
        MissingPackage: onnx is not installed.
    """
    require_packages(["onnx"])
    description = read_model_json(place / MODEL_JSON)
    sections = general.model_dump(mode="json", include=set(description))
    description = map_texts({**description, **sections}, private.hide, ("labels",))
    notes = {key: value for key, value in description.items() if key not in NOT_OF_NETWORKS}
    files: dict[str, bytes | Path] = {}
    for name, facts in description.get("files", {}).items():
        path, target = place / name, f"{place.name}/{name}"
        if target in PREDICTION_FILES and path.is_file():
            files[target] = content = described_network(path, notes)
            if facts.get("digest") == digest_file(path):  # else refused where it is used
                facts["digest"] = digest_bytes([content])
    return {**files, _MODEL_PLACE: _as_json(sealed(description))}


def _as_json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()
