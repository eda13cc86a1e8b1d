"""Optimizers with parameter groups, and the learning-rate schedule."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, Final, Literal

import torch
from torch import nn

__all__ = ["create_optimizer", "warmup_cosine"]

_DECORATED: Final = ("add_param_group", "step", "zero_grad", "state_dict", "load_state_dict")


def create_optimizer(
    network: nn.Module,
    kind: Literal["adamw", "adam"],
    *,
    decay: Callable[[str, nn.Parameter], float],
    scale: Callable[[str], float] = lambda name: 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """Create an optimizer of the trainable parameters; the training loop sets its learning rate in each step.

    Args:
        network: the network.
        kind: "adamw", or "adam", whose decay is an L2 penalty.
        decay: weight decay of a parameter, by name.
        scale: factor of the learning rate of a parameter, by name; kept in its group as "scale".
        betas, eps: the optimizer's.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((decay(name, parameter), scale(name)), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": decay, "scale": scale}
        for (decay, scale), parameters in groups.items()
    ]
    optimizer = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
    return _without_compiler(optimizer)(options, betas=betas, eps=eps)


@functools.cache
def _without_compiler(optimizer: type[torch.optim.Adam]) -> type[torch.optim.Adam]:
    """The optimizer with methods that are not decorated for torch's compiler: the decorators import it, which
    takes more than a second."""
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in _DECORATED}
    methods["step"] = torch.no_grad()(methods["step"])
    return type(optimizer.__name__, (optimizer,), methods)


def warmup_cosine(step: int, warmup: float, total: float) -> float:
    """Factor of the peak rate: linear rise over `warmup` steps, then half a cosine to zero at `total`."""
    if step < warmup:
        return (step + 1) / max(warmup, 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
