"""Generated long videos: clips of all classes in random order, with gaps in which nothing moves."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

from moclip_lite.datasets.synthetic.clips import MOTIONS, TEXTURES
from moclip_lite.datasets.synthetic.pictures import render_clip
from moclip_lite.errors import DataError
from moclip_lite.storage.files import atomic_path, write_text

_RATE: Final = 25  # pictures per second
_SIZE: Final = (144, 112)
_OTHER: Final = 1_000_003  # part of the seed: no clip of the data set is drawn with it
_ENCODER: Final = {
    "crf": "22",
    "g": "24",
    "bf": "2",
    "refs": "1",
    "preset": "fast",
    "sc_threshold": "0",
    "threads": "1",
    "x264-params": "mbtree=0",  # without it, the file of a seed differs now and then
}


@dataclass(frozen=True, kw_only=True)
class LongSpec:
    """A generated long video.

    Attributes:
        rounds: how often each class occurs.
        frames: least and greatest length of a clip in pictures.
        gap: the same of the gaps between clips.
        seed: of all random choices.
    """

    rounds: int = 2
    frames: tuple[int, int] = (24, 96)
    gap: tuple[int, int] = (12, 60)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (least, greatest) in (("frames", self.frames), ("gap", self.gap)):
            if not 1 <= least <= greatest:
                raise DataError(
                    f"{name} must be two numbers from 1 on, the first not larger, got {least}, {greatest}"
                )
        if self.rounds < 1:
            raise DataError(f"rounds must be at least 1, got {self.rounds}")


@dataclass(frozen=True)
class LongVideo:
    """A video that was written, and its annotations: (start, end, label) in seconds."""

    path: Path
    segments: tuple[tuple[float, float, str], ...]


def generate_long(path: Path, spec: LongSpec) -> LongVideo:
    """Write a long H.264 video, and beside it a table ``video,label,start,end``, PATH with the suffix .csv.

    Gaps show a still picture of a random texture with the noise of a camera.

    Args:
        path: of the video.
        spec: content.
    """
    segments: list[tuple[float, float, str]] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as draft, av.open(str(draft), mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_RATE, options=dict(_ENCODER))
        stream.width, stream.height, stream.pix_fmt = *_SIZE, "yuv420p"
        shown = 0
        for label, pictures in _parts(spec):
            if label is not None:
                segments.append((shown / _RATE, (shown + len(pictures)) / _RATE, label))
            shown += len(pictures)
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["video", "label", "start", "end"])
    rows.writerows([path.name, label, f"{start:.3f}", f"{end:.3f}"] for start, end, label in segments)
    write_text(path.with_suffix(".csv"), table.getvalue())
    return LongVideo(path, tuple(segments))


def _parts(spec: LongSpec) -> Iterator[tuple[str | None, npt.NDArray[np.uint8]]]:
    """Labels with pictures: gap, clip, gap, ... clip, gap; the label of a gap is None."""
    rng = np.random.default_rng([spec.seed, _OTHER])
    kinds = [(texture, motion) for texture in TEXTURES for motion in MOTIONS]
    order = np.concatenate([rng.permutation(len(kinds)) for _ in range(spec.rounds)]).tolist()
    for number, kind in enumerate([*order, None]):
        seed = (spec.seed, _OTHER, number)
        length = int(rng.integers(spec.gap[0], spec.gap[1] + 1))
        still = TEXTURES[int(rng.integers(len(TEXTURES)))]
        yield None, render_clip(still, "still", length, (*seed, 0), _SIZE)[0]
        if kind is not None:
            texture, motion = kinds[kind]
            length = int(rng.integers(spec.frames[0], spec.frames[1] + 1))
            yield f"{texture}_{motion}", render_clip(texture, motion, length, (*seed, 1), _SIZE)[0]
