"""The native backend on damaged files: undamaged pictures are read, damage is reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mv_tools
from mv_tools import MalformedStream, MotionDecoder, MotionFrame, UnsupportedStream

pytestmark = pytest.mark.skipif(
    "native" not in mv_tools.available_backends(), reason="the native module is not built"
)


def same(a: MotionFrame, b: MotionFrame) -> bool:
    assert a.ref_poc is not None
    assert b.ref_poc is not None
    arrays = (a.mv, b.mv), (a.ref_idx, b.ref_idx), (a.ref_poc, b.ref_poc)
    return (a.index, a.poc) == (b.index, b.poc) and all(np.array_equal(x, y) for x, y in arrays)


def slices(data: bytes) -> list[int]:
    """Where the slice NAL units of an Annex B stream begin (behind the start code)."""
    starts = [i + 3 for i in range(len(data) - 4) if data[i : i + 3] == b"\0\0\1"]
    return [at for at in starts if data[at] & 31 in (1, 5)]


@pytest.fixture
def broken(make_clip: Callable[..., Path]) -> tuple[bytes, bytes, int]:
    """A stream with GOPs of 12, the same with one P slice of the second GOP broken, and its place."""
    data = make_clip("a.h264", frames=36, bf="2", bframes="2").read_bytes()
    units = slices(data)
    at = units[15]
    end = units[16] - 4
    mutated = bytearray(data)
    rng = np.random.default_rng(3)
    mutated[at + 8 : end] = bytes(rng.integers(4, 256, end - at - 8, dtype=np.uint8))
    return data, bytes(mutated), 15


def test_damaged_slice_raises_with_its_place(broken: tuple[bytes, bytes, int]) -> None:
    _, mutated, _ = broken
    with pytest.raises(MalformedStream, match=r"of picture \d+ \(decoding order\)"):
        list(MotionDecoder(mutated, "native"))


@pytest.mark.parametrize("threads", [1, 2])
def test_undamaged_pictures_are_exact(broken: tuple[bytes, bytes, int], threads: int) -> None:
    data, mutated, _ = broken
    complete = list(MotionDecoder(data, "native"))
    decoder = MotionDecoder(mutated, "native", on_damage="skip", threads=threads)
    frames = list(decoder)
    left_out = {damage.index for damage in decoder.damaged}
    assert left_out
    assert len(frames) + len(left_out) == len(complete)
    assert all(same(frame, complete[frame.index]) for frame in frames)
    assert {frame.index for frame in frames} >= set(range(24, 36))  # the next GOP

    strict = MotionDecoder(mutated, "native")
    with pytest.raises(MalformedStream):
        list(strict)
    later = [30, 25]
    assert all(same(f, complete[i]) for f, i in zip(strict.get_frames_at(later), later, strict=True))
    for index in left_out:
        assert index is not None
        for reader in (strict, decoder):
            with pytest.raises(MalformedStream):
                reader[index]


def test_unreadable_header_is_reported(broken: tuple[bytes, bytes, int]) -> None:
    data, _, number = broken
    mutated = bytearray(data)
    at = slices(data)[number]
    mutated[at + 1 : at + 4] = b"\x01\x01\x01"  # first_mb_in_slice far beyond the picture
    with pytest.raises(MalformedStream):
        list(MotionDecoder(bytes(mutated), "native"))
    decoder = MotionDecoder(bytes(mutated), "native", on_damage="skip")
    list(decoder)
    assert decoder.damaged


def test_unknown_policy(clip: Path) -> None:
    with pytest.raises(ValueError, match="on_damage"):
        MotionDecoder(clip, "native", on_damage="ignore")  # type: ignore[arg-type]


def test_slice_groups_are_refused(make_clip: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    """A picture parameter set with two slice groups: flexible macroblock ordering."""
    data = make_clip("a.h264", frames=4, profile="baseline").read_bytes()
    at = data.index(b"\0\0\1\x68") + 4
    # pps id 0, sps id 0, CAVLC, no extra POC; num_slice_groups_minus1 = 1; type 0, runs of 1.
    groups = int("110001011110000", 2) << 1
    mutated = data[:at] + groups.to_bytes(2, "big") + data[data.index(b"\0\0\1", at) :]
    with pytest.raises(UnsupportedStream, match="flexible macroblock ordering"):
        MotionDecoder(mutated, "native")
    caplog.set_level("WARNING", logger="mv_tools")
    with pytest.raises(UnsupportedStream, match="flexible macroblock ordering"):
        MotionDecoder(mutated)  # libavcodec reads none either
    assert [r.message for r in caplog.records if "flexible macroblock ordering" in r.message]
    assert len(caplog.records) == 1
