"""Shot boundaries of a video, from the kinds of its pictures and their blocks.

At a cut an encoder has nothing to predict from: it codes an I picture, or a P or B picture of more intra
blocks than are usual in the video. Pictures that are shown before that one and coded after it may belong to
either shot. Such pictures also occur without a cut (at regular distances, at a flash, in a scene that is hard
to predict), so they and some that follow are compared with those before them: behind a flash the scene is the
one before. No others are decoded.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

import mv_tools
from mv_tools import MalformedStream, MotionDecoder, RgbDecoder, UnsupportedStream

__all__ = ["find_cuts"]

_MIN_INTER_SHARE: Final = 0.4  # of a picture's blocks; with fewer inter blocks it may begin a shot
_MIN_USUAL_SHARE: Final = 0.7  # the same, of the video's median
_MIN_CHANGE: Final = 24.0  # mean absolute difference of thumbnails, of 255
_MIN_RATIO: Final = 2.0  # of that difference to the one between the two pictures before: a fast camera has 1
_MAX_LIKENESS: Final = 0.95  # correlation of thumbnails: above, only the brightness differs
_FLASH: Final = 6  # pictures, after which the scene before a flash is back
_SIDE: Final = 16  # of a thumbnail

Thumbnail = npt.NDArray[np.float32]
Run = tuple[int, int]
"""First and last of the pictures of which one may begin a shot."""


def find_cuts(path: Path) -> list[int]:
    """First frames of shots, without the first frame of the video; none if the codec has no motion vectors.

    Pictures that are damaged or lost are passed over.

    Raises:
        FileNotFoundError: no such file.
        mv_tools.MotionError: no picture can be read.
    """
    try:
        decoder = MotionDecoder(path, on_damage="skip")
        shares = _inter_shares(decoder)
    except UnsupportedStream:
        return []
    usual = float(np.median(shares[shares > 0])) if (shares > 0).any() else 0.0
    limit = max(_MIN_INTER_SHARE, _MIN_USUAL_SHARE * usual)
    rank = decoder.pictures.decode_rank
    return _changes(
        RgbDecoder(decoder), [_run(rank, int(i)) for i in np.flatnonzero(shares < limit) if i > 0]
    )


def _inter_shares(decoder: MotionDecoder) -> npt.NDArray[np.float64]:
    """Share of inter blocks of each frame, of two fields the smaller one; 0 for I and unknown pictures."""
    shares = np.full(decoder.frame_count, np.inf)
    with suppress(MalformedStream):  # pictures whose motion is not known are compared
        for frame in decoder:
            share = 0.0 if frame.pict_type == "I" else float(mv_tools.inter_mask(frame).mean())
            shares[frame.frame_index] = min(shares[frame.frame_index], share)
    return np.where(np.isinf(shares), 0.0, shares)


def _run(rank: npt.NDArray[np.int64], last: int) -> Run:
    """A picture and those shown directly before it that are decoded later: they may refer to it."""
    first = last
    while first > 1 and rank[first - 1] > rank[last]:
        first -= 1
    return first, last


def _changes(decoder: RgbDecoder, runs: Sequence[Run]) -> list[int]:
    """The picture of each run at which the shot changes, of those runs in which it does.

    The file is read once, and only the thumbnails of one run are kept.

    Args:
        decoder: of the file.
        runs: by their last picture, ascending.
    """
    positions = {i for first, last in runs for i in range(max(0, first - 2), last + 1 + _FLASH)}
    waiting, seen = deque(runs), dict[int, Thumbnail]()
    cuts: set[int] = set()
    for position, picture in decoder.iter_frames_at(
        sorted(i for i in positions if i < len(decoder)), on_damage="skip"
    ):
        while waiting and waiting[0][1] + _FLASH < position:
            cuts.update(_change(seen, waiting.popleft()))
        needed = min((first for first, _ in waiting), default=0) - 2
        seen = {other: thumbnail for other, thumbnail in seen.items() if other >= needed}
        thumbnail = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BOX)
        seen[position] = np.asarray(thumbnail, np.float32)
    for run in waiting:
        cuts.update(_change(seen, run))
    return sorted(cuts)


def _change(seen: Mapping[int, Thumbnail], run: Run) -> list[int]:
    """The picture of a run that differs most from the one before it; none if no shot begins there.

    In fast motion the pictures before differ as much; at a flash one of the pictures that follow is like the
    one before.

    Args:
        seen: thumbnails by position, ascending, of two pictures before the run to _FLASH behind it.
        run: its pictures.
    """
    first, last = run
    before = [position for position in seen if position < first][-2:]
    inside = [*before[-1:], *(position for position in seen if first <= position <= last)]
    if not before or len(inside) < 2:
        return []
    steps = [_difference(seen[a], seen[b]) for a, b in itertools.pairwise(inside)]
    usual = _difference(seen[before[0]], seen[before[1]]) if before == [first - 2, first - 1] else 0.0
    if max(steps) < max(_MIN_CHANGE, _MIN_RATIO * usual):
        return []
    cut = inside[int(np.argmax(steps)) + 1]
    following = (seen[position] for position in seen if cut <= position <= last + _FLASH)
    return [] if any(_alike(seen[before[-1]], other) for other in following) else [cut]


def _alike(a: Thumbnail, b: Thumbnail) -> bool:
    """Whether two pictures may be of one scene: they differ little, or in brightness alone."""
    if _difference(a, b) < _MIN_CHANGE:
        return True
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum()) > _MAX_LIKENESS * float(np.sqrt((a * a).sum() * (b * b).sum()))


def _difference(a: Thumbnail, b: Thumbnail) -> float:
    return float(np.abs(a - b).mean())
