"""Result of an importer, and reading of untrusted JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...errors import DataError

__all__ = ["Annotation", "Annotations", "Frames", "number_of", "read_export"]

_MAX_BYTES: Final = 1 << 28


@dataclass(frozen=True)
class Frames:
    """A segment in frame numbers from 0; `stop` is the first frame behind it."""

    first: int
    stop: int


@dataclass(frozen=True)
class Annotation:
    """A label of a video or of a part of it.

    Attributes:
        place: where it stands in the export, for messages.
        video: name, path or address as the tool has it.
        label: class name.
        span: (start, end) in seconds, or frame numbers; None for the whole video.
        split: "train", "validation" or "test"; None if the export does not say.
    """

    place: str
    video: str
    label: str
    span: tuple[float, float] | Frames | None = None
    split: str | None = None


@dataclass
class Annotations:
    """The annotations of an export.

    Attributes:
        rows: in the order of the export.
        left_out: what was not taken -> how often.
        notes: sentences for the user.
    """

    rows: list[Annotation] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def read_export(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        DataError: absent, too large, or no JSON.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path}: larger than {_MAX_BYTES >> 20} MB; export fewer tasks at once")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not JSON ({' '.join(str(error).split())})") from error


def number_of(value: Any) -> float | None:
    """A finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
