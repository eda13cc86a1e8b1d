"""The run folder: names of its files, folders of its folds, its lock, and what belongs to the present run.

A run folder (and each fold's folder below it) holds weights of the configuration beside them and no others:
what an earlier run left is set aside when a run begins, taken back where it was made from the same input,
and removed when the run ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mv_tools.atomic import remove_drafts
from mv_tools.urls import spelled

from ..errors import CheckpointError, ConfigError
from ..storage.files import read_metadata
from ..storage.lock import FolderLock
from ..storage.mirror import held, write_back
from ..storage.snapshot import working_copy
from ..streams import ANSWERS
from .fold_folder import STAGES, FoldFolder, fold_name
from .ledger import SecondsLedger
from .metrics import Metrics
from .run_files import wrong_file

__all__ = ["RunFolder"]


class RunFolder(FoldFolder):
    """A run folder.

    Args:
        path: where it lies, whether or not it exists; of a URL, the local copy
            that :meth:`locked` keeps in step with it.
        folds: names of the run's folds, in their order.

    Attributes:
        given: the path as it was given.
    """

    def __init__(self, path: Path, folds: Sequence[str] = ()) -> None:
        self.given, path = path, working_copy(path)
        super().__init__(path)
        self.folds = tuple(folds)
        self.metrics = path / "metrics.json"
        self.asked = path / "asked.json"
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
        return spelled(self.given)

    @contextmanager
    def at_url(self, note: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Hold the URL: its content is copied here; changes are written back, meanwhile and at the end.

        Args:
            note: told what happens.

        Raises:
            CheckpointError: another run works there, or took it over meanwhile.
            OSError: the server refuses, or can't be reached; the local copy is kept.
        """
        with held(self.given, "run", self.metrics.name, note):
            yield

    def write_back(self) -> None:
        """Write what changed here to the URL, if it is held; a lost connection is noted, and tried later.

        Raises:
            CheckpointError: another run took the URL over.
        """
        write_back(self.given)

    @contextmanager
    def locked(self, note: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Hold the folder: one run at a time writes it; a URL as :meth:`at_url` does.

        Drafts of files that a killed run left are removed.

        Raises:
            CheckpointError: another run holds it.
            ConfigError: there is no such folder and it can't be made, or it holds something else.
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
        if self.training.is_file() and not self.config.is_file():
            raise ConfigError(
                f"{self.path} holds a training of another kind (training.json without a run's config.yaml), "
                "which this run would replace; name another folder with --run-dir"
            )
        refusal = CheckpointError(
            f"another run is at work in {self.shown}; wait for it, or name another folder with --run-dir"
        )
        try:
            with FolderLock(self.path / "run.lock").held(refusal):
                for folder in (self, *self.fold_folders()):
                    remove_drafts(folder.path)
                yield
        finally:
            if absent:
                with suppress(OSError):  # not empty: the run left something
                    self.path.rmdir()

    def read_finished(self, fingerprint: str) -> Metrics | None:
        """The metrics of a finished run with this fingerprint; None if there are none.

        A run is not finished of which weights or predictions are missing or cut short, or weights are of
        another training, or thresholds and temperatures are missing or were fitted for other weights.
        """
        try:
            metrics = Metrics.read(self.metrics)
        except CheckpointError:
            return None
        if fingerprint not in (metrics.fingerprint, metrics.resolved_fingerprint):
            return None
        return None if self.lacks() else metrics

    def lacks(self) -> str:
        """What is missing, cut short or of another run among the files of a finished one; "" if nothing."""
        try:
            metrics = Metrics.read(self.metrics)
        except CheckpointError:
            return ""
        for stream in metrics.streams:
            if not self.predictions(stream).is_file():
                return f"{self.predictions(stream).name} is missing"
        folds = [self.fold(name) for name in self.folds] or [self]
        for path in (
            fold.weights(stream) for fold in folds for stream in metrics.streams if stream in STAGES
        ):
            try:
                read_metadata(path)
            except CheckpointError:
                name = path.relative_to(self.path)
                return f"{name} is {'damaged' if path.exists() else 'missing'}"
        return wrong_file(self.path, folds, metrics.files)

    def missing_answers(self) -> list[str]:
        """Sentences on weights that are not there, of streams that would answer."""
        try:
            streams = Metrics.read(RunFolder(self.run_path).metrics).streams
        except CheckpointError:
            return []  # not finished: it answers with what there is
        folders = self.fold_folders() or [self]
        return [
            f"{folder.weights(stream)} is missing, but metrics.json has scores of that stream: "
            f"others answer; copy the whole folder, or `moclip run {self.run_path}` trains it again"
            for folder in folders
            for stream in ANSWERS
            if stream in streams and not folder.has(stream)
        ]

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
