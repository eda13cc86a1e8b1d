"""Tables of clips and captions, and a data set's classes put into captions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from torch import Tensor

from mv_tools import MotionError

from ..datasets import VIDEO_SUFFIXES, Clip, shorten
from ..errors import DataError, MoclipError
from ..labels import Prompts
from .config import MobileViClipConfig
from .frames import read_clip

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
    _videos_of.cache_clear()  # the folder may have changed since
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
        pairs.append(Pair(path, (said,), groups.setdefault(said.lower(), len(groups))))
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
        if table.suffix == ".parquet":
            return pd.read_parquet(table)
        return pd.read_csv(table, dtype=str, keep_default_na=False)
    except ImportError as error:
        raise MoclipError("parquet tables need pyarrow: pip install 'moclip-lite[parquet]'") from error
    except Exception as error:  # pandas and pyarrow raise many kinds; all mean the same to the user
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(f"{table} can't be read as a table ({reason})") from error


def _column(table: Path, frame: pd.DataFrame, names: tuple[str, ...]) -> Any:
    for name in names:
        if name in frame.columns:
            return name
    has = [str(column) for column in frame.columns]
    raise DataError(f"{table} needs a column {' or '.join(names)}; it has {shorten(has)}")


def _find(base: Path, name: str) -> Path | None:
    path = base / name
    if path.is_file():
        return path
    if "\\" in name:
        return _find(base, name.replace("\\", "/"))
    # An ending in other case, or none: the name may itself hold dots.
    alike = [p for p in _videos_of(path.parent) if path.name in (p.stem, p.name) or _same(p, path)]
    if len(alike) > 1:
        raise DataError(f"{name} may be any of {shorten([p.name for p in alike])} in {path.parent}; give the ending")
    return alike[0] if alike else None


def _same(one: Path, other: Path) -> bool:
    return (one.stem, one.suffix.lower()) == (other.stem, other.suffix.lower())


@lru_cache(maxsize=64)
def _videos_of(folder: Path) -> tuple[Path, ...]:
    """Videos right in a folder."""
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return ()
    return tuple(p for p in found if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith("."))


class FilePairs:
    """Pairs read from video files, as :class:`moclip_lite.mobileviclip.batches.PairSource`.

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

    def group(self, index: int) -> int:
        """Pairs of one group say the same."""
        return self.pairs[index].group
