"""Exponential moving average of a network's weights (Polyak and Juditsky 1992), validated and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn

__all__ = ["AveragedWeights"]

_EARLY: Final = 10  # the average is over a tenth of the steps done while these are few


class AveragedWeights:
    """Average of weights and buffers; integers, such as counts of batches, are copied.

    Args:
        network: its present weights are the first average.
        steps: that the average extends over.

    Attributes:
        tensors: name -> averaged tensor.
        updates: number of updates.
    """

    def __init__(self, network: nn.Module, steps: float) -> None:
        self.steps, self.updates = steps, 0
        self.tensors = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Add the present weights."""
        self.updates += 1
        share = max(1 / self.steps, _EARLY / (_EARLY + self.updates))
        state = network.state_dict()
        floating = [name for name, value in self.tensors.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.tensors[n] for n in floating], [state[n] for n in floating], share)
        for name in self.tensors.keys() - set(floating):
            self.tensors[name].copy_(state[name])

    @contextmanager
    def inside(self, network: nn.Module) -> Iterator[None]:
        """The network has the averaged weights within the context, and its own ones after it."""
        own = {name: value.detach().clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self.tensors)
        try:
            yield
        finally:
            network.load_state_dict(own)

    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Continue from saved averages."""
        self.updates = updates
        for name, value in self.tensors.items():
            value.copy_(tensors[name])
