"""Filling the cache with the motion of a data set, in parallel, so that it can be interrupted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..datasets.clip_errors import CLIP_ERRORS, reason_of
from ..datasets.clip_notes import keep_notes, notes_of
from ..datasets.extraction import ExtractReport, Failure, Progress, pending, silent
from ..errors import CheckpointError, MoclipError
from ..parallel.pool import default_workers, run_jobs
from ..storage.cache import FeatureCache
from .packing import pack, unpack
from .read import read_motion_clip
from .settings import MotionSpec

__all__ = ["extract_motion", "load_motion"]

log = logging.getLogger("moclip.extract")
_ROUNDS: Final = 4  # clips per process that the second estimate is made from
_BYTES_PER_VALUE: Final = 0.5  # of packed motion; 0.2 to 0.8 on UCF101's clips


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
    report, absent = pending("motion", clips, spec.key_settings(), cache)
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
