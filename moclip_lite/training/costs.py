"""What a stream costs: parameters and operations for one clip."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["count_cost"]


def count_cost(module: nn.Module, inputs: Sequence[Tensor], repeats: int = 1) -> dict[str, Any]:
    """Count one forward pass.

    Args:
        module: in evaluation mode.
        inputs: of one clip (or one view of it).
        repeats: passes per clip: views, or frames if `inputs` is one frame.

    Returns:
        ``parameters``, ``trainable`` and ``gflops`` per clip (a multiplication and an addition count
        as two; torch's FlopCounterMode counts convolutions, products and attention), and
        ``latency_ms``, the least of a few passes on this machine.
    """
    with FlopCounterMode(display=False) as counter:  # it follows gradients: no inference mode here
        module(*inputs)
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "trainable": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "gflops": repeats * counter.get_total_flops() / 1e9,
        "latency_ms": repeats * _latency(module, inputs),
    }


@torch.inference_mode()
def _latency(module: nn.Module, inputs: Sequence[Tensor], passes: int = 5) -> float:
    """Milliseconds of a forward pass."""
    device = inputs[0].device

    def once() -> float:
        started = time.perf_counter()
        module(*inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return 1000 * (time.perf_counter() - started)

    return min(once() for _ in range(passes))
