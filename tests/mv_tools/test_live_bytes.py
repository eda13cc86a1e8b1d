"""Files that grow, pipes and standard input: what is complete, and what is said where nothing comes."""

from __future__ import annotations

import gc
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mv_tools import ArgumentError, MalformedStream, MotionDecoder, SourceUnavailable, open_live
from mv_tools.live.address import Address
from mv_tools.live.byte_stream import GrowingFile, open_bytes
from mv_tools.live.complete_mp4 import is_complete_mp4
from mv_tools.live.items import LiveOptions
from mv_tools.live.reader import LiveReader

from support.clips import H264, encode, panning, remuxed
from support.waiting import PATIENCE, until

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
    return remuxed(encode(path.with_suffix(".ts"), panning(25), **H264), path, FRAGMENTS)


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


@pytest.mark.parametrize("how", ["rewritten", "replaced"])
def test_a_file_that_is_another_one_now_is_not_read_on(
    how: str, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    """A recorder begins anew under the same name: what it writes does not continue what was read."""
    content = make_clip("a.ts", frames=25).read_bytes()
    path = tmp_path / "g.ts"
    path.write_bytes(content)
    stop, said = threading.Event(), list[str]()
    reader = LiveReader(Address.parse(str(path)), LiveOptions(timeout=PATIENCE), stop, said.append)
    frames = 0
    for _ in reader.items():
        frames += 1
        if frames == 1 and how == "rewritten":
            path.write_bytes(content[:200])
        elif frames == 1:
            (tmp_path / "new.ts").write_bytes(content)
            (tmp_path / "new.ts").replace(path)
    assert 1 <= frames <= 25
    words = {"rewritten": "the file was written anew", "replaced": "another file took its place"}[how]
    assert [text for text in said if words in text]


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        (b"\x47" + bytes(999), b"\x47" + b"\1" * 1999, True),
        (b"\x1a" + bytes(999), b"\x1a" + b"\1" * 1999, False),
    ],
)
def test_a_file_written_anew_may_be_longer(before: bytes, after: bytes, ends: bool, tmp_path: Path) -> None:
    """Its size tells nothing then. Writers of Matroska set lengths in what was read already."""
    path = tmp_path / "g.ts"
    path.write_bytes(before)
    file = open_bytes(str(path), 0.0, threading.Event())
    assert file.read(600) + file.read(600) == before
    path.write_bytes(after)
    assert file.read(2000) == (b"" if ends else after[1000:])
    assert file.changed.startswith("the file was written anew") == ends
    file.close()


def test_live_sources_take_paths_and_refuse_numbers_that_are_none(make_clip: Callable[..., Path]) -> None:
    path = make_clip("a.ts", frames=25)
    with open_live(path, timeout=0.1) as source:
        assert sum(1 for _ in source) == 25
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="picture_interval must be 0 seconds or more"):
            open_live(path, picture_interval=value)


def test_a_source_that_nobody_holds_ends(make_clip: Callable[..., Path]) -> None:
    """Its thread would wait for ever for the file to grow."""

    def fail() -> None:
        for _ in open_live(make_clip("a.ts", frames=100), timeout=PATIENCE):
            raise ValueError("of the caller")

    before = threading.active_count()
    with pytest.raises(ValueError, match="of the caller"):
        fail()
    gc.collect()
    until(lambda: threading.active_count() <= before)


def test_bytes_without_packets_end_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(bytes(300_000))
    file = open_bytes(str(path), 1.0, threading.Event())
    assert len(file.read(200_000)) == 200_000
    assert not file.foreign  # nobody said where packets are
    file.reached, file.asked = 100_000, time.monotonic()
    assert len(file.read(50_000)) == 50_000
    file.asked -= 31.0
    assert file.read(50_000) == b""
    assert file.changed.startswith("its last 150,000 bytes hold nothing of the streams")
    assert file.changed.endswith("reading ended")
    file.close()


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
