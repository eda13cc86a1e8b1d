"""Cost of a network for one clip: parameters, operations and latency."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["count_cost"]


def count_cost(module: nn.Module, inputs: Sequence[Tensor], repeats: int = 1) -> dict[str, Any]:
    """Count parameters and operations, and measure the latency.

    Args:
        module: network in evaluation mode.
        inputs: inputs of one clip, or of one view or frame of it.
        repeats: passes per clip, such as its number of views or frames.

    Returns:
        ``parameters``, ``trainable``, ``gflops`` per clip (a multiplication and an addition count as two;
        torch's FlopCounterMode counts convolutions, matrix products and attention), and ``latency_ms``, the
        minimum of a few passes on this machine.
    """
    with FlopCounterMode(display=False) as counter:  # does not work in inference mode
        module(*inputs)
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "trainable": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "gflops": repeats * counter.get_total_flops() / 1e9,
        "latency_ms": repeats * _latency(module, inputs),
    }


@torch.inference_mode()
def _latency(module: nn.Module, inputs: Sequence[Tensor], passes: int = 5) -> float:
    """Least time of a forward pass in milliseconds."""
    device = inputs[0].device

    def measure() -> float:
        started = time.perf_counter()
        module(*inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return 1000 * (time.perf_counter() - started)

    return min(measure() for _ in range(passes))
