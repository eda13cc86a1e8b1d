"""The run folder: the names of its files, where each fold lies, its lock, and what belongs to the present run.

A run folder (and each fold's folder below it) holds weights of the configuration beside them and nothing else:
what an earlier run left is set aside when a run begins, taken back where it was made from the same input, and
removed when the run ends.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from ..errors import CheckpointError, ConfigError
from ..parallel.ranks import share
from ..storage.digest import digest_bytes
from ..storage.files import read_json, write_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["STAGES", "RunFolder", "SecondsLedger", "StageTime", "fold_name", "set_aside"]

STAGES: Final = (
    "motion", "motion_pretrained", "appearance", "appearance_frame", "motion_head", "fusion",
)  # fmt: skip
"""Trainings whose weights lie in a run folder, as STAGE.safetensors."""

_METRICS: Final = "metrics.json"
_RESULTS: Final = (
    "predictions_*.csv",
    "confusion_*.csv",
    "confusion_*.png",
    "report.html",
    "report.md",
    "training.json",
)
_DIVISION: Final = "division.json"
_SOURCES: Final = ("encoder.json", "features.json", _DIVISION)
_DRAWN: Final = ("figures", "tensorboard")
_DRAFTS: Final = f".*-{'[0-9a-f]' * 12}.*"  # of killed runs; this one holds the folder
_LONGEST: Final = 100  # characters of a fold's folder


def fold_name(names: Sequence[str], name: str) -> str:
    """The name of a fold's folder; no two of `names` share one.

    It is the fold's own name where that is a plain word, else one with a digest behind it: groups may be called
    ``p.1`` and ``p+1``, or ``P1`` and ``p1``, which some file systems take for one.
    """
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    alike = [other for other in names if other.casefold() == plain.casefold()]
    if plain == name and plain and len(plain) <= _LONGEST and len(alike) <= 1:
        return plain
    return f"{plain[:_LONGEST]}-{digest_bytes([name.encode()])[:8]}"


class RunFolder:
    """A run folder.

    Args:
        path: where it lies, whether or not it exists.
        folds: names of the run's folds, in their order.
    """

    def __init__(self, path: Path, folds: Sequence[str] = ()) -> None:
        self.path, self.folds = path, tuple(folds)

    def fold(self, name: str) -> Path:
        """Where a fold's weights lie: the run folder itself, or a folder below it if there are several."""
        if len(self.folds) == 1:
            return self.path
        return self.path / "folds" / fold_name(self.folds, name)

    def fold_folders(self) -> list[Path]:
        """The folders of folds that are there, of this run or of another."""
        return sorted(p.parent for p in (self.path / "folds").glob("*/config.yaml"))

    def weights(self, fold: str, stage: str) -> Path:
        """Where the weights of a stage lie."""
        return self.fold(fold) / f"{stage}.safetensors"

    @property
    def ledger(self) -> SecondsLedger:
        """Wall time of the stages, attempts that were interrupted included."""
        return SecondsLedger(self.path / "seconds.json")

    def division(self, fold: str) -> Path:
        """Where the clips that a fold's weights were trained on are listed."""
        return self.fold(fold) / _DIVISION

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder: one run at a time writes it. The lock ends with its holder, however that ends.

        Raises:
            CheckpointError: another run holds it.
            ConfigError: there is no such folder and it can't be made.
        """
        made = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if not self.path.is_dir():  # else a finished run in a read-only folder
                why = "it is a file" if self.path.is_file() else (error.strerror or str(error)).lower()
                raise ConfigError(
                    f"{self.path} can't be the run folder: {why}; name another with --run-dir"
                ) from error
        lock = _Lock(self.path / "run.lock")
        if not lock.take():
            raise CheckpointError(
                f"another run is at work in {self.path}; wait for it, or name another folder with --run-dir"
            )
        try:
            yield
        finally:
            lock.release()
            if made:
                with suppress(OSError):  # not empty: the run left something
                    self.path.rmdir()

    def begin(self) -> bool:
        """Remove the results of an earlier run and set its weights aside.

        metrics.json goes first: where it stands, all the rest belongs to it.

        Returns:
            Whether there were results.
        """
        finished = (self.path / _METRICS).is_file()
        (self.path / _METRICS).unlink(missing_ok=True)
        present = {self.fold(name) for name in self.folds}
        for folder in [self.path, *self.fold_folders()]:
            _remove_results(folder)
            if folder in present:
                _set_aside(folder)
            else:
                _remove_fold(folder, emptied=folder != self.path)
        with suppress(OSError):
            (self.path / "folds").rmdir()  # if it is empty
        return finished

    def end(self) -> None:
        """Remove the weights that were set aside and not taken back, and states of unfinished trainings."""
        for name in self.folds:
            shutil.rmtree(self.fold(name) / "state", ignore_errors=True)


class StageTime:
    """Wall time of one stage: this attempt and the earlier ones.

    Args:
        earlier: seconds of the attempts before this one.
        clock: seconds, from any beginning.
        keep: called with the sum, about once a second while the stage works.
    """

    def __init__(self, earlier: float, clock: Callable[[], float], keep: Callable[[float], None]) -> None:
        self._earlier, self._clock, self._keep = earlier, clock, keep
        self._started = self._kept = clock()
        self.worked = False

    @property
    def seconds(self) -> float:
        """The sum up to now."""
        return self._earlier + self._clock() - self._started

    def tick(self) -> None:
        """Note that the stage has done a part of its work."""
        self.worked = True
        if self._clock() - self._kept >= 1:
            self.keep()

    def keep(self) -> None:
        """Write the sum down."""
        self._kept = self._clock()
        self._keep(self.seconds)


class SecondsLedger:
    """Wall time of a run's stages, added up over its attempts and cleared when the run ends.

    Args:
        path: of its file, which exists while a run is unfinished.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def timing(self, stage: str, settings: Mapping[str, Any]) -> Iterator[StageTime]:
        """Time a stage; its time is kept where it worked, however it ends.

        Args:
            stage: such as "extract_motion".
            settings: what the stage's work depends on; attempts with others are not added.
        """
        mark = digest_bytes([json.dumps([stage, settings], sort_keys=True, default=str).encode()])
        key = f"{stage} {mark}"
        attempt = StageTime(self._read().get(key, 0.0), _clock, lambda seconds: self._write(key, seconds))
        try:
            yield attempt
        finally:
            if attempt.worked:
                attempt.keep()

    def clear(self) -> None:
        """Forget all attempts: the run is complete."""
        if share().leads:
            self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, float]:
        try:
            found = read_json(self._path)
            return {str(key): float(seconds) for key, seconds in found.items()}
        except (CheckpointError, AttributeError, TypeError, ValueError):  # absent, or not ours
            return {}

    def _write(self, key: str, seconds: float) -> None:
        if share().leads:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._read() | {key: seconds})


