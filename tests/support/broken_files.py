"""Video files that are broken or unusual, made for tests."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from support.clips import H264, encode, panning


def empty_file(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def truncated_file(folder: Path) -> Path:
    """The index of this MP4 stands at the end, which is cut away."""
    whole = encode(folder / "truncated.mp4", panning(), **H264)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return whole


def truncated_late(folder: Path) -> Path:
    """The index stands in front and promises more pictures than are there."""
    whole = encode(folder / "whole.mkv", panning(), **H264)
    with (
        av.open(str(whole)) as source,
        av.open(str(folder / "late.mp4"), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole.unlink()
    path = folder / "late.mp4"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    return path


def text_file(folder: Path) -> Path:
    path = folder / "letter.mp4"
    path.write_text("Dear reader, this is not a video.\n" * 60, encoding="utf-8")
    return path


def audio_file(folder: Path) -> Path:
    path = folder / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for start in range(0, 4096, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


BROKEN: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "empty": (empty_file, ("empty.mp4", "empty")),
    "truncated": (truncated_file, ("truncated.mp4", "cut short")),
    "truncated late": (truncated_late, ("late.mp4",)),
    "text": (text_file, ("letter.mp4", "not a video file")),
    "audio": (audio_file, ("song.mp4", "no video stream", "audio")),
}


def resized_file(folder: Path) -> Path:
    """Two H.264 streams of different sizes, one behind the other."""
    path = folder / "resized.h264"
    parts = []
    for width, height in ((96, 64), (64, 48)):
        part = encode(folder / f"{width}.h264", panning(10, width, height), **H264)
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))
    return path


def variable_rate(folder: Path) -> tuple[Path, list[int]]:
    """Pictures at uneven times, in milliseconds."""
    path, times = folder / "uneven.mkv", [0, 40, 45, 120, 121, 300, 301, 302, 700, 1500, 1540, 1600]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1", **H264})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(panning(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path, times
