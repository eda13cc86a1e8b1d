"""How long a trial has taken, with the attempts at it that were interrupted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from ..errors import CheckpointError
from ..storage.files import read_json, write_json

__all__ = ["TrialClock"]

_EVERY: Final = 5.0  # seconds between writes while a trial is at work


class TrialClock:
    """Wall time of a trial, kept in a file that the next attempt reads; of another trial it is not read.

    Args:
        path: the file.
        search: fingerprint of the search.
        number: of the trial.
    """

    def __init__(self, path: Path, search: str, number: int) -> None:
        self._path, self._trial = path, {"search": search, "number": number}
        self._earlier = _seconds(path, self._trial)
        self._started = self._written = time.perf_counter()

    def seconds(self) -> float:
        """Up to now, all attempts together."""
        return self._earlier + time.perf_counter() - self._started

    def tick(self) -> None:
        """Write the time, unless it was written a moment ago."""
        if time.perf_counter() - self._written >= _EVERY:
            self.write()

    def write(self) -> None:
        """Write the time."""
        write_json(self._path, {**self._trial, "seconds": self.seconds()})
        self._written = time.perf_counter()


def _seconds(path: Path, trial: dict[str, Any]) -> float:
    """Those of earlier attempts at a trial; 0 if there are none, or if the file is damaged."""
    try:
        kept = read_json(path) if path.exists() else None
    except CheckpointError:
        return 0.0
    if not isinstance(kept, dict) or {name: kept.get(name) for name in trial} != trial:
        return 0.0
    seconds = kept.get("seconds")
    return float(seconds) if isinstance(seconds, (int, float)) and seconds > 0 else 0.0
