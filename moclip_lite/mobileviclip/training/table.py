"""Tables of clips and captions, such as MSR-VTT's lists, read as pairs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import pandas as pd

from ...datasets.clip import shorten
from ...datasets.prompts import normalize_caption
from ...datasets.walk import VIDEO_SUFFIXES
from ...errors import DataError, MoclipError
from ...storage.names import is_blank
from .pairs import Pair

__all__ = ["read_pairs"]

_CLIP_COLUMNS: Final = ("clip", "path", "video", "video_id", "file")
_CAPTION_COLUMNS: Final = ("caption", "text", "sentence")


def read_pairs(table: Path, root: Path | None = None) -> list[Pair]:
    """Read a CSV or parquet table with a column of clips and a column of captions.

    Columns: clip, path, video, video_id or file; caption, text or sentence. Clips are relative to `root`, by
    default the table's folder; a name without suffix is looked up among video files.

    Raises:
        DataError: a missing or unreadable table, a row without caption or clip, or missing clips.
    """
    frame = _read_table(table)
    clips, captions = (_column(table, frame, names) for names in (_CLIP_COLUMNS, _CAPTION_COLUMNS))
    base = root if root is not None else table.parent
    pairs, absent, groups = [], [], dict[str, int]()
    for number, (clip, caption) in enumerate(zip(frame[clips], frame[captions], strict=True), start=1):
        if not isinstance(caption, str) or is_blank(caption):
            raise DataError(f"{table}: row {number} has no caption")
        if pd.isna(clip) or is_blank(str(clip)):
            raise DataError(f"{table}: row {number} names no clip")
        path = _find_clip(base, str(clip))
        if path is None:
            absent.append(str(clip))
            continue
        group = groups.setdefault(normalize_caption(caption), len(groups))
        pairs.append(Pair(path, (" ".join(caption.split()),), group))
    if absent:
        raise DataError(
            f"{table}: {len(absent)} clips are not in {base}: {shorten(absent)}; "
            "name their folder with --root, or remove their rows"
        )
    if not pairs:
        raise DataError(f"{table} has no rows")
    return pairs


def _read_table(table: Path) -> pd.DataFrame:
    if not table.is_file():
        raise DataError(f"{table}: there is no such table")
    try:
        if table.suffix.lower() == ".parquet":
            return pd.read_parquet(table, dtype_backend="numpy_nullable")  # whole numbers stay whole
        return _read_csv(table)
    except DataError:
        raise
    except ImportError as error:
        raise MoclipError("parquet tables need pyarrow: pip install 'moclip-lite[parquet]'") from error
    except Exception as error:  # pandas and pyarrow raise many kinds; all mean the same to the user
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{table} can't be read as a table ({reason})") from error


def _read_csv(table: Path) -> pd.DataFrame:
    """Read a CSV as text. A row whose length differs from the header's, such as one with an unquoted comma in
    its caption, is refused because it is ambiguous.

    Raises:
        DataError: such a row, or no header.
    """
    with table.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        header = next((row for row in lines if row), None)
        if header is None:
            raise DataError(f"{table} can't be read as a table (it is empty)")
        rows: list[list[str]] = []
        try:
            for row in lines:
                if row and len(row) != len(header):
                    raise DataError(
                        f"{table}: row {len(rows) + 1} (line {lines.line_num}) has {len(row)} fields, "
                        f"the header has {len(header)}; a caption with a comma needs quotes"
                    )
                rows += [row] if row else []
        except csv.Error as error:
            place = f"row {len(rows) + 1} (line {lines.line_num})"
            raise DataError(
                f"{table}: {place} can't be read: {error}; a quote within quotes must be doubled"
            ) from error
    return pd.DataFrame(rows, columns=pd.Index([name.strip() for name in header]), dtype=str)


def _column(table: Path, frame: pd.DataFrame, names: tuple[str, ...]) -> Any:
    for name in names:
        count = int((frame.columns == name).sum())
        if count > 1:
            raise DataError(f"{table} has {count} columns {name!r}")
        if count:
            return name
    columns = [str(column) for column in frame.columns]
    raise DataError(f"{table} needs a column {' or '.join(names)}; it has {shorten(columns)}")


def _find_clip(base: Path, name: str) -> Path | None:
    """Find the clip of a name in a table, also with Windows separators, suffix in another case or none.

    Raises:
        DataError: several files match a name without suffix.
    """
    for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
        path = base / spelling
        if _is_file(path):
            return path
        suffixes = sorted({*VIDEO_SUFFIXES, *(suffix.upper() for suffix in VIDEO_SUFFIXES)})
        candidates = [path.with_name(path.name + suffix) for suffix in suffixes if path.name]
        candidates += [path.with_suffix(case(path.suffix)) for case in (str.lower, str.upper) if path.suffix]
        matches = [candidate for candidate in candidates if _is_file(candidate)]
        if len({match.stat().st_ino for match in matches}) > 1:
            raise DataError(
                f"{base}: {name!r} may be {' or '.join(match.name for match in matches)}; name one"
            )
        if matches:
            return matches[0]
    return None


def _is_file(path: Path) -> bool:
    """Like ``Path.is_file``, but False for names that are not valid file names."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
