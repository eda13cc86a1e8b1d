"""Encoder for inference: a folded, frozen model and the digest of its weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import CheckpointError
from ..storage.digest import digest_bytes
from ..training.checkpoint import weights_digest
from .frames import read_clip
from .model import MobileViCLIP
from .tokenizer import tokenize
from .weights import RANDOM, TAGS, create_mobileviclip

__all__ = ["ModelSpec", "VideoTextEncoder", "create_model", "located"]

Vectors = npt.NDArray[np.float32]
_MAX_ERROR: Final = 1e-3  # of the length of a vector


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Choice of a model.

    Attributes:
        name: "mobileviclip-tiny" or "mobileviclip-small".
        pretrained: a tag, a checkpoint's path, or "none" for random weights.
        seed: seed of random weights.
        num_frames: frames of a clip, T.
    """

    name: str
    pretrained: str
    seed: int = 0
    num_frames: int = 8


def located(spec: ModelSpec) -> ModelSpec:
    """The same choice with an absolute checkpoint path, for files that are used from other folders."""
    path = Path(spec.pretrained).expanduser()
    if spec.pretrained in (RANDOM, *TAGS) or not path.is_file():
        return spec
    # A link to a file is not resolved: its target may lack the suffix.
    return replace(spec, pretrained=str(path.parent.resolve() / path.name))


def create_model(spec: ModelSpec) -> MobileViCLIP:
    """Create the model of a choice.

    Raises:
        ConfigError: an unknown model or tag.
        CheckpointError: a checkpoint that does not fit.
        WeightsUnavailable: weights that can't be downloaded.
    """
    pretrained = None if spec.pretrained == RANDOM else spec.pretrained
    return create_mobileviclip(spec.name, pretrained, spec.num_frames, seed=spec.seed)


class VideoTextEncoder:
    """Encodes videos and sentences as unit vectors of one space.

    Args:
        spec: the model.
        device: where it runs.

    Raises:
        ConfigError, CheckpointError, WeightsUnavailable: see :func:`create_model`.
    """

    def __init__(self, spec: ModelSpec, device: torch.device | None = None) -> None:
        self.spec = spec = located(spec)
        self.device = device or torch.device("cpu")
        model = create_model(spec)
        config = json.dumps(model.config.describe(), sort_keys=True)
        self.digest = digest_bytes([weights_digest(model).encode(), config.encode()])
        self.model = model.reparameterize().to(self.device)
        self.config = model.config

    @property
    def random(self) -> bool:
        """Whether any weights are random."""
        return self.model.random

    def describe(self) -> str:
        """Size, frames and weights, in words."""
        return self.model.describe()

    def read(self, path: Path, start: int = 0, stop: int | None = None) -> Tensor:
        """Read frames of a video or of a part of it: float32 [T, 3, S, S].

        Raises:
            FileNotFoundError: no such file.
            mv_tools.MotionError: the file can't be read.
        """
        return read_clip(path, self.config.num_frames, self.config.image_size, start=start, stop=stop)

    @torch.inference_mode()
    def encode_clips(self, clips: Tensor) -> Vectors:
        """Encode clips: float32 [B, T, 3, S, S] -> float32 [B, D], of length 1.

        Raises:
            CheckpointError: the model gives no such vectors.
        """
        return self._units(self.model.encode_video(clips.to(self.device), normalize=True))

    @torch.inference_mode()
    def encode_texts(
        self, texts: Sequence[str], batch: int = 64, warn: Callable[[str], None] | None = None
    ) -> Vectors:
        """Encode N texts as float32 [N, D], of length 1.

        Args:
            texts: the texts.
            batch: texts at once.
            warn: told of each text that is too long and cut; by default a warning is logged.

        Raises:
            ValueError: an empty text, or no text.
            CheckpointError: the model gives no such vectors.
        """
        tokens = (tokenize(texts) if warn is None else tokenize(texts, warn)).to(self.device)
        return np.concatenate(
            [self._units(self.model.encode_text(part, normalize=True)) for part in torch.split(tokens, batch)]
        )

    def _units(self, value: Tensor) -> Vectors:
        """Vectors as an array, checked: what is not of length 1 is never kept."""
        vectors = np.asarray(value.float().cpu().numpy(), np.float32)
        if not (np.abs(np.linalg.norm(vectors, axis=-1) - 1) < _MAX_ERROR).all():  # False for NaN
            raise CheckpointError(
                f"{self.describe()}: its vectors are not finite, or 0; the weights can't be used, take others"
            )
        return vectors
