"""The folder of one fold's weights: names of its files, and what belongs to the weights."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import CheckpointError
from ..storage.digest import digest_bytes
from ..storage.files import read_json, write_json, write_text
from ..streams import Stream

__all__ = ["ONNX_FOLDER", "ONNX_PARTS", "STAGES", "FoldFolder", "fold_name"]

ONNX_FOLDER: Final = "onnx"
"""Folder of the networks as ONNX files, for prediction without PyTorch."""

ONNX_PARTS: Final = ("segments", "windows")
"""The motion network in two files, for windows that share segments: the encoder of one, and the rest."""

STAGES: Final = tuple(stream for stream in Stream if stream is not Stream.ZERO_SHOT)
"""Trainings whose weights lie in a run folder, as STAGE.safetensors."""

_DRAFTS: Final = f".*-{'[0-9a-f]' * 12}.*"  # of killed runs; this one holds the folder
_RESULTS: Final = (
    "predictions_*.csv",
    "confusion_*.csv",
    "confusion_*.png",
    "report.html",
    "report.md",
    "training.json",
)
_MAX_NAME: Final = 100  # characters of a fold's folder


def fold_name(names: Sequence[str], name: str) -> str:
    """The name of a fold's folder; no two of `names` share one.

    It is the fold's name where that is a plain word, else one with a digest behind it: groups may be called
    ``p.1`` and ``p+1``, or ``P1`` and ``p1``, which are one name in some file systems.
    """
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    alike = [other for other in names if other.casefold() == plain.casefold()]
    if plain == name and plain and len(plain) <= _MAX_NAME and len(alike) <= 1:
        return plain
    return f"{plain[:_MAX_NAME]}-{digest_bytes([name.encode()])[:8]}"


class FoldFolder:
    """The folder of one fold's weights and of what is needed to use them.

    Args:
        path: where it lies, whether or not it exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.labels = path / "labels.json"
        self.division = path / "division.json"
        self.encoder = path / "encoder.json"
        self.features = path / "features.json"
        self.training = path / "training.json"
        self.timeline = path / "timeline.json"
        self.cascade = path / "cascade.json"
        self.held_out = path / "validation.scores"  # a safetensors file; the name keeps it apart from weights

    @property
    def run_path(self) -> Path:
        """The run folder that it belongs to."""
        return self.path.parents[1] if self.path.parent.name == "folds" else self.path

    def weights(self, stage: str) -> Path:
        """Where the weights of a stage lie."""
        return self.path / f"{stage}.safetensors"

    def has(self, stage: str) -> bool:
        """Whether there are weights of a stage."""
        return self.weights(stage).is_file()

    def state(self, stage: str) -> Path:
        """Where the state of an unfinished training lies."""
        return self.path / "state" / f"{stage}.safetensors"

    def set_aside(self, stage: str) -> Path:
        """Where the weights of an earlier run wait to be taken back."""
        return self.path / "state" / "earlier" / f"{stage}.safetensors"

    def require(self) -> None:
        """Refuse a folder that is none.

        Raises:
            CheckpointError: it holds no configuration.
        """
        if not self.config.is_file():
            raise CheckpointError(f"{self.path} is not a run folder (it has no config.yaml)")

    def read_labels(self) -> list[str]:
        """The class names in the order of their numbers.

        Raises:
            CheckpointError: missing or damaged.
        """
        labels = read_json(self.labels)
        if not isinstance(labels, list) or not labels or not all(isinstance(x, str) for x in labels):
            raise CheckpointError(f"{self.labels} is not a list of labels")
        return labels

    def describe(self, config: str, labels: Sequence[str]) -> None:
        """Write the configuration (YAML) and the class names: what is needed to use the weights."""
        write_text(self.config, config)
        write_json(self.labels, list(labels))

    def remove_results(self) -> None:
        """Remove what a run writes beside the weights."""
        for pattern in (*_RESULTS, _DRAFTS):
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)
        for name in ("figures", "tensorboard", ONNX_FOLDER):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def set_weights_aside(self) -> None:
        """Set the weights of an earlier run aside."""
        for stage in STAGES:
            if self.has(stage):
                self.set_aside(stage).parent.mkdir(parents=True, exist_ok=True)
                os.replace(self.weights(stage), self.set_aside(stage))
        self._remove_origins()

    def remove_weights(self) -> None:
        """Remove all weights and states."""
        for stage in STAGES:
            self.weights(stage).unlink(missing_ok=True)
        self.remove_state()
        self._remove_origins()

    def remove_state(self) -> None:
        """Remove weights that were set aside and not taken back, and states of unfinished trainings."""
        shutil.rmtree(self.path / "state", ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder of a fold that the run does not have; files of others stay."""
        self.remove_weights()
        for path in (self.config, self.labels):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def _remove_origins(self) -> None:
        origins = (self.encoder, self.features, self.division, self.timeline, self.cascade, self.held_out)
        for path in origins:
            path.unlink(missing_ok=True)
