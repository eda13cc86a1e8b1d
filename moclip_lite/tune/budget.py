"""Limits of a search: trials, time, or both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import ConfigError

__all__ = ["Budget"]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Budget:
    """Limits of a search, of which the first that is reached ends it; interrupted attempts count.

    Attributes:
        trials: number of trials; None for any.
        seconds: time of all trials; None for any. A trial that has begun is finished.
    """

    trials: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "40" (trials), "30m" or "2h" (time), or both, "40,2h".

        Raises:
            ConfigError: not a budget.
        """
        trials: int | None = None
        seconds: float | None = None
        for word in text.split(","):
            match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)([smh]?)", word.strip(), re.ASCII)
            number = float(match.group(1)) if match else 0.0
            unit = match.group(2) if match else ""
            repeated = seconds is not None if unit else trials is not None
            if number <= 0 or repeated or (not unit and not number.is_integer()):
                raise ConfigError(
                    f"--budget takes trials (40), a time (90s, 30m, 2h) or both (40,2h), got {text!r}"
                )
            if unit:
                seconds = number * _SECONDS[unit]
            else:
                trials = int(number)
        return cls(trials, seconds)

    def spent(self, trials: int, seconds: float) -> bool:
        """Whether so many trials in so many seconds have used it up."""
        return (self.trials is not None and trials >= self.trials) or (
            self.seconds is not None and seconds >= self.seconds
        )
