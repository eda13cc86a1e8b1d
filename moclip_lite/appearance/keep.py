"""The cache's entry of a clip's appearance features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..datasets.clip_notes import keep_notes
from ..storage.cache import FeatureCache
from .encoder import AppearanceEncoder
from .frames import ClipFrames

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["keep_features"]


def keep_features(
    cache: FeatureCache, key: str, encoder: AppearanceEncoder, pictures: Tensor, frames: ClipFrames
) -> None:
    """Encode a clip's frames, write the entry: `features` float32 [frames, D], `times`, `weights` [frames].

    One clip at a time: in a batch the last bits of a result would depend on the other clips.

    Raises:
        CheckpointError: the weights give features that are not finite; nothing is kept.
    """
    facts = {"times": frames.facts.times, "weights": frames.facts.weights}
    keep_notes(cache, key, frames.notes)
    cache.put("clip", key, {"features": encoder.features(pictures), **facts})
