"""Cost of a network for one clip: parameters, operations and latency."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["count_cost"]


def count_cost(module: nn.Module, inputs: Sequence[Tensor], repeats: int = 1) -> dict[str, Any]:
    """Count parameters and operations, and measure the latency.

    Args:
        module: network in evaluation mode.
        inputs: inputs of one clip, or of one view or frame of it.
        repeats: passes per clip, such as its number of views or frames.

    Returns:
        ``parameters``, ``trainable``, ``gflops`` per clip (a multiplication and an addition count as two;
        convolutions, matrix products and attention are counted, as torch's FlopCounterMode does), and
        ``latency_ms``, the minimum of a few passes on this machine.
    """
    with _OperationCounter() as counter:  # does not work in inference mode
        module(*inputs)
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "trainable": sum(p.numel() for p in module.parameters() if p.requires_grad),
        "gflops": repeats * counter.total / 1e9,
        "latency_ms": repeats * _latency(module, inputs),
    }


class _OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums torch's formulas for the operations that run, as FlopCounterMode does; that class imports torch's
    compiler, which takes more than a second."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # it would be imported to be skipped

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given: dict[str, Any] = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **given)
            if parts is not NotImplemented:
                return parts
        result = func(*args, **given)
        if formula is not None:
            self.total += formula(*args, **given, out_val=result)
        return result


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
