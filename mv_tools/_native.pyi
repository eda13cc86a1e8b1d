"""Native motion parsers of H.264, HEVC and MPEG-4 Part 2, used by `backend="native"`."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, Protocol, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ByteSource",
    "Decoder",
    "LimitError",
    "MalformedError",
    "Mp4Track",
    "Mpeg4Picture",
    "Mpeg4Reader",
    "NativeError",
    "Picture",
    "PictureInfo",
    "Pooler",
    "StreamIndex",
    "UnfitError",
    "UnsupportedError",
]

class NativeError(Exception):
    """Base class of the errors of this module."""

class LimitError(NativeError):
    """A size exceeds the limits of the standard."""

class MalformedError(NativeError):
    """The stream is damaged or truncated; the message names the syntax element and the picture."""

class UnsupportedError(NativeError):
    """The stream uses an unsupported feature, which the message names."""

class UnfitError(NativeError):
    """The sample tables of a file, or its samples, should be read through libavformat."""

@final
class PictureInfo:
    """Header information of a picture."""

    @property
    def decode_index(self) -> int: ...
    @property
    def sample(self) -> int:
        """Sample number of the first slice."""
    @property
    def frame(self) -> int:
        """Identity of the frame; both fields of a frame share it."""
    @property
    def second_field(self) -> bool: ...
    @property
    def poc(self) -> int:
        """PicOrderCnt relative to the last IDR picture; of HEVC PicOrderCntVal."""
    @property
    def period(self) -> int:
        """Number of IDR pictures and POC resets (HEVC: starts of coded video sequences) so far; (period,
        order_poc) is presentation order."""
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
        """IDR, or with a recovery point message; of HEVC an IRAP picture."""
    @property
    def recovery_frame_cnt(self) -> int | None:
        """Number of frames to decode from this one on until pictures are exact, from its recovery point
        message; 0 for IDR pictures, None without a message."""
    @property
    def frame_num(self) -> int: ...
    @property
    def gap(self) -> bool:
        """frame_num skips frames before this picture; they are lost unless `gaps_allowed`. HEVC: a picture
        of the reference picture set is not in the stream."""
    @property
    def field_poc(self) -> tuple[int | None, int | None]:
        """PicOrderCnt of the top and bottom field of the frame so far; None without that field."""
    @property
    def x264_build(self) -> int | None:
        """Build number of the x264 that encoded the stream, if its SEI message was received. Builds before
        151 code 4:4:4 differently: a decoder that starts inside such a stream needs the message."""
    @property
    def reference(self) -> bool: ...
    @property
    def cabac(self) -> bool: ...
    @property
    def output(self) -> bool:
        """pic_output_flag of HEVC; True for H.264."""
    @property
    def no_output_of_prior_pics(self) -> bool:
        """Pictures before this one that are not output yet are discarded (HEVC, C.5.2.2)."""
    @property
    def field_seq(self) -> bool:
        """field_seq_flag of HEVC: pictures are fields. False for H.264, see `structure`."""
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
        """Name of the profile; None for numbers that the standard does not list."""
    @property
    def level(self) -> str:
        """For example "3.1", "4" or "1b"."""
    @property
    def num_ref_frames(self) -> int:
        """Frames held for reference at most: max_num_ref_frames or sps_max_dec_pic_buffering_minus1 + 1."""
    @property
    def num_reorder_frames(self) -> int | None:
        """max_num_reorder_frames, of HEVC sps_max_num_reorder_pics; None if not in the stream."""
    @property
    def max_dec_frame_buffering(self) -> int | None:
        """None if not in the stream."""
    @property
    def max_reorder(self) -> int:
        """Frames that may precede a frame in decoding order and follow it in output order, at most, by the
        parameter sets: coded, or inferred from profile and level."""
    @property
    def frame_mbs_only(self) -> bool:
        """frame_mbs_only_flag: no field pictures and no field macroblocks."""
    @property
    def gaps_allowed(self) -> bool:
        """gaps_in_frame_num_value_allowed_flag."""
    @property
    def sar(self) -> tuple[int, int] | None:
        """Sample aspect ratio (width, height); None if not specified."""
    @property
    def frame_cropping(self) -> tuple[int, int, int, int]:
        """The cropped frame (conformance window): left, top, width, height in luma samples."""

@final
class ByteSource:
    """Bytes that can be read at any offset: of a path, of bytes, or of an object with `size` and
    ``read_at(offset, size) -> bytes``, such as a remote file."""

    def __new__(cls, source: str | PathLike[str] | bytes | _RandomAccess) -> ByteSource: ...
    @property
    def size(self) -> int:
        """Number of bytes when it was opened."""
    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes at `offset`.

        Raises:
            OSError: there are fewer, or they can't be read.
        """

