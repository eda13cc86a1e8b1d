"""Extraction of motion into the cache, in parallel processes; it can be interrupted at any time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from mv_tools import MotionDecoder, NoMotionVectors, SourceChanged

from ..datasets import Clip
from ..datasets.clip import ClipJob
from ..datasets.clip_errors import CLIP_ERRORS, reason_of, stops_all
from ..datasets.clip_notes import keep_notes, notes_of
from ..datasets.content import content_of
from ..datasets.extraction import ExtractReport, Failure, Progress, pending, silent
from ..datasets.segments import SharedDecoders
from ..errors import CheckpointError, MoclipError
from ..parallel.runner import JobRunner, runner_of
from ..progress import size_in_words
from ..sampling import Segment
from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.content_digests import stamped_digest
from ..storage.stamps import Stamp, check_unchanged
from .packing import pack, unpack
from .read import MotionClip, read_motion_clip
from .settings import MotionSpec

__all__ = ["extract_motion", "load_motion"]

log = logging.getLogger("moclip.extract")
_SAMPLE: Final = 4  # clips per process that the size of all is estimated from
_LEAST_ENTRY: Final = 256  # bytes of a clip without motion; others may take a thousand times more


@dataclass(frozen=True)
class _Job(ClipJob):
    spec: MotionSpec
    cache: Path
    key: str
    stamp: Stamp


def extract_motion(
    clips: Sequence[Clip],
    spec: MotionSpec,
    cache: FeatureCache,
    *,
    workers: int | JobRunner = 0,
    progress: Progress = silent,
    announce: Callable[[str], None] = lambda text: None,
) -> ExtractReport:
    """Compute the motion tensor of each clip that is missing in the cache.

    Args:
        clips: of the data set.
        spec: how to read them.
        cache: to fill.
        workers: processes of this machine, 0 for one per core; or who else does it.
        progress: called with (stage, clips done, clips to do).
        announce: told the size of all entries, measured on a sample of the clips.

    Raises:
        MoclipError: the disk is full, or has less space than needed; finished clips are kept.
        OSError: a server of files at URLs refuses them all, or can't be reached; finished clips are kept.
        KeyboardInterrupt: finished clips are kept.
    """
    report, missing = pending("motion", clips, spec.key_settings(), cache)
    # File by file, so that a process opens each for all of its segments.
    missing.sort(key=lambda item: (item.clip.path, item.clip.segment or Segment(0, 0)))
    jobs = [_Job(clip, spec, cache.place, key, stamp) for clip, key, stamp in missing]
    runner = runner_of(workers)
    _check_space(len(jobs), _LEAST_ENTRY, cache)
    jobs, sampled = _sample_first(jobs, _SAMPLE * runner.processes)
    for done, (job, problem) in enumerate(runner.run(_extract_clip, jobs, folder=cache.shared_root), start=1):
        if problem is None:
            report.keys[job.name] = job.key
            report.made += 1
        else:
            report.failures.append(Failure(job.name, "motion", problem))
        progress("motion", done, len(jobs))
        if done == sampled and report.made:
            sizes = [cache.size("motion", other.key) for other in jobs if other.name in report.keys]
            mean = sum(sizes) / len(sizes)
            _check_space(len(jobs) - done, mean, cache)
            size = size_in_words(mean * len(jobs))
            announce(f"{len(jobs)} clips will take about {size} in {cache.shown} (measured on {done})")
    report.failures.sort(key=lambda failure: failure.name)
    cache.forget_list()
    report.notes = notes_of(cache, report.keys)
    return report


def _sample_first(jobs: list[_Job], count: int) -> tuple[list[_Job], int]:
    """The jobs, `count` spread over the list first, and how many these are; 0 of a list hardly longer."""
    if len(jobs) < 2 * count:
        return jobs, 0
    positions = {i * len(jobs) // count for i in range(count)}
    rest = [job for i, job in enumerate(jobs) if i not in positions]
    return [*(jobs[i] for i in sorted(positions)), *rest], count


def _check_space(clips: int, size: float, cache: FeatureCache) -> None:
    """Refuse to extract clips of so many bytes each where the disk has less space.

    Raises:
        MoclipError: it has.
    """
    needed, free = clips * size, cache.free_bytes()
    if needed > free:
        raise MoclipError(
            f"the motion of {clips} more clips takes about {size_in_words(needed)} and {cache.root} has "
            f"{size_in_words(free)} free; choose another cache with --cache, or a smaller motion.grid"
        )


def _extract_clip(job: _Job) -> str | None:
    """Write the motion of a clip into the cache; return the reason if it can't be read.

    Raises:
        OSError: a server of files at URLs refuses them all, or can't be reached.
    """
    try:
        clip = _read(job.path, job.spec, job.clip.segment)
        check_unchanged(job.path, job.stamp)
    except NoMotionVectors as error:
        return f"{reason_of(error)}, or a whole data set: moclip dataset prepare folder --root DIR --out OUT"
    except CLIP_ERRORS as error:
        if stops_all(error):
            raise
        return reason_of(error)
    cache = FeatureCache(job.cache)
    keep_notes(cache, job.key, clip.notes)
    cache.put("motion", job.key, pack(clip))
    return None


_DECODERS: Final[dict[str, SharedDecoders[MotionDecoder]]] = {}
"""Backend -> the files that this process read segments of last."""


def _read(path: Path, spec: MotionSpec, segment: Segment | None) -> MotionClip:
    """The motion of a clip."""
    if segment is None:
        return read_motion_clip(path, spec)
    if spec.backend not in _DECODERS:
        backend = spec.backend
        _DECODERS[backend] = SharedDecoders(
            lambda path: MotionDecoder(path, backend=backend, threads=1, on_damage="skip")
        )
    return read_motion_clip(_DECODERS[spec.backend].of(path), spec, segment)


def load_motion(
    path: Path, spec: MotionSpec, cache: FeatureCache, key: str, segment: Segment | None = None
) -> tuple[npt.NDArray[np.float16], bool]:
    """The motion of a file or segment, and whether it is empty; a missing or damaged entry is made anew.

    Raises:
        SourceChanged: the file is not the one that the entry is of, whose content the key names.
    """
    arrays = cache.get("motion", key)
    if arrays is not None:
        try:
            return unpack(arrays, spec)
        except CheckpointError as error:
            log.warning("the motion of %s is damaged in the cache and will be made again (%s)", path, error)
    arrays = pack(_read(path, spec, segment))
    if key != _key(path, spec, segment):
        raise SourceChanged(f"{path} was changed since its motion was read; run the command again")
    cache.put("motion", key, arrays)
    return unpack(arrays, spec)


def _key(path: Path, spec: MotionSpec, segment: Segment | None) -> str:
    """Key of the motion of a file as it is now."""
    return cache_key("motion", content_of(stamped_digest(path).digest, segment), spec.key_settings())
