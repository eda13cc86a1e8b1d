"""Coded frames between parsing and output."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .._native import Picture, PictureInfo

__all__ = ["ParsedFrame", "ParsedPicture"]


class ParsedPicture(NamedTuple):
    """A parsed picture.

    Attributes:
        picture, info: what the parser returned.
        decode_index: position in decoding order among the pictures that are not left out.
    """

    picture: Picture
    info: PictureInfo
    decode_index: int


@dataclass
class ParsedFrame:
    """A frame: one picture, or one or two fields in decoding order.

    Attributes:
        number: the parser's number of the frame.
        seconds: presentation time, or None.
        pictures: the pictures so far.
        shown: whether it is given out.
    """

    number: int
    seconds: float | None
    pictures: list[ParsedPicture] = field(default_factory=list)
    shown: bool = True

    @property
    def order(self) -> int:
        """PicOrderCnt in the scale of its period."""
        if len(self.pictures) == 1:
            return self.pictures[0].info.order_poc
        return min(parsed.info.order_poc for parsed in self.pictures)

    @property
    def decode_index(self) -> int:
        """That of the first picture."""
        return self.pictures[0].decode_index

    @property
    def may_continue(self) -> bool:
        """Whether it is a single field, whose second field may follow."""
        return len(self.pictures) == 1 and self.pictures[0].info.structure != "frame"

    @property
    def in_order(self) -> list[ParsedPicture]:
        """The pictures in presentation order."""
        if len(self.pictures) == 1:
            return self.pictures
        return sorted(self.pictures, key=lambda parsed: parsed.info.order_poc)
