"""Motion of H.264 without decoding: the native module behind `backend="native"`."""

from collections.abc import Mapping, Sequence
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Decoder",
    "H264Error",
    "LimitError",
    "MalformedError",
    "Picture",
    "PictureInfo",
    "StreamIndex",
    "UnsupportedError",
]

class H264Error(Exception):
    """Root of this module's errors."""

class LimitError(H264Error):
    """A declared size goes beyond the standard's limits."""

class MalformedError(H264Error):
    """The bits break the syntax; the text names the syntax element and the picture."""

class UnsupportedError(H264Error):
    """The stream uses a feature that is not parsed; the text names it."""

@final
class PictureInfo:
    """What the headers say of a picture."""

    @property
    def decode_index(self) -> int: ...
    @property
    def sample(self) -> int:
        """Number of the sample that the first slice came with."""
    @property
    def frame(self) -> int:
        """Identity of the frame; both fields of a frame share it."""
    @property
    def second_field(self) -> bool: ...
    @property
    def poc(self) -> int:
        """PicOrderCnt relative to the last IDR picture."""
    @property
    def period(self) -> int:
        """Counts IDR pictures; (period, order_poc) sorts pictures for presentation."""
    @property
    def order_poc(self) -> int: ...
    @property
    def pict_type(self) -> Literal["I", "P", "B"]: ...
    @property
    def structure(self) -> Literal["frame", "top", "bottom"]: ...
    @property
    def mbaff(self) -> bool: ...
    @property
    def slices(self) -> int: ...
    @property
    def idr(self) -> bool: ...
    @property
    def keyframe(self) -> bool:
        """IDR, or announced by a recovery point message."""
    @property
    def recovery_frame_cnt(self) -> int | None:
        """Frames to decode from this one on until pictures are right, as a recovery point message
        says: 0 for IDR pictures, None without a message."""
    @property
    def frame_num(self) -> int: ...
    @property
    def gap(self) -> bool:
        """frame_num skipped frames before this picture; they are lost unless `gaps_allowed`."""
    @property
    def field_poc(self) -> tuple[int | None, int | None]:
        """PicOrderCnt of the frame's top and bottom field so far, None where there is no such field."""
    @property
    def x264_build(self) -> int | None:
        """Build number of the x264 that made the stream, if its message was seen: builds before 151
        code 4:4:4 otherwise, so a decoder that starts inside such a stream must see the message too."""
    @property
    def reference(self) -> bool: ...
    @property
    def cabac(self) -> bool: ...
    @property
    def nal_bits(self) -> int: ...
    @property
    def coded_width(self) -> int: ...
    @property
    def coded_height(self) -> int: ...
    @property
    def profile_idc(self) -> int: ...
    @property
    def profile(self) -> str | None:
        """Name of the profile, None for numbers that no edition of the standard lists."""
    @property
    def level(self) -> str:
        """Such as "3.1", "4" or "1b"."""
    @property
    def num_ref_frames(self) -> int:
        """max_num_ref_frames: how many frames the stream may keep for reference."""
    @property
    def num_reorder_frames(self) -> int | None:
        """max_num_reorder_frames, None where the parameter sets do not say."""
    @property
    def max_dec_frame_buffering(self) -> int | None:
        """None where the parameter sets do not say."""
    @property
    def frame_mbs_only(self) -> bool:
        """Neither field pictures nor field macroblocks occur."""
    @property
    def gaps_allowed(self) -> bool:
        """gaps_in_frame_num_value_allowed_flag."""
    @property
    def sar(self) -> tuple[int, int] | None:
        """Sample aspect ratio, width to height; None where it is not specified."""
    @property
    def frame_cropping(self) -> tuple[int, int, int, int]:
        """The part of a frame that is shown: left, top, width, height in luma samples."""

