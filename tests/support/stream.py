"""Pushing the packets of files into a MotionStream."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av.error
import numpy as np

from mv_tools import MotionFrame, MotionStream
from mv_tools.decoder import Order
from mv_tools.display import Display, read_display
from mv_tools.source import Source, open_video

__all__ = ["Packets", "differences", "read_stream", "same_motion"]


@dataclass(frozen=True)
class Packets:
    """The packets of a file in decoding order, with their times."""

    codec: str
    extradata: bytes | None
    packets: list[tuple[bytes, float | None]]
    display: Display

    @classmethod
    def of(cls, path: Path) -> Packets:
        with open_video(path, packets_only=True) as (container, stream):
            packets: list[tuple[bytes, float | None]] = []
            with contextlib.suppress(av.error.FFmpegError):  # a file that is cut short
                for packet in container.demux(stream):
                    if packet.size:
                        seconds = None if packet.pts is None else float(packet.pts * packet.time_base)
                        packets.append((bytes(packet), seconds))
            context = stream.codec_context
            extradata = None if context.extradata is None else bytes(context.extradata)
            display = read_display(Source.of(path), stream)
            return cls(context.codec.canonical_name, extradata, packets, display)

    def stream(self, order: Order = "presentation", *, deferred: bool = False) -> MotionStream:
        codec: Any = self.codec
        return MotionStream(codec, self.extradata, order=order, display=self.display, deferred=deferred)


def read_stream(
    stream: MotionStream, packets: Iterable[tuple[bytes, float | None]]
) -> tuple[list[MotionFrame], int]:
    """All frames of packets, and the most packets that were pushed ahead of the frames given out."""
    frames: list[MotionFrame] = []
    ahead = 0
    for number, (packet, seconds) in enumerate(packets, 1):
        frames += stream.push(packet, seconds)
        ahead = max(ahead, number - len(frames))
    return frames + stream.flush(), ahead


def same_motion(a: MotionFrame, b: MotionFrame) -> bool:
    """Whether two frames have the same vectors to the same references."""
    assert a.ref_poc is not None
    assert b.ref_poc is not None
    assert a.poc is not None
    assert b.poc is not None
    unused = a.ref_idx < 0
    deltas = [np.where(unused, 0, frame.poc - frame.ref_poc.astype(np.int64)) for frame in (a, b)]  # type: ignore[operator,union-attr]
    return (
        np.array_equal(a.mv, b.mv)
        and np.array_equal(a.ref_idx, b.ref_idx)
        and np.array_equal(deltas[0], deltas[1])
    )


def differences(a: MotionFrame, b: MotionFrame) -> list[str]:
    """Names of the attributes in which two frames differ, times apart."""
    values = ["index", "decode_index", "frame_index", "pict_type", "is_keyframe", "structure", "poc"]
    values += ["poc_interval", "field_poc", "sample_aspect_ratio", "orientation"]
    arrays = ("mv", "ref_idx", "ref_poc", "field_blocks", "other_parity")
    names = [name for name in values if getattr(a, name, None) != getattr(b, name, None)]
    for name in arrays:
        one, two = getattr(a, name, None), getattr(b, name, None)
        equal = one is two if one is None or two is None else np.array_equal(one, two)
        if not equal:
            names.append(name)
    return names
