"""Extraction of appearance features into the cache; frames are read ahead while the encoder computes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from mv_tools import RgbDecoder

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..datasets.extraction import ExtractReport, Failure, Progress, pending, silent
from ..datasets.segments import SharedDecoders
from ..sampling import Segment
from ..storage.cache import FeatureCache
from .encoder import LazyEncoder
from .frames import read_clip_frames
from .settings import AppearanceSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
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
    workers: int = 2,
    progress: Progress = silent,
) -> ExtractReport:
    """Compute the features of each clip that is missing in the cache.

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
    }
    report, waiting = pending("clip", clips, key_settings, cache)
    for done, (clip, key, prepared) in enumerate(_prepared(waiting, settings, encoder, workers), start=1):
        if isinstance(prepared, str):
            report.failures.append(Failure(clip.name, "clip", prepared))
        else:
            # One clip at a time: in a batch the last bits of a result would depend on the other clips.
            cache.put("clip", key, {"features": encoder.encoder.encode_prepared(prepared)})
            report.keys[clip.name] = key
            report.made += 1
        progress("clip", done, len(waiting))
    report.failures.sort(key=lambda failure: failure.name)
    report.seconds = time.perf_counter() - started
    return report


def _prepared(
    waiting: Sequence[tuple[Clip, str]], settings: AppearanceSettings, encoder: LazyEncoder, workers: int
) -> Iterator[tuple[Clip, str, Tensor | str]]:
    """(clip, key, preprocessed pictures or the reason of a failure), in order; clips are read ahead by threads.

    The model is loaded once a clip could be read: broken clips are tried again in every run.
    """
    # File by file, so that each is opened for all of its segments.
    remaining = iter(sorted(waiting, key=lambda item: (item[0].path, item[0].segment or Segment(0, 0))))
    decoders = SharedDecoders(RgbDecoder)
    for clip, key in remaining:
        pictures = _attempt(clip, lambda clip: _read_frames(clip, settings, decoders))
        if not isinstance(pictures, str):
            break
        yield clip, key, pictures
    else:
        return
    model = encoder.encoder
    yield clip, key, _attempt(clip, lambda _: model.prepare(pictures))

    def prepare(clip: Clip) -> Tensor | str:
        return _attempt(clip, lambda clip: model.prepare(_read_frames(clip, settings, decoders)))

    with ThreadPoolExecutor(max(1, workers)) as pool:
        reading: deque[tuple[Clip, str, Future[Tensor | str]]] = deque()
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


def _read_frames(
    clip: Clip, settings: AppearanceSettings, decoders: SharedDecoders[RgbDecoder]
) -> npt.NDArray[np.uint8]:
    if clip.segment is None:
        return read_clip_frames(clip.path, settings)
    return read_clip_frames(decoders.of(clip.path), settings, clip.segment)


def _attempt(clip: Clip, action: Callable[[Clip], Result]) -> Result | str:
    """The result of an action on one clip, or the reason of its failure."""
    try:
        return action(clip)
    except Exception as error:
        return problem_of(clip.name, error)
