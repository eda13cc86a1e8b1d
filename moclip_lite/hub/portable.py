"""What of a run folder leaves the machine: the files for prediction, without paths of this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import CheckpointError
from ..experiment.config import Experiment, load_run_settings
from ..experiment.portable import portable
from ..results.fold_folder import ONNX_FOLDER, ONNX_PARTS, STAGES, FoldFolder
from ..results.run_folder import RunFolder
from ..storage.files import read_json

__all__ = ["CARD", "PAGE", "PREDICTION_FILES", "RUN_FILES", "portable_files", "without_paths"]

CARD: Final = "README.md"
PAGE: Final = "report.html"
MODEL_JSON: Final = f"{ONNX_FOLDER}/model.json"
WEIGHTS: Final = tuple(f"{stage}.safetensors" for stage in STAGES)
PREDICTION_FILES: Final = (
    "config.yaml",
    "labels.json",
    "encoder.json",
    "timeline.json",
    "cascade.json",
    *WEIGHTS,
    MODEL_JSON,
    *(f"{ONNX_FOLDER}/{network}.onnx" for network in (*STAGES, *ONNX_PARTS)),
)
"""Files that prediction reads; no others of a repository are ever looked at, but for the next."""

RUN_FILES: Final = (*PREDICTION_FILES, "metrics.json", "report.md", CARD)

# Not behind the characters of base64: pictures in a page must stay as they are.
_PATH: Final = re.compile(r"(?<![\w/.:<*+,=])(?:/[\w.@+%-]+){2,}|(?<!\w)[A-Za-z]:\\[^\s\"'<>|]+")


def without_paths(text: str, known: Sequence[Path] = ()) -> str:
    """A text in which absolute paths are shortened to their last part.

    Args:
        text: of a report.
        known: paths that are shortened even if they hold unusual characters.
    """
    for path in sorted(map(str, known), key=len, reverse=True):
        if len(path) > 1:
            text = text.replace(path, f"…/{Path(path).name}")
    return _PATH.sub(lambda match: "…/" + re.split(r"[/\\]", match[0])[-1], text)


def portable_files(folder: FoldFolder) -> dict[str, bytes | Path]:
    """Name in the repository -> content, or the file that holds it.

    Raises:
        CheckpointError: not a run folder, of several folds, without weights, or on precomputed features.
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
    folder.read_labels()
    general = portable(experiment)
    files: dict[str, bytes | Path] = {
        name: folder.path / name for name in PREDICTION_FILES if (folder.path / name).is_file()
    }
    if not set(files) & set(WEIGHTS):
        raise CheckpointError(f"{folder.path} holds no weights; `moclip run {folder.path}` trains them")
    files["config.yaml"] = general.to_yaml().encode()
    if MODEL_JSON in files:
        files[MODEL_JSON] = _describe_again(folder.path / MODEL_JSON, experiment, general)
    return files | _reports(RunFolder(folder.run_path), experiment)


def _describe_again(path: Path, original: Experiment, general: Experiment) -> bytes:
    """The description of the ONNX files for the general configuration, where it is of the original one."""
    description = read_json(path)
    origin = description.get("made_from") if isinstance(description, dict) else None
    if isinstance(origin, dict) and isinstance(origin.get("settings"), dict):
        sections = set(origin["settings"])
        if origin["settings"] == original.model_dump(mode="json", include=sections):
            origin["settings"] = general.model_dump(mode="json", include=sections)
    return json.dumps(description, indent=2).encode()


def _reports(run: RunFolder, experiment: Experiment) -> dict[str, bytes | Path]:
    """Metrics and report as they may be published: no clip is named that could not be read, and no path."""
    data = experiment.data
    places = (
        run.path.absolute(),
        data.root,
        data.table,
        data.splits_dir,
        experiment.run.dir,
        experiment.cache.dir,
    )
    known = [path for path in places if path is not None and path.is_absolute()]
    files: dict[str, bytes | Path] = {}
    if run.metrics.is_file():
        metrics = read_json(run.metrics)
        if isinstance(metrics, dict):
            metrics["failures"] = []
        files["metrics.json"] = without_paths(
            json.dumps(metrics, indent=2, ensure_ascii=False), known
        ).encode()
    for path in (run.report_text, run.report_page):
        if path.is_file():
            files[path.name] = without_paths(path.read_text(encoding="utf-8"), known).encode()
    return files
