"""Files that grow, pipes and standard input: what is complete, and what is said where nothing comes."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from mv_tools import MalformedStream, MotionDecoder, SourceUnavailable, open_live
from mv_tools.live.byte_stream import GrowingFile, open_bytes
from mv_tools.live.complete_mp4 import is_complete_mp4

from support.clips import H264, encode, panning

FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def written(fifo: Path, data: bytes, *, ended: threading.Event | None = None) -> threading.Thread:
    """Writes into a named pipe, and closes it once `ended` is set."""

    def write() -> None:
        with fifo.open("wb") as file:
            file.write(data)
            file.flush()
            if ended is not None:
                ended.wait()

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def fragmented(path: Path) -> Path:
    """An MP4 file of fragments, remuxed."""
    source = encode(path.with_suffix(".ts"), panning(25), **H264)
    with av.open(str(source)) as read, av.open(str(path), "w", options=FRAGMENTS) as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.size:
                packet.stream = stream
                write.mux(packet)
    return path


def test_only_an_mp4_file_with_its_whole_index_is_complete(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_clip("a.mp4", bf="0").read_bytes()
    index = data.index(b"moov") - 4
    media = data.index(b"mdat") - 4
    assert media < index
    first = data[:media] + data[index:] + data[media:index]  # the index in front of the media data
    for number, (content, complete) in enumerate(
        [
            (data, True),
            (data[:-1], False),  # the index is being written
            (data[: index - 1], False),
            (first, True),
            (first[:-1], False),  # the media data are being copied
            (fragmented(tmp_path / "f.mp4").read_bytes(), False),
            (b"", False),
            (b"no video", False),
        ]
    ):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(content)
        with path.open("rb") as file:
            assert is_complete_mp4(file) == complete, number
            assert file.tell() == 0


def test_a_growing_file_of_fragments_does_not_end_at_its_first_end(tmp_path: Path) -> None:
    data, path = fragmented(tmp_path / "f.mp4").read_bytes(), tmp_path / "g.mp4"
    path.write_bytes(data[: len(data) // 2])
    stream = open_bytes(str(path), 0.1, threading.Event())
    assert isinstance(stream, GrowingFile)
    read = stream.read(len(data))
    with path.open("ab") as file:
        file.write(data[len(data) // 2 :])
    assert read + stream.read(len(data)) == data
    assert stream.read(1) == b""
    stream.close()
    with open_live(str(path), timeout=0.1) as source:
        assert sum(1 for _ in source) == 25


def test_a_named_pipe_is_read_from_its_first_byte(make_clip: Callable[..., Path], fifo: Path) -> None:
    path = make_clip("a.ts", frames=25)
    writer = written(fifo, path.read_bytes())
    with open_live(str(fifo)) as source:
        assert sum(1 for _ in source) == len(list(MotionDecoder(path)))
    writer.join()


def test_where_no_data_come_that_is_said(fifo: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.ts").touch()
    for path in (fifo, tmp_path / "empty.ts"):
        with pytest.raises(SourceUnavailable, match=r"no data came in 0\.1 s"):
            open_live(str(path), timeout=0.1)
    with pytest.raises(SourceUnavailable, match="without any data"):
        open_live("/dev/null", timeout=0.1)
    with pytest.raises(IsADirectoryError):
        open_live(str(tmp_path), timeout=0.1)


def test_mp4_in_a_pipe(make_clip: Callable[..., Path], fifo: Path, tmp_path: Path) -> None:
    data = make_clip("a.mp4", bf="0").read_bytes()
    writer = written(fifo, data[: data.index(b"moov") - 4])  # the index would be out of reach
    with pytest.raises(MalformedStream, match="only fragments can be read"):
        open_live(str(fifo))
    writer.join()
    index = data.index(b"moov") - 4  # the pictures would be out of reach, behind a megabyte of nothing
    writer = written(fifo, data[:index] + struct.pack(">I4s", 1 << 20, b"free").ljust(1 << 20) + data[index:])
    with (
        pytest.raises(MalformedStream, match="only fragments can be read"),
        open_live(str(fifo), timeout=1.0) as source,
    ):
        list(source)
    writer.join()
    writer = written(fifo, fragmented(tmp_path / "f.mp4").read_bytes())
    with open_live(str(fifo)) as source:
        assert sum(1 for _ in source) == 25
    writer.join()


def test_an_mp4_file_in_the_making_is_named(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    """Its index is written last, while it is read or never."""
    data = make_clip("a.mp4", bf="0").read_bytes()
    index, path = data.index(b"moov") - 4, tmp_path / "g.mp4"
    path.write_bytes(data[:index])
    with pytest.raises(MalformedStream, match="only fragments can be read from a pipe or while"):
        open_live(str(path), timeout=0.1)
    path.write_bytes(data[:-1])  # the end is missing still
    rest = threading.Timer(0.1, lambda: path.write_bytes(data))
    rest.start()
    with (
        pytest.raises(MalformedStream, match="only fragments can be read from a pipe or while"),
        open_live(str(path), timeout=1.0) as source,
    ):
        list(source)
    rest.join()


def test_a_pipe_that_stalls_ends_with_a_sentence(
    make_clip: Callable[..., Path], fifo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = threading.Event()
    writer = written(fifo, make_clip("a.ts", frames=25).read_bytes(), ended=ended)
    try:
        with open_live(str(fifo), timeout=0.2) as source:
            assert sum(1 for _ in source) == 25
    finally:
        ended.set()
        writer.join()
    assert "no data came for 0.2 s: reading ended" in caplog.text
