"""A finished run folder, read back: metrics, predictions clip by clip, training history, settings."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from ..datasets.clip import group_of
from ..datasets.ucf101 import group_in_name
from ..errors import CheckpointError, DataError
from ..storage.files import read_json
from .run_folder import RunFolder

__all__ = ["STREAMS", "ClipKey", "Prediction", "Run", "load_run", "read_predictions"]

STREAMS: Final = ("motion", "appearance", "fusion", "motion_head", "appearance_frame", "zero_shot")
"""In the order of tables. The last three are controls: the fusion head's size on motion features alone
and on the middle frame alone, and the class names with nothing trained."""

_NUMBERS: Final = ("top1", "top5", "macro", "n")


class ClipKey(NamedTuple):
    """A test of a clip: its name and the fold (a clip may be tested in several)."""

    name: str
    fold: str


class Prediction(NamedTuple):
    """What a stream said of a clip.

    Attributes:
        label: its class.
        predicted: the class that it was taken for.
        score: probability of the predicted class.
        group: what the split was cut by; None where groups are unknown.
    """

    label: str
    predicted: str
    score: float
    group: str | None = None

    @property
    def correct(self) -> bool:
        """Whether it was right."""
        return self.label == self.predicted


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        folder: where it lies.
        metrics: the content of metrics.json.
        config: the resolved configuration, section -> key -> value.
        predictions: stream -> clip -> prediction.
        training: fold -> stage -> result of its training, with its history.
    """

    folder: Path
    metrics: dict[str, Any]
    config: dict[str, Any]
    predictions: dict[str, dict[ClipKey, Prediction]]
    training: dict[str, dict[str, Any]]

    @property
    def labels(self) -> list[str]:
        """Class names in the order of their numbers."""
        return [str(label) for label in self.metrics["labels"]]

    @property
    def streams(self) -> list[str]:
        """The streams that were tested, in the order of tables."""
        return [stream for stream in STREAMS if stream in self.metrics]

    @property
    def main(self) -> str:
        """The stream that the run is about: the fusion where there is one."""
        ordered = ("fusion", "appearance", "motion", *STREAMS)
        return next(stream for stream in ordered if stream in self.metrics)

    def groups(self, keys: list[ClipKey]) -> Sequence[str | None] | None:
        """The groups that cut the split, clip by clip; None where no clip has one, None in the list for a clip without.

        Predictions tell them; in runs of versions that did not write them, the rule of the configuration does.
        """
        known = {key: p.group for rows in self.predictions.values() for key, p in rows.items()}
        recorded = [known.get(key) for key in keys]
        if any(recorded):
            return recorded
        data = self.config.get("data") or {}
        pattern = data.get("group_pattern")
        try:
            if pattern is not None:
                return [str(group_of(str(pattern), key.name)) for key in keys]
        except DataError:
            return None
        if data.get("kind") != "ucf101":
            return None
        found = [group_in_name(key.name) for key in keys]
        return [str(group) for group in found] if all(found) else None


def load_run(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        CheckpointError: no run folder, not finished, or damaged.
    """
    if not (folder / "config.yaml").is_file():
        raise CheckpointError(f"{folder} is not a run folder (it has no config.yaml)")
    if not (folder / "metrics.json").is_file():
        raise CheckpointError(
            f"{folder} is not finished (it has no metrics.json); `moclip run {folder}` goes on"
        )
    metrics = read_json(folder / "metrics.json")
    streams = _check_metrics(folder, metrics)
    return read_run(folder, metrics, streams)


def read_run(folder: Path, metrics: dict[str, Any], streams: list[str]) -> Run:
    """The run folder of known metrics; see :func:`load_run`."""
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{folder / 'config.yaml'} is damaged") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.yaml'} is damaged")
    predictions = {stream: read_predictions(folder / f"predictions_{stream}.csv") for stream in streams}
    names = [str(name) for name in metrics.get("folds") or ["run"]]
    places = {name: RunFolder(folder, names).fold(name) / "training.json" for name in names}
    training = {name: read_json(path) for name, path in places.items() if path.is_file()}
    return Run(folder, metrics, config, predictions, training)


def _check_metrics(folder: Path, metrics: Any) -> list[str]:
    """Refuse metrics that are none; returns the streams that have predictions."""
    damaged = CheckpointError(f"{folder / 'metrics.json'} is damaged or not of a run of this program")
    if not isinstance(metrics, dict) or not isinstance(metrics.get("labels"), list):
        raise damaged
    streams = [stream for stream in STREAMS if stream in metrics]
    for stream in streams:
        result = metrics[stream]
        if not isinstance(result, dict) or not isinstance(result.get("per_class"), dict):
            raise damaged
        if not all(isinstance(result.get(key), (int, float)) for key in _NUMBERS):
            raise damaged
    if not streams:
        raise CheckpointError(f"{folder}: its metrics hold no stream")
    return [stream for stream in streams if (folder / f"predictions_{stream}.csv").is_file()]


def read_predictions(path: Path) -> dict[ClipKey, Prediction]:
    """Read a table of predictions.

    Raises:
        CheckpointError: it is damaged.
    """
    out: dict[ClipKey, Prediction] = {}
    turns: dict[str, int] = {}  # where a version wrote no folds
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                turns[row["clip"]] = turns.get(row["clip"], -1) + 1
                key = ClipKey(row["clip"], row.get("fold") or str(turns[row["clip"]]))
                out[key] = Prediction(
                    row["label"], row["predicted"], float(row["score"]), row.get("group") or None
                )
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise CheckpointError(f"{path} is damaged: {json.dumps(str(error))}") from error
    return out
