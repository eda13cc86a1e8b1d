"""What there is to know of a video's motion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from .decoder import MotionDecoder
from .errors import ArgumentError, UnsupportedStream
from .metadata import VideoMetadata
from .motion import MotionFrame, flow, inter_mask
from .source import SourceLike
from .stream_info import Damage, PictureHeader, PictureStatistics

__all__ = ["SAMPLE", "probe"]

SAMPLE: Final = 300
"""Pictures that are looked into unless all are asked for."""

_RUNS: Final = 10  # stretches of a sample where single pictures can't be had alone
_LONG: Final = 300  # letters of a GOP's pattern

Progress: TypeAlias = Callable[[str, int, int], None]

# How the motion of a 4x4 block is coded, by the fields of PictureStatistics: blocks for each count.
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
_PREDICTION: Final = {
    "intra": "blocks_without_motion",
    "list0": "blocks_list0",
    "list1": "blocks_list1",
    "bipredicted": "blocks_bipredicted",
}


def probe(
    source: SourceLike,
    *,
    backend: str = "auto",
    sample: int | None = SAMPLE,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Describe a stream and its motion.

    Headers and sizes are read of all pictures; motion and block counts of at most `sample` pictures
    spread evenly (where decoding has to start at keyframes: of runs of pictures behind evenly spread
    ones, and picture types of those alone).

    Args:
        source: a path, bytes or a binary file object.
        backend: see :class:`MotionDecoder`.
        sample: how many pictures to look into; None for all.
        progress: told (what, pictures done, pictures to do).

    Returns:
        Plain values: the metadata, with ``rotation`` (degrees clockwise) and ``mirror``,
        ``sample_aspect_ratio`` ("5:4", or None), ``display_width`` and ``display_height``; ``backend``, ``timestamps``, ``keyframes``; ``gop`` (pictures from
        keyframe to keyframe: min, median, max), ``open_gops`` (those with pictures that need the one
        before), ``first_gop`` (pictures in it) and ``pattern`` (its picture types, the first 300 at most); ``pict_types`` (counts),
        ``sample`` (pictures looked into); ``inter_share`` (of the blocks of P and B pictures, percent),
        ``mean_motion`` and ``max_motion`` (pixels per frame); ``bits_per_picture`` (mean) and
        ``bits`` (by type: mean, max). The motion figures are None for codecs without vectors, with
        ``note`` saying why; ``notes``: what is left out of the stream, guessed about it or damaged in it.

        Where the stream is parsed (backend "native"), else None: ``level``, ``reference_frames``
        (max_num_ref_frames), ``b_references`` (B pictures that others refer to), ``scan``
        ("progressive", "fields", "mbaff" or a list of them), ``slices`` (most in a picture), and by
        picture type, in percent of the area: ``areas`` (how motion is coded: skipped, direct, partition
        sizes, intra) and ``prediction`` (intra, list0, list1, bipredicted).

    Raises:
        MotionError: the file can't be read, or is cut short.
        ArgumentError: `sample` is below 1.
    """
    if sample is not None and sample < 1:
        raise ArgumentError(f"sample must be at least 1, got {sample}")
    decoder = MotionDecoder(source, backend=backend, on_damage="skip")
    packets = decoder.packets
    packets.require_whole(decoder.source.name)
    keys = decoder.keyframe_indices()
    out = _metadata(decoder._backend.metadata)
    headers = decoder.headers
    out |= _syntax(decoder, headers)
    try:
        out["num_frames"] = len(decoder)
        order = decoder._backend.coded_order
        out |= {"backend": decoder.backend} | _pictures(decoder, headers, keys, sample, progress)
        out["open_gops"] = _open_gops(order, keys)
    except UnsupportedStream as error:
        names = "backend pict_types first_gop pattern sample inter_share mean_motion max_motion bits areas prediction open_gops"
        out |= dict.fromkeys(names.split()) | {"note": str(error).split(": ", 1)[-1]}
    lengths = np.diff([*(keys or [0]), out["num_frames"]])
    out["timestamps"] = decoder.pictures.seconds is not None
    out["notes"] = [*decoder.notes, *_damage(decoder.damaged), *_guesses(decoder.guessed)]
    out["keyframes"] = len(keys)
    out["gop"] = {"min": int(lengths.min()), "median": float(np.median(lengths)), "max": int(lengths.max())}
    out["bits_per_picture"] = float(packets.size.mean() * 8)
    return out


def _damage(damaged: list[Damage]) -> list[str]:
    """Damaged pictures as one note."""
    if not damaged:
        return []
    count = "1 damaged picture is" if len(damaged) == 1 else f"{len(damaged)} damaged pictures are"
    first = damaged[0]
    place = "" if first.index is None else f"picture {first.index}: "
    return [f"{count} left out; {'the first is ' if len(damaged) > 1 else ''}{place}{first.message}"]


def _metadata(found: VideoMetadata) -> dict[str, Any]:
    """The metadata as plain values."""
    display = found.display
    aspect = display.sample_aspect_ratio
    plain = {each.name: getattr(found, each.name) for each in fields(found) if each.name != "display"}
    return plain | {
        "rotation": display.orientation.rotation,
        "mirror": display.orientation.mirror,
        "sample_aspect_ratio": None if aspect is None else f"{aspect.numerator}:{aspect.denominator}",
        "display_width": found.display_width,
        "display_height": found.display_height,
    }


def _guesses(guessed: list[int]) -> list[str]:
    if not guessed:
        return []
    return [
        f"the distances of {len(guessed)} pictures are guessed: they refer to lost ones (the first is {min(guessed)})"
    ]


