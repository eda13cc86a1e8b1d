"""Extraction of appearance features into the cache; frames are read ahead while the encoder computes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from mv_tools import RgbDecoder

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..datasets.clip_notes import keep_notes, notes_of
from ..datasets.extraction import ExtractReport, Failure, Progress, pending, silent
from ..datasets.segments import SharedDecoders
from ..errors import CheckpointError
from ..motion.extract import load_motion
from ..motion.read import MotionClip
from ..motion.settings import MotionSpec
from ..sampling import Segment
from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from .encoder import LazyEncoder
from .frames import ClipFrames, energy_of, read_frames
from .motion_energy import MotionEnergy
from .settings import AppearanceSettings

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ClipMotion", "extract_appearance"]

Result = TypeVar("Result")

_READ_AHEAD: Final = 16  # clips


def extract_appearance(
    clips: Sequence[Clip],
    settings: AppearanceSettings,
    encoder: LazyEncoder,
    cache: FeatureCache,
    *,
    motion: ClipMotion | None = None,
    workers: int = 2,
    progress: Progress = silent,
) -> ExtractReport:
    """Compute the features of each clip that is missing in the cache.

    An entry holds `features` float32 [frames, D], and `times` and `weights` float32 [frames] of
    :class:`moclip_lite.appearance.pooling.FrameFacts`.

    Args:
        clips: the clips.
        settings: of the encoder and the frames.
        encoder: loaded when it is needed.
        cache: where features are kept.
        motion: where the motion of clips is kept, if the settings need it.
        workers: threads that read frames.
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
    read = FrameReader(settings, motion)
    for done, (clip, key, prepared) in enumerate(_prepared(waiting, read, encoder, workers), start=1):
        if isinstance(prepared, str):
            report.failures.append(Failure(clip.name, "clip", prepared))
        else:
            # One clip at a time: in a batch the last bits of a result would depend on the other clips.
            pictures, frames = prepared
            facts = {"times": frames.facts.times, "weights": frames.facts.weights}
            keep_notes(cache, key, frames.notes)
            cache.put("clip", key, {"features": encoder.encoder.encode_prepared(pictures), **facts})
            report.keys[clip.name] = key
            report.made += 1
        progress("clip", done, len(waiting))
    report.failures.sort(key=lambda failure: failure.name)
    if settings.needs_motion:
        report.notes = notes_of(cache, report.keys)
    report.seconds = time.perf_counter() - started
    return report


@dataclass(frozen=True)
class ClipMotion:
    """Motion of clips in the cache.

    Attributes:
        cache: holds it.
        keys: clip name -> key, for the clips that have motion vectors.
        spec: how it was read.
    """

    cache: FeatureCache
    keys: Mapping[str, str]
    spec: MotionSpec

    def energy(self, clip: Clip) -> MotionEnergy | None:
        """Energy of a clip's motion; None where it has none."""
        key = self.keys.get(clip.name)
        if key is None:
            return None
        motion, empty = load_motion(clip.path, self.spec, self.cache, key, clip.segment)
        arrays = self.cache.get("motion", key)
        if arrays is None:
            raise CheckpointError(f"the motion of {clip.name} can't be kept in the cache")
        return energy_of(MotionClip(motion, arrays["indices"].astype(np.int64), empty, ""), self.spec)


class FrameReader:
    """Reads the frames of clips; each file is opened once for all of its segments.

    Args:
        settings: of the frames.
        motion: of the clips, where the settings need it.
    """

    def __init__(self, settings: AppearanceSettings, motion: ClipMotion | None) -> None:
        self._settings, self._motion = settings, motion
        self._decoders = SharedDecoders(RgbDecoder)

    def __call__(self, clip: Clip) -> ClipFrames:
        """Read the frames of a clip."""
        energy = None if self._motion is None else self._motion.energy(clip)
        source = clip.path if clip.segment is None else self._decoders.of(clip.path)
        return read_frames(source, self._settings, clip.segment, energy)


def _prepared(
    waiting: Sequence[tuple[Clip, str]], read: FrameReader, encoder: LazyEncoder, workers: int
) -> Iterator[tuple[Clip, str, tuple[Tensor, ClipFrames] | str]]:
    """(clip, key, preprocessed pictures and frames or the reason of a failure), in order; read ahead by threads.

    The model is loaded once a clip could be read: broken clips are tried again in every run.
    """
    # File by file, so that each is opened for all of its segments.
    remaining = iter(sorted(waiting, key=lambda item: (item[0].path, item[0].segment or Segment(0, 0))))
    for clip, key in remaining:
        frames = _attempt(clip, read)
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

    def prepare(clip: Clip) -> tuple[Tensor, ClipFrames] | str:
        return _attempt(clip, lambda clip: prepared(read(clip)))

    with ThreadPoolExecutor(max(1, workers)) as pool:
        reading: deque[tuple[Clip, str, Future[tuple[Tensor, ClipFrames] | str]]] = deque()
        try:
            for clip, key in remaining:
                reading.append((clip, key, pool.submit(prepare, clip)))
                if len(reading) >= _READ_AHEAD + workers:
                    first, first_key, future = reading.popleft()
                    yield first, first_key, future.result()
            for first, first_key, future in reading:
                yield first, first_key, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _attempt(clip: Clip, action: Callable[[Clip], Result]) -> Result | str:
    """The result of an action on one clip, or the reason of its failure."""
    try:
        return action(clip)
    except Exception as error:
        return problem_of(clip.name, error)
