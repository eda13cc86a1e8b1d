"""Live sources of MPEG-TS with several streams, or with streams that appear later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from mv_tools import MotionDecoder, open_live
from mv_tools.live import byte_stream, reader
from mv_tools.source import demuxed

from support.clips import encode, panning
from support.live import http_server
from support.transport_stream import moved_to_another_stream, on_another_stream


def test_streams_that_appear_later_are_no_error(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    """Sound that joins a transport stream is unknown to PyAV, and asked for at its end."""
    first, second = make_clip("a.ts", frames=25), tmp_path / "b.ts"
    with av.open(str(first)) as source, av.open(str(second), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0])
        sounds = [target.add_stream("aac", rate=48000, layout="mono") for _ in range(8)]
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 48000
        for sound in sounds:
            for packet in sound.encode(silence):
                target.mux(packet)
        for packet in demuxed(source, source.streams.video[0]):
            packet.stream = video
            target.mux(packet)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with open_live(joined, timeout=0.1) as live:
        assert sum(1 for _ in live) >= 48  # two at the seam may be left out
    assert len(list(MotionDecoder(joined))) == 50


def test_which_of_several_video_streams_is_read_is_told(
    make_clip: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """MotionDecoder reads the first one, a live source the first that it can read."""
    paths = [encode(tmp_path / "a.mp4", panning(25), "mpeg4", g="12"), make_clip("b.mp4", frames=25)]
    both = tmp_path / "both.ts"
    with av.open(str(both), "w") as target, av.open(str(paths[0])) as first, av.open(str(paths[1])) as second:
        sources = [first, second]
        copies = [target.add_stream_from_template(source.streams.video[0]) for source in sources]
        for source, copy in zip(sources, copies, strict=True):
            for packet in demuxed(source, source.streams.video[0]):
                packet.stream = copy
                target.mux(packet)
    with open_live(both, timeout=0.1) as live:
        assert sum(1 for _ in live) == 25
    said = "it has 2 video streams (mpeg4, h264); number 2 is read, the first of H.264 or HEVC"
    assert caplog.text.count(said) == 1


def test_video_that_moves_to_another_stream_is_told(
    make_clip: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = make_clip("a.ts", frames=100, g="1")
    with open_live(first, timeout=0.1) as live:
        assert sum(1 for _ in live) == 100
    assert "nothing of the streams" not in caplog.text
    with open_live(moved_to_another_stream(first, tmp_path), timeout=0.1) as live:
        assert sum(1 for _ in live) == 100
    assert "hold nothing of the streams that were there at the start" in caplog.text


def test_a_camera_whose_video_moves_to_another_stream_is_connected_to_anew(
    make_clip: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new connection finds the stream; libavformat leaves out what comes in it through the old one."""
    monkeypatch.setattr(byte_stream, "_LONGEST_FOREIGN", 0.1)
    monkeypatch.setattr(reader, "_FIRST_WAIT", 0.05)
    first = make_clip("a.ts", frames=50, g="1")
    moved = on_another_stream(first, tmp_path / "second.ts").read_bytes()

    def send(number: int) -> Iterator[bytes]:
        if number == 0:
            yield first.read_bytes()
            while True:
                yield moved
                time.sleep(0.05)
        yield moved

    with http_server(send) as url, open_live(url, timeout=0.5) as live:
        frames = [frame for frame, _ in zip(live, range(100), strict=False)]
    assert len(frames) == 100
    assert "hold nothing of the streams that were there at the start" in caplog.text