class _RandomAccess(Protocol):
    """What :class:`ByteSource` needs of an object."""

    @property
    def size(self) -> int: ...
    def read_at(self, offset: int, size: int, /) -> bytes: ...

@final
class Mp4Track:
    """The first video track of an MP4 or QuickTime file, read from its sample tables.

    Raises:
        UnfitError: not H.264 or HEVC, or the tables should be read with libavformat.
        OSError: the file can't be read.
    """

    def __new__(cls, source: ByteSource) -> Mp4Track: ...
    @property
    def codec(self) -> str: ...
    @property
    def fragmented(self) -> bool:
        """Whether samples are in movie fragments."""
    @property
    def configuration(self) -> bytes:
        """The avcC or hvcC record."""
    @property
    def picture_size(self) -> tuple[int, int]:
        """Width and height of the coded pictures after cropping."""
    @property
    def time_scale(self) -> int:
        """Ticks per second."""
    @property
    def duration(self) -> int | None:
        """Ticks, as libavformat reports it; None for movie fragments."""
    @property
    def rate(self) -> tuple[int, int] | None:
        """Samples and the sum of their durations in ticks; None for movie fragments."""
    @property
    def matrix(self) -> list[int]:
        """The 9 values of the display matrix."""
    @property
    def aspect(self) -> tuple[int, int] | None:
        """Sample aspect ratio of the container."""
    def __len__(self) -> int:
        """Number of samples."""
    def columns(self) -> dict[str, NDArray[Any]]:
        """The samples in decoding order: int64 [N] "pts", "dts", "duration" (ticks), "size", "position"
        (bytes); bool [N] "keyframe" (sync samples), "displayed" (by the edit list)."""

@final
class Picture:
    """A picture. Its arrays are read-only views that keep it alive.

    Those of a deferred one raise MalformedError if its slice data are damaged.
    """

    @property
    def info(self) -> PictureInfo: ...
    @property
    def deferred(self) -> bool:
        """Whether its slice data are parsed when its motion is first asked for."""
    def parse(self) -> None:
        """Parse slice data that are not parsed yet; MalformedError if a deferred picture's are damaged."""
    @property
    def damage(self) -> str | None:
        """First damage of the picture, None without; the motion of a damaged picture is unreliable."""
    @property
    def lost_reference(self) -> bool:
        """A block refers to a lost frame, or lost frames make the reference lists uncertain: `ref_poc` is a
        guess, vectors are as coded."""
    @property
    def grid_shape(self) -> tuple[int, int]:
        """(H4, W4), the size of the 4x4 block grid."""
    @property
    def mv(self) -> NDArray[np.int16]:
        """int16 [2, H4, W4, 2] in quarter samples; 0 where the list is not used."""
    @property
    def ref_idx(self) -> NDArray[np.int8]:
        """int8 [2, H4, W4]; -1 where the list is not used."""
    @property
    def ref_poc(self) -> NDArray[np.int32]:
        """int32 [2, H4, W4]; -2**31 where the list is not used."""
    @property
    def field_mask(self) -> NDArray[np.bool_] | None:
        """bool [H4 / 4, W4 / 4]: field macroblocks of an MBAFF frame, whose vertical components count field
        lines; None if there are none. For field pictures see `PictureInfo.structure`."""
    @property
    def other_parity(self) -> NDArray[np.bool_] | None:
        """bool [2, H4, W4]: a field picture's blocks that refer to the opposite parity; None for frames."""
    def statistics(self) -> dict[str, int]:
        """Counts by kind of macroblocks, partitions and 4x4 blocks: the fields of `PictureStatistics`."""