@final
class Picture:
    """A parsed picture. Its arrays are read-only views that keep it alive."""

    @property
    def info(self) -> PictureInfo: ...
    @property
    def damage(self) -> str | None:
        """What is damaged; such a picture's motion is not to be trusted as a whole."""
    @property
    def lost_reference(self) -> bool:
        """A block refers to a frame that the stream lost, or such frames make the order of a B picture's
        reference lists doubtful: `ref_poc` is a guess, vectors hold."""
    @property
    def mv(self) -> NDArray[np.int16]:
        """[2, H4, W4, 2] in quarter samples, 0 where the list is not used."""
    @property
    def ref_idx(self) -> NDArray[np.int8]:
        """[2, H4, W4], -1 where the list is not used."""
    @property
    def ref_poc(self) -> NDArray[np.int32]:
        """[2, H4, W4], -2**31 where the list is not used."""
    @property
    def field_mask(self) -> NDArray[np.bool_] | None:
        """[H4 / 4, W4 / 4]: the field macroblocks of an MBAFF frame, whose vertical components count
        field lines; None where there are none. For field pictures see `PictureInfo.structure`."""
    @property
    def other_parity(self) -> NDArray[np.bool_] | None:
        """[2, H4, W4]: the blocks of a field picture that refer to a field of the other parity; None for frames."""
    def statistics(self) -> dict[str, int]:
        """Counts of macroblocks, partitions and 4x4 blocks by kind: the fields of `syntax.PictureStatistics`."""

@final
class Decoder:
    """Parses pictures from access units, in decoding order.

    `extradata` is an avcC record or Annex B parameter sets; `length_size` 0 means Annex B samples.
    Without `intra` slice data of I pictures are left out: their motion is known to be none.
    """

    def __new__(
        cls, *, threads: int = 1, length_size: int = 0, extradata: bytes | None = None, intra: bool = True
    ) -> Decoder: ...
    def push(self, sample: bytes, number: int) -> list[Picture]:
        """Takes a whole access unit; gives the pictures that are ready."""
    def push_many(self, samples: Sequence[bytes], first: int) -> list[Picture]:
        """Takes access units numbered from `first`; gives the pictures that are ready."""
    def finish(self) -> list[Picture]:
        """Ends the stream; gives the pictures that are left."""
    @property
    def first_error(self) -> str | None:
        """The first error outside of pictures that did not end the stream."""

@final
class StreamIndex:
    """Headers of a stream's pictures; parses chosen ones. Positions are in decoding order."""

    def __new__(cls, *, length_size: int = 0, extradata: bytes | None = None) -> StreamIndex: ...
    def __len__(self) -> int: ...
    @staticmethod
    def from_log(log: bytes, *, length_size: int) -> StreamIndex:
        """The index that `log` was taken from; `log` may be anything."""
    def log(self) -> bytes:
        """The starts of all units, from which the index can be made again."""
    def push_many(self, samples: Sequence[bytes], first: int) -> None:
        """Takes access units numbered from `first`."""
    def errors(self) -> list[tuple[int, str]]:
        """Slices that could not be made part of a picture: number of the sample, and why."""
    def poc_interval(self) -> int:
        """PicOrderCnt from one frame to the next: the most common step."""
    @property
    def num_reorder_frames(self) -> int | None:
        """Of the first picture, as are the following: see :class:`PictureInfo`.

        Raises:
            ValueError: there is no picture.
        """
    @property
    def max_dec_frame_buffering(self) -> int | None: ...
    @property
    def frame_mbs_only(self) -> bool: ...
    @property
    def gaps_allowed(self) -> bool: ...
    @property
    def sar(self) -> tuple[int, int] | None: ...
    @property
    def frame_cropping(self) -> tuple[int, int, int, int]: ...
    def infos(self) -> list[PictureInfo]:
        """What the headers say of all pictures."""
    def picture_samples(self) -> list[int]:
        """Number of the sample that each picture came with."""
    def presentation_order(self) -> list[int]: ...
    def needed(self, positions: Sequence[int]) -> list[int]:
        """The pictures to parse for those at `positions`: they and what direct modes look at."""
    def samples(self, positions: Sequence[int], *, intra: bool = True) -> list[int]:
        """Numbers of the samples that `parse` wants for `positions`."""
    def parse(
        self,
        positions: Sequence[int],
        samples: Mapping[int, bytes],
        *,
        threads: int = 1,
        intra: bool = True,
    ) -> list[Picture]:
        """Parses the pictures at `positions`, in that order; `intra` as of :class:`Decoder`."""
    @property
    def first_error(self) -> str | None: ...
