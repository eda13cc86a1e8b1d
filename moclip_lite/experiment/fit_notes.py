"""How the models of a run were chosen, in sentences for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..results.fold_result import FoldResult
from ..streams import Stream

__all__ = ["fit_notes"]


def fit_notes(results: Sequence[FoldResult]) -> list[str]:
    """Sentences on the start of the motion network, on second fits and on a fusion's weights of its streams.

    Args:
        results: of the folds.
    """
    pools = [result.training.get(str(Stream.FUSION), {}) for result in results]
    return [*_start(results), *_refit(results), *_pool(pools)]


def _start(results: Sequence[FoldResult]) -> list[str]:
    if not any(result.from_generated for result in results):
        return []
    return ["the motion network started from weights of generated motion (motion.pretrained)"]


def _refit(results: Sequence[FoldResult]) -> list[str]:
    again = [result for result in results if result.refitted]
    if not again:
        return []
    what = sorted(
        {"the motion network" if s is Stream.MOTION else "the heads" for r in again for s in r.refitted}
    )
    where = "" if len(again) == len(results) else f" in {len(again)} of {len(results)} folds"
    verb = "was" if what == ["the motion network"] else "were"
    return [
        f"{' and '.join(reversed(what))} {verb} trained again on training "
        f"and validation clips together{where}, once validation had chosen their settings (refit); "
        "validation figures are those of the first training"
    ]


def _pool(trainings: Sequence[Mapping[str, Any]]) -> list[str]:
    pools = [training["pool"] for training in trainings if "pool" in training]
    if not pools:
        return []
    parts = [
        f"{stream} {_range([pool[stream]['weight'] for pool in pools])}"
        f" ({_chosen([pool[stream] for pool in pools])})"
        for stream in pools[0]
    ]
    folds = "" if len(pools) == 1 else f", over {len(pools)} folds"
    clips = _range([training["held_out"] for training in trainings if "held_out" in training])
    alphas = [training["alpha"] for training in trainings if "alpha" in training]
    share = f"; alpha, the trained share beside the text, is {_range(alphas)}" if alphas else ""
    return [
        f"fusion weighs the log-probabilities of {' and '.join(parts)}{folds}; these values (C is the "
        f"inverse L2 penalty) are those of least cross-entropy on {clips} clips that were held out{share}"
    ]


def _chosen(streams: Sequence[Mapping[str, float]]) -> str:
    """What was chosen for a stream besides its weight."""
    names = [name for name in streams[0] if name != "weight"]
    return ", ".join(f"{name} {_range([stream[name] for stream in streams])}" for name in names)


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"
