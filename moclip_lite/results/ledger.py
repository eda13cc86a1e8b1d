"""Wall time of a run's stages, added up over its attempts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..parallel.ranks import share
from ..storage.files import read_json, write_json

__all__ = ["SecondsLedger", "StageTime"]

_clock = time.perf_counter


class StageTime:
    """Wall time of one stage: this attempt and the earlier ones.

    Args:
        earlier: seconds of the attempts before this one.
        clock: seconds, from any beginning.
        write: called with the sum, about once a second while the stage works.
    """

    def __init__(self, earlier: float, clock: Callable[[], float], write: Callable[[float], None]) -> None:
        self._earlier, self._clock, self._write = earlier, clock, write
        self._started = self._written = clock()
        self.worked = False

    @property
    def seconds(self) -> float:
        """The sum up to now."""
        return self._earlier + self._clock() - self._started

    def tick(self) -> None:
        """Note that the stage has done a part of its work."""
        self.worked = True
        if self._clock() - self._written >= 1:
            self.save()

    def save(self) -> None:
        """Write the sum."""
        self._written = self._clock()
        self._write(self.seconds)


class SecondsLedger:
    """The file of wall times. It exists while a run is unfinished and is removed when the run ends.

    Args:
        path: of the file.
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
        key = json.dumps([stage, settings], sort_keys=True, default=str)
        attempt = StageTime(self._read().get(key, 0.0), _clock, lambda seconds: self._save(key, seconds))
        try:
            yield attempt
        finally:
            if attempt.worked:
                attempt.save()

    def clear(self) -> None:
        """Forget all attempts: the run is complete."""
        if share().leads:
            self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, float]:
        try:
            return {str(key): float(seconds) for key, seconds in read_json(self._path).items()}
        except (CheckpointError, AttributeError, TypeError, ValueError):
            # Absent, or not written by this class.
            return {}

    def _save(self, key: str, seconds: float) -> None:
        if share().leads:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._read() | {key: seconds})
