"""What a prediction costs: CPU time of each stage, operations of each network, clips that need pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["PredictionCost"]


@dataclass(frozen=True)
class PredictionCost:
    """Cost of the prediction of a clip, on the machine of the run.

    Attributes:
        engine: what computed the networks.
        clips: test clips that were measured.
        cpu_ms: stage -> mean over the clips of the least CPU time of two passes,
            of all threads, in milliseconds.
        gflops: network -> operations for a clip.
        needed_pictures: share of the validation clips that need pictures with ``predict --cascade``; None
            without thresholds.
        why: of the engine, such as what the image encoder in int8 changes; "" where there is nothing to say.
    """

    engine: str
    clips: int
    cpu_ms: Mapping[str, float] = field(default_factory=dict)
    gflops: Mapping[str, float] = field(default_factory=dict)
    needed_pictures: float | None = None
    why: str = ""

    @property
    def words(self) -> str:
        """For people."""
        stages = ", ".join(f"{stage} {value:.0f}" for stage, value in self.cpu_ms.items())
        text = (
            f"A prediction takes {sum(self.cpu_ms.values()):.0f} ms of CPU a clip ({stages}; engine "
            f"{self.engine}, {self.clips} clips, start-up aside)"
        )
        if self.gflops:
            networks = ", ".join(f"{name} {value:.1f}" for name, value in self.gflops.items())
            text += f" and {sum(self.gflops.values()):.1f} GFLOPs ({networks})"
        if self.needed_pictures is not None:
            text += (
                f"; with --cascade {100 * self.needed_pictures:.0f} % of the validation clips need pictures"
            )
        return f"{text}. {self.why[:1].upper()}{self.why[1:]}." if self.why else f"{text}."
