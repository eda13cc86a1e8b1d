"""Filling the cache with appearance features: frames are read ahead while CLIP computes."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

import mv_tools
from mv_tools import MotionDecoder, RgbDecoder

from .cache import FeatureCache
from .datasets import Clip
from .digest import digest_bytes, digest_file
from .errors import CheckpointError
from .extract import ExtractReport, Failure, Progress, pending, reason_of, silent
from .sampling import Positions, frame_positions, reachable_positions
from .storage import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from .appearance import AppearanceEncoder

__all__ = ["AppearanceSpec", "LazyEncoder", "extract_appearance", "read_clip_frames"]

_AHEAD: Final = 16
_BATCH: Final = 16  # pictures in one pass


@dataclass(frozen=True, kw_only=True)
class AppearanceSpec:
    """What appearance features are made from. Every field changes the result.

    Attributes:
        model, pretrained, seed: see :class:`moclip_lite.appearance.AppearanceEncoder`.
        frames: pictures per clip.
        positions: "uniform" for midpoints of equal parts; "reachable" for the keyframe nearest to each
            of them, or what is quickest to decode where a part has none
            (:func:`moclip_lite.sampling.reachable_positions`); "keyframes" for keyframes wherever
            they stand.
    """

    model: str
    pretrained: str
    seed: int = 0
    frames: int = 4
    positions: Positions = "reachable"


def read_clip_frames(source: Path | MotionDecoder, spec: AppearanceSpec) -> npt.NDArray[np.uint8]:
    """The frames of one clip that CLIP sees, uint8 [frames, H, W, 3]; the last one repeats if need be.

    Args:
        source: the file, or a MotionDecoder of it, whose scan of the packets is shared.
        spec: which frames.

    Raises:
        mv_tools.MotionError: the file can't be read, or is cut short.
    """
    decoder = RgbDecoder(source)
    if spec.positions == "keyframes":
        pictures = mv_tools.read_keyframes(decoder, max_frames=spec.frames).frames
        return pictures[np.minimum(np.arange(spec.frames), len(pictures) - 1)]
    decoder.require_whole()
    if spec.positions == "uniform":
        chosen = frame_positions(len(decoder), spec.frames)
    else:
        chosen = reachable_positions(*decoder.preroll(), spec.frames)
    return decoder.get_frames_at(chosen.tolist()).frames


class LazyEncoder:
    """An encoder that is loaded when the first picture needs it, and known by digest before that.

    The digest of a model's weights is remembered beside the cache, so that a run with nothing to
    compute does not load the model.
    """

    def __init__(
        self, spec: AppearanceSpec, cache: FeatureCache, load: Callable[[], AppearanceEncoder]
    ) -> None:
        self._load = load
        self._encoder: AppearanceEncoder | None = None
        identity: list[Any] = [spec.model, spec.pretrained, spec.seed, version("open_clip_torch")]
        local = Path(spec.pretrained)
        if local.is_file():
            identity.append(digest_file(local))
        name = digest_bytes([json.dumps(identity).encode()])
        self._note = cache.root / "weights" / f"{name}.json"
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
    def cost(self) -> dict[str, Any]:
        """Parameters of the vision tower and GFLOPs for one frame."""
        return dict(self._facts["cost"])

    @cached_property
    def _facts(self) -> dict[str, Any]:
        try:
            note = read_json(self._note)
            if note["identity"] == self._identity:
                return {"digest": str(note["digest"]), "cost": dict(note["cost"])}
        except (CheckpointError, KeyError, TypeError, ValueError):
            pass  # not there yet, or damaged: made anew below
        facts = {"digest": self.encoder.weights_digest, "cost": self.encoder.frame_cost()}
        write_json(self._note, {"identity": self._identity, **facts})
        return facts


def extract_appearance(
    clips: Sequence[Clip],
    spec: AppearanceSpec,
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
    settings = {
        "model": spec.model,
        "weights": encoder.digest,
        "frames": spec.frames,
        "positions": spec.positions,
    }
    report, waiting = pending("clip", clips, settings, cache)
    group: list[tuple[Clip, str, Tensor]] = []
    for done, (clip, key, prepared) in enumerate(_prepared(waiting, spec, encoder, workers), start=1):
        if isinstance(prepared, str):
            report.failures.append(Failure(clip.name, "clip", prepared))
        else:
            group.append((clip, key, prepared))
        if len(group) * spec.frames >= _BATCH or done == len(waiting):
            _encode(group, encoder, cache, report)
            group = []
            progress("clip", done, len(waiting))
    report.failures.sort(key=lambda failure: failure.name)
    report.seconds = time.perf_counter() - started
    return report


def _encode(
    group: Sequence[tuple[Clip, str, Tensor]],
    encoder: LazyEncoder,
    cache: FeatureCache,
    report: ExtractReport,
) -> None:
    """Features of several clips in one pass."""
    if not group:
        return
    import torch

    features = encoder.encoder.encode_prepared(torch.cat([pictures for _, _, pictures in group]))
    parts = np.split(features, len(group))
    for (clip, key, _), part in zip(group, parts, strict=True):
        cache.put("clip", key, {"features": part})
        report.keys[clip.name] = key
        report.made += 1


def _prepared(
    waiting: Sequence[tuple[Clip, str]], spec: AppearanceSpec, encoder: LazyEncoder, workers: int
) -> Iterator[tuple[Clip, str, Tensor | str]]:
    """(clip, key, pictures ready for the model, or why they can't be had), in order."""
    if not waiting:
        return
    model = encoder.encoder

    def prepare(clip: Clip) -> Tensor | str:
        try:
            return model.prepare(read_clip_frames(clip.path, spec))
        except Exception as error:
            return reason_of(error)

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
