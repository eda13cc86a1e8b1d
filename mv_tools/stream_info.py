"""Properties of an H.264 stream and its pictures that the native parser reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "AnyPictureStatistics",
    "Damage",
    "HevcPictureStatistics",
    "PictureHeader",
    "PictureStatistics",
    "StreamParameters",
]

PictType: TypeAlias = Literal["I", "P", "B"]
Structure: TypeAlias = Literal["frame", "top", "bottom"]


@dataclass(frozen=True)
class Damage:
    """A picture that was left out because it is damaged.

    Attributes:
        index: in presentation order; None where not even its header could be read.
        message: which syntax element of which picture (decoding order) and macroblock.
    """

    index: int | None
    message: str


@dataclass(frozen=True, kw_only=True)
class StreamParameters:
    """The sequence parameter set of the first picture.

    Attributes:
        profile_idc: number of the profile.
        profile: its name (annex A), None for unlisted numbers.
        level: such as "3.1", "4" or "1b".
        num_ref_frames: max_num_ref_frames, the most frames kept for reference.
        entropy_coding: entropy coding of the first picture.
    """

    profile_idc: int
    profile: str | None
    level: str
    num_ref_frames: int
    entropy_coding: Literal["cabac", "cavlc"]


@dataclass(frozen=True, kw_only=True)
class PictureHeader:
    """Slice header fields of one picture.

    Attributes:
        pict_type: "I", "P" or "B" ("B" if the picture has any B slice).
        reference: whether other pictures may refer to it.
        structure: "frame", or "top"/"bottom" for a field picture.
        mbaff: whether macroblock pairs are coded adaptively as frame or field.
        slices: number of slices.
        bits: size of its slices.
    """

    pict_type: PictType
    reference: bool
    structure: Structure
    mbaff: bool
    slices: int
    bits: int


@dataclass(frozen=True, kw_only=True)
class PictureStatistics:
    """Counts of one H.264 picture.

    Attributes:
        macroblocks: all macroblocks: `intra` + `skipped` + `inter`.
        intra: intra macroblocks, `pcm` (I_PCM) included.
        skipped: P_Skip and B_Skip macroblocks.
        inter: coded inter macroblocks, `direct_16x16` (B_Direct_16x16) included.
        direct_8x8: sub-macroblocks of B_8x8 whose motion is derived.
        partitions_16x16 ... partitions_4x4: partitions with coded motion vectors (for one list or both):
            a 16x8 macroblock counts twice, derived motion is not counted.
        blocks_without_motion: 4x4 blocks that use no list (intra).
        blocks_list0, blocks_list1, blocks_bipredicted: 4x4 blocks that use one list or both,
            derived motion included.
    """

    macroblocks: int
    intra: int
    pcm: int
    skipped: int
    inter: int
    direct_16x16: int
    direct_8x8: int
    partitions_16x16: int
    partitions_16x8: int
    partitions_8x16: int
    partitions_8x8: int
    partitions_8x4: int
    partitions_4x8: int
    partitions_4x4: int
    blocks_without_motion: int
    blocks_list0: int
    blocks_list1: int
    blocks_bipredicted: int

    @property
    def blocks(self) -> int:
        """4x4 blocks of the picture."""
        return 16 * self.macroblocks


@dataclass(frozen=True, kw_only=True)
class HevcPictureStatistics:
    """Counts of one HEVC picture. All but `coding_units` count 4x4 luma blocks.

    Attributes:
        coding_units: coding units of all sizes.
        intra: intra coding units, `pcm` included.
        pcm: coding units with pcm_flag.
        skipped: coding units with cu_skip_flag.
        merged: prediction units with merge_flag that are not skipped.
        predicted: prediction units with coded motion vector differences.
        part_2Nx2N ... part_nRx2N: inter coding units that are not skipped, by PartMode (table 7-10).
        blocks_without_motion: blocks that use no list (intra).
        blocks_list0, blocks_list1, blocks_bipredicted: blocks that use one list or both.
    """

    coding_units: int
    intra: int
    pcm: int
    skipped: int
    merged: int
    predicted: int
    part_2Nx2N: int  # noqa: N815  # the standard's names
    part_2NxN: int  # noqa: N815
    part_Nx2N: int  # noqa: N815
    part_NxN: int  # noqa: N815
    part_2NxnU: int  # noqa: N815
    part_2NxnD: int  # noqa: N815
    part_nLx2N: int  # noqa: N815
    part_nRx2N: int  # noqa: N815
    blocks_without_motion: int
    blocks_list0: int
    blocks_list1: int
    blocks_bipredicted: int

    @property
    def blocks(self) -> int:
        """4x4 blocks of the picture."""
        return self.blocks_without_motion + self.blocks_list0 + self.blocks_list1 + self.blocks_bipredicted


AnyPictureStatistics: TypeAlias = PictureStatistics | HevcPictureStatistics
