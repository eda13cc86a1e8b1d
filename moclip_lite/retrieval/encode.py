"""Vectors of a video's windows, through the cache; here, or on the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..errors import CheckpointError
from ..mobileviclip.encoder import ModelSpec, VideoTextEncoder
from ..parallel.runner import JobRunner
from ..storage.cache import Arrays, FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.content_digests import Stamped
from ..storage.stamps import check_unchanged
from .windows import video_windows

__all__ = ["WindowSpec", "encode_on_nodes", "encode_windows"]


@dataclass(frozen=True, kw_only=True)
class WindowSpec:
    """Windows of a video.

    Attributes:
        longest: maximum duration in seconds.
        shots: whether windows also end at shot boundaries.
    """

    longest: float = 10.0
    shots: bool = True


def _key(content: str, encoder: str, spec: WindowSpec) -> str:
    """Key of the entry of a video with this digest, by an encoder with that one."""
    return cache_key("window", content, {"model": encoder, **asdict(spec)})


def encode_windows(
    path: Path, content: Stamped, encoder: VideoTextEncoder, spec: WindowSpec, cache: FeatureCache
) -> Arrays:
    """Vectors and times of a video's windows, from the cache if they are there.

    Returns:
        "vectors" float32 [N, D], "seconds" float32 [N, 2].

    Raises:
        SourceChanged: the video was changed while it was read.
    """
    key = _key(content.digest, encoder.digest, spec)
    arrays = cache.get("window", key)
    known = arrays is not None
    if arrays is None:
        windows = video_windows(path, spec.longest, spec.shots)
        vectors = [encoder.encode_clips(encoder.read(path, w.start, w.stop)[None])[0] for w in windows]
        seconds = [(w.start_seconds, w.stop_seconds) for w in windows]
        arrays = {"vectors": np.stack(vectors), "seconds": np.array(seconds, np.float32)}
    check_unchanged(path, content.stamp)
    if not known:
        cache.put("window", key, arrays)
    return arrays


@dataclass(frozen=True)
class _Model:
    """The model that a worker loads.

    Attributes:
        spec: the model.
        digest: of its weights; those of a node must be the same.
        device: kind of device that it computes on.
        threads: of PyTorch: the last bits of results depend on it.
        cache: folder or URL of the vectors.
    """

    spec: ModelSpec
    digest: str
    device: str
    threads: int
    cache: Path


@dataclass(frozen=True)
class _Job:
    name: str
    path: Path
    content: Stamped
    windows: WindowSpec
    model: _Model


def encode_on_nodes(
    clips: Sequence[Clip],
    contents: Mapping[str, Stamped],
    encoder: VideoTextEncoder,
    spec: WindowSpec,
    cache: FeatureCache,
    runner: JobRunner,
    progress: Callable[[int, int], None],
) -> dict[str, str]:
    """Let the nodes of a cluster fill the cache with the windows of videos, with the results of this machine.

    Args:
        clips: the videos.
        contents: name -> its content; videos without one are left to this machine.
        encoder: the model.
        spec: the windows.
        cache: to fill; what it holds is not computed again.
        runner: the cluster.
        progress: called with (videos done, videos to do).

    Returns:
        Name -> why a video could not be read.

    Raises:
        MoclipError: the disk is full, or a node has other weights; finished videos are kept.
    """
    import torch

    threads = torch.get_num_threads()
    model = _Model(encoder.spec, encoder.digest, encoder.device.type, threads, cache.place)
    absent = [
        clip
        for clip in clips
        if clip.name in contents
        and not cache.has("window", _key(contents[clip.name].digest, encoder.digest, spec))
    ]
    jobs = [_Job(clip.name, clip.path, contents[clip.name], spec, model) for clip in absent]
    refused: dict[str, str] = {}
    done = runner.run(
        _encode_video, jobs, folder=cache.shared_root, cores=threads, gpu=encoder.device.type != "cpu"
    )
    for count, (job, problem) in enumerate(done, start=1):
        if problem is not None:
            refused[job.name] = problem
        progress(count, len(jobs))
    cache.forget_list()
    return refused


def _encode_video(job: _Job) -> str | None:
    """Write the windows of a video into the cache; return the reason if it can't be read.

    Raises:
        WeightsUnavailable, CheckpointError: this machine has not the weights.
    """
    encoder = _loaded(job.model)
    try:
        encode_windows(job.path, job.content, encoder, job.windows, FeatureCache(job.model.cache))
    except Exception as error:
        return problem_of(job.name, error)
    return None


@lru_cache(maxsize=1)
def _loaded(model: _Model) -> VideoTextEncoder:
    """The encoder of this process.

    Raises:
        CheckpointError: its weights are others than those of the index.
    """
    import socket

    import torch

    torch.set_num_threads(model.threads)
    encoder = VideoTextEncoder(model.spec, torch.device(model.device))
    if encoder.digest != model.digest:
        raise CheckpointError(
            f"{socket.gethostname()} has other weights of {model.spec.name} {model.spec.pretrained} than "
            "this machine; put one file on shared storage and name it: --pretrained FILE"
        )
    return encoder
