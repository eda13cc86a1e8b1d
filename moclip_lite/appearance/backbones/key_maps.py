"""Names of tensors in checkpoints of other projects, as the networks of this program's libraries call them.

A layout is recognised by one of its names. Wrapped checkpoints (Lightning, DistributedDataParallel,
MMPretrain, MoCo) differ by a prefix only (:func:`moclip_lite.training.foreign.find_prefix`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from ...errors import CheckpointError

__all__ = ["efficientnet_of_tensorflow"]

_STEM: Final = "_conv_stem.weight"
_TOP: Final = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# MBConv without and with expansion (timm: DepthwiseSeparableConv, InvertedResidual).
_SEPARABLE: Final = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_SQUEEZE: Final = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
_BLOCK: Final = re.compile(r"_blocks\.(\d+)\.(_\w+)\.(.+)")


def efficientnet_of_tensorflow(
    model: str, network: nn.Module, state: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Rename tensors of EfficientNet and EfficientNet-Lite as ported from TensorFlow's checkpoints.

    These are the names of the packages efficientnet_pytorch and efficientnet_lite_pytorch: ``_conv_stem``,
    ``_blocks.3._depthwise_conv``. Their convolutions pad as TensorFlow does; timm's networks of that kind are
    called ``tf_efficientnet_*``. The others have the same tensors and give other features, and are refused.

    Returns:
        The tensors by timm's names; None for another layout.

    Raises:
        CheckpointError: the network pads otherwise, or has other blocks.
    """
    stems = [name for name in state if name == _STEM or name.endswith(f".{_STEM}")]
    if len(stems) != 1:
        return None
    if not model.startswith("tf_efficientnet"):
        raise CheckpointError(
            f"holds a TensorFlow port of EfficientNet, whose convolutions pad otherwise than timm:{model}; "
            f"choose clip.model=timm:tf_{model.removeprefix('tf_')}"
        )
    prefix = stems[0].removesuffix(_STEM)
    places = _places(network)
    renamed: dict[str, Any] = {}
    for name, value in state.items():
        if not name.startswith(prefix):
            raise CheckpointError(f"holds {name!r} beside an EfficientNet named {prefix}*")
        renamed[_rename(name[len(prefix) :], places)] = value
    return renamed


def _places(network: nn.Module) -> list[tuple[str, bool]]:
    """(timm's name, whether it expands) of each block in their order."""
    stages: Any = network.get_submodule("blocks")
    return [
        (f"blocks.{i}.{j}", hasattr(block, "conv_pwl"))
        for i, stage in enumerate(stages)
        for j, block in enumerate(stage)
    ]


def _rename(name: str, places: list[tuple[str, bool]]) -> str:
    if block := _BLOCK.fullmatch(name):
        number, part, rest = int(block[1]), block[2], block[3]
        if number < len(places):
            place, expands = places[number]
            known = (_INVERTED if expands else _SEPARABLE) | _SQUEEZE
            if part in known:
                return f"{place}.{known[part]}.{rest}"
        return name
    part, _, rest = name.partition(".")
    return f"{_TOP[part]}.{rest}" if part in _TOP else name
