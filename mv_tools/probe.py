"""Describes a video stream and its motion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from .decoder import MotionDecoder
from .errors import ArgumentError, UnsupportedStream
from .motion import MotionFrame, flow, inter_mask
from .source import SourceLike
from .stream_info import AnyPictureStatistics, Damage, PictureHeader
from .stream_summary import GopLengths, PictureBits, PictureSummary, StreamSummary, SyntaxSummary

__all__ = ["DEFAULT_SAMPLE", "probe"]

DEFAULT_SAMPLE: Final = 300
"""Pictures whose motion is read by default."""

_PACKED: Final = 8 * 17  # bits of a packet; smaller ones stand for B pictures that are packed with others
_SAMPLE_RUNS: Final = 10  # runs of pictures in a sample where pictures can't be read alone
_MAX_PATTERN: Final = 300  # pictures

Progress: TypeAlias = Callable[[str, int, int], None]

_AREAS: Final = {
    "skipped": (("skipped", 16),),
    "direct": (("direct_16x16", 16), ("direct_8x8", 4)),
    "16x16": (("partitions_16x16", 16),),
    "16x8": (("partitions_16x8", 8),),
    "8x16": (("partitions_8x16", 8),),
    "8x8": (("partitions_8x8", 4),),
    "8x4": (("partitions_8x4", 2),),
    "4x8": (("partitions_4x8", 2),),
    "4x4": (("partitions_4x4", 1),),
    "intra": (("intra", 16),),
}
"""How motion is coded: counts of PictureStatistics, each with the number of its 4x4 blocks."""

_HEVC_AREAS: Final = {
    "skipped": (("skipped", 1),),
    "merge": (("merged", 1),),
    "AMVP": (("predicted", 1),),
    "intra": (("intra", 1),),
}
"""The same of HevcPictureStatistics."""

_PREDICTION: Final = {
    "intra": (("blocks_without_motion", 1),),
    "list0": (("blocks_list0", 1),),
    "list1": (("blocks_list1", 1),),
    "bipredicted": (("blocks_bipredicted", 1),),
}
"""Reference lists that 4x4 blocks use."""


def probe(
    source: SourceLike,
    *,
    backend: str = "auto",
    sample: int | None = DEFAULT_SAMPLE,
    progress: Progress | None = None,
) -> StreamSummary:
    """Describe a stream and its motion.

    Headers and sizes are read for all pictures; motion and block counts for a sample spread evenly. Where
    decoding has to start at keyframes, the sample consists of runs of pictures behind evenly spread
    keyframes, and picture types are those of the sample.

    Args:
        source: a path, bytes or a binary file object.
        backend: see :class:`MotionDecoder`.
        sample: number of pictures whose motion is read at most; None for all.
        progress: called with (stage, pictures done, pictures to do).

    Raises:
        MotionError: the file can't be read, or is cut short.
        ArgumentError: `sample` is below 1.
    """
    if sample is not None and sample < 1:
        raise ArgumentError(f"sample must be at least 1, got {sample}")
    decoder = MotionDecoder(source, backend=backend, on_damage="skip")
    decoder.packets.require_whole(decoder.source.name)
    keyframes, headers = decoder.keyframe_indices(), decoder.headers
    pictures, no_motion = None, None
    try:
        pictures = _summarize_pictures(decoder, headers, keyframes, sample, progress)
    except UnsupportedStream as error:
        no_motion = str(error).split(": ", 1)[-1]
    return StreamSummary(
        metadata=decoder.metadata,
        syntax=_summarize_syntax(decoder, headers),
        pictures=pictures,
        no_motion=no_motion,
        timestamps=decoder.pictures.seconds is not None,
        notes=(*decoder.notes, *_damage_notes(decoder.damaged), *_guess_notes(decoder.guessed)),
        keyframes=len(keyframes),
        gop=_gop_lengths(keyframes, len(decoder)),
        bits_per_picture=8 * float(decoder.packets.size[decoder.packets.displayed].sum()) / len(decoder),
    )


def _gop_lengths(keyframes: list[int], total: int) -> GopLengths:
    lengths = np.diff([*(keyframes or [0]), total])
    return GopLengths(min=int(lengths.min()), median=float(np.median(lengths)), max=int(lengths.max()))


def _damage_notes(damaged: list[Damage]) -> list[str]:
    """One note on all damaged pictures."""
    if not damaged:
        return []
    first = damaged[0]
    named = first.index is None or first.message.startswith("picture ")
    place = "" if named else f"picture {first.index}: "
    if len(damaged) == 1:
        return [f"1 picture whose motion can't be read is left out; {place}{first.message}"]
    return [f"{len(damaged)} pictures whose motion can't be read are left out, first {place}{first.message}"]


def _guess_notes(guessed: list[int]) -> list[str]:
    if not guessed:
        return []
    return [
        f"the distances of {len(guessed)} pictures are guessed: "
        f"they refer to lost ones (the first is {min(guessed)})"
    ]


def _summarize_syntax(
    decoder: MotionDecoder, headers: list[PictureHeader | None] | None
) -> SyntaxSummary | None:
    parameters = decoder.parameters
    if parameters is None or headers is None:
        return None
    known = [header for header in headers if header is not None]
    scans = {"fields" if h.structure != "frame" else "mbaff" if h.mbaff else "progressive" for h in known}
    return SyntaxSummary(
        profile=parameters.profile or f"profile_idc {parameters.profile_idc}",
        level=parameters.level,
        reference_frames=parameters.num_ref_frames,
        b_references=sum(h.reference for h in known if h.pict_type == "B"),
        scan=", ".join(sorted(scans)),
        slices=max(h.slices for h in known),
    )


class _MotionTotals:
    """Sums over the motion of pictures."""

    def __init__(self) -> None:
        self.statistics: dict[str, list[AnyPictureStatistics]] = defaultdict(list)
        self.read = 0
        self._predicted = 0
        self._inter = self._mean = self._longest = 0.0

    def add(self, frame: MotionFrame, statistics: AnyPictureStatistics | None) -> None:
        self.read += 1
        if statistics is not None:
            self.statistics[frame.pict_type].append(statistics)
        if frame.pict_type == "I":
            return
        x, y = flow(frame)
        lengths = np.hypot(x, y)
        self._predicted += 1
        self._inter += float(inter_mask(frame).mean())
        self._mean += float(lengths.mean())
        self._longest = max(self._longest, float(lengths.max(initial=0.0)))

    def figures(self) -> dict[str, float | None]:
        """Unknown where no P or B picture was read."""
        predicted = self._predicted
        if not predicted:
            return dict.fromkeys(("inter_share", "mean_motion", "max_motion"))
        return {
            "inter_share": 100 * self._inter / predicted,
            "mean_motion": self._mean / predicted,
            "max_motion": self._longest,
        }

    def shares(self, counts: Mapping[str, Iterable[tuple[str, int]]]) -> dict[str, dict[str, float]] | None:
        """Percent by picture type; `counts` are those of _AREAS or _PREDICTION."""
        by_type = {kind: _shares(pictures, counts) for kind, pictures in sorted(self.statistics.items())}
        return by_type or None


def _shares(
    pictures: list[AnyPictureStatistics], counts: Mapping[str, Iterable[tuple[str, int]]]
) -> dict[str, float]:
    """Percent of the 4x4 blocks of pictures."""
    total = sum(picture.blocks for picture in pictures)
    return {
        name: 100
        * sum(size * int(getattr(picture, part)) for picture in pictures for part, size in parts)
        / total
        for name, parts in counts.items()
    }


def _summarize_pictures(
    decoder: MotionDecoder,
    headers: list[PictureHeader | None] | None,
    keyframes: list[int],
    sample: int | None,
    progress: Progress | None,
) -> PictureSummary:
    total = len(decoder)
    chosen = _sample(total, sample, keyframes, alone=headers is not None)
    types = {i: header.pict_type for i, header in enumerate(headers or []) if header is not None}
    totals = _MotionTotals()
    described = decoder.described(None if len(chosen) == total else chosen)
    for done, (frame, statistics) in enumerate(described, start=1):
        types[frame.index] = frame.pict_type
        totals.add(frame, statistics)
        if progress is not None:
            progress("pictures", done, len(chosen))
    first_gop = next((key for key in keyframes if key > 0), total)
    by_type = {
        kind: [i for i in sorted(types) if types[i] == kind] for kind in "BIP" if kind in types.values()
    }
    return PictureSummary(
        backend=decoder.backend,
        pict_types={kind: len(indices) for kind, indices in by_type.items()},
        first_gop=first_gop,
        pattern="".join(types.get(i, " ") for i in range(min(first_gop, _MAX_PATTERN))).split(" ")[0],
        sample=totals.read,
        unread=len(chosen) - totals.read,
        **totals.figures(),
        bits=_bits(decoder, headers, by_type),
        areas=totals.shares(_HEVC_AREAS if decoder.metadata.codec == "hevc" else _AREAS),
        prediction=totals.shares(_PREDICTION),
        open_gops=_open_gops(decoder, keyframes),
    )


def _sample(total: int, sample: int | None, keyframes: list[int], *, alone: bool) -> list[int]:
    """Pictures to read: midpoints of equal parts where they can be read alone; otherwise runs of pictures
    behind evenly spread keyframes, the first picture among them."""
    if sample is None or total <= sample:
        return list(range(total))
    if alone:
        return [(2 * i + 1) * total // (2 * sample) for i in range(sample)]
    if sample == 1:
        return [1]  # behind a keyframe, which holds no motion
    keyframes, runs = keyframes or [0], min(_SAMPLE_RUNS, sample // 2)
    starts = sorted({keyframes[i * len(keyframes) // runs] for i in range(1, runs)} | {0})
    return sorted({i for start in starts for i in range(start, min(total, start + sample // runs))})


def _bits(
    decoder: MotionDecoder, headers: list[PictureHeader | None] | None, by_type: dict[str, list[int]]
) -> dict[str, PictureBits] | None:
    """Bits by picture type, from headers, else from the container's packets where each holds one picture."""
    pictures = decoder.pictures
    bits: npt.NDArray[np.int64]
    if headers is not None:
        bits = np.array([0 if header is None else header.bits for header in headers], np.int64)
    elif not pictures.sequential and len(decoder.packets) == len(pictures):
        bits = 8 * decoder.packets.size[pictures.packet]
        if decoder.metadata.codec == "mpeg4" and bits[by_type.get("B", [])].min(initial=_PACKED) < _PACKED:
            return None
    else:
        return None
    return {
        kind: PictureBits(mean=float(bits[indices].mean()), max=int(bits[indices].max()))
        for kind, indices in by_type.items()
    }


def _open_gops(decoder: MotionDecoder, keyframes: list[int]) -> int:
    """GOPs with pictures that follow the keyframe in decoding order and precede it in presentation order."""
    order = decoder.decode_rank
    furthest = np.maximum.accumulate(order)
    return sum(bool(furthest[key - 1] > order[key]) for key in keyframes if key > 0)
