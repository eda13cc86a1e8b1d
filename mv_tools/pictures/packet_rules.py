"""What a packet says of its picture, by codec: whether the packets alone give the numbering.

A rule looks at a few bits of each packet. Where it finds anything but one picture shown per packet,
or where there is no rule, the pictures are counted by decoding. There are rules only for decoders that
put a picture out for each packet however damaged it is; those of HEVC, AV1, VP8 and VP9 refuse some.
H.264 is not here: its slice headers are parsed (`scan`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

__all__ = ["PacketRule", "packet_rule"]

PacketRule: TypeAlias = Callable[[bytes], "bool | None"]
"""Of a packet that shows exactly one picture: whether decoding can start at it, by the picture's own
header. None for any other packet."""

_NOT_CODED_VOP: Final = 16  # bytes: a VOP as short as this may have vop_coded 0


def packet_rule(codec: str) -> PacketRule | None:
    """The rule of a codec (libavcodec's name), None where pictures have to be counted by decoding."""
    return _mpeg4 if codec == "mpeg4" else None


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
    kind = data[start + 4] >> 6
    return kind == 0 if kind in (0, 1) else None
