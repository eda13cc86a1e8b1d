"""The run folder: names of its files, folders of its folds, its lock, and what belongs to the present run.

A run folder (and each fold's folder below it) holds weights of the configuration beside them and no others:
what an earlier run left is set aside when a run begins, taken back where it was made from the same input,
and removed when the run ends.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..errors import CheckpointError, ConfigError
from ..storage.digest import digest_bytes
from ..storage.files import read_json, write_json, write_text
from ..storage.mirror import held, working_copy, write_back
from ..storage.objects import shown
from ..streams import Stream
from .ledger import SecondsLedger
from .lock import FolderLock
from .metrics import Metrics

__all__ = ["ONNX_FOLDER", "ONNX_PARTS", "STAGES", "FoldFolder", "RunFolder", "fold_name"]

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


class RunFolder(FoldFolder):
    """A run folder.

    Args:
        path: where it lies, whether or not it exists; of a URL, the local copy that :meth:`locked` keeps in step with it.
        folds: names of the run's folds, in their order.

    Attributes:
        given: the path as it was given.
    """

    def __init__(self, path: Path, folds: Sequence[str] = ()) -> None:
        self.given, path = path, working_copy(path)
        super().__init__(path)
        self.folds = tuple(folds)
        self.metrics = path / "metrics.json"
        self.report_page, self.report_text = path / "report.html", path / "report.md"
        self.failures, self.notes = path / "failures.csv", path / "notes.csv"
        self.figures, self.tensorboard = path / "figures", path / "tensorboard"

    def fold(self, name: str) -> FoldFolder:
        """The folder of a fold: the run folder itself, or one below it if there are several folds."""
        if len(self.folds) == 1:
            return self
        return FoldFolder(self.path / "folds" / fold_name(self.folds, name))

    def fold_folders(self) -> list[FoldFolder]:
        """The folders of folds that are there, of this run or of another."""
        return [FoldFolder(path.parent) for path in sorted((self.path / "folds").glob("*/config.yaml"))]

    def predictions(self, stream: str) -> Path:
        """The table of a stream's predictions."""
        return self.path / f"predictions_{stream}.csv"

    def confusion(self, stream: str, suffix: str) -> Path:
        """A stream's confusion matrix: ".csv" for the table, ".png" for the picture."""
        return self.path / f"confusion_{stream}{suffix}"

    @property
    def ledger(self) -> SecondsLedger:
        """Wall time of the stages, attempts that were interrupted included."""
        return SecondsLedger(self.path / "seconds.json")

    @property
    def shown(self) -> str:
        """The folder or the URL, for messages."""
        return shown(self.given)

    @contextmanager
    def at_url(self, note: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Hold the URL: its content is copied here, and what changes here is written back, while and when the block ends.

        Args:
            note: told what happens.

        Raises:
            CheckpointError: another run works there, or took it over meanwhile.
            OSError: the server refuses, or can't be reached; the local copy is kept.
        """
        with held(self.given, "run", self.metrics.name, note):
            yield

    def write_back(self) -> None:
        """Write what changed here to the URL, if it is held; a lost connection is noted, and tried again later.

        Raises:
            CheckpointError: another run took the URL over.
        """
        write_back(self.given)

    @contextmanager
    def locked(self, note: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Hold the folder: one run at a time writes it; a URL as :meth:`at_url` does.

        Raises:
            CheckpointError: another run holds it.
            ConfigError: there is no such folder and it can't be made.
        """
        with self.at_url(note), self._locked_here():
            yield

    @contextmanager
    def _locked_here(self) -> Iterator[None]:
        absent = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if not self.path.is_dir():  # else a finished run in a read-only folder
                why = "it is a file" if self.path.is_file() else (error.strerror or str(error)).lower()
                raise ConfigError(
                    f"{self.path} can't be the run folder: {why}; name another with --run-dir"
                ) from error
        lock = FolderLock(self.path / "run.lock")
        if not lock.acquire():
            raise CheckpointError(
                f"another run is at work in {self.shown}; wait for it, or name another folder with --run-dir"
            )
        try:
            yield
        finally:
            lock.release()
            if absent:
                with suppress(OSError):  # not empty: the run left something
                    self.path.rmdir()

    def read_finished(self, fingerprint: str) -> Metrics | None:
        """The metrics of a finished run with this fingerprint; None if there are none."""
        try:
            metrics = Metrics.from_json(read_json(self.metrics))
        except (CheckpointError, ValueError):
            return None
        return metrics if fingerprint in (metrics.fingerprint, metrics.resolved_fingerprint) else None

    def begin(self) -> bool:
        """Remove the results of an earlier run and set its weights aside.

        metrics.json goes first: where it stands, all the rest belongs to it.

        Returns:
            Whether there were results.
        """
        finished = self.metrics.is_file()
        self.metrics.unlink(missing_ok=True)
        present = {self.fold(name).path for name in self.folds}
        for folder in (self, *self.fold_folders()):
            folder.remove_results()
            if folder.path in present:
                folder.set_weights_aside()
            elif folder is self:
                folder.remove_weights()
            else:
                folder.remove()
        with suppress(OSError):
            (self.path / "folds").rmdir()  # if it is empty
        return finished

    def end(self) -> None:
        """Remove what an earlier run left and this one did not take back."""
        for name in self.folds:
            self.fold(name).remove_state()
