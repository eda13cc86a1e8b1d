"""Pictures of clips that two streams classify differently: a frame, and the motion drawn over it."""

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

from ...datasets import Clip
from ...datasets.segments import motion_pictures
from ...sampling import Segment
from ..predictions import ClipKey, Prediction

__all__ = ["ClipPicture", "disagreements", "draw_clip", "select_pictures"]

_SIDE: Final = 320
_CANDIDATES: Final = 8  # frames of a clip, of which the one with the most motion is drawn

Predictions = Mapping[ClipKey, Prediction]


@dataclass(frozen=True)
class ClipPicture:
    """A clip that one stream classified correctly and another one did not.

    Attributes:
        name, label: of the clip.
        right, wrong: the two predictions, with their scores.
        jpeg: a frame and its motion side by side, or None.
        reason: why there is no picture.
    """

    name: str
    label: str
    right: Prediction
    wrong: Prediction
    jpeg: bytes | None
    reason: str = ""

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg or b"").decode()

    @property
    def caption(self) -> str:
        """The clip with both predictions, as text."""
        return (
            f"{self.name}: {self.label} ({100 * self.right.score:.0f} %), "
            f"predicted as {self.wrong.predicted} ({100 * self.wrong.score:.0f} %)"
        )


def disagreements(right: Predictions, wrong: Predictions) -> list[ClipKey]:
    """Clips that only the first stream classified correctly, highest score first."""
    keys = [key for key in right if key in wrong and right[key].correct and not wrong[key].correct]
    return sorted(keys, key=lambda key: (-right[key].score, key))


def select_pictures(
    right: Predictions, wrong: Predictions, clips: Mapping[str, Clip], count: int
) -> list[ClipPicture]:
    """Draw the disagreements with the highest scores, one of each class before a second of any.

    Args:
        right, wrong: predictions of two streams.
        clips: clip name -> clip.
        count: maximum number of pictures.
    """
    seen: dict[str, int] = {}
    ranked = []
    for rank, key in enumerate(disagreements(right, wrong)):
        label = right[key].label
        ranked.append((seen.get(label, 0), rank, key))
        seen[label] = seen.get(label, 0) + 1
    return [_picture(key, right[key], wrong[key], clips) for _, _, key in sorted(ranked)[:count]]


def _picture(key: ClipKey, right: Prediction, wrong: Prediction, clips: Mapping[str, Clip]) -> ClipPicture:
    clip, jpeg, reason = clips.get(key.name), None, "the video no longer exists"
    if clip is not None and clip.path.is_file():
        try:
            jpeg, reason = draw_clip(clip.path, clip.segment), ""
        except (mv_tools.MotionError, OSError) as error:
            reason = " ".join(str(error).split())
    return ClipPicture(key.name, right.label, right, wrong, jpeg, reason)


def draw_clip(path: Path, segment: Segment | None = None) -> bytes:
    """JPEG of a clip's frame with the most motion, and that motion drawn over it.

    Args:
        path: the video.
        segment: the part of it that is the clip; None for all of it.

    Raises:
        MotionError: the clip can't be read.
    """
    decoder = mv_tools.MotionDecoder(path)
    pictures = range(len(decoder)) if segment is None else motion_pictures(decoder, segment)
    frames = decoder.get_frames_at([pictures[i] for i in _midpoints(len(pictures))])
    fields = [mv_tools.flow(frame) for frame in frames]
    best = int(np.argmax([float(np.linalg.norm(field, axis=0).mean()) for field in fields]))
    picture = mv_tools.read_rgb_at(decoder, [frames[best].frame_index]).frames[0]
    region = decoder.metadata.region(fields[best].shape[1:])
    return _side_by_side(picture, render(picture, fields[best], region=region))


def _midpoints(total: int) -> Sequence[int]:
    """The middle of each equal part of a clip."""
    return sorted({int((i + 0.5) * total / _CANDIDATES) for i in range(_CANDIDATES)})


def _side_by_side(*pictures: np.ndarray) -> bytes:
    images = [Image.fromarray(pixels) for pixels in pictures]
    scale = _SIDE / max(images[0].size)
    width, height = (max(1, round(scale * side)) for side in images[0].size)
    sheet = Image.new("RGB", (2 * width + 4, height), (128, 128, 128))
    for column, image in enumerate(images):
        sheet.paste(image.resize((width, height), Image.Resampling.LANCZOS), (column * (width + 4), 0))
    jpeg = io.BytesIO()
    sheet.save(jpeg, "JPEG", quality=78, optimize=True)
    return jpeg.getvalue()
