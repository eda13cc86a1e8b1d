"""The training loop, the networks and the heads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from moclip_lite.appearance.zero_shot import zero_shot_scores
from moclip_lite.errors import ConfigError
from moclip_lite.fusion import CONTROLS, create_head, list_heads
from moclip_lite.fusion.features import FeatureTable, HeadFeed, head_scores
from moclip_lite.motion.network import create_motion_net, list_motion_nets
from moclip_lite.results.metrics import score
from moclip_lite.results.statistics import wilson
from moclip_lite.training.classification import Batch, fit
from moclip_lite.training.costs import count_cost
from moclip_lite.training.device import seed_all
from moclip_lite.training.settings import TrainSettings

CPU = torch.device("cpu")


def table(clips: int = 120, classes: int = 4, seed: int = 0) -> FeatureTable:
    """Class = (sign of a motion feature, sign of an appearance feature)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, clips)
    motion = rng.normal(0, 0.3, (clips, 6)) + np.eye(6)[labels % 2] * 2
    appearance = rng.normal(0, 0.3, (clips, 3, 5)) + np.eye(5)[labels // 2][:, None] * 2
    return FeatureTable(
        torch.from_numpy(motion.astype(np.float32)),
        torch.from_numpy(appearance.astype(np.float32)),
        torch.from_numpy(labels),
    )


def trained(name: str, epochs: int = 25, seed: int = 0, **extra: object) -> tuple[nn.Module, float]:
    train, val, test = table(seed=1), table(60, seed=2), table(200, seed=3)
    seed_all(seed)
    head = create_head(name, 6, 5, 4, hidden=32)
    head.fit_statistics(train.motion, train.appearance)
    settings = TrainSettings(epochs=epochs, batch=32, lr=5e-3, label_smoothing=0)
    fit(head, HeadFeed(head, train, val, 32, seed), settings, seed=seed, device=CPU, **extra)  # type: ignore[arg-type]
    scores = head_scores(head, test)
    return head, 100 * float((scores.argmax(1) == test.labels.numpy()).mean())


def test_only_the_fusion_sees_both_halves() -> None:
    assert trained("concat_mlp")[1] > 95
    assert 35 < trained("appearance_only")[1] < 65
    assert 35 < trained("motion_only")[1] < 65


def test_training_is_repeatable_and_seeded() -> None:
    one, again, other = (trained("concat_mlp", 4, seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[k], again[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_an_interrupted_training_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moclip_lite.training.classification._SAVE_EVERY", 0.0)
    whole, _ = trained("concat_mlp", 8)
    state = tmp_path / "state.safetensors"

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained("concat_mlp", 8, checkpoint=state, fingerprint="x", on_epoch=stop)
    seen: list[float] = []
    resumed, _ = trained(
        "concat_mlp", 8, checkpoint=state, fingerprint="x", on_epoch=lambda row: seen.append(row["epoch"])
    )
    assert seen == [5, 6, 7]
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("damage", ["foreign", "cut"])
def test_a_checkpoint_of_something_else_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr("moclip_lite.training.classification._SAVE_EVERY", 0.0)
    state = tmp_path / "state.safetensors"
    trained("concat_mlp", 3, checkpoint=state, fingerprint="x")
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:100])
    seen: list[float] = []
    trained("concat_mlp", 3, checkpoint=state, fingerprint="y" if damage == "foreign" else "x",
            on_epoch=lambda row: seen.append(row["epoch"]))  # fmt: skip
    assert seen == [0, 1, 2]


class _Scripted:
    """A feed whose validation losses are given."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.asked = losses, 0

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        yield (torch.ones(4, 2),), torch.tensor([0, 1, 0, 1])

    def validate(self, model: nn.Module) -> tuple[float, float]:
        assert not model.training
        self.asked += 1
        return 50.0, self.losses[self.asked - 1]


def test_the_best_epoch_is_kept_and_patience_ends_the_training() -> None:
    weights: list[Tensor] = []
    model = nn.Linear(2, 2)
    settings = TrainSettings(epochs=9, batch=4, patience=2)
    feed = _Scripted([3.0, 1.0, 2.0, 2.0, 0.1])
    result = fit(
        model, feed, settings, seed=0, device=CPU,
        on_epoch=lambda row: weights.append(model.weight.detach().clone()),
    )  # fmt: skip
    assert (result.best_epoch, len(result.history)) == (1, 4)
    torch.testing.assert_close(model.weight.detach(), weights[1], rtol=0, atol=0)


@pytest.mark.parametrize("name", list_motion_nets())
def test_motion_networks(name: str) -> None:
    net = create_motion_net(name, 7, frames=5).eval()
    motion = torch.randn(2, 3, 5, 2, 12, 16)
    assert net(motion).shape == (2, 7)
    assert net.features(motion).shape == (2, net.feature_dim)
    cost = count_cost(net, [motion[:1]])
    assert cost["gflops"] > 0
    if name == "efficientnet_b0":
        assert net.feature_dim == 1280
    else:
        assert cost["parameters"] < 1_000_000


def test_the_small_network_sees_direction() -> None:
    """Mirrored motion gives other features: nothing squares the sign away."""
    net = create_motion_net("motion_small", 3).eval()
    motion = torch.randn(1, 2, 5, 2, 12, 16)
    assert not torch.allclose(net.features(motion), net.features(-motion))


@pytest.mark.parametrize("name", list_heads())
@pytest.mark.parametrize("frames", [(), (1,), (8,)])
@pytest.mark.parametrize("segments", [(), (3,)])
def test_heads_take_one_token_or_many(name: str, segments: tuple[int, ...], frames: tuple[int, ...]) -> None:
    head = create_head(name, 16, 12, 5).eval()
    assert head(torch.randn(3, *segments, 16), torch.randn(3, *frames, 12)).shape == (3, 5)


@pytest.mark.parametrize("name", sorted(set(list_heads()) - set(CONTROLS)))
def test_every_fusion_sees_both_halves(name: str) -> None:
    """Class = (a bit of motion, a bit of appearance): one stream alone stays near 50 %."""
    assert trained(name, 60)[1] > 90


@pytest.mark.parametrize("name", sorted(set(list_heads()) - {"query_attention", "appearance_one_frame"}))
def test_averaging_once_changes_nothing(name: str) -> None:
    head = create_head(name, 6, 5, 4, hidden=16).eval()
    motion, appearance = torch.randn(4, 3, 6), torch.randn(4, 7, 5)
    whole = head(motion, appearance)
    torch.testing.assert_close(head(motion.mean(1), appearance.mean(1)), whole)


def test_attention_sees_order_and_frames() -> None:
    head = create_head("query_attention", 6, 5, 4, hidden=32).eval()
    motion, appearance = torch.randn(4, 3, 6), torch.randn(4, 7, 5)
    assert not torch.allclose(head(motion.flip(1), appearance), head(motion, appearance), atol=1e-6)
    assert not torch.allclose(head(motion, appearance.flip(1)), head(motion, appearance), atol=1e-6)


def test_the_adapter_starts_from_the_class_names() -> None:
    """Before training its answer is zero-shot's; the classes are its classifier."""
    classes = nn.functional.normalize(torch.randn(4, 5), dim=1)
    frames = nn.functional.normalize(torch.randn(6, 3, 5), dim=2)
    head = create_head("residual_adapter", 6, 5, 4).eval()
    head.start_from_text(classes)
    scores = head(torch.randn(6, 6), frames).softmax(1).detach().numpy()
    np.testing.assert_allclose(scores, zero_shot_scores(frames.numpy(), classes.numpy()), atol=1e-5)


def test_modality_dropout_blanks_one_stream_in_training_alone() -> None:
    head = create_head("modality_dropout", 6, 5, 4)
    motion, appearance = torch.ones(2000, 6), torch.ones(2000, 5)
    moving, seen = head.train().standardized(motion, appearance)
    lost, blind = moving.abs().sum(1) == 0, seen.abs().sum(1) == 0
    assert 0.1 < lost.float().mean() < 0.3
    assert 0.1 < blind.float().mean() < 0.3
    assert not (lost & blind).any()
    assert all((part != 0).all() for part in head.eval().standardized(motion, appearance))


def test_controls_have_the_size_of_the_fusion() -> None:
    sizes = {
        n: count_cost(create_head(n, 192, 512, 101).eval(), [torch.zeros(1, 192), torch.zeros(1, 512)])
        for n in list_heads()
    }
    fused = sizes["concat_mlp"]["parameters"]
    for name in CONTROLS:
        assert sizes[name]["parameters"] == pytest.approx(fused, rel=0.02)


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ConfigError, match="concat_mlp"):
        create_head("sum", 1, 1, 2)
    with pytest.raises(ConfigError, match="motion_small"):
        create_motion_net("resnet", 2)


def test_scores() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], np.float32)
    result = score(scores, np.array([0, 1, 1, 0]), ["a", "b", "c"])
    assert result.top1 == 75.0
    assert result.top5 == 100.0
    assert result.per_class == {"a": 100.0, "b": 50.0, "c": None}
    assert result.macro == 75.0
    assert result.n == 4
    with pytest.raises(ValueError, match="finite"):
        score(np.full((1, 3), np.nan, np.float32), np.array([0]), ["a", "b", "c"])
    with pytest.raises(ValueError, match="no test clip"):
        score(np.zeros((0, 3), np.float32), np.zeros(0, np.int64), ["a", "b", "c"])


def test_wilson_interval_of_a_textbook_case() -> None:
    assert wilson(0.8, 10) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 5).low == pytest.approx(0, abs=1e-9)
