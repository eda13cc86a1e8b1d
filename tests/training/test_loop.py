"""The training loop: repeatability, interruption, the best epoch and patience."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from moclip_lite.training.classification import Batch, fit
from moclip_lite.training.loop import TrainingProgress
from moclip_lite.training.settings import TrainSettings

from support.training import train_head

CPU = torch.device("cpu")


def test_training_is_repeatable_and_seeded() -> None:
    one, again, other = (train_head("concat_mlp", 4, seed=seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[k], again[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_an_interrupted_training_resumes_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moclip_lite.training.classification._SAVE_EVERY", 0.0)
    whole, _ = train_head("concat_mlp", 8)
    state = tmp_path / "state.safetensors"

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_head("concat_mlp", 8, TrainingProgress(checkpoint=state, fingerprint="x", on_epoch=stop))
    seen: list[float] = []
    progress = TrainingProgress(
        checkpoint=state, fingerprint="x", on_epoch=lambda row: seen.append(row["epoch"])
    )
    resumed, _ = train_head("concat_mlp", 8, progress)
    assert seen == [5, 6, 7]
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("damage", ["foreign", "cut"])
def test_a_checkpoint_of_another_training_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr("moclip_lite.training.classification._SAVE_EVERY", 0.0)
    state = tmp_path / "state.safetensors"
    train_head("concat_mlp", 3, TrainingProgress(checkpoint=state, fingerprint="x"))
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:100])
    seen: list[float] = []
    progress = TrainingProgress(
        checkpoint=state,
        fingerprint="y" if damage == "foreign" else "x",
        on_epoch=lambda row: seen.append(row["epoch"]),
    )
    train_head("concat_mlp", 3, progress)
    assert seen == [0, 1, 2]


class _Scripted:
    """A feed with given validation losses."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.asked = losses, 0

    steps = 1

    def train_batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        yield (torch.ones(4, 2),), torch.tensor([0, 1, 0, 1])

    def validate(self, model: nn.Module) -> tuple[float, float]:
        assert not model.training
        self.asked += 1
        return 50.0, self.losses[self.asked - 1]


def test_the_best_epoch_is_kept_and_patience_ends_the_training() -> None:
    weights: list[Tensor] = []
    model = nn.Linear(2, 2)
    settings = TrainSettings(epochs=9, batch=4, patience=2, average=0)
    feed = _Scripted([3.0, 1.0, 2.0, 2.0, 0.1])
    progress = TrainingProgress(on_epoch=lambda row: weights.append(model.weight.detach().clone()))
    result = fit(model, feed, settings, seed=0, device=CPU, progress=progress)
    assert (result.best_epoch, len(result.history)) == (1, 4)
    torch.testing.assert_close(model.weight.detach(), weights[1], rtol=0, atol=0)