_Axis = tuple[int, NDArray[np.int64], NDArray[np.float32]]
"""Cells of an axis; cell and share of each part, [steps, parts] each, where the cells of a part ascend."""

@final
class Pooler:
    """Averages the motion of pictures of one size over the cells of a grid, as `mv_tools.pool` does.

    `rows` and `columns` are those of the upright picture. `turn` says whether it exchanges the sides of the
    coded one, then whether its columns and its rows are in reverse order; `aspect` is the width of its
    samples to their height.
    """

    def __new__(
        cls,
        rows: _Axis,
        columns: _Axis,
        *,
        turn: tuple[bool, bool, bool] = ...,
        aspect: float = 1.0,
        normalize: bool = True,
    ) -> Pooler: ...
    def flow(self, picture: Picture, poc_interval: int) -> NDArray[np.float32]:
        """float32 [2, rows, columns], pixels per frame interval, or with `normalize` False of coded length.

        Raises:
            ValueError: a picture of another size.
        """
    def flow_of_arrays(
        self, mv: NDArray[np.int16], ref_idx: NDArray[np.int8], distance: tuple[int, int]
    ) -> NDArray[np.float32]:
        """As `flow`, of a frame with C-contiguous arrays `mv` [2, H4, W4, 2] and `ref_idx` [2, H4, W4].

        `distance`: frame intervals from the references of list 0, and to those of list 1.

        Raises:
            ValueError: a frame of another size.
        """
    def inter(self, picture: Picture) -> NDArray[np.float32]:
        """float32 [rows, columns], the share of inter predicted blocks."""

@final
class Decoder:
    """Parser of pictures from access units, in decoding order.

    `codec` is "h264" or "hevc". `extradata` is an avcC or hvcC record or Annex B parameter sets;
    `length_size` 0 means Annex B samples. Without `intra`, slice data of I pictures are not parsed: they have
    no motion. With `deferred`, slice data of H.264 pictures are parsed when their motion is first asked for,
    until the first picture that derives motion from others.
    """

    def __new__(
        cls,
        *,
        codec: str = "h264",
        threads: int = 1,
        length_size: int = 0,
        extradata: bytes | None = None,
        intra: bool = True,
        deferred: bool = False,
    ) -> Decoder: ...
    def push(self, sample: bytes, number: int) -> list[Picture]:
        """Parse an access unit; return the pictures that are ready."""
    def push_many(self, samples: Sequence[bytes], first: int) -> list[Picture]:
        """Parse access units numbered from `first`; return the pictures that are ready."""
    def holds_picture(self, sample: bytes) -> bool:
        """Whether an access unit holds data of a picture; True of one that can't be divided into units."""
    def release(self) -> list[Picture]:
        """Return the pictures that are ready, and the last one if it has I slices only: without `intra` it
        would wait for the next picture."""
    def finish(self) -> list[Picture]:
        """End the stream; return the remaining pictures."""
    @property
    def first_error(self) -> str | None:
        """The first error outside pictures that did not end the stream."""
    def take_error(self) -> str | None:
        """The first error outside pictures since the last call."""