_clock = time.perf_counter


def set_aside(weights: Path) -> Path:
    """Where the weights of an earlier run wait to be taken back."""
    return weights.parent / "state" / "earlier" / weights.name


def _set_aside(folder: Path) -> None:
    for stage in STAGES:
        weights = folder / f"{stage}.safetensors"
        if weights.is_file():
            set_aside(weights).parent.mkdir(parents=True, exist_ok=True)
            os.replace(weights, set_aside(weights))
    for name in _SOURCES:
        (folder / name).unlink(missing_ok=True)


def _remove_fold(folder: Path, *, emptied: bool) -> None:
    """Remove the weights of a fold that the run does not have; of its own folder the rest as well."""
    for stage in STAGES:
        (folder / f"{stage}.safetensors").unlink(missing_ok=True)
    shutil.rmtree(folder / "state", ignore_errors=True)
    for name in _SOURCES:
        (folder / name).unlink(missing_ok=True)
    if emptied:
        for name in ("config.yaml", "labels.json"):
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # it holds files of others
            folder.rmdir()


def _remove_results(folder: Path) -> None:
    for pattern in (*_RESULTS, _DRAFTS):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    for name in _DRAWN:
        shutil.rmtree(folder / name, ignore_errors=True)


class _Lock:
    """A lock file that one process holds; it is removed when it is let go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._other = FileLock(path) if fcntl is None else None

    def take(self) -> bool:
        """Whether nobody else holds it. Where the file can't be made or locked, nobody does."""
        if self._other is not None:
            try:
                self._other.acquire(timeout=0)
            except Timeout:
                return False
            return True
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:
                return True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                return not isinstance(error, BlockingIOError)
            if self._is_there(descriptor):
                self._descriptor = descriptor
                return True
            os.close(descriptor)  # its last holder removed it between the two calls

    def release(self) -> None:
        """Let go of it."""
        if self._other is not None:
            self._other.release()
        elif self._descriptor is not None:
            self._path.unlink(missing_ok=True)  # before it is unlocked: who opens it now makes a new one
            os.close(self._descriptor)
            self._descriptor = None

    def _is_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
