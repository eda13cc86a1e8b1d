"""Extraction of features: what the extractors of all streams share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.digest import ContentDigests
from ..storage.files import write_rows
from . import Clip
from .clip_errors import reason_of
from .clip_notes import ClipNote

__all__ = ["ExtractReport", "Failure", "Progress", "content_digests", "pending", "silent", "write_failures"]


Progress = Callable[[str, int, int], None]
"""Told (stage, clips done, clips to do)."""


def silent(stage: str, done: int, total: int) -> None:
    """No progress."""


@dataclass(frozen=True)
class Failure:
    """A clip that could not be read."""

    name: str
    stage: str
    reason: str


@dataclass
class ExtractReport:
    """What an extraction did.

    Attributes:
        stage: such as "motion".
        keys: clip name -> cache key, for the clips that are there now.
        made: clips computed.
        reused: clips found in the cache.
        empty: clips without any motion (all-intra, or of one frame).
        failures: clips left out, with the reason.
        notes: what is left out of the other clips, guessed about them or damaged in them.
        seconds: wall time.
    """

    stage: str
    keys: dict[str, str] = field(default_factory=dict)
    made: int = 0
    reused: int = 0
    failures: list[Failure] = field(default_factory=list)
    notes: list[ClipNote] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """One line for people."""
        text = f"{self.stage}: {self.made} clips computed, {self.reused} found in the cache"
        if not self.made and not self.failures:
            text = f"{self.stage}: nothing to do, all {self.reused} clips are in the cache"
        if self.failures:
            text += f", {len(self.failures)} could not be read"
        return text


def content_digests(clips: Iterable[Clip], cache: FeatureCache) -> dict[str, str]:
    """Clip name -> digest of its file; absent files are left out."""
    chosen = list(clips)
    found = ContentDigests(cache.root / "digests.sqlite").of(clip.path for clip in chosen)
    return {clip.name: found[clip.path] for clip in chosen if clip.path in found}


def _why_not(path: Path) -> str:
    """Why a file has no digest."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        return "the file is missing"
    except (OSError, ValueError) as error:
        return reason_of(error)
    return "the file could not be read to its end"


def pending(
    stage: str, clips: Iterable[Clip], settings: Mapping[str, Any], cache: FeatureCache
) -> tuple[ExtractReport, list[tuple[Clip, str]]]:
    """A report with the clips that the cache holds and those that are missing, and the rest with their keys."""
    report = ExtractReport(stage)
    chosen = list(clips)
    digests = content_digests(chosen, cache)
    waiting = []
    for clip in chosen:
        if clip.name not in digests:
            report.failures.append(Failure(clip.name, stage, _why_not(clip.path)))
            continue
        key = cache_key(stage, digests[clip.name], settings)
        if cache.has(stage, key):
            report.keys[clip.name] = key
            report.reused += 1
        else:
            waiting.append((clip, key))
    return report, waiting


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """A CSV of the clips left out, or no file if there are none."""
    write_rows(path, ("clip", "stage", "reason"), [(f.name, f.stage, f.reason) for f in failures])