@final
class StreamIndex:
    """Headers of a stream's pictures; chosen ones can be parsed. Positions are in decoding order."""

    def __new__(
        cls, *, codec: str = "h264", length_size: int = 0, extradata: bytes | None = None
    ) -> StreamIndex: ...
    def __len__(self) -> int: ...
    @staticmethod
    def from_log(log: bytes, *, codec: str = "h264", length_size: int) -> StreamIndex:
        """Rebuild the index that returned `log`, which may be damaged."""
    @property
    def length_size(self) -> int:
        """Bytes of the lengths before NAL units, 0 for start codes; taken from an avcC or hvcC record."""
    def log(self) -> bytes:
        """The index in saved form: the starts of all NAL units."""
    def push_many(self, samples: Sequence[bytes], first: int) -> None:
        """Add access units numbered from `first`."""
    def push_starts(
        self, source: ByteSource, position: NDArray[np.int64], size: NDArray[np.int64], first: int
    ) -> bool:
        """Add access units numbered from `first`, reading only the start of each NAL unit in a file.

        Args:
            source: the file; NAL units are delimited by lengths.
            position, size: int64 [N], bytes, of the access units.

        Returns:
            Whether they hold parameter sets that the configuration record does not.

        Raises:
            UnfitError: lengths are broken, or a header is damaged or longer than what is read of it.
            OSError: the file can't be read.
            ValueError: a position or size is negative.
        """
    def errors(self) -> list[tuple[int, str]]:
        """Slices that could not be added to a picture: sample number and error."""
    def skipped_leading(self) -> list[int]:
        """Sample numbers of HEVC pictures that are left out, since pictures that they refer to are missing
        (RASL pictures after a random access point)."""
    @property
    def has_layers(self) -> bool:
        """Whether HEVC layers above the base layer (MV-HEVC, SHVC) are left out."""
    def poc_interval(self) -> int:
        """The most common difference in PicOrderCnt between consecutive frames."""
    @property
    def num_reorder_frames(self) -> int | None:
        """As in :class:`PictureInfo`, like the properties below, of the first picture.

        Raises:
            ValueError: the index holds no picture.
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
    def infos(self, first: int = 0) -> list[PictureInfo]:
        """Header information of the pictures at `first` and behind it."""
    def columns(self, first: int = 0) -> dict[str, NDArray[Any]]:
        """What numbering needs of the pictures at `first` and behind it, an array for each name.

        int64 [N]: "sample", "frame", "period", "order_poc", "recovery_frame_cnt", "x264_build" (-1 for
        None), "coded_width", "coded_height". bool [N]: "is_frame" (`structure`), "is_intra" (`pict_type`),
        "idr", "keyframe", "gap", "output", "no_output_of_prior_pics".
        """
    def picture_samples(self) -> list[int]:
        """Number of the sample that each picture came with."""
    def presentation_order(self) -> list[int]: ...
    def needed(self, positions: Sequence[int]) -> list[int]:
        """Pictures to parse for those at `positions`: they and the pictures whose motion theirs depends on
        (direct modes, temporal prediction)."""
    def samples(self, positions: Sequence[int], *, intra: bool = True) -> list[int]:
        """Sample numbers that `parse` requires for `positions`."""
    def parse(
        self, positions: Sequence[int], samples: Mapping[int, bytes], *, threads: int = 1, intra: bool = True
    ) -> list[Picture]:
        """Parse the pictures at `positions`, in that order; `intra` as in :class:`Decoder`."""
    @property
    def first_error(self) -> str | None: ...

@final
class Mpeg4Reader:
    """Reads packets of MPEG-4 Part 2 in decoding order."""

    def __new__(cls, extradata: bytes) -> Mpeg4Reader: ...
    @property
    def layers(self) -> int:
        """Number of different layers (headers of the stream) so far."""
    @property
    def low_delay(self) -> bool | None:
        """Whether the stream has no B pictures; None where its headers do not tell, or change."""
    @property
    def refusal(self) -> str | None:
        """Why motion of the stream can't be read, as far as headers tell; None where it can."""
    def push(self, packet: bytes, *, fills_a_place: bool = False) -> list[Mpeg4Picture]:
        """The pictures of the next packet.

        `fills_a_place`: a picture without data only fills the place of one that came with the packet before.
        """

@final
class Mpeg4Picture:
    """A coded picture of MPEG-4 Part 2, whose motion is parsed when it is asked for."""

    @property
    def pict_type(self) -> Literal["I", "P", "B", "S"]: ...
    @property
    def repeats(self) -> bool:
        """Whether it has no data of its own (vop_coded 0) and shows the picture before again."""
    @property
    def is_cut(self) -> bool:
        """Whether it can't be read, as far as its header and size tell."""
    @property
    def time(self) -> float | None:
        """Its time in seconds from the start of the reading; None without data or a readable header."""
    @property
    def reference_seconds(self) -> tuple[float, float] | None:
        """Seconds since the I or P picture before, and until the one after (of B pictures, 0 of others); None
        where they are unknown or not positive."""
    def motion(self) -> tuple[NDArray[np.int16], NDArray[np.int8]]:
        """(mv, ref_idx) of the 4x4 blocks of whole macroblocks: int16 [2, H4, W4, 2] in quarter samples,
        int8 [2, H4, W4].

        Raises:
            MalformedError, UnsupportedError: it can't be read.
        """
