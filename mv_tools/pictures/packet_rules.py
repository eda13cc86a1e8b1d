"""Rules by codec that recognise packets with exactly one displayed picture.

A rule looks at a few bits of each packet. Where a packet is anything but one displayed picture, or where
there is no rule, pictures are counted by decoding. Rules exist only for decoders that output a picture
for each packet however damaged it is; those of HEVC, AV1, VP8 and VP9 refuse some. H.264 has no rule
here: its slice headers are parsed (`native_headers`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

__all__ = ["VOP_START_CODE", "PacketRule", "holds_pictures", "packet_rule"]

PacketRule: TypeAlias = Callable[[bytes], "bool | None"]
"""For a packet that holds exactly one displayed picture: whether decoding can start at it, by the picture's
own header. None for any other packet."""

_MAX_NOT_CODED_VOP: Final = 16  # bytes: a VOP as short as this may have vop_coded 0
VOP_START_CODE: Final = b"\0\0\1\xb6"
"""vop_start_code of MPEG-4 Part 2."""


def packet_rule(codec: str) -> PacketRule | None:
    """The rule for a codec (libavcodec's name), None where pictures have to be counted by decoding."""
    return _mpeg4 if codec == "mpeg4" else None


def holds_pictures(codec: str, data: bytes) -> bool:
    """Whether a packet holds more than one picture, as encoders of AVI files pack them (MPEG-4 Part 2)."""
    return codec == "mpeg4" and data.find(VOP_START_CODE, data.find(VOP_START_CODE) + 1) >= 0


def _mpeg4(data: bytes) -> bool | None:
    """vop_coding_type and the number of VOPs (ISO/IEC 14496-2, 6.2.5).

    None for B-VOPs, which the decoder reorders by rules of its own, for packets with several VOPs, and
    for VOPs that may not be coded, which display nothing.
    """
    start = data.find(VOP_START_CODE)
    if start < 0 or start + 4 >= len(data) or data.find(VOP_START_CODE, start + 4) >= 0:
        return None
    if len(data) - start <= _MAX_NOT_CODED_VOP:
        return None
    vop_coding_type = data[start + 4] >> 6
    return vop_coding_type == 0 if vop_coding_type in (0, 1) else None
