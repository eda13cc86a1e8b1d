"""Filling the cache with appearance features: frames are read ahead while CLIP computes."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MotionDecoder, RgbDecoder

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..datasets.extraction import ExtractReport, Failure, Progress, pending, silent
from ..errors import CheckpointError
from ..sampling import frame_positions, reachable_positions
from ..storage.cache import FeatureCache
from ..storage.cache_keys import stage_versions
from ..storage.digest import digest_bytes, digest_file
from ..storage.files import cache_access, read_json, write_json
from .settings import AppearanceSettings
from .weights import description_digest

if TYPE_CHECKING:
    from torch import Tensor

    from .open_clip import AppearanceEncoder

__all__ = ["LazyEncoder", "extract_appearance", "read_clip_frames"]

_AHEAD: Final = 16


def read_clip_frames(
    source: Path | MotionDecoder | RgbDecoder, settings: AppearanceSettings
) -> npt.NDArray[np.uint8]:
    """The frames of one clip that CLIP sees, uint8 [frames, H, W, 3]; the last one repeats if need be.

    Args:
        source: the file, or a decoder of it, whose scan of the packets is shared.
        settings: which frames.

    Raises:
        mv_tools.MotionError: the file can't be read, or is cut short.
    """
    decoder = source if isinstance(source, RgbDecoder) else RgbDecoder(source)
    if settings.positions == "keyframes":
        pictures = mv_tools.read_keyframes(decoder, max_frames=settings.frames).frames
        return pictures[np.minimum(np.arange(settings.frames), len(pictures) - 1)]
    decoder.require_whole()
    usable = np.nonzero(~decoder.pictures.corrupt)[0]
    if not len(usable):
        raise mv_tools.MalformedStream(f"{decoder.name}: all pictures are damaged")
    if settings.positions == "uniform":
        chosen = usable[frame_positions(len(usable), settings.frames)]
    else:
        entry, before = decoder.preroll()
        chosen = usable[reachable_positions(entry[usable], before[usable], settings.frames)]
    return decoder.get_frames_at(chosen.tolist()).frames


class LazyEncoder:
    """An encoder that is loaded when the first picture needs it, and known by digest before that.

    The digest of a model's weights is remembered beside the cache, so that a run with nothing to
    compute does not load the model.
    """

    def __init__(
        self,
        settings: AppearanceSettings,
        seed: int,
        cache: FeatureCache,
        load: Callable[[], AppearanceEncoder],
    ) -> None:
        self._load = load
        self._encoder: AppearanceEncoder | None = None
        identity: list[Any] = [
            settings.model,
            settings.pretrained,
            seed,
            settings.weights_of,
            stage_versions("encoder"),
        ]
        local = Path(settings.pretrained).expanduser()
        if local.is_file():
            identity += [digest_file(local), description_digest(local)]
        name = digest_bytes([json.dumps(identity).encode()])
        self._root = cache.root
        self._note = self._root / "weights" / f"{name}.json"
        self._identity = identity

    @property
    def encoder(self) -> AppearanceEncoder:
        """The model, loaded on first use."""
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder

    @property
    def digest(self) -> str:
        """Digest of the weights."""
        return str(self._facts["digest"])

    @property
    def random(self) -> str:
        """What is random about the weights, for people; empty if nothing is."""
        return str(self._facts["random"])

    @property
    def cost(self) -> dict[str, Any]:
        """Parameters of the vision tower and GFLOPs for one frame."""
        return dict(self._facts["cost"])

    @cached_property
    def _facts(self) -> dict[str, Any]:
        try:
            note = read_json(self._note)
            if note["identity"] == self._identity:
                facts = {"digest": str(note["digest"]), "cost": dict(note["cost"])}
                return {**facts, "random": str(note["random"])}
        except (CheckpointError, KeyError, TypeError, ValueError):
            pass  # not there yet, or damaged: made anew below
        random = self.encoder.describe() if self.encoder.random else ""
        facts = {"digest": self.encoder.weights_digest, "cost": self.encoder.frame_cost(), "random": random}
        with cache_access(self._root):
            write_json(self._note, {"identity": self._identity, **facts})
        return facts


def extract_appearance(
    clips: Sequence[Clip],
    settings: AppearanceSettings,
    encoder: LazyEncoder,
    cache: FeatureCache,
    *,
    workers: int = 2,
    progress: Progress = silent,
) -> ExtractReport:
    """Compute the features of each clip that the cache does not hold.

    Raises:
        MoclipError: the disk is full; what was finished is kept.
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
            # Clip by clip: in a batch with others the last bits would depend on which others are still to do.
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
    """(clip, key, pictures ready for the model, or why they can't be had), in order."""
    if not waiting:
        return
    model = encoder.encoder

    def prepare(clip: Clip) -> Tensor | str:
        try:
            return model.prepare(read_clip_frames(clip.path, settings))
        except Exception as error:
            return problem_of(clip.name, error)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        upcoming: deque[tuple[Clip, str, Future[Tensor | str]]] = deque()
        queue = iter(waiting)
        try:
            for clip, key in queue:
                upcoming.append((clip, key, pool.submit(prepare, clip)))
                if len(upcoming) >= _AHEAD + workers:
                    first, first_key, future = upcoming.popleft()
                    yield first, first_key, future.result()
            while upcoming:
                first, first_key, future = upcoming.popleft()
                yield first, first_key, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
