"""Columns of an annotation table: which are read, and which of the others must not be passed over.

A column that changes which pictures a row means, or how rows are divided, is never ignored because of its
name: the header is refused, with the name that the column should have.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

from ...errors import DataError

__all__ = ["REQUIRED", "splits_among", "unread_columns"]

REQUIRED: Final = ("video", "label")
_KNOWN: Final = ("video", "label", "start", "end", "split", "group")
_OTHER_NAMES: Final = {"split": ("subset", "partition"), "group": ("subject", "subject_id", "person_id")}
"""What other tables call columns that divide the clips."""
_SPLIT: Final = re.compile(r"split([1-9]\d{0,3})")
_MAX_NAME: Final = 60  # characters of a column's name in a message

_FRAMES: Final = "frame|frm|fr|picture|bild|index|idx|number|num|nr"
_UNITS: Final = {
    "frames": f"{_FRAMES}|no",
    "milliseconds": "ms|msec|millis|millisecond|millisekunden",
    "microseconds": "us|microsecond",
    "nanoseconds": "ns|nano|nanosecond",
    "minutes": "min|minute|minuten",
}
"""Units that times of a table do not have."""
_AROUND: Final = "|".join(
    (
        _FRAMES,
        *(names for unit, names in _UNITS.items() if unit != "frames"),
        "time(code)?|zeit|stamp|t|clip|segment|seg|action|event|video|at|in|point|of",
    )
)
_BEHIND: Final = f"{_AROUND}|s|sec|second|sekunden|hhmmss"
"""What stands around the words of _TIMES; no two of these words together are another one, so that a name is
divided in one way."""
_AROUND_PAIRS: Final = "no|(?<!time)code|the"
"""What stands around them, too, where a header has both times; alone, `end_code` means anything."""
_TIMES: Final = {
    "start": "start|starting|begin|beginning|beginn|anfang|debut|inicio",
    "end": "end|ending|ende|stop|stopping|finish",
}
_PAIRS: Final = {
    "start": rf"from|in|von|since|onset|first({_FRAMES}|no)|t0|tmin",
    "end": rf"to|out|bis|fin|final|offset|until|till|last({_FRAMES}|no)|t1|tmax",
}
"""Words that name times where both stand in a header, and anything alone."""
_NO_TIMES: Final = (
    "x|y|z|row|column|col|left|top|right|bottom|date|day|label|class|name|id|page|line|lat|lon|price"
)
"""Words that say what a start and an end are of, if not of time."""
_DURATIONS: Final = ("duration", "length", "dauer")


class _Meaning(NamedTuple):
    """What a name seems to mean: a known column, and a unit if it is not that column's."""

    known: str
    unit: str | None = None


def splits_among(columns: Sequence[str]) -> list[str]:
    """The columns that divide the clips: `split`, or `split1`, `split2`, ..."""
    return [name for name in columns if name == "split" or _SPLIT.fullmatch(name)]


def unread_columns(table: str, columns: Sequence[str], required: Sequence[str]) -> list[str]:
    """The columns that are not read.

    Args:
        table: its path or URL, for messages.
        columns: names in lower case.
        required: the columns that it must have.

    Raises:
        DataError: a required one is missing, or one seems to mean a known column that the table lacks.
    """
    absent = [name for name in required if name not in columns]
    if absent:
        headings = ", ".join(name[:_MAX_NAME] for name in columns[:10]) or "none"
        raise DataError(
            f"{table}, row 1: there is no column {' and no column '.join(absent)}; "
            f"it has: {headings}. The columns are video,label[,start,end,split,group]"
        )
    splits = splits_among(columns)
    ignored = [name for name in columns if name and name not in (*_KNOWN, *splits)]
    _refuse_misnamed(table, ignored, (*columns, *(["split"] if splits else [])))
    _refuse_half(table, columns, splits)
    return ignored


