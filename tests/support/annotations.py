"""Long videos with annotated segments."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av

from moclip_lite.datasets import Clip
from moclip_lite.sampling import Segment

from support.clips import H264, encode, panning

GOP = 12
STEPS = {"left": (-3, 0), "right": (3, 0)}
"""Class -> motion of its clips, pixels per frame."""


def long_video(path: Path, labels: list[str], frames: int = GOP) -> Path:
    """A video of one scene after the other, whose contents move as their classes say."""
    import numpy as np

    scenes = [panning(frames, step=STEPS[label]) for label in labels]
    return encode(path, np.concatenate(scenes), **H264)


def segments_of(path: Path, labels: list[str], frames: int = GOP, rate: int = 25) -> list[Clip]:
    """The scenes as clips."""
    borders = [i * frames / rate for i in range(len(labels) + 1)]
    segments = [Segment(start, end) for start, end in itertools.pairwise(borders)]
    return [
        Clip(path, f"{path.name}@{segment}", label, None, segment)
        for label, segment in zip(labels, segments, strict=True)
    ]


def copy_packets(source: Path, target: Path, first: int, stop: int) -> Path:
    """A file of some packets of a stream without B pictures; nothing is encoded again."""
    with av.open(str(source)) as reader, av.open(str(target), mode="w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        for number, packet in enumerate(reader.demux(stream)):
            if packet.size and first <= number < stop:
                shift = round(Fraction(first, 25) / stream.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                writer.mux(packet)
    return target
