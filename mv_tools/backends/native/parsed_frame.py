"""Motion frames of parsed pictures, whose arrays are made when they are asked for."""

from __future__ import annotations

from dataclasses import fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import MalformedStream
from ...motion import MotionFrame

if TYPE_CHECKING:
    from ..._native import Picture

__all__ = ["ParsedMotionFrame"]


class ParsedMotionFrame(MotionFrame):
    """A :class:`MotionFrame` over a parsed picture.

    Its arrays are read-only views of the picture's; one that is never asked for is never made. Copies, made
    by ``dataclasses.replace`` or by pickling, hold arrays of their own.

    Attributes:
        picture: the parsed picture; None in a copy.
    """

    picture: Picture | None = None

    @classmethod
    def of(cls, picture: Picture, **attributes: Any) -> ParsedMotionFrame:
        """The frame of a picture; `attributes` are those of :class:`MotionFrame` that are no arrays."""
        frame = object.__new__(cls)
        frame.__dict__.update(attributes, picture=picture)
        return frame

    @property
    def deferred(self) -> bool:
        """Whether slice data are parsed when its motion is first asked for."""
        return self.picture is not None and self.picture.deferred

    def parse(self) -> Picture:
        """Parse slice data that are not parsed yet.

        Raises:
            MalformedStream: those of a deferred picture are damaged.
        """
        from ..._native import NativeError

        assert self.picture is not None
        try:
            self.picture.parse()
        except NativeError as error:
            raise MalformedStream(f"frame {self.index}: {error}") from error
        return self.picture

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(H4, W4), the size of the 4x4 block grid."""
        return super().grid_shape if self.picture is None else self.picture.grid_shape

    @cached_property
    def mv(self) -> npt.NDArray[np.int16]:
        """See :class:`MotionFrame`, as are the others."""
        return self.parse().mv

    @cached_property
    def ref_idx(self) -> npt.NDArray[np.int8]:
        """Reference indices."""
        return self.parse().ref_idx

    @cached_property
    def ref_poc(self) -> npt.NDArray[np.int32]:
        """PicOrderCnt of references."""
        return self.parse().ref_poc

    @cached_property
    def other_parity(self) -> npt.NDArray[np.bool_] | None:
        """Blocks that refer to a field of the other parity."""
        return None if self.picture is None else self.parse().other_parity

    @cached_property
    def field_blocks(self) -> npt.NDArray[np.bool_] | None:
        """Blocks of field macroblocks."""
        mask = None if self.picture is None or self.structure != "frame" else self.parse().field_mask
        if mask is None:
            return None
        blocks = mask.repeat(4, axis=0).repeat(4, axis=1)
        blocks.setflags(write=False)
        return blocks

    @cached_property
    def field_poc(self) -> tuple[int | None, int | None] | None:
        """PicOrderCnt of the fields of an MBAFF frame."""
        return None if self.picture is None or self.field_blocks is None else self.picture.info.field_poc

    def __reduce__(self) -> Any:
        return _copied, ({field.name: getattr(self, field.name) for field in fields(MotionFrame)},)


def _copied(attributes: dict[str, Any]) -> MotionFrame:
    return MotionFrame(**attributes)
