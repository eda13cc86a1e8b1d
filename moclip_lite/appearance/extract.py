"""Extraction of appearance features into the cache; frames are read ahead while the encoder computes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..datasets.clip_notes import notes_of
from ..datasets.extraction import ExtractReport, Failure, Progress, Waiting, pending, silent
from ..parallel.runner import JobRunner, runner_of
from ..sampling import Segment
from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.stamps import Stamp, check_unchanged
from .encoder import LazyEncoder
from .frame_reader import ClipMotion, FrameReader
from .frames import ClipFrames
from .keep import keep_features
from .remote import ANY_DEVICE, EncodeJob, RemoteModel, WorkerDevice, encode_clip
from .settings import AppearanceSettings

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["extract_appearance"]

Result = TypeVar("Result")

_READ_AHEAD: Final = 16  # clips


def extract_appearance(
    clips: Sequence[Clip],
    settings: AppearanceSettings,
    encoder: LazyEncoder,
    cache: FeatureCache,
    *,
    motion: ClipMotion | None = None,
    workers: int | JobRunner = 2,
    device: WorkerDevice = ANY_DEVICE,
    progress: Progress = silent,
) -> ExtractReport:
    """Compute the features of each clip that is missing in the cache.

    An entry holds `features` float32 [frames, D], and `times` and `weights` float32 [frames]
    of :class:`moclip_lite.appearance.pooling.FrameFacts`.

    Args:
        clips: the clips.
        settings: of the encoder and the frames.
        encoder: loaded when it is needed.
        cache: where features are kept.
        motion: where the motion of clips is kept, if the settings need it.
        workers: threads that read frames; or who else reads and encodes.
        device: what other machines compute on.
        progress: called after each clip.

    Raises:
        MoclipError: the disk is full; finished clips are kept.
        WeightsUnavailable, CheckpointError: the model can't be loaded.
    """
    started = time.perf_counter()
    key_settings = {
        "model": settings.model,
        "weights": encoder.digest,
        "frames": settings.frames,
        "positions": settings.positions,
        "crop_borders": settings.crop_borders,
        "motion": None if motion is None else cache_key("motion", "", motion.spec.key_settings()),
    }
    report, waiting = pending("clip", clips, key_settings, cache)
    # File by file, so that each is opened for all of its segments.
    waiting.sort(key=lambda item: (item.clip.path, item.clip.segment or Segment(0, 0)))
    runner = runner_of(workers)
    if runner.remote:
        outcomes = _encode_remotely(waiting, settings, encoder, cache, motion, (runner, device))
    else:
        outcomes = _encode_here(waiting, FrameReader(settings, motion), encoder, cache, runner.processes)
    for done, (clip, key, problem) in enumerate(outcomes, start=1):
        if problem is not None:
            report.failures.append(Failure(clip.name, "clip", problem))
        else:
            report.keys[clip.name] = key
            report.made += 1
        progress("clip", done, len(waiting))
    report.failures.sort(key=lambda failure: failure.name)
    cache.forget_list()
    if settings.needs_motion:
        report.notes = notes_of(cache, report.keys)
    report.seconds = time.perf_counter() - started
    return report


def _encode_here(
    waiting: Sequence[Waiting], read: FrameReader, encoder: LazyEncoder, cache: FeatureCache, threads: int
) -> Iterator[tuple[Clip, str, str | None]]:
    """(clip, key, why it has no features) in order."""
    for clip, key, prepared in _prepared(waiting, read, encoder, threads):
        if isinstance(prepared, str):
            yield clip, key, prepared
        else:
            keep_features(cache, key, encoder.encoder, *prepared)
            yield clip, key, None


def _encode_remotely(
    waiting: Sequence[Waiting],
    settings: AppearanceSettings,
    encoder: LazyEncoder,
    cache: FeatureCache,
    motion: ClipMotion | None,
    workers: tuple[JobRunner, WorkerDevice],
) -> Iterator[tuple[Clip, str, str | None]]:
    """(clip, key, why it has no features) as they come; each worker loads the model once."""
    if not waiting:
        return
    runner, device = workers
    device = replace(device, threads=device.cores)
    model = RemoteModel(settings, encoder.seed, encoder.digest, device, cache.place)
    jobs = [
        EncodeJob(clip, key, model, None if motion is None else motion.of(clip), stamp)
        for clip, key, stamp in waiting
    ]
    done = runner.run(
        encode_clip, jobs, folder=cache.shared_root, cores=device.threads, gpu=device.device != "cpu"
    )
    for job, problem in done:
        yield job.clip, job.key, problem


def _prepared(
    waiting: Sequence[Waiting], read: FrameReader, encoder: LazyEncoder, workers: int
) -> Iterator[tuple[Clip, str, tuple[Tensor, ClipFrames] | str]]:
    """(clip, key, preprocessed pictures and frames or why there are none), in order; threads read ahead.

    The model is loaded once a clip could be read: broken clips are tried again in every run.
    """
    remaining = iter(waiting)
    for clip, key, stamp in remaining:
        frames = _attempt(clip, partial(_whole, read, stamp))
        if not isinstance(frames, str):
            break
        yield clip, key, frames
    else:
        return
    model = encoder.encoder

    def prepared(frames: ClipFrames) -> tuple[Tensor, ClipFrames]:
        # The pictures are not needed again: up to some tens of clips wait here.
        return model.prepare(frames.pictures), replace(frames, pictures=frames.pictures[:0])

    yield clip, key, _attempt(clip, lambda _: prepared(frames))

    def prepare(clip: Clip, stamp: Stamp) -> tuple[Tensor, ClipFrames] | str:
        return _attempt(clip, lambda clip: prepared(_whole(read, stamp, clip)))

    with ThreadPoolExecutor(max(1, workers)) as pool:
        reading: deque[tuple[Clip, str, Future[tuple[Tensor, ClipFrames] | str]]] = deque()
        try:
            for clip, key, stamp in remaining:
                reading.append((clip, key, pool.submit(prepare, clip, stamp)))
                if len(reading) >= _READ_AHEAD + workers:
                    first, first_key, future = reading.popleft()
                    yield first, first_key, future.result()
            for first, first_key, future in reading:
                yield first, first_key, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _whole(read: FrameReader, stamp: Stamp, clip: Clip) -> ClipFrames:
    """The frames of a clip, of the file whose digest was taken."""
    frames = read(clip)
    check_unchanged(clip.path, stamp)
    return frames


def _attempt(clip: Clip, action: Callable[[Clip], Result]) -> Result | str:
    """The result of an action on one clip, or the reason of its failure."""
    try:
        return action(clip)
    except Exception as error:
        return problem_of(clip.name, error)
