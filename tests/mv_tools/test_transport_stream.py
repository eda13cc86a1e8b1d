"""Video of MPEG transport streams outside the streams that are known at the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mv_tools import MalformedStream, MotionDecoder, probe
from mv_tools.pictures.transport_stream import OtherVideo, Span, find_other_video, spans_without_packets
from mv_tools.source import Source

from support.transport_stream import MOVED_PID, moved_to_another_stream

_VIDEO = b"\0\0\1\xe0"
_SOUND = b"\0\0\1\xc0"


def packet(pid: int, payload: bytes, *, starts: bool = True, stuffing: int = 0) -> bytes:
    """A transport packet of 188 bytes, with an adaptation field if there is stuffing."""
    field = bytes([stuffing - 1]) + b"\0" * (stuffing - 1) if stuffing else b""
    header = bytes([0x47, starts << 6 | pid >> 8, pid & 0xFF, 0x30 if stuffing else 0x10])
    return (header + field + payload).ljust(188, b"\xff")


@pytest.mark.parametrize("spacing", [188, 192, 204])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (100, 1), (5_000, 3_000)])
def test_the_first_video_of_another_stream_is_found(spacing: int, before: int, after: int) -> None:
    """In files with time codes or checksums between packets too, from any byte on, over several chunks."""
    known = packet(256, _VIDEO), packet(257, _SOUND), packet(400, _SOUND)
    table = packet(0, b"\0tables")
    other = table, packet(301, b"\2map"), packet(300, _VIDEO, stuffing=7), packet(300, b"more", starts=False)
    gap = b"\1" * (spacing - 188)
    packets = [*known * (before + 5), *other, *known * (after + 5)]
    source = Source.of(b"junk" + b"".join(gap + part for part in packets))
    start = 4 + spacing * 3 * (before + 5) + len(gap)
    found = find_other_video(source, [Span(10, source.size)], frozenset({256, 257}))
    assert found == OtherVideo(300, start)
    assert find_other_video(source, [Span(10, source.size)], frozenset({256, 257, 300})) is None
    assert find_other_video(source, [Span(start + 3 * spacing, source.size)], frozenset({256})) is None


@pytest.mark.parametrize(
    "part",
    [
        packet(300, _SOUND),
        packet(300, _VIDEO, starts=False),
        packet(300, b"", stuffing=184),
        b"\x47\xc1" + packet(300, _VIDEO)[2:],  # transport_error_indicator
        packet(300, b"")[:3] + b"\x30\xff" + _VIDEO + bytes(179),  # its adaptation field is longer than it
    ],
)
def test_other_packets_are_no_video(part: bytes) -> None:
    source = Source.of(part * 40)
    assert find_other_video(source, [Span(0, source.size)], frozenset({256})) is None


def test_bytes_that_are_no_transport_stream_hold_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 50_000, np.uint8).tobytes()
    for data in (noise, b"\x47", bytes(50_000)):
        assert find_other_video(Source.of(data), [Span(0, len(data))], frozenset()) is None


def test_spans_without_packets_are_long_ones() -> None:
    positions, sizes = [1_000, 2_000, -1, 60_000, 61_000], [500, 1_500, 99, 900, 10]
    assert list(spans_without_packets(positions, sizes, 100_000)) == [
        Span(3_500, 60_000),
        Span(61_010, 100_000),
    ]
    assert list(spans_without_packets(positions, sizes, 70_000)) == [Span(3_500, 60_000)]
    assert list(spans_without_packets([], [], 70_000)) == []


def test_video_without_tables_begins_with_its_own_packet() -> None:
    source = Source.of(packet(257, _SOUND) * 5 + packet(300, _VIDEO) + packet(0, b"later") * 5)
    assert find_other_video(source, [Span(0, source.size)], frozenset({257})) == OtherVideo(300, 5 * 188)


def test_video_that_moves_to_another_stream_is_told(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    """libavformat reads the first part alone."""
    first = make_clip("a.ts", frames=50)
    assert probe(first).notes == ()
    joined = moved_to_another_stream(first, tmp_path)
    said = rf"from byte [\d,]+ of [\d,]+ on it has video in .* \(PID {MOVED_PID}\), which is not read"
    with pytest.raises(MalformedStream, match=said):
        list(MotionDecoder(joined))
    decoder = MotionDecoder(joined, on_damage="skip")
    assert len(list(decoder)) == 50
    [damage] = decoder.damaged
    assert f"PID {MOVED_PID}" in damage.message
    cut = int(damage.message.split()[2].replace(",", ""))
    parts = joined.read_bytes()[:cut], joined.read_bytes()[cut:]
    assert [len(list(MotionDecoder(part))) for part in parts] == [50, 50]
