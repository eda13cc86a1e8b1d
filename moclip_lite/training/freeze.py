"""Permanent freezing of modules."""

from __future__ import annotations

import weakref

from torch import nn

__all__ = ["freeze"]


def freeze(module: nn.Module) -> nn.Module:
    """Disable gradients and training mode permanently, for the module, its parts and their copies.

    Otherwise the BatchNorm statistics of a frozen backbone would change while a head is trained on it.
    """
    module.eval()
    module.requires_grad_(False)
    for part in module.modules():
        part.train = _StayFrozen(part)  # type: ignore[method-assign, assignment]
    return module


class _StayFrozen:
    """``train`` method of a frozen module, for the module, its copies and its pickles.

    It refers to the module weakly: a cycle would keep the weights in memory until
    the next garbage collection.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = weakref.ref(module)

    def __call__(self, mode: bool = True) -> nn.Module | None:
        return self._module()

    def __reduce__(self) -> tuple[type[_StayFrozen], tuple[nn.Module | None]]:
        return _StayFrozen, (self._module(),)
