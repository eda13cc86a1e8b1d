"""What ``moclip mv probe`` prints for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .console import print_table

__all__ = ["print_probe"]

_PATTERN_SHOWN: Final = 48


def print_probe(name: str, found: Mapping[str, Any]) -> None:
    """Print what :func:`mv_tools.probe` found: the stream in one table, its picture types in another."""
    rows = [
        ["stream", _stream(found)],
        ["picture", _picture(found)],
        ["length", _length(found)],
        ["keyframes", _keyframes(found)],
        ["first GOP", _gop(found["pattern"], found["first_gop"])],
        ["references", _references(found)],
        ["bits", _bits(found)],
        ["motion", _motion(found)],
        ["read by", _reader(found)],
        *(["note", note] for note in found["notes"]),
    ]
    print_table(name, ["", ""], [row for row in rows if row[1]])
    if found["pict_types"]:
        _print_types(found)


def _stream(found: Mapping[str, Any]) -> str:
    profile = found["profile"] or "profile unknown"
    level = f", level {found['level']}" if found["level"] else ""
    entropy = f", {found['entropy_coding'].upper()}" if found["entropy_coding"] else ""
    return f"{found['codec']} {profile}{level}{entropy}"


def _picture(found: Mapping[str, Any]) -> str:
    shown, coded = ((found[f"{kind}width"], found[f"{kind}height"]) for kind in ("", "coded_"))
    text = f"{shown[0]}x{shown[1]}"
    if shown != coded:
        text += f" (coded {coded[0]}x{coded[1]})"
    text += _shown(found)
    if found["scan"]:
        slices = found["slices"]
        text += f", {found['scan']}, {slices} slice{'s' if slices > 1 else ''} a picture"
    return text


def _shown(found: Mapping[str, Any]) -> str:
    """How a player shows the picture, where that is not as it is coded."""
    parts = ["mirrored"] if found["mirror"] else []
    if found["rotation"]:
        parts.append(f"turned {found['rotation']} degrees clockwise")
    if found["sample_aspect_ratio"] not in (None, "1:1"):
        parts.append(f"pixels {found['sample_aspect_ratio']}")
    if parts:
        parts.append(f"shown as {found['display_width']}x{found['display_height']}")
    return "".join(f", {part}" for part in parts)


def _length(found: Mapping[str, Any]) -> str:
    parts = []
    if found["num_frames"] is not None:
        parts.append(f"{found['num_frames']} pictures")
    if found["duration_seconds"] is not None:
        parts.append(f"{found['duration_seconds']:.2f} s")
    if found["average_fps"] is not None:
        parts.append(f"{found['average_fps']:.2f} a second")
    if not found["timestamps"]:
        parts.append("no times in the file")
    return ", ".join(parts)


def _keyframes(found: Mapping[str, Any]) -> str:
    gop = found["gop"]
    spacing = f"{gop['min']} pictures"
    if gop["min"] < gop["max"]:
        spacing = f"{gop['min']} to {gop['max']} pictures (median {gop['median']:g})"
    text = f"{found['keyframes']}, GOPs of {spacing}"
    if found["open_gops"] is None:
        return text
    return f"{text}, {found['open_gops'] or 'none'} open" if found["keyframes"] > 1 else text


def _gop(pattern: str | None, length: int) -> str:
    """A GOP's picture types; what repeats to its end is written once."""
    if pattern is None:
        return ""
    count = f"({length} picture{'s' if length > 1 else ''})"
    first, body = pattern[:1], pattern[1:]
    for period in range(1, min(_PATTERN_SHOWN, len(body)) // 2 + 1):
        times, rest = divmod(length - 1, period)
        if (body[:period] * (times + 1)).startswith(body):
            return " ".join(
                part for part in (first, f"{times} x {body[:period]}", body[:rest], count) if part
            )
    shown = pattern[:_PATTERN_SHOWN]
    return f"{shown}{'...' if len(shown) < length else ''} {count}"


def _references(found: Mapping[str, Any]) -> str:
    if found["reference_frames"] is None:
        return ""
    frames = found["reference_frames"]
    text = f"{frames} frame{'s' if frames != 1 else ''} at most"
    count = (found["pict_types"] or {}).get("B", 0)
    return f"{text}, {found['b_references']} of {count} B pictures are referred to" if count else text


def _bits(found: Mapping[str, Any]) -> str:
    text = f"{_kbit(found['bits_per_picture'])} kbit a picture"
    if found["average_fps"]:
        text += f", {found['bits_per_picture'] * found['average_fps'] / 1e6:.2f} Mbit/s"
    return text


def _motion(found: Mapping[str, Any]) -> str:
    if found["mean_motion"] is None:
        return f"none: {found['note']}"
    return (
        f"mean {found['mean_motion']:.2f}, longest {found['max_motion']:.1f} pixels a frame; "
        f"{found['inter_share']:.1f} % of the blocks of P and B pictures are inter predicted"
    )


def _reader(found: Mapping[str, Any]) -> str:
    if found["backend"] is None:
        return ""
    if found["sample"] == found["num_frames"]:
        return f"{found['backend']}, all pictures"
    return (
        f"{found['backend']}, {found['sample']} of {found['num_frames']} pictures looked into (--all for all)"
    )


def _print_types(found: Mapping[str, Any]) -> None:
    kinds = [kind for kind in "IPB" if kind in found["pict_types"]]
    header = ["type", "pictures", "kbit, mean", "kbit, max"]
    rows = [[kind, str(found["pict_types"][kind]), *_type_bits(found, kind)] for kind in kinds]
    if found["areas"]:
        sizes = [name for name in next(iter(found["areas"].values())) if _used(found["areas"], name)]
        header += [*(f"{name} %" for name in sizes), "two lists %"]
        for row, kind in zip(rows, kinds, strict=True):
            areas, lists = found["areas"].get(kind), found["prediction"].get(kind)
            row += [_percent(areas and areas[name]) for name in sizes]
            row.append(_percent(lists and lists["bipredicted"]))
    title = "Picture types"
    if found["areas"]:
        title += ", and how the motion of their area is coded"
    print_table(title, header, rows)


def _used(areas: Mapping[str, Mapping[str, float]], name: str) -> bool:
    return any(each[name] > 0 for each in areas.values())


def _type_bits(found: Mapping[str, Any], kind: str) -> list[str]:
    bits = found["bits"]
    return [_kbit(bits[kind]["mean"]), _kbit(bits[kind]["max"])] if bits else ["-", "-"]


def _kbit(count: float) -> str:
    return f"{count / 1000:.1f}"


def _percent(value: float | None) -> str:
    """One decimal; "0" is none at all, "0.0" a little."""
    return "-" if value is None else f"{value:.1f}" if value else "0"
