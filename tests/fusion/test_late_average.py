"""Streams are weighed by how they do on clips that they were not trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import log_softmax
from torch import nn

from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.fusion import create_head
from moclip_lite.fusion.features import HeadFeed, head_scores
from moclip_lite.fusion.heads.base import Head
from moclip_lite.fusion.heads.late_average import LateAverage, pool_weights
from moclip_lite.fusion.tables import FeatureTable
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.files import read_tensors
from moclip_lite.training.checkpoint import load_weights, save_weights
from moclip_lite.training.classification import cross_entropy, fit
from moclip_lite.training.device import seed_all
from moclip_lite.training.settings import TrainSettings

from support.cli import assert_ok, moclip, sets
from support.features import labelled_features

CLASSES = 5
Scores = npt.NDArray[np.float64]


def streams(clips: int, seed: int, signal: tuple[float, float]) -> tuple[Scores, npt.NDArray[np.int64]]:
    """Log-probabilities [N, C, 2] of streams that know the class so well; 0 is confident noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, clips)
    logits = 3 * rng.normal(size=(clips, CLASSES, 2))
    logits[np.arange(clips), labels] += signal
    return log_softmax(logits, axis=1), labels


def accuracy(scores: Scores, labels: npt.NDArray[np.int64]) -> float:
    return float((scores.argmax(axis=1) == labels).mean())


@pytest.mark.parametrize(("clips", "most"), [(20, 0.2), (200, 0.05)])
def test_noise_is_ignored(clips: int, most: float) -> None:
    weights = pool_weights(*streams(clips, 0, (9, 0)))
    assert weights[1] / weights.sum() < most
    scores, labels = streams(1000, 1, (9, 0))
    assert accuracy(scores @ weights, labels) > accuracy(scores[..., 0], labels) - 0.01
    assert accuracy(scores @ weights, labels) > accuracy(scores.mean(axis=-1), labels) + 0.03


def test_equal_streams_share_alike_and_do_better_together() -> None:
    weights = pool_weights(*streams(400, 0, (5, 5)))
    assert weights[0] / weights.sum() == pytest.approx(0.5, abs=0.06)
    scores, labels = streams(1000, 1, (5, 5))
    assert accuracy(scores @ weights, labels) > accuracy(scores[..., 0], labels) + 0.05
    same = np.repeat(scores[..., :1], 2, axis=-1)
    first, second = pool_weights(same, labels)
    assert first == pytest.approx(second, abs=1e-4)


def test_few_clips_leave_the_plain_average() -> None:
    nothing = pool_weights(np.zeros((0, CLASSES, 2)), np.zeros(0, np.int64))
    np.testing.assert_allclose(nothing, 0.5)
    tied = pool_weights(*streams(2, 0, (9, 9)))
    assert abs(tied - 0.5).max() < 0.3


@pytest.mark.slow
def test_weights_are_the_minimum_of_the_penalised_loss() -> None:
    """By trying all weights of a fine grid."""
    scores, labels = streams(30, 2, (4, 2))
    axis = np.arange(0.0, 1.5, 0.01)
    losses = {}
    for a in axis:
        for b in axis:
            pooled = log_softmax(scores @ np.array([a, b]), axis=1)
            prior = ((a - 0.5) ** 2 + (b - 0.5) ** 2) / (2 * 0.5**2)
            losses[a, b] = prior - pooled[np.arange(30), labels].sum()
    np.testing.assert_allclose(pool_weights(scores, labels), min(losses, key=losses.__getitem__), atol=0.01)


def table(clips: int, seed: int) -> FeatureTable:
    """The class is in the motion; appearance is noise, by which training clips can be told apart all the same."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, clips)
    motion = rng.normal(0, 0.7, (clips, 6)) + np.eye(6)[labels] * 2
    appearance = rng.normal(0, 1, (clips, 200))
    return FeatureTable(
        *(torch.from_numpy(x.astype(np.float32)) for x in (motion, appearance)), torch.from_numpy(labels)
    )


def trained(name: str, train: FeatureTable, val: FeatureTable) -> Head:
    seed_all(0)
    head = create_head(name, 6, 200, 4, hidden=32)
    head.fit_statistics(train.motion, train.appearance)
    settings = TrainSettings(epochs=20, batch=16, lr=5e-3, label_smoothing=0)
    fit(head, HeadFeed(head, train, val, 16, 0), settings, seed=0, device=torch.device("cpu"))
    return head


@pytest.mark.slow
def test_a_useless_stream_does_no_harm(tmp_path: Path) -> None:
    train, val, test = table(60, 0), table(20, 1), table(500, 2)
    head, again = (trained("late_average", train, val) for _ in range(2))
    assert isinstance(head, LateAverage)
    labels = test.labels.numpy()
    alone = head.stream_scores(test.motion, test.appearance)[..., 0].detach().numpy()
    assert accuracy(head_scores(head, test), labels) > accuracy(alone, labels) - 0.02
    assert head.weights[0] > 3 * head.weights[1]
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in head.state_dict().items())

    save_weights(tmp_path / "fusion.safetensors", head, list("abcd"), {})
    loaded = create_head("late_average", 6, 200, 4, hidden=32)
    load_weights(tmp_path / "fusion.safetensors", loaded, list("abcd"))
    np.testing.assert_array_equal(head_scores(loaded, test), head_scores(head, test))


def test_each_stream_has_its_own_loss() -> None:
    """One that is right already does not spare the other its training."""
    train = table(16, 0)
    head = create_head("late_average", 6, 200, 4, hidden=8, dropout=0).train()
    scores = head(train.motion, train.appearance)
    assert scores.shape == (16, 4, 2)
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(16, 2))
    each = [nn.functional.cross_entropy(scores[..., i], train.labels) for i in range(2)]
    torch.testing.assert_close(cross_entropy(scores, train.labels, label_smoothing=0), sum(each) / 2)


def test_kept_weights_of_a_changed_network_are_trained_again(tmp_path: Path) -> None:
    file, cache = tmp_path / "f.safetensors", tmp_path / "cache"
    save_features(file, *labelled_features())
    words = (
        "run",
        *sets(
            (
                "data.kind=features",
                f"data.root={file}",
                "data.protocol=official",
                "fusion.head=late_average",
                "run.streams=[fusion]",
                "train_head.epochs=2",
                f"run.dir={tmp_path / 'run'}",
                f"cache.dir={cache}",
            )
        ),
    )
    (tmp_path / "e.yaml").write_text("{}\n")
    first = assert_ok(moclip(words[0], tmp_path / "e.yaml", *words[1:], "--json")).json
    store = FeatureCache(cache)
    for entry in list(store.entries()):
        if entry.stage == "trained":
            arrays, _ = read_tensors(entry.path)
            store.put(
                "trained",
                entry.key,
                {n: a for n, a in arrays.items() if n != "weights"} | {"balance": np.zeros(1, np.float32)},
            )
    shutil.rmtree(tmp_path / "run")
    again = assert_ok(moclip(words[0], tmp_path / "e.yaml", *words[1:], "--json")).json
    assert again["fusion"] == first["fusion"]
