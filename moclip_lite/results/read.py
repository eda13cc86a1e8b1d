"""A finished run folder, read back: metrics, predictions clip by clip, training history, settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..datasets.clip import group_of
from ..datasets.ucf101 import group_in_name
from ..errors import CheckpointError, ConfigError, DataError
from ..storage.files import read_json
from ..storage.plain_yaml import read_yaml
from ..streams import ANSWERS, Stream
from .metrics import Metrics
from .predictions import ClipKey, Prediction, read_predictions
from .run_folder import RunFolder

__all__ = ["Run", "load_run", "read_run"]

_DRAWN: Final = ("epoch", "loss", "val_loss", "accuracy")  # of a row of a history


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        folder: where it lies.
        metrics: of metrics.json.
        config: the resolved configuration, section -> key -> value.
        predictions: stream -> clip -> prediction.
        training: fold -> stage -> result of its training, with its history.
    """

    folder: Path
    metrics: Metrics
    config: dict[str, Any]
    predictions: dict[Stream, dict[ClipKey, Prediction]]
    training: dict[str, dict[str, Any]]

    @property
    def labels(self) -> list[str]:
        """Class names in the order of their numbers."""
        return list(self.metrics.labels)

    @property
    def streams(self) -> list[Stream]:
        """The streams that were tested, in the order of metrics.json."""
        return list(self.metrics.streams)

    @property
    def main(self) -> Stream:
        """The stream that the run is about: the fusion where there is one."""
        tested: list[Stream] = [s for s in (*ANSWERS, *Stream) if s in self.metrics.streams]
        return tested[0]

    def groups(self, keys: list[ClipKey]) -> Sequence[str | None] | None:
        """The groups that the split was cut by, clip by clip; None where no clip has one.

        They are read from the predictions, or found by the configuration's rule in runs of earlier versions.
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
        groups = [group_in_name(key.name) for key in keys]
        return [str(group) for group in groups] if all(groups) else None


def load_run(folder: Path) -> Run:
    """Read a finished run.

    Raises:
        CheckpointError: no run folder, not finished, or damaged.
    """
    run = RunFolder(folder)
    run.require()
    if not run.metrics.is_file():
        raise CheckpointError(
            f"{folder} is not finished (it has no metrics.json); `moclip run {folder}` resumes it"
        )
    metrics = Metrics.read(run.metrics)
    if not metrics.streams:
        raise CheckpointError(f"{folder}: its metrics hold no stream")
    return read_run(RunFolder(folder, metrics.folds or ("run",)), metrics)


def read_run(run: RunFolder, metrics: Metrics) -> Run:
    """The run folder of known metrics; see :func:`load_run`."""
    try:
        config = read_yaml(run.config, "configuration", typed=True)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    except OSError as error:
        raise CheckpointError(f"{run.config} can't be read: {error.strerror}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{run.config} is damaged: it holds no sections")
    tables = {stream: run.predictions(stream) for stream in metrics.streams}
    predictions = {stream: read_predictions(path) for stream, path in tables.items() if path.is_file()}
    histories = {name: run.fold(name).training for name in run.folds}
    training = {name: _read_training(path) for name, path in histories.items() if path.is_file()}
    return Run(run.path, metrics, config, predictions, training)


def _read_training(path: Path) -> dict[str, Any]:
    """Stage -> history of its training, as :attr:`Run.training` has it.

    Raises:
        CheckpointError: damaged.
    """
    stages = read_json(path, infinite=True)  # the best loss of a training without validation
    if not isinstance(stages, dict) or not all(map(_is_history, stages.values())):
        raise CheckpointError(f"{path} is damaged: it holds no history of a training")
    return stages


def _is_history(stage: Any) -> bool:
    """Whether a stage has rows of numbers and the epoch that its weights are of, or is None: not trained."""
    if stage is None:
        return True
    if not isinstance(stage, dict) or not isinstance(stage.get("history"), list | None):
        return False
    rows = stage.get("history") or []
    numbers = all(
        isinstance(row, dict) and all(isinstance(row.get(name, 0), int | float) for name in _DRAWN)
        for row in rows
    )
    return numbers and (not rows or type(stage.get("best_epoch")) is int)
