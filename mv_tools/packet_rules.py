"""What a packet says of its pictures, by codec: whether the packets alone give the numbering.

A rule looks at a few bits of each packet. Where it finds anything but one picture shown per packet,
or where there is no rule, the pictures are counted by decoding. H.264 is not here: its slice headers
are parsed (`scan`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

__all__ = ["REORDERING_CODECS", "PacketRule", "packet_rule"]

PacketRule: TypeAlias = Callable[[bytes], "bool | None"]
"""Of one packet: True for one picture that is shown, False for none, None where it can't be told."""

_INTRA_CODECS: Final = frozenset(
    (
        "dnxhd",
        "dvvideo",
        "ffv1",
        "ffvhuff",
        "huffyuv",
        "jpeg2000",
        "mjpeg",
        "png",
        "prores",
        "rawvideo",
        "utvideo",
    )
)
"""Codecs whose packets are one picture each."""

REORDERING_CODECS: Final = frozenset(("hevc",))
"""Codecs with a rule whose pictures are shown in another order than that of their packets."""

_START_CODE: Final = b"\0\0\1"
_NOT_CODED_VOP: Final = 16  # bytes: a VOP as short as this may have vop_coded 0


def packet_rule(codec: str, extradata: bytes | None) -> PacketRule | None:
    """The rule of a codec, None where pictures have to be counted by decoding.

    Args:
        codec: libavcodec's name.
        extradata: the codec's parameters from the container.
    """
    if codec in _INTRA_CODECS or codec == "av1":  # AV1: a temporal unit shows one frame (section 7.5)
        return lambda data: True
    rules: dict[str, PacketRule] = {"vp8": _vp8, "vp9": _vp9, "mpeg4": _mpeg4}
    if codec == "hevc":
        return _Hevc(extradata)
    return rules.get(codec)


def _vp8(data: bytes) -> bool:
    """show_frame of the frame tag (RFC 6386, 9.1)."""
    return bool(data[0] & 0x10)


def _vp9(data: bytes) -> bool | None:
    """show_existing_frame and show_frame of the uncompressed header (section 6.2); superframes (annex B)."""
    if data[-1] & 0xE0 == 0xC0:  # a superframe: hidden frames and, by convention, one that is shown
        return True
    first = data[0]
    if first >> 6 != 2:
        return None
    profile = first >> 5 & 1 | first >> 3 & 2
    if profile == 3:
        return None  # one bit more, which is reserved
    if first & 0x08:  # show_existing_frame
        return True
    return bool(first & 0x02)


def _mpeg4(data: bytes) -> bool | None:
    """vop_coding_type and the number of VOPs (ISO/IEC 14496-2, 6.2.5).

    B-VOPs are reordered by rules of the decoder, packed ones share a packet, those that are not coded
    show nothing.
    """
    start = data.find(b"\0\0\1\xb6")
    if start < 0 or start + 4 >= len(data) or data.find(b"\0\0\1\xb6", start + 4) >= 0:
        return None
    if len(data) - start <= _NOT_CODED_VOP:
        return None
    return True if data[start + 4] >> 6 in (0, 1) else None


class _Hevc:
    """One picture per access unit, from an IRAP picture without skipped leading pictures on.

    nal_unit_type and first_slice_segment_in_pic_flag (ITU-T H.265, 7.3.1.2 and 7.3.6.1).
    """

    def __init__(self, extradata: bytes | None) -> None:
        length = extradata is not None and len(extradata) > 22 and extradata[0] == 1
        self._length_size = (extradata[21] & 3) + 1 if length and extradata is not None else 0
        self._first = True
        self._after_cra = False  # RASL pictures of a CRA picture at the start are not output (8.3.3)

    def __call__(self, data: bytes) -> bool | None:
        pictures = 0
        for unit in self._units(data):
            kind = unit[0] >> 1 & 63
            layer = (unit[0] & 1) << 5 | unit[1] >> 3
            if layer:
                return None
            if kind in (36, 37):  # end of sequence or of bitstream: the next CRA picture starts anew
                return None
            if kind > 31 or not unit[2] & 0x80:
                continue
            pictures += 1
            irap = 16 <= kind <= 23
            if self._first and not irap:
                return None
            if irap and not self._first and unit[2] & 0x40:  # no_output_of_prior_pics_flag
                return None
            if kind in (16, 17, 18) or (irap and self._first and kind != 19 and kind != 20):
                self._after_cra = True
            elif irap:
                self._after_cra = False
            if kind in (8, 9) and self._after_cra:  # RASL
                return None
            self._first = False
        return True if pictures == 1 else None

    def _units(self, data: bytes) -> list[bytes]:
        """The first three bytes of each NAL unit."""
        units, position = [], 0
        if self._length_size:
            while position + self._length_size < len(data):
                length = int.from_bytes(data[position : position + self._length_size], "big")
                position += self._length_size
                units.append(data[position : position + 3])
                position += length
        else:
            while (position := data.find(_START_CODE, position)) >= 0:
                position += 3
                units.append(data[position : position + 3])
        return [unit for unit in units if len(unit) == 3]
