"""Tables that ``moclip mv probe`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from .console import print_table

if TYPE_CHECKING:
    from mv_tools import StreamSummary, VideoMetadata

__all__ = ["print_probe"]

_MAX_PATTERN: Final = 48  # picture types printed of a GOP that does not repeat


def print_probe(name: str, summary: StreamSummary) -> None:
    """Print the stream in one table and its picture types in another."""
    rows = [
        ["stream", _stream(summary)],
        ["picture", _picture(summary)],
        ["length", _length(summary)],
        ["keyframes", _keyframes(summary)],
        ["first GOP", _first_gop(summary)],
        ["references", _references(summary)],
        ["bits", _bits(summary)],
        ["motion", _motion(summary)],
        ["read by", _reader(summary)],
        *(["note", note] for note in summary.notes),
    ]
    print_table(name, ["property", "value"], [row for row in rows if row[1]])
    if summary.pictures is not None:
        _print_types(summary)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _stream(summary: StreamSummary) -> str:
    metadata, syntax = summary.metadata, summary.syntax
    profile = (syntax.profile if syntax else metadata.profile) or "profile unknown"
    level = f", level {syntax.level}" if syntax else ""
    entropy = f", {metadata.entropy_coding.upper()}" if metadata.entropy_coding else ""
    return f"{metadata.codec} {profile}{level}{entropy}"


def _picture(summary: StreamSummary) -> str:
    metadata = summary.metadata
    text = f"{metadata.width}x{metadata.height}"
    if (metadata.width, metadata.height) != (metadata.coded_width, metadata.coded_height):
        text += f" (coded {metadata.coded_width}x{metadata.coded_height})"
    text += _display(metadata)
    if summary.syntax is not None:
        text += f", {summary.syntax.scan}, {_plural(summary.syntax.slices, 'slice')} a picture"
    return text


def _display(metadata: VideoMetadata) -> str:
    """How a player shows the picture, unless it is as coded."""
    orientation, aspect = metadata.display.orientation, metadata.sample_aspect_ratio
    parts = ["mirrored"] if orientation.mirror else []
    if orientation.rotation:
        parts.append(f"turned {orientation.rotation} degrees clockwise")
    if aspect != 1:
        parts.append(f"pixels {aspect.numerator}:{aspect.denominator}")
    if parts:
        parts.append(f"shown as {metadata.display_width}x{metadata.display_height}")
    return "".join(f", {part}" for part in parts)


def _length(summary: StreamSummary) -> str:
    metadata = summary.metadata
    parts = [f"{metadata.num_frames} pictures"]
    if metadata.duration_seconds is not None:
        parts.append(f"{metadata.duration_seconds:.2f} s")
    if metadata.average_fps is not None:
        parts.append(f"{metadata.average_fps:.2f} a second")
    if not summary.timestamps:
        parts.append("no times in the file")
    return ", ".join(parts)


def _keyframes(summary: StreamSummary) -> str:
    gop = summary.gop
    spacing = f"{gop.min} pictures"
    if gop.min < gop.max:
        spacing = f"{gop.min} to {gop.max} pictures (median {gop.median:g})"
    text = f"{summary.keyframes}, GOPs of {spacing}"
    if summary.pictures is None or summary.keyframes < 2:
        return text
    return f"{text}, {summary.pictures.open_gops or 'none'} open"


def _first_gop(summary: StreamSummary) -> str:
    return "" if summary.pictures is None else _gop(summary.pictures.pattern, summary.pictures.first_gop)


def _gop(pattern: str, length: int) -> str:
    """Picture types of a GOP; a pattern that repeats to its end is written once."""
    count = f"({_plural(length, 'picture')})"
    first, body = pattern[:1], pattern[1:]
    for period in range(1, min(_MAX_PATTERN, len(body)) // 2 + 1):
        times, rest = divmod(length - 1, period)
        if (body[:period] * (times + 1)).startswith(body):
            return " ".join(
                part for part in (first, f"{times} x {body[:period]}", body[:rest], count) if part
            )
    printed = pattern[:_MAX_PATTERN]
    return f"{printed}{'...' if len(printed) < length else ''} {count}"


def _references(summary: StreamSummary) -> str:
    if summary.syntax is None:
        return ""
    text = f"{_plural(summary.syntax.reference_frames, 'frame')} at most"
    b_pictures = summary.pictures.pict_types.get("B", 0) if summary.pictures else 0
    if not b_pictures:
        return text
    return f"{text}, {summary.syntax.b_references} of {b_pictures} B pictures are referred to"


def _bits(summary: StreamSummary) -> str:
    text = f"{_kbit(summary.bits_per_picture)} kbit a picture"
    if summary.metadata.average_fps:
        text += f", {summary.bits_per_picture * summary.metadata.average_fps / 1e6:.2f} Mbit/s"
    return text


def _motion(summary: StreamSummary) -> str:
    pictures = summary.pictures
    if pictures is None:
        return f"none: {summary.no_motion}"
    if pictures.mean_motion is None:
        return f"unknown: all {pictures.sample} pictures that were read are I pictures"
    return (
        f"mean {pictures.mean_motion:.2f}, longest {pictures.max_motion:.1f} pixels a frame; "
        f"{pictures.inter_share:.1f} % of the blocks of P and B pictures are inter predicted"
    )


def _reader(summary: StreamSummary) -> str:
    pictures, total = summary.pictures, summary.metadata.num_frames
    if pictures is None:
        return ""
    if pictures.sample == total:
        return f"{pictures.backend}, all pictures"
    text = f"{pictures.backend}, {pictures.sample} of {total} pictures"
    if pictures.unread:
        text += f", {pictures.unread} could not be read"
    return text + (" (--all for all)" if pictures.sample + pictures.unread < (total or 0) else "")


def _print_types(summary: StreamSummary) -> None:
    pictures = summary.pictures
    assert pictures is not None
    types = [kind for kind in "IPB" if kind in pictures.pict_types]
    header, title = ["type", "pictures", "kbit, mean", "kbit, max"], "Picture types"
    rows = [[kind, str(pictures.pict_types[kind]), "-", "-"] for kind in types]
    if pictures.bits is not None:
        for row, kind in zip(rows, types, strict=True):
            row[2:] = [_kbit(pictures.bits[kind].mean), _kbit(pictures.bits[kind].max)]
    if pictures.areas and pictures.prediction:
        areas = pictures.areas
        sizes = [name for name in next(iter(areas.values())) if _used(areas, name)]
        header += [*(f"{name} %" for name in sizes), "two lists %"]
        title += ", and how the motion of their area is coded"
        for row, kind in zip(rows, types, strict=True):
            area, lists = areas.get(kind, {}), pictures.prediction.get(kind, {})
            row += [_percent(area.get(name)) for name in sizes]
            row.append(_percent(lists.get("bipredicted")))
    print_table(title, header, rows)


def _used(areas: Mapping[str, Mapping[str, float]], name: str) -> bool:
    return any(shares[name] > 0 for shares in areas.values())


def _kbit(bits: float) -> str:
    return f"{bits / 1000:.1f}"


def _percent(value: float | None) -> str:
    """One decimal; "0" is exactly zero, "0.0" a small share."""
    return "-" if value is None else f"{value:.1f}" if value else "0"
