"""Clips where the motion decided, as pictures: a frame, and the motion drawn over it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

import mv_tools
from mv_tools.visualize import render

from ..read import ClipKey, Prediction

__all__ = ["Shown", "disagreements", "draw_clip", "show"]

_SIDE: Final = 320
_LOOKED_AT: Final = 8  # pictures of a clip, of which the one with most motion is drawn

Predictions = Mapping[ClipKey, Prediction]


@dataclass(frozen=True)
class Shown:
    """A clip on which two streams differ.

    Attributes:
        name, label: of the clip.
        right, wrong: what the stream that was right, and the other, said, with their scores.
        picture: JPEG of a frame and its motion side by side, or None.
        reason: why there is no picture.
    """

    name: str
    label: str
    right: Prediction
    wrong: Prediction
    picture: bytes | None
    reason: str = ""

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return "data:image/jpeg;base64," + base64.b64encode(self.picture or b"").decode()


def disagreements(right: Predictions, wrong: Predictions) -> list[ClipKey]:
    """Clips that the first got right and the second wrong, the surest first."""
    common = [key for key in right if key in wrong and right[key].correct and not wrong[key].correct]
    return sorted(common, key=lambda key: (-right[key].score, key))


def show(right: Predictions, wrong: Predictions, paths: Mapping[str, Path], most: int) -> list[Shown]:
    """The surest of the disagreements, of as many classes as can be, drawn.

    Args:
        right, wrong: predictions of two streams.
        paths: clip name -> video.
        most: how many.
    """
    return [
        _shown(key, right[key], wrong[key], paths)
        for key in _spread(disagreements(right, wrong), right, most)
    ]


def _spread(keys: Sequence[ClipKey], of: Predictions, most: int) -> list[ClipKey]:
    """The first of each class, then the second of each, and so on."""
    seen: dict[str, int] = {}
    turns = []
    for rank, key in enumerate(keys):
        label = of[key].label
        turns.append((seen.get(label, 0), rank, key))
        seen[label] = seen.get(label, 0) + 1
    return [key for _, _, key in sorted(turns)[:most]]


def _shown(key: ClipKey, right: Prediction, wrong: Prediction, paths: Mapping[str, Path]) -> Shown:
    path = paths.get(key.name)
    if path is None or not path.is_file():
        return Shown(key.name, right.label, right, wrong, None, "the video is no longer there")
    try:
        return Shown(key.name, right.label, right, wrong, draw_clip(path))
    except (mv_tools.MotionError, OSError) as error:
        return Shown(key.name, right.label, right, wrong, None, " ".join(str(error).split()))


def draw_clip(path: Path) -> bytes:
    """JPEG of a clip's frame with most motion, and that motion drawn over it.

    Raises:
        MotionError: the clip can't be read.
    """
    decoder = mv_tools.MotionDecoder(path)
    total = len(decoder)
    indices = sorted({int((i + 0.5) * total / _LOOKED_AT) for i in range(_LOOKED_AT)})
    frames = decoder.get_frames_at(indices)
    fields = [mv_tools.flow(frame) for frame in frames]
    best = int(np.argmax([float(np.linalg.norm(field, axis=0).mean()) for field in fields]))
    picture = mv_tools.read_rgb_at(path, [frames[best].frame_index]).frames[0]
    sheet = Image.new("RGB", (2 * _SIDE + 4, _SIDE), (128, 128, 128))
    region = decoder.metadata.region(fields[best].shape[1:])
    for column, pixels in enumerate((picture, render(picture, fields[best], region=region))):
        image = Image.fromarray(pixels)
        scale = _SIDE / max(image.size)
        size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
        sheet.paste(image.resize(size, Image.Resampling.LANCZOS), (column * (size[0] + 4), 0))
    sheet = sheet.crop((0, 0, 2 * size[0] + 4, size[1]))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=78, optimize=True)
    return out.getvalue()