def _refuse_misnamed(table: str, ignored: Sequence[str], present: Sequence[str]) -> None:
    """Refuse a column that is meant to be one which the table lacks."""
    both = all(
        any(_is_time(name, known, True) or _is_like(name, known) for name in present) for known in _TIMES
    ) or _is_paired(present)
    for name in ignored:
        meant = _meant(name, both=both)
        if meant is None or meant.known in present:
            continue
        quoted = f"{table}, row 1: the column {name[:_MAX_NAME]!r}"
        if meant.unit == "frames":
            raise DataError(
                f"{quoted} counts frames, and times of a table are seconds: write a column {meant.known} "
                "with the frame's number divided by the frames per second, or remove it"
            )
        if meant.unit is not None:
            raise DataError(
                f"{quoted} is in {meant.unit}, and times of a table are seconds: write a column "
                f"{meant.known} in seconds, or remove it"
            )
        raise DataError(f"{quoted} is not known; is it meant to be {meant.known}? Rename it, or remove it")


def _refuse_half(table: str, columns: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse a start without an end, and a division with a number beside one without."""
    if ("start" in columns) != ("end" in columns):
        present, other = ("start", "end") if "start" in columns else ("end", "start")
        lengths = [name for name in columns if _plain(name).startswith(_DURATIONS)]
        advice = f"; {lengths[0][:_MAX_NAME]} is not read, write {other} instead" if lengths else ""
        raise DataError(f"{table}, row 1: there is a column {present} and no column {other}{advice}")
    if "split" in splits and len(splits) > 1:
        numbered = next(name for name in splits if name != "split")
        raise DataError(
            f"{table}, row 1: there are columns split and {numbered}; number all of them, from split1"
        )


def _meant(name: str, *, both: bool) -> _Meaning | None:
    """The known column that a name seems to mean, if there is one.

    Args:
        name: of a column that is not known.
        both: whether the header has columns for both times.
    """
    for known in _TIMES:
        if _is_time(name, known, both) or (both and _around(name, known) is not None):
            return _Meaning(known, _unit(name))
    plain = re.sub(r"[\s\-]", "_", name)
    for known, others in _OTHER_NAMES.items():
        if plain in others:
            return _Meaning(known)
    near = next((known for known in _KNOWN if _is_like(name, known)), None)
    if near is None or (near in _TIMES and not both):  # short words are like many others
        return None
    return _Meaning(near)


def _is_time(name: str, known: str, both: bool) -> bool:
    """Whether a name is a word for start or end, between words for times, what they are of and their units.

    Args:
        name: of a column.
        known: "start" or "end".
        both: whether words count that mean times in pairs only.
    """
    plain, words, around = _plain(name), _TIMES[known], ""
    if both:
        words, around = f"{words}|{_PAIRS[known]}", f"|{_AROUND_PAIRS}"
    pattern = f"({_AROUND}{around})*({words})({_BEHIND}{around})*"
    return len(plain) <= _MAX_NAME and bool(re.fullmatch(pattern, plain))


def _is_like(name: str, known: str) -> bool:
    """Whether a name seems to be a misspelt one."""
    if known in _TIMES and any(re.fullmatch(_NO_TIMES, word) for word in re.split(r"[\W_]+", name)):
        return False
    return difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.75) == [known]


def _is_paired(names: Sequence[str]) -> bool:
    """Whether two names differ in the word for start and end alone, such as `trim_start` and `trim_end`."""
    frames = [{_around(name, known) for name in names} - {None, ""} for known in _TIMES]
    return bool(set.intersection(*frames))


def _around(name: str, known: str) -> str | None:
    """What stands around a word for start or end in a name of words; None where there is no such word, and
    where the others say that it is a place, a date or a class."""
    words = re.split(r"[\W_]+", name)
    found = [number for number, word in enumerate(words) if re.fullmatch(_TIMES[known], word)]
    if len(found) != 1 or len(name) > _MAX_NAME or any(re.fullmatch(_NO_TIMES, word) for word in words):
        return None
    return "_".join([*words[: found[0]], "*", *words[found[0] + 1 :]])


def _unit(name: str) -> str | None:
    """The unit that a name says, if it is not seconds (or ``ss.msec``, as ELAN writes them)."""
    edge, joined = "start|begin|end|stop|first|last", "(^|[^a-z]){}s?([^a-z]|$)"
    for unit, names in () if "ss.ms" in name else _UNITS.items():
        if re.search(joined.format(f"({edge})?({names})({edge})?"), name):
            return unit
    return None


def _plain(name: str) -> str:
    """A name without accents, brackets, blanks and signs."""
    letters = unicodedata.normalize("NFD", name.lower())
    return "".join(letter for letter in letters if letter.isalnum())
