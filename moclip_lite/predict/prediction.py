"""The answer for one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mv_tools.urls import spelled

__all__ = ["Prediction", "Ranking", "ranking_as_list"]

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

    def to_json(self) -> dict[str, Any]:
        """What ``moclip predict --json`` and the HTTP interface say of it."""
        return {
            "path": spelled(self.path),
            "predictions": ranking_as_list(self.ranking),
            "stream": self.stream,
            "streams": {name: ranking_as_list(ranking) for name, ranking in self.streams.items()},
            "notes": self.notes,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "frames": self.frames,
            "engine": self.engine,
            "gflops": self.gflops,
        }


def ranking_as_list(ranking: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """A ranking as JSON."""
    return [{"label": label, "score": score} for label, score in ranking]
