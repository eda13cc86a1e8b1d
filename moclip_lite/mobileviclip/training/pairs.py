"""Tables of clips and captions, and a data set's classes put into captions."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from torch import Tensor

from mv_tools import MotionError

from ...datasets import VIDEO_SUFFIXES, Clip, shorten
from ...datasets.prompts import Prompts
from ...errors import DataError, MoclipError
from ..config import MobileViClipConfig
from ..frames import read_clip
from .repeats import (
    Repeats,
    count_repeats,
    number_files,
    same_words,
)

__all__ = ["FilePairs", "Pair", "class_pairs", "read_pairs"]

_CLIP_COLUMNS: Final = ("clip", "path", "video", "video_id", "file")
_CAPTION_COLUMNS: Final = ("caption", "text", "sentence")
_SIDES: Final = re.compile(r"\b(left|right|clockwise|counter-?clockwise|anti-?clockwise)", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """A clip and what may be said of it; `group` numbers pairs that say the same."""

    clip: Path
    captions: tuple[str, ...]
    group: int


def read_pairs(table: Path, root: Path | None = None) -> list[Pair]:
    """Read a CSV or parquet table with a column of clips and one of captions, as MSR-VTT's lists have.

    Columns: clip, path, video, video_id or file; caption, text or sentence. Clips are relative to
    `root`, the table's folder by default; a name without suffix is looked up among video files.

    Raises:
        DataError: missing, not such a table, an empty caption, or clips that are not there.
    """
    frame = _read_table(table)
    clip_column, caption_column = (
        _column(table, frame, _CLIP_COLUMNS),
        _column(table, frame, _CAPTION_COLUMNS),
    )
    base = root if root is not None else table.parent
    pairs, absent, groups = [], [], dict[str, int]()
    rows = zip(frame[clip_column], frame[caption_column], strict=True)
    for number, (clip, caption) in enumerate(rows, start=1):
        if not isinstance(caption, str) or not caption.strip():
            raise DataError(f"{table}: row {number} has no caption")
        path = _find(base, str(clip))
        if path is None:
            absent.append(str(clip))
            continue
        said = " ".join(caption.split())
        pairs.append(Pair(path, (said,), groups.setdefault(same_words(said), len(groups))))
    if absent:
        raise DataError(f"{table}: {len(absent)} clips are not in {base}: {shorten(absent)}")
    if not pairs:
        raise DataError(f"{table} has no rows")
    return pairs


def class_pairs(clips: Sequence[Clip], prompts: Prompts) -> list[Pair]:
    """A class-labelled set as pairs: the captions of a clip are its class in every prompt."""
    labels = sorted({clip.label for clip in clips})
    return [Pair(clip.path, tuple(prompts.sentences(clip.label)), labels.index(clip.label)) for clip in clips]


def _read_table(table: Path) -> pd.DataFrame:
    if not table.is_file():
        raise DataError(f"{table}: there is no such table")
    try:
        if table.suffix.lower() == ".parquet":
            return pd.read_parquet(table)
        return _read_csv(table)
    except DataError:
        raise
    except ImportError as error:
        raise MoclipError("parquet tables need pyarrow: pip install 'moclip-lite[parquet]'") from error
    except Exception as error:  # pandas and pyarrow raise many kinds; all mean the same to the user
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{table} can't be read as a table ({reason})") from error


def _read_csv(table: Path) -> pd.DataFrame:
    """The table as text. A row of another length than the header is refused: what a caption with a comma
    and without quotes means can't be known.

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
                        f"{table}: row {len(rows) + 1} (line {lines.line_num}) has {len(row)} fields, the header "
                        f"has {len(header)}; a caption with a comma needs quotes"
                    )
                rows += [row] if row else []
        except csv.Error as error:
            where = f"row {len(rows) + 1} (line {lines.line_num})"
            raise DataError(
                f"{table}: {where} can't be read: {error}; a quote within quotes is doubled"
            ) from error
    return pd.DataFrame(rows, columns=pd.Index([name.strip() for name in header]), dtype=str)


def _column(table: Path, frame: pd.DataFrame, names: tuple[str, ...]) -> Any:
    for name in names:
        count = int((frame.columns == name).sum())
        if count > 1:
            raise DataError(f"{table} has {count} columns {name!r}")
        if count:
            return name
    has = [str(column) for column in frame.columns]
    raise DataError(f"{table} needs a column {' or '.join(names)}; it has {shorten(has)}")


def _find(base: Path, name: str) -> Path | None:
    """The clip of a name in a table: as it stands, with separators of Windows, with its ending in other
    case, or without its ending.

    Raises:
        DataError: several files have that name without their ending.
    """
    for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
        path = base / spelling
        if _is_file(path):
            return path
        endings = sorted({*VIDEO_SUFFIXES, *(suffix.upper() for suffix in VIDEO_SUFFIXES)})
        named = [path.with_name(path.name + ending) for ending in endings if path.name]
        named += [path.with_suffix(ending(path.suffix)) for ending in (str.lower, str.upper) if path.suffix]
        there = [candidate for candidate in named if _is_file(candidate)]
        if len({candidate.stat().st_ino for candidate in there}) > 1:
            raise DataError(f"{base}: {name!r} may be {' or '.join(path.name for path in there)}; name one")
        if there:
            return there[0]
    return None


def _is_file(path: Path) -> bool:
    """False for names that no file can have, too."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class FilePairs:
    """Pairs read from video files, as :class:`moclip_lite.mobileviclip.training.batches.PairSource`.

    Args:
        pairs: what there is.
        config: of the model they are for.
        smallest: share of the area that a random crop keeps at least.
        flip: probability of a mirror image, unless the caption speaks of sides.
    """

    def __init__(
        self, pairs: Sequence[Pair], config: MobileViClipConfig, *, smallest: float = 0.5, flip: float = 0.5
    ) -> None:
        self.pairs, self.config = list(pairs), config
        numbers = number_files(pair.clip for pair in self.pairs)
        self.clips = [numbers[pair.clip] for pair in self.pairs]
        """Of each pair, the number of its clip, by content."""
        self.smallest, self.flip = smallest, flip

    def __len__(self) -> int:
        return len(self.pairs)

    def pair(self, index: int, rng: np.random.Generator) -> tuple[Tensor, str]:
        """An augmented clip and one of its captions.

        Raises:
            DataError: the clip can't be read.
        """
        pair = self.pairs[index]
        caption = pair.captions[int(rng.integers(len(pair.captions)))]
        mirrored = rng.random() < self.flip and not _SIDES.search(caption)
        try:
            clip = read_clip(
                pair.clip, self.config.num_frames, self.config.image_size, rng=rng, smallest=self.smallest
            )
        except (MotionError, OSError) as error:
            raise DataError(f"{pair.clip}: {getattr(error, 'strerror', None) or error}") from error
        return clip.flip(-1) if mirrored else clip, caption

    def group(self, index: int) -> tuple[int, int]:
        """Number of the clip and of what is said of it."""
        return self.clips[index], self.pairs[index].group

    def repeats(self) -> Repeats:
        """How often clips and captions repeat."""
        captions = [pair.group for pair in self.pairs]
        return count_repeats(self.clips, captions, len({pair.clip for pair in self.pairs}))
