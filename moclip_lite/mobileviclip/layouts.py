"""Whose names a checkpoint uses, and what those tensors are called here.

========== ============================================= ==============================
layout     names                                         holds
========== ============================================= ==============================
mobileviclip ``vision_encoder.*``, ``text_encoder.*``, ``temp`` video encoder, text tower
apple      ``image_encoder.model.*``, ``text_encoder.*``, ``logit_scale`` image encoder, text tower
open_clip  ``visual.trunk.*``, ``text.*``, ``logit_scale``   image encoder, text tower
timm       ``stem.*``, ``stages.*``                          image encoder
========== ============================================= ==============================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Final, Literal

import torch
from torch import Tensor

from .config import MobileViClipConfig

__all__ = ["EMBEDDING", "Layout", "layout_of", "our_names"]

Layout = Literal["mobileviclip", "apple", "open_clip", "timm"]
EMBEDDING: Final = "video.trunk.stages.3.pos_emb.temporal_embedding"
_IMAGE: Final[dict[Layout, str]] = {
    "mobileviclip": "vision_encoder.", "apple": "image_encoder.model.", "open_clip": "visual.trunk.", "timm": "",
}  # fmt: skip
_MARKS: Final[dict[Layout, str]] = {**_IMAGE, "timm": "stages."}


def layout_of(names: Iterable[str]) -> Layout | None:
    """The layout that the names are of; None if they are of none."""
    known = list(names)
    for layout, mark in _MARKS.items():
        if any(name.startswith(mark) for name in known):
            return layout
    return None


def our_names(names: Iterable[str], layout: Layout, config: MobileViClipConfig) -> dict[str, str]:
    """Name in the file -> name in :class:`MobileViCLIP`; names that nothing here has are absent or unknown to it."""
    image, text = _IMAGE[layout], "text." if layout == "open_clip" else "text_encoder."
    pictures, sentences, found = [], [], {}
    for name in names:
        if name in ("logit_scale", "temp"):
            found[name] = "log_temperature"
        elif name.startswith(text) and layout != "timm":
            sentences.append(name.removeprefix(text))
        elif name.startswith(image) and name.endswith("temporal_embedding"):
            found[name] = EMBEDDING
        elif name.startswith(image):
            pictures.append(name.removeprefix(image))
    trunk = _timm_names(pictures) if layout in ("mobileviclip", "apple") else {n: n for n in pictures}
    found |= {image + name: "video.trunk." + _in_time(new, config) for name, new in trunk.items()}
    apples = config.text == "transformer" and layout in ("mobileviclip", "apple")
    tower = _open_clip_names(sentences) if apples else {n: n for n in sentences}
    return found | {text + name: "text." + new for name, new in tower.items()}


def _tagged(names: Iterable[str], prefix: str = "") -> tuple[list[str], dict[str, Tensor]]:
    """Tensors that know their number, to be sent through another library's renaming."""
    listed = list(names)
    return listed, {prefix + name: torch.full((1, 1), float(i)) for i, name in enumerate(listed)}


def _timm_names(names: Iterable[str]) -> dict[str, str]:
    """Apple's names of an image encoder -> timm's."""
    from timm.models.fastvit import checkpoint_filter_fn

    listed, tags = _tagged(names)
    head = SimpleNamespace(fc=torch.nn.Linear(1, 1))
    renamed = checkpoint_filter_fn(tags, SimpleNamespace(head=head))  # type: ignore[no-untyped-call]
    renamed.pop("head.fc.bias", None)  # made up by timm: Apple's projection has none
    return {listed[int(tag.reshape(-1)[0])]: name for name, tag in renamed.items()}


def _open_clip_names(names: Iterable[str]) -> dict[str, str]:
    """Apple's names of S2's text tower -> open_clip's."""
    from open_clip.convert import convert_mobile_clip_state_dict

    listed, tags = _tagged(names, "text_encoder.")
    nothing = SimpleNamespace(visual=SimpleNamespace(trunk=None))
    renamed = convert_mobile_clip_state_dict(nothing, {**tags, "logit_scale": torch.zeros(1)})
    return {
        listed[int(tag.reshape(-1)[0])]: name.removeprefix("text.")
        for name, tag in renamed.items()
        if name.startswith("text.")
    }


def _in_time(name: str, config: MobileViClipConfig) -> str:
    """timm's name -> the name within the spatiotemporal module that holds the tensor."""
    if not config.temporal:
        return name
    name = re.sub(r"^(stages\.[012]\.blocks\.\d+\.token_mixer)\.(?!temporal\.)", r"\1.spatial.", name)
    name = re.sub(r"^(stages\.3\.blocks\.\d+\.token_mixer)\.", r"\1.attention.", name)
    return re.sub(r"^(stages\.3\.pos_emb)\.", r"\1.spatial.", name)
