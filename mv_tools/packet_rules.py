"""What a packet says of its pictures, by codec: whether the packets alone give the numbering.

A rule looks at a few bits of each packet. Where it finds anything but one picture shown per packet,
or where there is no rule, the pictures are counted by decoding. H.264 is not here: its slice headers
are parsed (`scan`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

__all__ = ["PARTIAL_CODECS", "REORDERING_CODECS", "PacketFacts", "PacketRule", "packet_rule"]


class PacketFacts(NamedTuple):
    """What a packet says of its picture.

    Attributes:
        shows: whether it shows one picture; False for none.
        key: whether decoding can start at it, by the picture's own header.
    """

    shows: bool
    key: bool


PacketRule: TypeAlias = Callable[[bytes], "PacketFacts | None"]
"""The facts of one packet; None where they can't be told."""

REORDERING_CODECS: Final = frozenset(("hevc",))
"""Codecs with a rule whose pictures are shown in another order than that of their packets."""

PARTIAL_CODECS: Final = frozenset(("av1", "hevc"))
"""Codecs whose decoders put nothing out for pictures that refer to missing ones."""

_START_CODE: Final = b"\0\0\1"
_NOT_CODED_VOP: Final = 16  # bytes: a VOP as short as this may have vop_coded 0


def packet_rule(codec: str, extradata: bytes | None) -> PacketRule | None:
    """The rule of a codec, None where pictures have to be counted by decoding.

    Args:
        codec: libavcodec's name.
        extradata: the codec's parameters from the container.
    """
    if codec == "hevc":
        return _Hevc(extradata)
    rules: dict[str, PacketRule] = {
        "av1": _av1,
        "mpeg4": _mpeg4,
        "vp8": _vp8,
        "vp9": _vp9,
    }
    return rules.get(codec)


def _vp8(data: bytes) -> PacketFacts | None:
    """key_frame, show_frame and first_part_size of the frame tag (RFC 6386, 9.1)."""
    tag = int.from_bytes(data[:3], "little")
    key = not tag & 1
    if (tag >> 5) + 3 > len(data) or (key and data[3:6] != b"\x9d\x01\x2a"):
        return None
    return PacketFacts(shows=bool(tag & 0x10), key=key)


def _vp9(data: bytes) -> PacketFacts | None:
    """show_existing_frame, frame_type and show_frame of the uncompressed header (section 6.2)."""
    first = data[0]
    profile = first >> 5 & 1 | first >> 3 & 2
    if first >> 6 != 2 or profile == 3:  # profile 3 has one bit more, which is reserved
        return None
    if first & 0x08:  # show_existing_frame
        return PacketFacts(shows=True, key=False)
    superframe = data[-1] & 0xE0 == 0xC0  # annex B: hidden frames and one that is shown
    return PacketFacts(shows=superframe or bool(first & 0x02), key=not first & 0x04)


def _av1(data: bytes) -> PacketFacts | None:
    """A temporal unit shows one frame (section 7.5): show_existing_frame, frame_type, show_frame (5.9.2)."""
    shown, key, position = 0, None, 0
    while position < len(data):
        header = data[position]
        position += 2 if header & 0x04 else 1  # obu_extension_flag
        size = len(data) - position
        if header & 0x02:  # obu_has_size_field
            size, position = _leb128(data, position)
        if header & 0x80 or position + size > len(data):  # obu_forbidden_bit; the unit is cut short
            return None
        if header >> 3 & 15 in (3, 6):  # OBU_FRAME_HEADER, OBU_FRAME
            if not size:
                return None
            first = data[position]
            shown += bool(first & 0x90)
            key = not first & 0xE0 and bool(first & 0x10) if key is None else key
        position += size
    return PacketFacts(shows=True, key=bool(key)) if shown == 1 else None


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """(value, position behind it) of a number in leb128 (section 4.10.5)."""
    value = 0
    for shift in range(0, 56, 7):
        if position >= len(data):
            break
        value |= (data[position] & 0x7F) << shift
        position += 1
        if not data[position - 1] & 0x80:
            break
    return value, position


def _mpeg4(data: bytes) -> PacketFacts | None:
    """vop_coding_type and the number of VOPs (ISO/IEC 14496-2, 6.2.5).

    B-VOPs are reordered by rules of the decoder, packed ones share a packet, those that are not coded
    show nothing.
    """
    start = data.find(b"\0\0\1\xb6")
    if start < 0 or start + 4 >= len(data) or data.find(b"\0\0\1\xb6", start + 4) >= 0:
        return None
    if len(data) - start <= _NOT_CODED_VOP:
        return None
    kind = data[start + 4] >> 6
    return PacketFacts(shows=True, key=kind == 0) if kind in (0, 1) else None


class _Hevc:
    """One picture per access unit, from an IRAP picture without skipped leading pictures on.

    nal_unit_type and first_slice_segment_in_pic_flag (ITU-T H.265, 7.3.1.2 and 7.3.6.1).
    """

    def __init__(self, extradata: bytes | None) -> None:
        lengths = extradata is not None and len(extradata) > 22 and extradata[0] == 1
        self._length_size = (extradata[21] & 3) + 1 if lengths and extradata is not None else 0
        self._first = True
        self._skips_leading = False  # RASL pictures of the first CRA or BLA picture are not output (8.3.3)

    def __call__(self, data: bytes) -> PacketFacts | None:
        kinds: list[int] = []
        units = self._units(data)
        if units is None:
            return None
        for unit in units:
            kind = unit[0] >> 1 & 63
            layer = (unit[0] & 1) << 5 | unit[1] >> 3
            if layer or kind in (36, 37):  # end of sequence or of bitstream: the next CRA picture starts anew
                return None
            if kind <= 31 and unit[2] & 0x80:  # first_slice_segment_in_pic_flag
                kinds.append(kind)
                irap = 16 <= kind <= 23
                if self._first and not irap:
                    return None
                if irap and not self._first and unit[2] & 0x40:  # no_output_of_prior_pics_flag
                    return None
        if len(kinds) != 1:
            return None
        [kind] = kinds
        irap = 16 <= kind <= 23
        if kind in (8, 9) and self._skips_leading:  # RASL
            return None
        if irap:
            self._skips_leading = kind in (16, 17, 18) or (self._first and kind == 21)
        self._first = False
        return PacketFacts(shows=True, key=irap)

    def _units(self, data: bytes) -> list[bytes] | None:
        """The first three bytes of each NAL unit; None if the packet is damaged."""
        units, position = [], 0
        if self._length_size:
            while position < len(data):
                length = int.from_bytes(data[position : position + self._length_size], "big")
                position += self._length_size
                units.append(data[position : position + 3])
                position += length
            if position != len(data):
                return None
        else:
            while (position := data.find(_START_CODE, position)) >= 0:
                position += 3
                units.append(data[position : position + 3])
        if any(unit and unit[0] & 0x80 for unit in units):  # forbidden_zero_bit
            return None
        return [unit for unit in units if len(unit) == 3]
