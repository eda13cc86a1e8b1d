"""Parts shared by the extractors of both streams: which clips are missing in the cache, and the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mv_tools.remote import RemoteFile
from mv_tools.urls import is_url, spelled

from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.content_digests import ContentDigests, Stamped
from ..storage.files import write_rows
from ..storage.stamps import Stamp
from . import Clip
from .clip_errors import reason_of, stops_all
from .clip_notes import ClipNote
from .content import content_of

__all__ = [
    "ExtractReport",
    "Failure",
    "Progress",
    "Waiting",
    "content_digests",
    "pending",
    "silent",
    "stamped_contents",
    "write_failures",
]


Progress = Callable[[str, int, int], None]
"""Called with (stage, clips done, clips to do)."""


def silent(stage: str, done: int, total: int) -> None:
    """Report no progress."""


@dataclass(frozen=True)
class Failure:
    """A clip that could not be read."""

    name: str
    stage: str
    reason: str


@dataclass
class ExtractReport:
    """Result of an extraction.

    Attributes:
        stage: such as "motion".
        keys: clip name -> cache key, for the clips that the cache holds now.
        made: clips computed.
        reused: clips that the cache held before.
        failures: clips left out, with the reason.
        notes: on what is left out, guessed or damaged in the other clips.
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
        """One line for the user."""
        text = f"{self.stage}: {self.made} clips computed, {self.reused} found in the cache"
        if not self.made and not self.failures:
            text = f"{self.stage}: nothing to do, all {self.reused} clips are in the cache"
        if self.failures:
            text += f", {len(self.failures)} could not be read"
        return text


def content_digests(clips: Iterable[Clip], cache: FeatureCache) -> dict[str, str]:
    """Clip name -> its content, see :func:`content_of`; unreadable files are left out.

    Raises:
        OSError: a server of files at URLs refuses them all, or can't be reached.
    """
    return {name: known.digest for name, known in stamped_contents(clips, cache).items()}


def stamped_contents(clips: Iterable[Clip], cache: FeatureCache) -> dict[str, Stamped]:
    """As :func:`content_digests`, with the stamps of the files, for those who keep what they read later."""
    listed = list(clips)
    place = cache.root / "digests.sqlite"
    known = ContentDigests(place).stamped(dict.fromkeys(clip.path for clip in listed))
    return {
        clip.name: Stamped(content_of(known[clip.path].digest, clip.segment), known[clip.path].stamp)
        for clip in listed
        if clip.path in known
    }


def _unreadable_reason(path: Path) -> str:
    """Why a file has no digest.

    Raises:
        OSError: a server of files at URLs refuses them all, or can't be reached.
    """
    try:
        if is_url(path):
            RemoteFile(spelled(path))
            return "was changed while it was read; run the command again"
        with path.open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        if stops_all(error):
            raise
        if isinstance(error, FileNotFoundError) and not is_url(path):
            return "the file is missing"
        return reason_of(error)
    return "the file could not be read to its end"


class Waiting(NamedTuple):
    """A clip to compute, the key of its entry, and the stamp that its file must still have then."""

    clip: Clip
    key: str
    stamp: Stamp


def pending(
    stage: str, clips: Iterable[Clip], settings: Mapping[str, Any], cache: FeatureCache
) -> tuple[ExtractReport, list[Waiting]]:
    """A report on clips that the cache holds or that can't be read, and the other clips."""
    report = ExtractReport(stage)
    listed = list(clips)
    contents = stamped_contents(listed, cache)
    waiting = []
    for clip in listed:
        if clip.name not in contents:
            report.failures.append(Failure(clip.name, stage, _unreadable_reason(clip.path)))
            continue
        key = cache_key(stage, contents[clip.name].digest, settings)
        if cache.has(stage, key):
            report.keys[clip.name] = key
            report.reused += 1
        else:
            waiting.append(Waiting(clip, key, contents[clip.name].stamp))
    return report, waiting


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Write the clips left out as CSV; no file if there are none."""
    write_rows(path, ("clip", "stage", "reason"), [(f.name, f.stage, f.reason) for f in failures])
