"""Pairs of a clip and its captions, and their augmentation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor

from mv_tools import MotionError

from ...datasets import Clip
from ...datasets.clip_errors import reason_of
from ...datasets.prompts import Prompts
from ...errors import DataError
from ...storage.names import named_reason
from ..config import MobileViClipConfig
from ..frames import Crop, read_clip
from .duplicates import Duplicates, count_duplicates, number_files

__all__ = ["FilePairs", "Pair", "class_pairs"]

_SIDES: Final = re.compile(r"\b(left|right|clockwise|counter-?clockwise|anti-?clockwise)", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """A clip and its captions; pairs with equal captions have an equal `group`."""

    clip: Path
    captions: tuple[str, ...]
    group: int


def class_pairs(clips: Sequence[Clip], prompts: Prompts) -> list[Pair]:
    """Pairs of a data set with class labels: a clip's captions are its class name in every prompt.

    Classes that share a caption are one group.
    """
    labels = sorted({clip.label for clip in clips})
    group = {label: number for number, label in enumerate(labels)}
    for alike in prompts.shared(labels).values():
        joined = {group[label] for label in alike}
        group = {label: min(joined) if number in joined else number for label, number in group.items()}
    return [Pair(clip.path, tuple(prompts.sentences(clip.label)), group[clip.label]) for clip in clips]


class FilePairs:
    """Pairs read from video files; a :class:`moclip_lite.mobileviclip.training.batches.PairSource`.

    Args:
        pairs: the pairs.
        config: configuration of the model to train.
        min_area: smallest share of the area that a random crop keeps.
        flip: probability of a mirror image; captions that mention sides are never mirrored.
    """

    def __init__(
        self, pairs: Sequence[Pair], config: MobileViClipConfig, *, min_area: float = 0.5, flip: float = 0.5
    ) -> None:
        self.pairs, self.config = list(pairs), config
        numbers = number_files(pair.clip for pair in self.pairs)
        self.clips = [numbers[pair.clip] for pair in self.pairs]
        """The clip's number by content, for each pair."""
        self.min_area, self.flip = min_area, flip

    def __len__(self) -> int:
        return len(self.pairs)

    def pair(self, index: int, rng: np.random.Generator) -> tuple[Tensor, str]:
        """An augmented clip and one of its captions.

        Raises:
            DataError: the clip can't be read.
        """
        pair = self.pairs[index]
        caption = pair.captions[int(rng.integers(len(pair.captions)))]
        mirrored = rng.random() < self.flip and not _SIDES.search(caption)
        frames, side = self.config.num_frames, self.config.image_size
        try:
            clip = read_clip(pair.clip, frames, side, crop=Crop(rng, self.min_area))
        except (MotionError, OSError) as error:
            raise DataError(named_reason(pair.clip, reason_of(error))) from error
        return clip.flip(-1) if mirrored else clip, caption

    def group(self, index: int) -> tuple[int, int]:
        """Numbers of the clip and of the caption."""
        return self.clips[index], self.pairs[index].group

    def duplicates(self) -> Duplicates:
        """Count duplicate clips and captions."""
        captions = [pair.group for pair in self.pairs]
        return count_duplicates(self.clips, captions, len({pair.clip for pair in self.pairs}))
