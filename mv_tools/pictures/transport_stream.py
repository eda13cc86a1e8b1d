"""Video of an MPEG transport stream (ISO/IEC 13818-1) that libavformat does not give out.

libavformat finds the streams at the start of a file. A recording whose encoder starts again, or of which two
are joined, may go on in a stream with another packet identifier (PID).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ..source import Source

__all__ = ["OtherVideo", "Span", "find_other_video", "spans_without_packets"]

_PACKET: Final = 188  # 2.4.3.2
_SPACINGS: Final = (_PACKET, 192, 204)  # with a time code (Blu-ray), with a checksum (DVB)
_CHUNK: Final = 7 * 153_408  # bytes: a whole number of packets by each spacing
_SYNC_BYTE: Final = 0x47
_ALIGNED: Final = 0.9  # share of sync bytes by which a chunk's packets are known
_LEAST_SPAN: Final = 1 << 14  # bytes; the others hold headers, sound and tables


class Span(NamedTuple):
    """Bytes `start` to `end` of a file."""

    start: int
    end: int


class OtherVideo(NamedTuple):
    """Video in a stream that was not there at the start: its PID, and the byte at which its tables begin."""

    pid: int
    position: int


def spans_without_packets(positions: Iterable[int], sizes: Iterable[int], size: int) -> Iterator[Span]:
    """Where a file holds none of the packets that were read.

    Args:
        positions: byte at which each packet begins, -1 where it is unknown.
        sizes: of the packets, in bytes.
        size: of the file, in bytes.
    """
    end = None
    for position, length in zip(positions, sizes, strict=True):
        if position < 0:
            continue
        if end is not None and position - end > _LEAST_SPAN:
            yield Span(end, position)
        end = max(end or 0, position + length)
    if end is not None and size - end > _LEAST_SPAN:
        yield Span(end, size)


def find_other_video(source: Source, spans: Iterable[Span], known: frozenset[int]) -> OtherVideo | None:
    """The first video in the spans that is in none of the known streams.

    Args:
        source: the file.
        spans: bytes to look at.
        known: PIDs of the streams that were there at the start.
    """
    with source.open_raw() as file:
        for span in spans:
            file.seek(span.start)
            for start in range(span.start, span.end, _CHUNK):
                data = np.frombuffer(file.read(min(_CHUNK, span.end - start)), np.uint8)
                found = _first_video(data, known)
                if found is not None:
                    return OtherVideo(found.pid, start + found.position)
    return None


def _first_video(data: npt.NDArray[np.uint8], known: frozenset[int]) -> OtherVideo | None:
    """The first packet of a chunk that begins a PES packet of video outside the known streams."""
    for spacing in _SPACINGS:
        count = len(data) // spacing - 1
        if count < 1:
            continue
        synchronous = (data[: count * spacing].reshape(count, spacing) == _SYNC_BYTE).mean(axis=0)
        offset = int(synchronous.argmax())
        if synchronous[offset] >= _ALIGNED:
            packets = data[offset : offset + count * spacing].reshape(count, spacing)[:, :_PACKET]
            number = _first_start(packets, known)
            if number is None:
                return None
            return OtherVideo(_pid(packets[number]), offset + _tables_before(packets, number) * spacing)
    return None


def _first_start(packets: npt.NDArray[np.uint8], known: frozenset[int]) -> int | None:
    """Number of the first packet with payload_unit_start_indicator and a video's stream_id (2.4.3.7)."""
    second = packets[:, 1]
    for number in np.flatnonzero((second & 0x40 != 0) & (second & 0x80 == 0)):
        packet = packets[number]
        control = packet[3] >> 4 & 3  # adaptation_field_control
        payload = 4 + (1 + int(packet[4]) if control & 2 else 0)
        start = packet[payload : payload + 4].tobytes()
        if not control & 1 or packet[0] != _SYNC_BYTE or _pid(packet) in known:
            continue
        if start[:3] == b"\0\0\1" and start[3:] and start[3] & 0xF0 == 0xE0:
            return int(number)
    return None


def _tables_before(packets: npt.NDArray[np.uint8], number: int) -> int:
    """Number of the packet from which on a decoder finds a stream that begins with a later one: that of the
    last program association table (2.4.4.3), or the later one itself where there is none."""
    tables = np.flatnonzero((packets[:number, 1] & 0x1F == 0) & (packets[:number, 2] == 0))
    return int(tables[-1]) if len(tables) else number


def _pid(packet: npt.NDArray[np.uint8]) -> int:
    return (int(packet[1]) & 0x1F) << 8 | int(packet[2])
