"""The native backend's saved index: read back, bound to its file, refused if damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mv_tools
from mv_tools import MalformedStream, MotionDecoder, UnsupportedStream
from mv_tools.backends.native import saved_index
from mv_tools.pictures import native_headers
from mv_tools.pictures import scan as scans

pytestmark = pytest.mark.skipif(
    "native" not in mv_tools.available_backends(), reason="the native module is not built"
)
CHOSEN = [23, 3, 11, 3]


@pytest.mark.parametrize("keep", [0, 1 << 20])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.h264"])
def test_chosen_frames_equal_a_full_pass(
    make_clip: Callable[..., Path], name: str, keep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With packets cached or read again, from a new scan and from a saved index."""
    monkeypatch.setattr(native_headers, "_MAX_CACHED_BYTES", keep)
    path = make_clip(name, bf="2")
    decoder = MotionDecoder(path, "native")
    complete = list(decoder)
    assert len(complete) == 24
    index = path.with_suffix(".index")
    decoder.save_index(index)
    for reader in (decoder, MotionDecoder(path, index=index)):
        assert len(reader) == 24
        for frame, i in zip(reader.get_frames_at(CHOSEN), CHOSEN, strict=True):
            assert (frame.index, frame.poc, frame.pts_seconds) == (
                i,
                complete[i].poc,
                complete[i].pts_seconds,
            )
            np.testing.assert_array_equal(frame.mv, complete[i].mv)
            np.testing.assert_array_equal(frame.ref_idx, complete[i].ref_idx)
        assert [f.poc for f in reader] == [f.poc for f in complete]


def test_saved_index_replaces_the_scan(clip_b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "sub" / "b.index"
    MotionDecoder(clip_b, "native").save_index(index)

    def scan(*_: object) -> None:
        raise AssertionError("the file was scanned again")

    monkeypatch.setattr(scans, "DemuxedPackets", scan)
    monkeypatch.setattr(scans.TabledPackets, "scan", scan)
    assert MotionDecoder(clip_b, index=index)[5].index == 5
    assert list(index.parent.iterdir()) == [index]  # no draft is left


def test_index_of_another_file_is_refused(clip: Path, clip_b: Path, tmp_path: Path) -> None:
    index = tmp_path / "b.index"
    MotionDecoder(clip_b, "native").save_index(index)
    with pytest.raises(MalformedStream, match="index of another file"):
        MotionDecoder(clip, index=index)
    changed = bytearray(clip_b.read_bytes())
    changed[-100] ^= 1
    with pytest.raises(MalformedStream, match="index of another file"):
        MotionDecoder(bytes(changed), index=index)
    with pytest.raises(FileNotFoundError):
        MotionDecoder(clip, index=tmp_path / "none")
    with pytest.raises(UnsupportedStream, match="libav"):
        MotionDecoder(clip, "libav").save_index(index)


@pytest.mark.slow
def test_hostile_indexes_are_refused(clip_b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any change is detected; without the digest check no change has other effects than an error."""
    index = tmp_path / "b.index"
    MotionDecoder(clip_b, "native").save_index(index)
    data = index.read_bytes()
    rng = np.random.default_rng(0)

    def mutated() -> bytes:
        out = bytearray(data[: rng.integers(1, len(data))] if rng.random() < 0.2 else data)
        for at in rng.integers(0, len(out), rng.integers(1, 6)):
            out[at] ^= 1 << rng.integers(8)
        return bytes(out)

    for _ in range(200):
        index.write_bytes(mutated())
        with pytest.raises(MalformedStream, match="not an index"):
            MotionDecoder(clip_b, index=index)
    monkeypatch.setattr(saved_index, "_digest", lambda *_: _digest_of(index))
    for _ in range(200):
        index.write_bytes(mutated())
        try:
            MotionDecoder(clip_b, index=index).get_frames_at([5])
        except (mv_tools.MotionError, IndexError):
            continue


def _digest_of(path: Path) -> str:
    try:
        return saved_index._metadata(path.read_bytes())["digest"]
    except (ValueError, KeyError):
        return ""
