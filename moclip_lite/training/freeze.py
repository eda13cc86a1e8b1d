"""Permanent freezing of modules."""

from __future__ import annotations

from functools import partial

from torch import nn

__all__ = ["freeze"]


def freeze(module: nn.Module) -> nn.Module:
    """Set evaluation mode and disable gradients permanently: ``train()`` has no effect on it, its parts and copies.

    Otherwise the BatchNorm statistics of a frozen backbone would change while a head is trained on it.
    """
    module.eval()
    module.requires_grad_(False)
    for part in module.modules():
        # A partial and not a closure, because deepcopy and pickle copy its argument along.
        part.train = partial(_stay_frozen, part)  # type: ignore[method-assign]
    return module


def _stay_frozen(module: nn.Module, mode: bool = True) -> nn.Module:
    """``train`` method of a frozen module."""
    return module
