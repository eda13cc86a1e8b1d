"""Frozen CLIP models of open_clip."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ..errors import CheckpointError, ConfigError, WeightsUnavailable, unknown_name
from ..mobileviclip.weights import RANDOM
from ..storage.files import write_tensors
from ..training.checkpoint import weights_digest
from ..training.costs import count_cost
from ..training.foreign import check_tensor, read_checkpoint, reason_of
from ..training.freeze import freeze
from .encoder import AppearanceEncoder
from .weights import FileWeights, WeightsConfig, header_of, open_clip, resolve_file, tag_config

__all__ = ["RANDOM", "OpenClipEncoder"]

log = logging.getLogger("moclip.text")
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


class OpenClipEncoder(AppearanceEncoder):
    """A frozen CLIP model of open_clip.

    Args:
        model: open_clip model name, such as "ViT-B-32".
        pretrained: a pretrained tag of that model (downloaded from a hub), the path of a local
            checkpoint (.safetensors, or a .pt that holds tensors only),
            or "none" for random weights.
        device: where the model runs.
        seed: of random weights.
        weights_of: the tag that a local checkpoint belongs to, for its activation and preprocessing; None
            if the file contains them or all tags of the model agree.

    Raises:
        ConfigError: an unknown model or tag, or a local checkpoint whose tag must be named.
        WeightsUnavailable: the weights can't be downloaded, or need a package that is not installed.
        CheckpointError: the local checkpoint does not fit the model.
    """

    def __init__(
        self,
        model: str,
        pretrained: str,
        device: torch.device | None = None,
        seed: int = 0,
        weights_of: str | None = None,
    ) -> None:
        self.model_name, self.pretrained, self.seed, self.weights_of = model, pretrained, seed, weights_of
        self.device = device or torch.device("cpu")
        if model not in open_clip().list_models():
            raise ConfigError(unknown_name("clip.model", model, open_clip().list_models()))
        self._file: FileWeights | None = None
        net, self._preprocess = self._create()
        self._net = cast(Any, freeze(net.to(self.device)))

    @property
    def random(self) -> bool:
        return self.pretrained == RANDOM

    def describe(self) -> str:
        """Model and weights in words, and for a file how the weights are used."""
        weights = f"random weights, seed {self.seed}" if self.random else self.pretrained
        if self._file is not None:
            weights += f", used as {self._file.known_by} says: {self._file.config.summary()}"
        return f"{self.model_name} ({weights})"

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The activation, and open_clip's preprocessing with the size, of the model in use."""
        image = {name: _plain(value) for name, value in self._net.visual.preprocess_cfg.items()}
        return {"quick_gelu": self._quick_gelu, **image}

    def _create(self) -> tuple[nn.Module, Any]:
        _require_transformers(self.model_name, "hf_model_name")
        if self.random:
            _refuse_tag(self.weights_of, "random weights")
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                return self._build(None, {}, load_weights=False, pretrained_text=False)
        path = Path(self.pretrained).expanduser()
        if path.suffix.lower() in _SUFFIXES or path.is_file():
            return self._create_local(path)
        tags = open_clip().list_pretrained_tags_by_model(self.model_name)
        if not open_clip().get_pretrained_cfg(self.model_name, self.pretrained):
            raise ConfigError(unknown_name("clip.pretrained", self.pretrained, [*tags, RANDOM]))
        _refuse_tag(self.weights_of, f"clip.pretrained={self.pretrained}, which is a tag itself")
        config = tag_config(self.model_name, self.pretrained)
        try:
            return self._build(self.pretrained, config.arguments(), weights_only=True)
        except Exception as error:  # hub clients raise many classes
            raise WeightsUnavailable(
                f"the weights {self.model_name}/{self.pretrained} can't be downloaded here; "
                f"give a local checkpoint with --pretrained PATH --weights-of {self.pretrained}, "
                "or ask for random weights with --pretrained none"
            ) from error

    def _create_local(self, path: Path) -> tuple[nn.Module, Any]:
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such checkpoint (clip.pretrained)")
        self._file = file = resolve_file(self.model_name, path, self.weights_of)
        try:
            net, preprocess = self._build(str(path), file.config.arguments(), weights_only=not file.trusted)
        except Exception as error:  # torch, safetensors and open_clip raise many classes
            raise CheckpointError(
                f"{path} can't be loaded into {self.model_name}: it is no file of weights, damaged, "
                f"made for another model, or holds more than tensors{reason_of(error)}"
            ) from error
        if not file.trusted:
            _require_same(path, self.model_name, net)
        return net, preprocess

    def _build(self, pretrained: str | None, config: dict[str, Any], **options: Any) -> tuple[nn.Module, Any]:
        """Create open_clip's model and preprocessing."""
        architecture = open_clip().get_model_config(self.model_name)
        self._quick_gelu = bool(architecture.get("quick_gelu") or config.get("force_quick_gelu"))
        with warnings.catch_warnings():
            # open_clip warns of a tag whose activation is not the architecture's, torch of TorchScript.
            warnings.simplefilter("ignore")
            net, _, preprocess = open_clip().create_model_and_transforms(
                self.model_name, pretrained=pretrained, pretrained_image=False, **config, **options
            )
        return net, preprocess

    def save(self, path: Path) -> None:
        """Write the weights as safetensors; :func:`resolve_file` reads their configuration from the header.

        Raises:
            ConfigError: random weights.
        """
        if self.random:
            raise ConfigError("random weights are not kept in a file")
        tag = self.weights_of or ("" if self._file is not None else self.pretrained)
        config = WeightsConfig.from_description(self.configuration)
        arrays = {name: value.detach().cpu().numpy() for name, value in self._net.state_dict().items()}
        write_tensors(path, arrays, header_of(self.model_name, tag, config))

    @property
    def network(self) -> Any:
        return self._net

    @cached_property
    def weights_digest(self) -> str:
        return weights_digest(self._net, self.configuration)

    def frame_cost(self) -> dict[str, Any]:
        blank = self.prepare(np.zeros((1, 32, 32, 3), np.uint8)).to(self.device)
        return count_cost(self._net.visual, [blank])

    @cached_property
    def dim(self) -> int:
        return int(open_clip().get_model_config(self.model_name)["embed_dim"])

    def prepare(self, pictures: npt.NDArray[np.uint8]) -> Tensor:
        """Resize, centre crop, CLIP's mean and deviation: uint8 [N, H, W, 3] -> float32 [N, 3, S, S]."""
        return torch.stack([self._preprocess(Image.fromarray(picture)) for picture in pictures])

    @torch.inference_mode()
    def encode_prepared(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Encode preprocessed pictures: float32 [N, 3, S, S] -> [N, dim], not normalised."""
        features = self._net.encode_image(batch.to(self.device))
        return np.asarray(features.float().cpu().numpy(), np.float32)

    @torch.inference_mode()
    def encode_text(self, sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        tokens = self._tokenizer(list(sentences))
        self._warn_of_cuts(sentences, tokens)
        features = self._net.encode_text(tokens.to(self.device))
        return np.asarray(functional.normalize(features.float(), dim=-1).cpu().numpy(), np.float32)

    def _warn_of_cuts(self, sentences: Sequence[str], tokens: Tensor) -> None:
        """Warn once if any of the sentences, which describe one class, is longer than the model reads."""
        length = tokens.shape[1]
        longer = self._tokenizer(list(sentences), context_length=length + 1)
        cut = [text for text, *rows in zip(sentences, tokens, longer, strict=True) if _is_cut(*rows)]
        if cut:
            beginning, others = cut[0].strip()[:40], f" and {len(cut) - 1} more" if len(cut) > 1 else ""
            text = (
                f"the text {beginning!r}...{others} has more than the {length} tokens that {self.model_name}"
            )
            log.warning("%s reads, its beginning and end counted; the rest is cut off", text)

    @cached_property
    def _tokenizer(self) -> Any:
        _require_transformers(self.model_name, "hf_tokenizer_name")
        try:
            return open_clip().get_tokenizer(self.model_name)
        except Exception as error:  # hub clients raise many classes
            raise WeightsUnavailable(
                f"the tokenizer of {self.model_name} can't be downloaded here; "
                "pictures can be encoded without it, sentences can't"
            ) from error


def _require_same(path: Path, model: str, net: nn.Module) -> None:
    """Refuse tensors that open_clip makes fit, and loaded ones that no network can compute with."""
    loaded = net.state_dict()
    for name, held in read_checkpoint(path, "clip.pretrained")[0].items():
        name = name.removeprefix("module.")
        value = loaded.get(name, loaded.get(f"text.{name}"))
        if value is None:
            continue  # a layout that open_clip converts, or refuses
        scalar = held.numel() == value.numel() == 1  # the temperature, which some files hold as [1]
        check_tensor(path, model, name, held.reshape(value.shape) if scalar else held, value)
    for name, value in loaded.items():
        check_tensor(path, model, name, value, value)


def _refuse_tag(weights_of: str | None, weights: str) -> None:
    if weights_of is not None:
        raise ConfigError(f"clip.weights_of={weights_of} says what a checkpoint file is, not {weights}")


def _require_transformers(model: str, part: str) -> None:
    """Refuse a model whose text tower or tokenizer (`part`) comes from a package that is not installed."""
    name = open_clip().get_model_config(model)["text_cfg"].get(part)
    if name and find_spec("transformers") is None:
        module = "text tower" if part == "hf_model_name" else "tokenizer"
        raise WeightsUnavailable(
            f"the {module} of {model} ({name}) comes from a package "
            "that is not installed: pip install transformers"
        )


def _is_cut(tokens: Tensor, longer: Tensor) -> bool:
    """Whether a text has other tokens where one more may be: else the last one stands for its end."""
    return not torch.equal(tokens, longer[: len(tokens)])


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value
