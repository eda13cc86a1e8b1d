"""The appearance stream: frozen open_clip image and text encoders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from .costs import count_cost
from .errors import CheckpointError, ConfigError, WeightsUnavailable
from .labels import Prompts
from .mobileviclip.weights import RANDOM
from .motion_net import freeze

__all__ = ["RANDOM", "AppearanceEncoder"]


def _open_clip() -> Any:
    """The library, loaded when a model is: it takes seconds to import."""
    import open_clip

    return open_clip


class AppearanceEncoder:
    """A frozen CLIP: pictures and sentences to vectors of one space.

    Args:
        model: open_clip model name, such as "ViT-B-32".
        pretrained: a pretrained tag of that model (downloaded from a hub), the path of a local
            checkpoint (.safetensors, or a .pt that holds tensors only), or "none" for random
            weights.
        device: where it runs.
        seed: of random weights.

    Raises:
        ConfigError: an unknown model or tag.
        WeightsUnavailable: the weights can't be downloaded.
        CheckpointError: the local checkpoint does not fit the model.
    """

    def __init__(
        self, model: str, pretrained: str, device: torch.device | None = None, seed: int = 0
    ) -> None:
        self.model_name, self.pretrained, self.seed = model, pretrained, seed
        self.device = device or torch.device("cpu")
        if model not in _open_clip().list_models():
            raise ConfigError(_unknown("clip.model", model, _open_clip().list_models()))
        net, preprocess = self._create()
        self._net = cast(Any, freeze(net.to(self.device)))
        self._preprocess = preprocess

    @property
    def random(self) -> bool:
        """Whether the weights are random."""
        return self.pretrained == RANDOM

    def describe(self) -> str:
        """For people: model and weights."""
        weights = f"random weights, seed {self.seed}" if self.random else self.pretrained
        return f"{self.model_name} ({weights})"

    def _create(self) -> tuple[nn.Module, Any]:
        local = Path(self.pretrained)
        if self.random:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                net, _, preprocess = _open_clip().create_model_and_transforms(
                    self.model_name, pretrained=None, pretrained_image=False, load_weights=False
                )
            return net, preprocess
        if local.suffix in (".safetensors", ".pt", ".pth", ".bin") or local.is_file():
            return self._create_local(local)
        tags = _open_clip().list_pretrained_tags_by_model(self.model_name)
        if self.pretrained not in tags:
            raise ConfigError(_unknown("clip.pretrained", self.pretrained, [*tags, RANDOM]))
        try:
            net, _, preprocess = _open_clip().create_model_and_transforms(
                self.model_name, pretrained=self.pretrained, weights_only=True
            )
        except Exception as error:  # hub clients raise many kinds; all mean the same to the user
            raise WeightsUnavailable(
                f"the weights {self.model_name}/{self.pretrained} can't be downloaded here; give a local "
                "checkpoint with --pretrained PATH, or ask for random weights with --pretrained none"
            ) from error
        return net, preprocess

    def _create_local(self, path: Path) -> tuple[nn.Module, Any]:
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such checkpoint (clip.pretrained)")
        try:
            net, _, preprocess = _open_clip().create_model_and_transforms(
                self.model_name, pretrained=str(path), weights_only=True
            )
        except Exception as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise CheckpointError(
                f"{path} can't be loaded into {self.model_name}: it is damaged, made for another model, or "
                f"holds more than tensors ({reason})"
            ) from error
        return net, preprocess

    @property
    def network(self) -> Any:
        """open_clip's model, frozen."""
        return self._net

    @cached_property
    def weights_digest(self) -> str:
        """Digest of all weights, for cache keys."""
        state = hashlib.blake2b(digest_size=16)
        for name, value in sorted(self._net.state_dict().items()):
            state.update(name.encode())
            state.update(value.detach().cpu().contiguous().view(-1).numpy().tobytes())
        return state.hexdigest()

    def frame_cost(self) -> dict[str, Any]:
        """Parameters of the vision tower and GFLOPs for one frame."""
        blank = self.prepare(np.zeros((1, 32, 32, 3), np.uint8)).to(self.device)
        return count_cost(self._net.visual, [blank])

    @cached_property
    def dim(self) -> int:
        """Length of a feature."""
        return int(self.encode_text(["a"]).shape[1])

    def prepare(self, pictures: npt.NDArray[np.uint8]) -> Tensor:
        """uint8 [N, H, W, 3] -> float32 [N, 3, S, S]: resize, centre crop, CLIP's mean and std."""
        return torch.stack([self._preprocess(Image.fromarray(picture)) for picture in pictures])

    @torch.inference_mode()
    def encode_prepared(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """float32 [N, 3, S, S] -> [N, dim], not normalised."""
        features = self._net.encode_image(batch.to(self.device))
        return np.asarray(features.float().cpu().numpy(), np.float32)

    def encode_images(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] -> float32 [N, dim], not normalised."""
        return self.encode_prepared(self.prepare(pictures))

    @torch.inference_mode()
    def encode_text(self, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Sentences -> float32 [N, dim], L2-normalised."""
        tokens = _open_clip().get_tokenizer(self.model_name)(list(sentences))
        features = self._net.encode_text(tokens.to(self.device))
        return np.asarray(functional.normalize(features.float(), dim=-1).cpu().numpy(), np.float32)

    def class_vectors(self, labels: Sequence[str], prompts: Prompts) -> npt.NDArray[np.float32]:
        """One normalised vector per label: the mean over its sentences, float32 [C, dim]."""
        rows = []
        for label in labels:
            mean = self.encode_text(prompts.sentences(label)).mean(axis=0)
            rows.append(mean / np.linalg.norm(mean))
        return np.stack(rows).astype(np.float32)


def _unknown(key: str, value: str, known: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(value, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"{len(known)} are known, such as {known[0]}"
    return f"{key}: unknown {value!r}; {hint}"
