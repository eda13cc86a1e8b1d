"""Appearance features on other machines: a job a clip, and one model in each worker process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from ..datasets.clip import ClipJob
from ..datasets.clip_errors import problem_of
from ..errors import CheckpointError
from ..storage.cache import FeatureCache
from ..storage.stamps import Stamp, check_unchanged
from .encoder import AppearanceEncoder
from .frame_reader import ClipMotion, FrameReader
from .keep import keep_features
from .settings import AppearanceSettings

__all__ = ["ANY_DEVICE", "EncodeJob", "RemoteModel", "WorkerDevice", "encode_clip"]


@dataclass(frozen=True)
class WorkerDevice:
    """What a worker computes on.

    Attributes:
        device: auto, cpu, cuda or mps.
        threads: of PyTorch; 0 for as many as in the process that hands out the jobs. The last bits of some
            networks' results depend on it.
    """

    device: str = "auto"
    threads: int = 0

    @property
    def cores(self) -> int:
        """Cores that a worker keeps busy."""
        import torch

        return self.threads or torch.get_num_threads()


ANY_DEVICE: Final = WorkerDevice()


@dataclass(frozen=True)
class RemoteModel:
    """The model that a worker loads.

    Attributes:
        settings, seed: what :func:`moclip_lite.appearance.create.make_encoder` takes.
        digest: of its weights; those of a node must be the same.
        device: where it computes.
        cache: folder or URL of the features.
    """

    settings: AppearanceSettings
    seed: int
    digest: str
    device: WorkerDevice
    cache: Path


@dataclass(frozen=True)
class EncodeJob(ClipJob):
    """A clip to encode.

    Attributes:
        key: of the cache's entry.
        model: the encoder.
        motion: of this clip, where its frames are chosen by motion.
        stamp: that the file must still have.
    """

    key: str
    model: RemoteModel
    motion: ClipMotion | None
    stamp: Stamp


def encode_clip(job: EncodeJob) -> str | None:
    """Write the features of a clip into the cache; return the reason if it can't be read.

    Raises:
        WeightsUnavailable, CheckpointError: this machine has not the weights.
    """
    model = job.model
    encoder = _loaded(model)
    try:
        frames = FrameReader(model.settings, job.motion)(job.clip)
        check_unchanged(job.path, job.stamp)
        pictures = encoder.prepare(frames.pictures)
    except Exception as error:
        return problem_of(job.name, error)
    keep_features(FeatureCache(model.cache), job.key, encoder, pictures, frames)
    return None


@lru_cache(maxsize=1)
def _loaded(model: RemoteModel) -> AppearanceEncoder:
    """The encoder of this process.

    Raises:
        CheckpointError: its weights are others than those that the features are for.
    """
    import socket

    import torch

    from ..training.device import pick_device
    from .create import make_encoder

    torch.set_num_threads(model.device.threads)
    encoder = make_encoder(model.settings, model.seed, pick_device(model.device.device))
    if encoder.weights_digest != model.digest:
        raise CheckpointError(
            f"{socket.gethostname()} has other weights of {model.settings.model} {model.settings.pretrained} "
            "than this machine; put one file on shared storage and name it: --pretrained FILE"
        )
    return encoder
