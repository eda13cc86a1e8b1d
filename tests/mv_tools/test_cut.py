"""Recordings that were cut short are named in each container that says how long it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mv_tools import MalformedStream, MotionDecoder

from support.clips import encode, panning


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_cut_recordings_are_refused(tmp_path: Path, suffix: str, codec: str) -> None:
    path = encode(tmp_path / f"x{suffix}", panning(60, 128, 96), codec, g="12")
    data = path.read_bytes()
    assert len(MotionDecoder(path)) == 60
    for share in (0.5, 0.7, 0.9, 0.99):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(MalformedStream):
            list(MotionDecoder(path))


def test_a_recording_of_unknown_size_is_whole(tmp_path: Path) -> None:
    """As a live recorder writes it, which may still go on."""
    path = encode(tmp_path / "x.mkv", panning(60, 128, 96), g="12")
    data = bytearray(path.read_bytes())
    place = data.index(b"\x18\x53\x80\x67") + 4
    data[place : place + 8] = b"\x01" + 7 * b"\xff"
    path.write_bytes(data)
    assert len(MotionDecoder(path)) == 60
