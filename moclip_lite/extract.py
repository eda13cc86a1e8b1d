"""Filling the cache with the motion of a data set, in parallel, so that it can be interrupted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .cache import FeatureCache
from .cache_keys import cache_key
from .clip_notes import ClipNote, keep_notes, notes_of
from .clips import MotionSpec, read_motion_clip
from .datasets import Clip
from .digest import ContentDigests
from .errors import CheckpointError, MoclipError
from .packing import pack, unpack
from .parallel import default_workers, run_jobs
from .problems import CLIP_ERRORS, problem_of, reason_of
from .storage import write_rows

__all__ = [
    "CLIP_ERRORS",
    "ExtractReport",
    "Failure",
    "Progress",
    "content_digests",
    "extract_motion",
    "load_motion",
    "pending",
    "problem_of",
    "reason_of",
    "silent",
    "write_failures",
]

log = logging.getLogger("moclip.extract")
_ROUNDS: Final = 4  # clips per process that the second estimate is made from
_BYTES_PER_VALUE: Final = 0.5  # of packed motion; 0.2 to 0.8 on UCF101's clips

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


def extract_motion(
    clips: Sequence[Clip],
    spec: MotionSpec,
    cache: FeatureCache,
    *,
    workers: int = 0,
    progress: Progress = silent,
    announce: Callable[[str], None] = lambda text: None,
) -> ExtractReport:
    """Compute the motion tensor of each clip that the cache does not hold.

    `announce` is told what that will take: before the start what is usual, and after a few clips
    spread over the data set what was measured on them.

    Raises:
        MoclipError: the disk is full, or has less room than will be needed; what was finished is kept.
        KeyboardInterrupt: likewise kept.
    """
    report, absent = pending("motion", clips, spec.settings(), cache)
    waiting = [_Job(clip.name, clip.path, spec, cache.root, key) for clip, key in absent]
    processes = default_workers(workers)
    if waiting:
        typical = spec.segments * spec.frames * 2 * spec.grid[0] * spec.grid[1] * _BYTES_PER_VALUE + 1000
        announce(_forecast(len(waiting), typical, cache))
    sample, rest = _divide(waiting, _ROUNDS * processes)
    done = 0
    for jobs in (sample, rest):
        ended = []
        for job, problem in run_jobs(_work, jobs, processes):
            ended.append(time.perf_counter())
            if problem is None:
                report.keys[job.name] = job.key
                report.made += 1
            else:
                report.failures.append(Failure(job.name, "motion", problem))
            done += 1
            progress("motion", done, len(waiting))
        sizes = [cache.size("motion", job.key) for job in jobs if job.name in report.keys]
        if jobs is sample and sizes:
            # The first of each process also start it.
            rate = (len(ended) - processes) / max(ended[-1] - ended[processes - 1], 1e-6)
            words = _forecast(len(rest), sum(sizes) / len(sizes), cache)
            announce(f"measured on {len(jobs)} clips, the other {words}, {_wait(len(rest) / rate)}")
    report.failures.sort(key=lambda failure: failure.name)
    report.notes = notes_of(cache, report.keys)
    return report


def _divide(jobs: list[_Job], count: int) -> tuple[list[_Job], list[_Job]]:
    """`count` jobs spread over the list, and the others; none of a list that is hardly longer."""
    if len(jobs) < 2 * count:
        return [], jobs
    chosen = {i * len(jobs) // count for i in range(count)}
    return [jobs[i] for i in sorted(chosen)], [job for i, job in enumerate(jobs) if i not in chosen]


def _forecast(clips: int, size: float, cache: FeatureCache) -> str:
    """What so many clips of so many bytes take, in words.

    Raises:
        MoclipError: the disk has less room than that.
    """
    need, free = clips * size, cache.free_bytes()
    if need > free:
        raise MoclipError(
            f"the motion of {clips} clips takes about {_volume(need)} and {cache.root} has "
            f"{_volume(free)} free; choose another cache with --cache, or a smaller motion.grid"
        )
    return f"{clips} clips take about {_volume(need)} ({_volume(size)} a clip) in {cache.root}"


def _volume(size: float) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e3:.1f} kB"


def _wait(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{max(1, round(seconds))} s"


@dataclass(frozen=True)
class _Job:
    name: str
    path: Path
    spec: MotionSpec
    cache_root: Path
    key: str


def load_motion(
    path: Path, spec: MotionSpec, cache: FeatureCache, key: str
) -> tuple[npt.NDArray[np.float16], bool]:
    """A clip's motion and whether it is empty; an absent or damaged entry is made again."""
    arrays = cache.get("motion", key)
    if arrays is not None:
        try:
            return unpack(arrays, spec)
        except CheckpointError as error:
            log.warning("the motion of %s is damaged in the cache and will be made again (%s)", path, error)
    arrays = pack(read_motion_clip(path, spec))
    cache.put("motion", key, arrays)
    return unpack(arrays, spec)


def _work(job: _Job) -> str | None:
    """None, or why the clip can't be read."""
    try:
        clip = read_motion_clip(job.path, job.spec)
    except CLIP_ERRORS as error:
        return reason_of(error)
    cache = FeatureCache(job.cache_root)
    keep_notes(cache, job.key, clip.notes)
    cache.put("motion", job.key, pack(clip))
    return None


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """A CSV of the clips left out, or no file if there are none."""
    write_rows(path, ("clip", "stage", "reason"), [(f.name, f.stage, f.reason) for f in failures])
