"""Numbers the pictures of a scanned file as libavcodec outputs them.

A packet is not always a picture: fields may have separate packets, packets may hold two pictures or none,
and leading pictures of a recording that begins inside a group of pictures are not output. The numbering is
derived from slice headers (`header_numbering`) or VOP headers (`mpeg4_scan`) where they
determine it; otherwise the stream is decoded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

import numpy as np

from ..errors import MalformedStream, UnsupportedStream
from ..source import Source
from .header_numbering import coded_frames, damaged_packets, number_from_headers, x264_needs_first_packet
from .index import PictureIndex, picture_index
from .packets import NO_PACKET
from .scan import StreamScan
from .segments import Segment, SegmentOutput, decode_segments

__all__ = ["index_pictures", "number_by_decoding"]

_NO_ENTRIES: Final = frozenset(("dirac",))  # decoders that output other pictures after they were flushed


def index_pictures(source: Source, scan: StreamScan) -> PictureIndex:
    """Number the pictures of a scanned file.

    Raises:
        MalformedStream: no picture can be decoded; says why.
        UnsupportedStream: no picture can be decoded because of an unsupported feature.
    """
    pictures = _number_from_packets(scan) if scan.headers is None else number_from_headers(source, scan)
    return number_by_decoding(source, scan) if pictures is None else pictures


def _number_from_packets(scan: StreamScan) -> PictureIndex | None:
    """Number the pictures of MPEG-4 Part 2 where their order is known."""
    packets, mpeg4 = scan.packets, scan.mpeg4
    if mpeg4 is None or mpeg4.order is None or packets.corrupt.any() or not packets.displayed.all():
        return None
    numbers, keyframe = (np.array(values) for values in mpeg4.order)
    pictures = picture_index(packets, numbers, keyframe, needs_first_packet=True)
    return replace(pictures, packed=bool(scan.packed), no_entry=_no_entry(scan))


def number_by_decoding(source: Source, scan: StreamScan) -> PictureIndex:
    """Number the pictures of a file by decoding it.

    Raises:
        MalformedStream: no picture can be decoded; says why.
        UnsupportedStream: no picture can be decoded because of an unsupported feature.
    """
    [output] = decode_segments(source, [Segment(0, None)])
    if not output.packet:
        if scan.unsupported is not None:
            raise UnsupportedStream(f"{source.name}: {scan.unsupported}")
        raise MalformedStream(f"{source.name}: no picture can be decoded: {_why_no_picture(scan, output)}")
    frames, pictures_of = coded_frames(scan), Counter(output.packet)
    packet = np.array(
        [number if pictures_of[number] == 1 else NO_PACKET for number in output.packet], np.int64
    )
    entry = np.array(output.keyframe, bool) & (packet != NO_PACKET)
    if scan.packets.stream.codec in _NO_ENTRIES:
        entry[:] = False
    if scan.headers is not None:
        entry &= np.isin(packet, [frame.packet for frame in frames if frame.entry])
    pictures = picture_index(
        scan.packets,
        packet,
        entry,
        corrupt=np.array(output.corrupt, bool),
        damaged_packets=damaged_packets(scan, frames),
        needs_first_packet=_needs_first_packet(scan),
        refused=tuple(output.refused),
    )
    types = "".join(output.pict_types)
    return replace(pictures, packed=bool(scan.packed), no_entry=_no_entry(scan), pict_types=types)


def _no_entry(scan: StreamScan) -> tuple[int, ...]:
    """Packets of MPEG-4 Part 2 at which decoding can't start, whatever picture they hold."""
    return scan.packed if scan.mpeg4 is None else (*scan.packed, *scan.mpeg4.dependent)


def _needs_first_packet(scan: StreamScan) -> bool:
    """Whether decoders work around faults of an encoder that only the first packet names.

    x264 for H.264, DivX and XviD for MPEG-4 Part 2.
    """
    codec = scan.packets.stream.codec
    return x264_needs_first_packet(scan) if codec == "h264" else codec == "mpeg4"


def _why_no_picture(scan: StreamScan, output: SegmentOutput) -> str:
    if scan.malformed is not None:
        return (
            "no slice header can be read, for example because a recording begins inside a group of pictures, "
            f"behind its parameter sets ({scan.malformed})"
        )
    if not any(frame.entry for frame in coded_frames(scan)) and not scan.packets.keyframe.any():
        return "the recording begins inside a group of pictures and ends before the next keyframe"
    if output.refused:
        number, reason = output.refused[0]
        return f"the decoder refuses packet {number}: {reason}"
    return "no picture is displayed"
