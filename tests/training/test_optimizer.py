"""Optimizers and costs: those of torch, without its compiler."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Literal

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from moclip_lite.training.costs import count_cost
from moclip_lite.training.optimizer import create_optimizer

Kind = Literal["adam", "adamw"]
KINDS: dict[Kind, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class Blocks(nn.Module):
    """Convolutions, attention, a matrix product and a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 8, 3, stride=2)
        self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.recurrent = nn.GRU(8, 8, batch_first=True)
        self.classifier = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.attention(self.convolution(x).flatten(2).transpose(1, 2))
        scores: torch.Tensor = self.classifier(self.recurrent(tokens)[0].mean(dim=1))
        return scores


def trained(optimizer: torch.optim.Optimizer, network: nn.Module, steps: range) -> list[torch.Tensor]:
    for step in steps:
        optimizer.zero_grad()
        torch.manual_seed(step)
        network(torch.randn(4, 2, 9, 9)).square().sum().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch(kind: Kind) -> None:
    results: list[Any] = []
    for ours in (True, False):
        torch.manual_seed(0)
        network = Blocks()
        network.attention.eval()  # no dropout

        def made(network: nn.Module = network, ours: bool = ours) -> torch.optim.Optimizer:
            if ours:
                return create_optimizer(network, kind, decay=lambda name, parameter: 0.1)
            groups = [{"params": list(network.parameters()), "weight_decay": 0.1, "scale": 1.0}]
            return KINDS[kind](groups, eps=1e-8)

        first = made()
        before = trained(first, network, range(3))
        state = first.state_dict()
        second = made()
        second.load_state_dict(state)
        results.append((before, trained(second, network, range(3, 6)), state["param_groups"]))
    (before, after, groups), (torch_before, torch_after, torch_groups) = results
    assert all(torch.equal(one, other) for one, other in zip(before, torch_before, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(after, torch_after, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert groups == torch_groups


@pytest.mark.parametrize("gradients", [True, False])
def test_operations_are_those_of_torch(gradients: bool) -> None:
    network, example = Blocks().eval(), torch.randn(1, 2, 9, 9)
    with torch.set_grad_enabled(gradients):
        cost = count_cost(network, [example], repeats=2)
        with FlopCounterMode(display=False) as counter:
            network(example)
    assert counter.get_total_flops() > 0
    assert cost["gflops"] == 2 * counter.get_total_flops() / 1e9


@pytest.mark.slow
def test_neither_imports_the_compiler() -> None:
    program = """
import sys, torch
from moclip_lite.training.costs import count_cost
from moclip_lite.training.optimizer import create_optimizer
network = torch.nn.Linear(3, 2)
count_cost(network, [torch.zeros(1, 3)])
optimizer = create_optimizer(network, "adamw", decay=lambda name, parameter: 0.1)
optimizer.zero_grad()
network(torch.ones(1, 3)).sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
