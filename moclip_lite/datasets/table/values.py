"""Values of one record of an annotation table, checked and typed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from ...sampling import Segment

__all__ = ["Part", "WrongValue", "label_of", "part_of", "segment_of", "shown", "text_of"]

Part: TypeAlias = Literal["train", "val", "test"]

_PARTS: Final[dict[str, Part]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
_NUMBER: Final = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_MAX_SECONDS: Final = 1e7  # 115 days
_MAX_LABEL: Final = 200  # characters
_MAX_SHOWN: Final = 60  # characters of a value in a message


class WrongValue(Exception):
    """A value that can't be used.

    Attributes:
        column: where it is.
        reason: what is wrong.
        missing: whether it names a video that is absent.
    """

    def __init__(self, column: str, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.column, self.reason, self.missing = column, reason, missing


def text_of(values: Mapping[str, Any], column: str, *, required: bool) -> str | None:
    """Text of a cell; of a number, true or false what Python's csv module writes. None if it is empty.

    Raises:
        WrongValue: another type, a control character, or empty where it is required.
    """
    value = values.get(column)
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        value = str(value)
    if value is None or value == "":
        if required:
            raise WrongValue(column, "is empty")
        return None
    if not isinstance(value, str):
        raise WrongValue(column, f"{shown(value)} is not text")
    if not value.isprintable():
        raise WrongValue(column, f"{shown(value)} holds a control character or a line break")
    return value


def label_of(values: Mapping[str, Any], *, required: bool) -> str:
    """The class name; "" if there is none and none is required.

    Raises:
        WrongValue: it is missing or too long.
    """
    label = text_of(values, "label", required=required) or ""
    if len(label) > _MAX_LABEL:
        raise WrongValue("label", f"has {len(label)} characters, a class name has at most {_MAX_LABEL}")
    return label


def part_of(values: Mapping[str, Any], column: str) -> Part | None:
    """The part of a split that a cell names; None if it is empty.

    Raises:
        WrongValue: it names none.
    """
    value = values.get(column)
    if value is None:
        return None
    part = _PARTS.get(value.lower()) if isinstance(value, str) else None
    if part is None:
        raise WrongValue(column, f"must be train, validation or test, got {shown(value)}")
    return part


def segment_of(values: Mapping[str, Any], *, decimal_comma: bool) -> Segment | None:
    """From when to when; None for the whole video.

    Args:
        values: of the record.
        decimal_comma: whether numbers may be written with a comma.

    Raises:
        WrongValue: a time is unusable, or one of the two is missing.
    """
    start, end = (_seconds(values, column, decimal_comma) for column in ("start", "end"))
    if start is None and end is None:
        return None
    if start is None or end is None:
        empty, other = ("start", "end") if start is None else ("end", "start")
        raise WrongValue(
            empty, f"is empty, while {other} is {values[other]}; leave both empty for the whole video"
        )
    if start >= end:
        raise WrongValue("end", f"{_number(end)} s is not after the start at {_number(start)} s")
    return Segment(start, end)


def _seconds(values: Mapping[str, Any], column: str, decimal_comma: bool) -> float | None:
    value = values.get(column)
    if value is None:
        return None
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value) or ("," in value and not decimal_comma):
            raise WrongValue(column, f"{shown(value)} is not a number of seconds")
        value = value.replace(",", ".")
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongValue(column, f"{shown(value)} is not a number of seconds")
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        seconds = math.inf
    if not math.isfinite(seconds):
        raise WrongValue(column, f"{shown(value)} is not a finite number of seconds")
    if seconds < 0:
        raise WrongValue(column, f"{_number(seconds)} s is negative; times count from the video's start")
    if seconds > _MAX_SECONDS:
        raise WrongValue(column, f"{_number(seconds)} s is more than any video has; times are in seconds")
    return seconds


def shown(value: Any) -> str:
    """A value as messages quote it, shortened."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _number(value: float) -> str:
    return f"{value:.10g}"
