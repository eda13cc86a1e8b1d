"""Length of a training, balanced classes, and averaged weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from moclip_lite.errors import TrainingDiverged
from moclip_lite.training.averaging import AveragedWeights
from moclip_lite.training.batches import accuracy_and_loss, balanced_order, batches, count_batches, uneven
from moclip_lite.training.classification import Batch, fit
from moclip_lite.training.loop import TrainingProgress
from moclip_lite.training.schedule import plan_epochs
from moclip_lite.training.settings import TrainSettings

CPU = torch.device("cpu")


@pytest.mark.parametrize("steps", [1, 2, 5, 24, 25, 26, 60, 477, 15_000, 50_000])
def test_without_epochs_the_steps_stay_within_their_limits(steps: int) -> None:
    settings = TrainSettings()
    plan = plan_epochs(settings, steps)
    assert plan.steps == plan.passes * steps >= 25
    total, rounding = plan.epochs * plan.steps, plan.steps / 2
    assert settings.min_steps - rounding <= total
    assert total <= max(settings.max_steps + rounding, steps)  # one pass at least


def test_between_the_limits_each_clip_is_seen_as_often() -> None:
    plan = plan_epochs(TrainSettings(), 50)
    assert plan.epochs * plan.passes == 60


def test_epochs_are_passes_where_they_are_given() -> None:
    plan = plan_epochs(TrainSettings(epochs=3), 5)
    assert (plan.epochs, plan.passes, plan.steps) == (3, 1, 5)


def test_more_least_than_most_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="min_steps"):
        TrainSettings(min_steps=100, max_steps=50)


@pytest.mark.parametrize("count", range(1, 40))
@pytest.mark.parametrize("size", [2, 7, 16])
def test_batches_are_counted(count: int, size: int) -> None:
    assert count_batches(count, size) == len(list(batches(np.arange(count), size)))


@pytest.mark.parametrize(
    ("counts", "expected"), [((9, 9, 9), False), ((10, 8, 9), False), ((30, 9, 9), True), ((2, 9, 9), True)]
)
def test_uneven_classes_are_found(counts: tuple[int, ...], expected: bool) -> None:
    targets = np.repeat(np.arange(len(counts)) * 2, counts)  # a class in between may be absent
    assert uneven(targets) is expected


def test_a_balanced_order_draws_classes_alike_and_uses_every_clip_of_a_rare_one() -> None:
    targets = np.repeat([0, 1, 4], [50, 8, 2])
    order = balanced_order(targets, np.random.default_rng(0))
    assert len(order) == len(targets)
    assert Counter(targets[order].tolist()) == {0: 20, 1: 20, 4: 20}
    times = np.bincount(order, minlength=len(targets))
    for label in (1, 4):
        assert np.ptp(times[targets == label]) <= 1
    assert times[targets == 0].max() == 1


def test_macro_figures_do_not_depend_on_how_often_a_class_occurs() -> None:
    rows = np.array([[0.7, 0.3], [0.6, 0.4]], np.float32)  # the second is wrong
    few = accuracy_and_loss(rows, np.array([0, 1]), macro=True)
    many = accuracy_and_loss(rows[[0, 0, 0, 1]], np.array([0, 0, 0, 1]), macro=True)
    assert few == pytest.approx(many)
    assert few[0] == 50
    assert accuracy_and_loss(rows[[0, 0, 0, 1]], np.array([0, 0, 0, 1]))[0] == 75


def test_all_right_is_exactly_100() -> None:
    targets = np.array([1, 3, 3, 3])
    assert accuracy_and_loss(np.eye(4, dtype=np.float32)[targets], targets, macro=True)[0] == 100


class _Noise:
    """A feed of random clips of two classes, of which it records how often each pass was asked for."""

    steps = 4

    def __init__(self) -> None:
        self.passes: list[int] = []
        self.seen: list[torch.Tensor] = []

    def train_batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        self.passes.append(epoch)
        for step in range(self.steps):
            generator = torch.Generator().manual_seed(epoch * 10 + step)
            yield (torch.randn(6, 3, generator=generator),), torch.tensor([0, 1] * 3)

    def validate(self, model: nn.Module) -> tuple[float, float]:
        weight = next(model.parameters())
        self.seen.append(weight.detach().clone())
        return 50.0, -float(len(self.seen))  # the last epoch is the best


def test_each_pass_is_trained_on_once_and_the_rate_ends_near_zero() -> None:
    feed = _Noise()
    settings = TrainSettings(min_steps=60, max_steps=60, batch=6)
    result = fit(nn.Linear(3, 2), feed, settings, seed=0, device=CPU)
    assert feed.passes == list(range(14))
    assert len(result.history) == 2
    assert result.history[-1]["lr"] < settings.lr / 100


def test_the_averaged_weights_are_validated_and_kept() -> None:
    feed, model = _Noise(), nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    fit(model, feed, TrainSettings(epochs=5, batch=6, average=0.5), seed=0, device=CPU)
    torch.testing.assert_close(next(model.parameters()).detach(), feed.seen[-1], rtol=0, atol=0)
    plain = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    fit(plain, _Noise(), TrainSettings(epochs=5, batch=6, average=0), seed=0, device=CPU)
    assert not torch.equal(next(plain.parameters()), feed.seen[-1])


def test_without_validation_the_last_average_is_kept_and_the_feed_is_not_asked() -> None:
    feed, model = _Noise(), nn.Linear(3, 2)
    result = fit(model, feed, TrainSettings(epochs=3, batch=6), seed=0, device=CPU, validates=False)
    assert not feed.seen
    assert len(result.history) == 3
    assert result.best_epoch == -1


class _Diverging(_Noise):
    """A feed of which the third pass, or the validation, is not finite."""

    def __init__(self, training: bool) -> None:
        super().__init__()
        self.training = training

    def train_batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        for (inputs,), labels in super().train_batches(epoch, first):
            yield (inputs * (float("inf") if self.training and epoch == 2 else 1),), labels

    def validate(self, model: nn.Module) -> tuple[float, float]:
        return 50.0, 1.0 if self.training or len(self.passes) < 3 else float("nan")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("validates", [True, False])
def test_a_training_that_diverges_says_so(training: bool, validates: bool) -> None:
    feed = _Diverging(training)
    settings = TrainSettings(epochs=4, batch=6, precision="float32")

    def train() -> None:
        fit(nn.Linear(3, 2), feed, settings, seed=0, device=CPU, validates=validates)

    if not training and not validates:
        train()  # nobody asks
        return
    with pytest.raises(TrainingDiverged, match="lower the learning rate"):
        train()
    assert len(feed.passes) == 3


def test_an_interrupted_average_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moclip_lite.training.classification._SAVE_EVERY", 0.0)
    settings = TrainSettings(epochs=4, batch=6, average=0.5)

    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    whole, cut, resumed = network(), network(), network()
    fit(whole, _Noise(), settings, seed=0, device=CPU, validates=False)
    state = tmp_path / "state.safetensors"

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    progress = TrainingProgress(checkpoint=state, fingerprint="x", on_epoch=stop)
    with pytest.raises(KeyboardInterrupt):
        fit(cut, _Noise(), settings, seed=0, device=CPU, validates=False, progress=progress)
    progress = TrainingProgress(checkpoint=state, fingerprint="x")
    fit(resumed, _Noise(), settings, seed=0, device=CPU, validates=False, progress=progress)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_the_average_of_constant_weights_is_these() -> None:
    network = nn.BatchNorm1d(2)
    average = AveragedWeights(network, 10)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.num_batches_tracked.fill_(7)
    for _ in range(200):
        average.update(network)
    torch.testing.assert_close(average.tensors["weight"], network.weight.detach(), rtol=1e-4, atol=1e-4)
    assert int(average.tensors["num_batches_tracked"]) == 7


def test_a_maximum_below_the_default_minimum_lowers_it() -> None:
    settings = TrainSettings(max_steps=50)
    assert (settings.min_steps, settings.max_steps) == (50, 50)
    assert TrainSettings.model_validate(settings.model_dump()) == settings
    assert TrainSettings().min_steps > 50
