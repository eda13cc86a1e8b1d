"""Filling the cache with the motion of a data set, in parallel, so that it can be interrupted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av.error
import numpy as np

from mv_tools import MotionError

from .cache import Arrays, FeatureCache, cache_key
from .clips import MotionSpec, read_motion_clip
from .datasets import Clip
from .digest import ContentDigests
from .errors import MoclipError
from .parallel import default_workers, run_jobs
from .storage import write_text

__all__ = [
    "CLIP_ERRORS",
    "ExtractReport",
    "Failure",
    "Progress",
    "check_disk",
    "compute_motion",
    "content_digests",
    "extract_motion",
    "motion_bytes",
    "pending",
    "reason_of",
    "silent",
    "write_failures",
]

CLIP_ERRORS: Final = (MotionError, OSError, av.error.FFmpegError, ValueError)
"""What a broken clip raises; anything else is a fault of ours and is not caught."""

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
        seconds: wall time.
    """

    stage: str
    keys: dict[str, str] = field(default_factory=dict)
    made: int = 0
    reused: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    def summary(self) -> str:
        """One line for people."""
        text = f"{self.stage}: {self.made} clips computed, {self.reused} found in the cache"
        if not self.made and not self.failures:
            text = f"{self.stage}: nothing to do, all {self.reused} clips are in the cache"
        if self.failures:
            text += f", {len(self.failures)} could not be read"
        return text


def reason_of(error: BaseException) -> str:
    """An error as one line."""
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text or type(error).__name__


def motion_bytes(spec: MotionSpec, clips: int) -> int:
    """What the motion of so many clips takes in the cache."""
    segments, frames, channels, rows, columns = spec.shape
    return clips * (2 * segments * frames * channels * rows * columns + 8 * segments * frames + 512)


def content_digests(clips: Iterable[Clip], cache: FeatureCache) -> dict[str, str]:
    """Clip name -> digest of its file; absent files are left out."""
    chosen = list(clips)
    found = ContentDigests(cache.root / "digests.sqlite").of(clip.path for clip in chosen)
    return {clip.name: found[clip.path] for clip in chosen if clip.path in found}


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
            report.failures.append(Failure(clip.name, stage, "the file is missing"))
            continue
        key = cache_key(stage, digests[clip.name], settings)
        if cache.has(stage, key):
            report.keys[clip.name] = key
            report.reused += 1
        else:
            waiting.append((clip, key))
    return report, waiting


def extract_motion(
    clips: Sequence[Clip],
    spec: MotionSpec,
    cache: FeatureCache,
    *,
    workers: int = 0,
    progress: Progress = silent,
) -> ExtractReport:
    """Compute the motion tensor of each clip that the cache does not hold.

    Raises:
        MoclipError: the disk is full; what was finished is kept.
        KeyboardInterrupt: likewise kept.
    """
    report, absent = pending("motion", clips, spec.settings(), cache)
    waiting = [_Job(clip.name, clip.path, spec, cache.root, key) for clip, key in absent]
    for done, (job, problem) in enumerate(run_jobs(_work, waiting, default_workers(workers)), start=1):
        if problem is None:
            report.keys[job.name] = job.key
            report.made += 1
        else:
            report.failures.append(Failure(job.name, "motion", problem))
        progress("motion", done, len(waiting))
    report.failures.sort(key=lambda failure: failure.name)
    return report


@dataclass(frozen=True)
class _Job:
    name: str
    path: Path
    spec: MotionSpec
    cache_root: Path
    key: str


def compute_motion(path: Path, spec: MotionSpec) -> Arrays:
    """The arrays of a cache entry of stage "motion"."""
    clip = read_motion_clip(path, spec)
    return {"motion": clip.motion, "indices": clip.indices, "empty": np.array([clip.empty], np.uint8)}


def _work(job: _Job) -> str | None:
    """None, or why the clip can't be read."""
    try:
        arrays = compute_motion(job.path, job.spec)
    except CLIP_ERRORS as error:
        return reason_of(error)
    FeatureCache(job.cache_root).put("motion", job.key, arrays)
    return None


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """A CSV of the clips left out, or no file if there are none."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "stage", "reason"])
    writer.writerows([f.name, f.stage, f.reason] for f in failures)
    write_text(path, text.getvalue())


def check_disk(spec: MotionSpec, clips: int, cache: FeatureCache) -> str:
    """What extraction will take, in words.

    Raises:
        MoclipError: the disk has less room than that.
    """
    need, free = motion_bytes(spec, clips), cache.free_bytes()
    if need > free:
        raise MoclipError(
            f"the motion of {clips} clips takes about {need / 1e9:.1f} GB and {cache.root} has "
            f"{free / 1e9:.1f} GB free; choose another cache with --cache, or a smaller motion.grid"
        )
    return f"{clips} clips take about {need / 1e6:.0f} MB in {cache.root}"
