"""The answer for one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

__all__ = ["Prediction", "Ranking"]

Ranking: TypeAlias = list[tuple[str, float]]
"""(label, probability), best first."""


@dataclass(frozen=True)
class Prediction:
    """The answer for one file.

    Attributes:
        path: as given.
        ranking: labels with scores (probabilities), best first.
        stream: the stream that gave it: "fusion", "appearance" or "motion".
        streams: the ranking of each stream that could be asked.
        notes: what a reader should know (where the motion comes from, which stream is missing and why).
        seconds: wall time.
        cpu_seconds: CPU time of all threads of this process meanwhile.
        frames: pictures that the appearance encoder saw.
        engine: what computed the networks.
        gflops: operations of the networks; None where the run does not tell.
    """

    path: str
    ranking: Ranking
    stream: str
    streams: dict[str, Ranking]
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    frames: int = 0
    engine: str = ""
    gflops: float | None = None
