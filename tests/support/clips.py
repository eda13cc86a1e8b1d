"""Clips encoded by the tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.bitstream
import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]


def panning(frames: int = 24, width: int = 96, height: int = 64, step: tuple[int, int] = (3, 0)) -> Pictures:
    """A random texture whose content moves by `step` pixels (x, y) per frame."""
    rng = np.random.default_rng(7)
    dx, dy = step
    canvas = rng.integers(0, 255, (height + abs(dy) * frames, width + abs(dx) * frames, 3), dtype=np.uint8)
    canvas = np.kron(canvas[::4, ::4], np.ones((4, 4, 1), np.uint8))
    out = []
    for i in range(frames):
        x = (frames - 1 - i) * dx if dx > 0 else -i * dx
        y = (frames - 1 - i) * dy if dy > 0 else -i * dy
        out.append(canvas[y : y + height, x : x + width])
    return np.stack(out)


def encode(path: Path, pictures: Pictures, codec: str = "libx264", rate: int = 25, **options: str) -> Path:
    """Write pictures with one encoder thread."""
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream(codec, rate=rate, options={"threads": "1", **options})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def encode_at(
    path: Path, pictures: Pictures, times: Sequence[float], codec: str = "libx264", **options: str
) -> Path:
    """Write pictures with the times at which they are shown, in seconds, to the millisecond."""
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def annex_b(path: Path) -> Path:
    """The same H.264 stream without a container (x264 does not always encode twice the same)."""
    raw = path.with_suffix(".h264")
    with av.open(str(path)) as source, raw.open("wb") as out:
        stream = source.streams.video[0]
        unwrap = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in source.demux(stream):
            for unwrapped in unwrap.filter(packet if packet.size else None):
                out.write(bytes(unwrapped))
    return raw


H264 = {"g": "12", "bf": "0", "refs": "1", "sc_threshold": "0", "crf": "20"}
WITH_B = {"g": "12", "bf": "2", "refs": "2", "sc_threshold": "0", "crf": "20"}


def behind_sound(video: Path, path: Path, seconds: Fraction) -> Path:
    """The pictures of a file, which begin so long after a second of silence does."""
    with av.open(str(video)) as reader, av.open(str(path), mode="w") as writer:
        stream = reader.streams.video[0]
        pictures = writer.add_stream_from_template(stream)
        sound = writer.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        silence.sample_rate, silence.pts = 8000, 0
        writer.mux(sound.encode(silence))
        for packet in reader.demux(stream):
            if packet.size:
                shift = round(seconds / stream.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, pictures
                writer.mux(packet)
    return path


def remuxed(first: Path, target: Path, options: dict[str, str]) -> Path:
    """The packets of a file's video in another container, by options of its muxer."""
    with av.open(str(first)) as source, av.open(str(target), "w", options=options) as written:
        video = written.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = video
                written.mux(packet)
    return target
