"""How a file is encoded, as far as motion depends on it, and whether re-encoding it to a recipe helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from mv_tools import MotionDecoder, Recipe

__all__ = ["Encoding", "encoding_of", "foreign", "originals_note"]

_SAMPLE: Final = 6  # files that are looked at


@dataclass(frozen=True)
class Encoding:
    """Properties of an encoded file that change its vectors.

    Attributes:
        codec: libav's name.
        reordered: whether pictures are shown in another order than decoded, as with B pictures.
        gop: pictures from one I picture to the next, on average.
    """

    codec: str
    reordered: bool
    gop: float

    def __str__(self) -> str:
        order = "with B pictures" if self.reordered else "without B pictures"
        return f"{self.codec} {order}, an I picture every {self.gop:.0f} pictures"


def encoding_of(decoder: MotionDecoder) -> Encoding:
    """The encoding of an open file."""
    ranks = np.asarray(decoder.decode_rank)
    keyframes = max(1, len(decoder.keyframe_indices()))
    return Encoding(decoder.metadata.codec, bool((np.diff(ranks) < 0).any()), len(decoder) / keyframes)


def foreign(encoding: Encoding, recipes: Sequence[Recipe]) -> bool:
    """Whether a file differs from all recipes in its codec or in whether it has B pictures.

    The length of a GOP does not count: I pictures are left out of the motion that is read.
    """
    return bool(recipes) and all(
        encoding.codec != recipe.codec or encoding.reordered != (recipe.bframes > 0) for recipe in recipes
    )


def originals_note(paths: Sequence[Path], recipe: Recipe, name: str) -> str:
    """A sentence on whether re-encoding originals with a recipe changes their motion; "" if none can be read.

    Args:
        paths: of the originals, a few of which are looked at.
        recipe: encoder settings.
        name: of the recipe.
    """
    from .clip_errors import CLIP_ERRORS

    chosen = {int(i) for i in np.linspace(0, len(paths) - 1, min(_SAMPLE, len(paths)))}
    seen: list[Encoding] = []
    for position in sorted(chosen):
        try:
            seen.append(encoding_of(MotionDecoder(paths[position], on_damage="skip")))
        except CLIP_ERRORS:
            continue  # reported when it is re-encoded
    if not seen:
        return ""
    other = [encoding for encoding in seen if foreign(encoding, [recipe])]
    if other:
        return (
            f"preparing helps: {len(other)} of {len(seen)} originals looked at are encoded differently "
            f"from {name} ({other[0]}); prepare also what you predict on, "
            "or train on several recipes with data.train_recipes"
        )
    return (
        f"the originals are encoded like {name} already ({len(seen)} looked at); "
        "preparing them makes their quality and I pictures even, no more"
    )
