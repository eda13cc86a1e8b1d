"""Freezing of modules for good."""

from __future__ import annotations

from functools import partial

from torch import nn

__all__ = ["freeze"]


def freeze(module: nn.Module) -> nn.Module:
    """Evaluation mode and no gradients, for good: a later ``train()`` leaves it frozen, each part and copies too.

    Without this a "frozen" backbone's BatchNorm statistics drift while a head trains on it.
    """
    module.eval()
    module.requires_grad_(False)
    for part in module.modules():
        # A partial and not a closure: deepcopy and pickle follow it to the copy.
        part.train = partial(_stay_frozen, part)  # type: ignore[method-assign]
    return module


def _stay_frozen(module: nn.Module, mode: bool = True) -> nn.Module:
    """``train`` of a frozen module."""
    return module