def _syntax(decoder: MotionDecoder, headers: list[PictureHeader | None] | None) -> dict[str, Any]:
    parameters = decoder.parameters
    if parameters is None or headers is None:
        return dict.fromkeys(("level", "reference_frames", "b_references", "scan", "slices"))
    known = [header for header in headers if header is not None]
    scans = {"fields" if h.structure != "frame" else "mbaff" if h.mbaff else "progressive" for h in known}
    return {
        "profile": parameters.profile or f"profile_idc {parameters.profile_idc}",
        "level": parameters.level,
        "reference_frames": parameters.num_ref_frames,
        "b_references": sum(h.reference for h in known if h.pict_type == "B"),
        "scan": ", ".join(sorted(scans)),
        "slices": max(h.slices for h in known),
    }


def _open_gops(order: npt.NDArray[np.int64], keys: list[int]) -> int:
    """GOPs with pictures that come after the keyframe in decoding order and before it in presentation."""
    furthest = np.maximum.accumulate(order)
    return sum(bool(furthest[key - 1] > order[key]) for key in keys if key > 0)


def _pictures(
    decoder: MotionDecoder,
    headers: list[PictureHeader | None] | None,
    keys: list[int],
    sample: int | None,
    progress: Progress | None,
) -> dict[str, Any]:
    """What is counted picture by picture."""
    total = len(decoder)
    chosen = list(range(total)) if sample is None or total <= sample else _spread(total, sample)
    if len(chosen) < total and headers is None:
        chosen = _runs(keys, total, len(chosen))
    types = (
        {}
        if headers is None
        else {i: header.pict_type for i, header in enumerate(headers) if header is not None}
    )
    counts: dict[str, list[PictureStatistics]] = defaultdict(list)
    inter, mean, longest = [0.0], [0.0], 0.0
    described = decoder.described(None if len(chosen) == total else chosen)
    for done, (frame, statistics) in enumerate(described, start=1):
        types[frame.index] = frame.pict_type
        if statistics is not None:
            counts[frame.pict_type].append(statistics)
        if frame.pict_type != "I":
            size = _lengths(frame)
            inter.append(float(inter_mask(frame).mean()))
            mean.append(float(size.mean()))
            longest = max(longest, float(size.max(initial=0.0)))
        if progress is not None:
            progress("pictures", done, len(chosen))
    predicted = max(1, len(inter) - 1)
    first = next((key for key in keys if key > 0), total)
    by_type = {kind: [i for i in sorted(types) if types[i] == kind] for kind in "IPB"}
    by_type = {kind: indices for kind, indices in by_type.items() if indices}
    return {
        "pict_types": {kind: len(indices) for kind, indices in sorted(by_type.items())},
        "first_gop": first,
        "pattern": "".join(types.get(i, " ") for i in range(min(first, _LONG))).split(" ")[0],
        "sample": len(chosen),
        "inter_share": 100 * sum(inter) / predicted,
        "mean_motion": sum(mean) / predicted,
        "max_motion": longest,
        "bits": _bits(decoder, headers, by_type),
        "areas": {kind: _areas(found) for kind, found in sorted(counts.items())} or None,
        "prediction": {kind: _prediction(found) for kind, found in sorted(counts.items())} or None,
    }


def _lengths(frame: MotionFrame) -> npt.NDArray[np.float32]:
    x, y = flow(frame)
    return np.asarray(np.hypot(x, y), np.float32)


def _spread(total: int, count: int) -> list[int]:
    """Midpoints of equal parts."""
    return [(2 * i + 1) * total // (2 * count) for i in range(count)]


def _runs(keys: list[int], total: int, count: int) -> list[int]:
    """Runs of pictures behind evenly spread keyframes, the first picture among them."""
    keys = keys or [0]
    length = count // _RUNS
    starts = sorted({keys[i * len(keys) // _RUNS] for i in range(_RUNS)} | {0})
    return sorted({i for start in starts for i in range(start, min(total, start + length))})


def _bits(
    decoder: MotionDecoder, headers: list[PictureHeader | None] | None, by_type: dict[str, list[int]]
) -> dict[str, dict[str, float]] | None:
    """Bits by picture type; the container's packets tell where the headers do not."""
    pictures = decoder.pictures
    if headers is not None:
        bits = np.array([0 if header is None else header.bits for header in headers], np.int64)
    elif not pictures.sequential:
        bits = 8 * decoder.packets.size[pictures.packet]
    else:
        return None
    return {
        kind: {"mean": float(bits[indices].mean()), "max": int(bits[indices].max())}
        for kind, indices in sorted(by_type.items())
    }


def _areas(found: Iterable[PictureStatistics]) -> dict[str, float]:
    """Percent of the area by how motion is coded."""
    blocks = dict.fromkeys(_AREAS, 0)
    total = 0
    for each in found:
        total += 16 * each.macroblocks
        for name, parts in _AREAS.items():
            blocks[name] += sum(size * int(getattr(each, part)) for part, size in parts)
    return {name: 100 * count / total for name, count in blocks.items()}


def _prediction(found: Iterable[PictureStatistics]) -> dict[str, float]:
    """Percent of the 4x4 blocks by the lists that they use."""
    sums = dict.fromkeys(_PREDICTION, 0)
    for each in found:
        for name, part in _PREDICTION.items():
            sums[name] += int(getattr(each, part))
    total = sum(sums.values())
    return {name: 100 * count / total for name, count in sums.items()}
