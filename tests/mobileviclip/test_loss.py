"""Contrastive loss, its gathering over processes, and the temperature."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor
from torch.nn import functional

from moclip_lite.mobileviclip import build
from moclip_lite.mobileviclip.training.loss import contrastive_loss

from support.mobileviclip import SMALLEST


def test_the_loss_is_symmetric_infonce() -> None:
    generator = torch.Generator().manual_seed(0)
    video, text = torch.randn(5, 8, generator=generator), torch.randn(5, 8, generator=generator)
    a, b = functional.normalize(video, dim=-1), functional.normalize(text, dim=-1)
    logits, own = a @ b.T / 0.1, torch.arange(5)
    expected = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(contrastive_loss(video, text, torch.tensor(0.1), own), expected)
    same = torch.tensor([0, 0, 1, 2, 3])
    # Equal captions are not mistakes.
    assert contrastive_loss(a, a[[1, 0, 2, 3, 4]], torch.tensor(0.01), same) < contrastive_loss(
        a, a[[1, 0, 2, 3, 4]], torch.tensor(0.01), own
    )


def test_pairs_of_a_group_are_not_negatives() -> None:
    """One group by clip, one by caption: sharing either is enough, and sharing is not transitive."""
    generator = torch.Generator().manual_seed(0)
    video, text = (functional.normalize(torch.randn(4, 8, generator=generator), dim=-1) for _ in range(2))
    groups = torch.tensor([[0, 0], [0, 1], [1, 0], [2, 2]])  # one clip twice; two clips of the same words
    positive = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float32)
    target, logits = positive / positive.sum(dim=1, keepdim=True), video @ text.T / 0.1
    expected = (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.T, target)) / 2
    torch.testing.assert_close(contrastive_loss(video, text, torch.tensor(0.1), groups), expected)
    alone = torch.arange(4)
    torch.testing.assert_close(
        contrastive_loss(video, text, torch.tensor(0.1), torch.stack([alone, alone], dim=1)),
        contrastive_loss(video, text, torch.tensor(0.1), alone),
    )


def test_the_temperature_has_a_minimum() -> None:
    model = build(SMALLEST)
    assert float(model.temperature.detach()) == pytest.approx(0.07)
    model.log_temperature.data.fill_(math.log(1e-4))
    assert float(model.temperature.detach()) == pytest.approx(0.01)


@pytest.mark.parametrize(
    "start",
    [-math.log(100), -float(torch.tensor(100.0).log()), float(torch.tensor(0.01).log()), math.log(1e-4)],
)
def test_the_temperature_learns_from_its_minimum(start: float) -> None:
    """Published checkpoints have it: logit_scale ln 100, temp 0.01. With random captions a higher temperature
    is better; with correct ones it stays at the minimum."""
    for texts, rises in (("random", True), ("right", False)):
        model = build(SMALLEST)
        model.log_temperature.data.fill_(start)
        generator = torch.Generator().manual_seed(0)
        video = torch.randn(6, 8, generator=generator)
        text = video if texts == "right" else torch.randn(6, 8, generator=generator)
        optimizer = torch.optim.SGD([model.log_temperature], lr=0.1)
        model.clamp_temperature()
        for _ in range(2):
            optimizer.zero_grad()
            contrastive_loss(video, text, model.temperature, torch.arange(6)).backward()
            optimizer.step()
            model.clamp_temperature()
        value = float(model.temperature.detach())
        assert value > 0.011 if rises else value == pytest.approx(0.01)


def _process(rank: int, folder: str, weights: dict[str, Tensor]) -> None:
    """Loss and mean gradient of half of a batch, as DistributedDataParallel averages it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    generator = torch.Generator().manual_seed(0)
    inputs, texts = torch.randn(6, 5, generator=generator), torch.randn(6, 4, generator=generator)
    layer = torch.nn.Linear(5, 4)
    layer.load_state_dict(weights)
    part = slice(3 * rank, 3 * rank + 3)
    groups = torch.tensor([0, 1, 2, 3, 0, 4])
    loss = contrastive_loss(layer(inputs[part]), texts[part], torch.tensor(0.2), groups[part])
    loss.backward()
    assert layer.weight.grad is not None
    dist.all_reduce(layer.weight.grad)
    layer.weight.grad /= 2
    torch.save({"loss": loss.detach(), "grad": layer.weight.grad}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    torch.manual_seed(1)
    layer = torch.nn.Linear(5, 4)
    weights = {name: value.clone() for name, value in layer.state_dict().items()}
    torch.multiprocessing.spawn(_process, (str(tmp_path), weights), nprocs=2)
    generator = torch.Generator().manual_seed(0)
    inputs, texts = torch.randn(6, 5, generator=generator), torch.randn(6, 4, generator=generator)
    loss = contrastive_loss(layer(inputs), texts, torch.tensor(0.2), torch.tensor([0, 1, 2, 3, 0, 4]))
    loss.backward()
    for rank in range(2):
        result = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(result["loss"], loss.detach())
        torch.testing.assert_close(result["grad"], layer.weight.grad)
