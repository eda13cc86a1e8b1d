"""What a prediction costs, in operations, from what the run measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..engine.files import of_other_settings
from ..errors import CheckpointError
from ..experiment.config import Experiment, load_run_settings
from ..results.run_folder import RunFolder
from ..storage.files import read_json

__all__ = ["PredictionCosts"]


@dataclass(frozen=True)
class PredictionCosts:
    """GFLOPs of the parts of a prediction; None where the run does not tell.

    Attributes:
        motion: all views of a clip in the motion network.
        frame: one frame in the appearance encoder, with its share of the head.
    """

    motion: float | None
    frame: float | None

    @classmethod
    def of(cls, folder: RunFolder, used: Experiment) -> PredictionCosts:
        """Read them from a run's metrics.json.

        Args:
            folder: of the run.
            used: its configuration with changes, such as fewer views.
        """
        try:
            metrics = read_json(folder.metrics)
            costs: Mapping[str, Any] = metrics["costs"]
            views, frames = _counted(folder, metrics.get("counted") or {})
            known = {name: float(cost["gflops"]) for name, cost in costs.items() if "gflops" in cost}
        except (CheckpointError, AttributeError, KeyError, TypeError, ValueError):
            return cls(None, None)  # the folder of a fold, or of an older run
        appearance = known.get("appearance")
        if appearance is None and {"fusion", "motion"} <= set(known):
            appearance = known["fusion"] - known["motion"]
        motion = known.get("motion")
        return cls(
            None if motion is None or not views else motion * used.views / views,
            None if appearance is None or not frames else appearance / frames,
        )

    def gflops(self, motion: bool, frames: int) -> float | None:
        """Operations for a clip of which motion was scored, or not, and so many frames encoded."""
        parts = [(self.motion, int(motion)), (self.frame, frames)]
        if any(cost is None for cost, times in parts if times):
            return None
        return sum(times * (cost or 0.0) for cost, times in parts)


def _counted(folder: RunFolder, counted: Mapping[str, Any]) -> tuple[int, int]:
    """Views and frames of a clip that the costs of a run count, (0, 0) if unknown.

    Runs of older versions do not say it: their configuration does, unless their ONNX files are of another
    one, so that it was edited since.
    """
    if counted:
        return int(counted["views"]), int(counted["frames"])
    own = load_run_settings(folder.config)
    return (0, 0) if of_other_settings(folder, own) else (own.views, own.clip.frames)
