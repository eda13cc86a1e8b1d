"""Freezing of modules for good."""

from __future__ import annotations

import weakref

from torch import nn

__all__ = ["freeze"]


def freeze(module: nn.Module) -> nn.Module:
    """Evaluation mode and no gradients, for good: a later ``train()`` leaves it frozen, each part and copies too.

    Without this a "frozen" backbone's BatchNorm statistics drift while a head trains on it.
    """
    module.eval()
    module.requires_grad_(False)
    for part in module.modules():
        part.train = _StayFrozen(part)  # type: ignore[method-assign, assignment]
    return module


class _StayFrozen:
    """``train`` of a frozen module, which copies and pickles take along.

    It refers to the module weakly: a cycle would keep the weights in memory until the next garbage collection.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = weakref.ref(module)

    def __call__(self, mode: bool = True) -> nn.Module | None:
        return self._module()

    def __reduce__(self) -> tuple[type[_StayFrozen], tuple[nn.Module | None]]:
        return _StayFrozen, (self._module(),)
