"""A MobileViCLIP as ONNX files: one for videos, one for sentences."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.files import DRAFT
from ..mobileviclip import MobileViCLIP, MobileViClipConfig
from .install import install, refuse_engine_folder
from .network import Exported, export_network

__all__ = ["export_mobileviclip", "picture_rules"]


def picture_rules(config: MobileViClipConfig) -> dict[str, Any]:
    """What is done to the pictures of a clip before they go into a file, in plain values."""
    return {
        "frames": config.num_frames,
        "positions": "uniform",
        "resize": "square",
        "size": config.image_size,
        "interpolation": "bilinear",
        "values": "RGB from 0 to 1; mean and std are applied in the file",
    }


class _Video(nn.Module):
    def __init__(self, model: MobileViCLIP) -> None:
        super().__init__()
        self.video = model.video

    def forward(self, clip: Tensor) -> Tensor:
        return nn.functional.normalize(self.video(clip), dim=-1)


class _Text(nn.Module):
    def __init__(self, model: MobileViCLIP) -> None:
        super().__init__()
        self.text = model.text

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.normalize(self.text(tokens), dim=-1)


def export_mobileviclip(model: MobileViCLIP, folder: Path) -> list[Exported]:
    """Write video.onnx (clip float32 [B, T, 3, S, S] in 0..1 -> video_vector [B, D]), text.onnx (tokens int64
    [B, 77] -> text_vector [B, D]), both of length 1, and model.json.

    Raises:
        ConfigError: the folder is one whose files prediction uses, see ``export_engine``.
        MoclipError: see :func:`moclip_lite.export.export_network`.
    """
    refuse_engine_folder(folder)
    folded = model.reparameterize().cpu()
    config = folded.config
    metadata = {
        "config": config.describe(),
        "weights": folded.weights,
        "random_parts": list(folded.random_parts),
        "temperature": float(folded.temperature),
        "scores": "cosine similarity is the product of both vectors",
        "preprocessing": {
            "clip": picture_rules(config),
            "tokens": "OpenAI's byte pairs with start and end of text, 77 at most, zeros behind",
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=DRAFT) as name:
        return install(_export_towers(folded, Path(name), metadata), folder, metadata)


def _export_towers(folded: MobileViCLIP, folder: Path, metadata: dict[str, Any]) -> list[Exported]:
    """The networks for videos and for sentences."""
    config = folded.config
    clips = torch.rand(2, config.num_frames, 3, config.image_size, config.image_size)
    tokens = folded.tokenize(["a person juggling", "water"])
    return [
        export_network(
            _Video(folded).eval(),
            [clips],
            folder / "video.onnx",
            inputs=["clip"],
            outputs=["video_vector"],
            metadata=metadata,
        ),
        export_network(
            _Text(folded).eval(),
            [tokens],
            folder / "text.onnx",
            inputs=["tokens"],
            outputs=["text_vector"],
            metadata=metadata,
        ),
    ]
