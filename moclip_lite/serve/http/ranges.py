"""Range headers as RFC 9110, section 14.2, has them: one that is not valid is ignored, not refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["ignore_invalid_range", "valid_range"]

_RANGE: Final = re.compile(r"(?P<first>[0-9]*)-(?P<last>[0-9]*)")
_SPACE: Final = " \t"
_DIGITS: Final = 18  # of a position; no file has more bytes


def valid_range(header: str) -> str | None:
    """A Range header in bytes, without empty elements and with positions of bounded length.

    Returns:
        None if the unit is another one, or the ranges are not valid: no ranges, or one that ends before its
        start.
    """
    unit, equals, text = header.strip(_SPACE).partition("=")
    if unit.lower() != "bytes" or not equals:
        return None
    ranges = [part for part in (part.strip(_SPACE) for part in text.split(",")) if part]
    matches = [_RANGE.fullmatch(part) for part in ranges]
    positions = [(_bounded(match["first"]), _bounded(match["last"])) for match in matches if match]
    if not ranges or len(positions) < len(ranges):
        return None
    for first, last in positions:
        if not (first or last) or (first and last and int(first) > int(last)):
            return None
    return "bytes=" + ",".join(f"{first}-{last}" for first, last in positions)


def _bounded(digits: str) -> str:
    digits = digits.lstrip("0") or digits[:1]
    return digits if len(digits) <= _DIGITS else "9" * _DIGITS


def ignore_invalid_range(scope: Scope) -> None:
    """Remove a Range header that is not valid, or that comes with another method than GET, from a request."""
    given = [value.decode("latin-1") for key, value in scope["headers"] if key == b"range"]
    if given:
        wanted = valid_range(given[0]) if len(given) == 1 and scope["method"] == "GET" else None
        others = [pair for pair in scope["headers"] if pair[0] != b"range"]
        scope["headers"] = others if wanted is None else [*others, (b"range", wanted.encode())]
