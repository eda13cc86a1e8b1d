"""The linear probe: the coefficients are scikit-learn's, the penalty is chosen on validation clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from moclip_lite.errors import DataError
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.fusion import create_head
from moclip_lite.fusion.features import HeadFeed, head_scores
from moclip_lite.fusion.heads.base import Head
from moclip_lite.fusion.heads.logistic_regression import STRENGTHS, LinearProbe
from moclip_lite.fusion.tables import FeatureTable
from moclip_lite.fusion.training import fit_head
from moclip_lite.storage.files import read_tensors
from moclip_lite.training.checkpoint import load_weights, save_weights
from moclip_lite.training.loop import FitResult
from moclip_lite.training.settings import TrainSettings

from support.cli import assert_ok, moclip, sets
from support.features import labelled_features


def table(clips: int, seed: int, classes: int = 4, spread: float = 0.7) -> FeatureTable:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, clips)
    motion = rng.normal(0, spread, (clips, 3, 6)) + 2 * np.eye(6)[labels % 2][:, None]
    appearance = rng.normal(0, spread, (clips, 2, 5)) + 2 * np.eye(5)[labels // 2][:, None]
    tensors = [torch.from_numpy(features.astype(np.float32)) for features in (motion, appearance)]
    return FeatureTable(*tensors, torch.from_numpy(labels))


def fitted(train: FeatureTable, val: FeatureTable, classes: int = 4) -> tuple[Head, FitResult]:
    head = create_head("logistic_regression", 6, 5, classes)
    head.fit_statistics(train.motion, train.appearance)
    feed = HeadFeed(head, train, val, 16, 0)
    return head, fit_head(head, feed, TrainSettings(), seed=0, device=torch.device("cpu"))


def joined(data: FeatureTable) -> np.ndarray:
    return torch.cat([data.motion.mean(1), data.appearance.mean(1)], dim=1).numpy().astype(np.float64)


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_are_those_of_scikit_learn(classes: int) -> None:
    train, val, test = (table(n, seed, classes) for n, seed in ((80, 0), (60, 1), (200, 2)))
    mean, deviation = joined(train).mean(axis=0), joined(train).std(axis=0)
    losses, answers = [], []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1000, tol=1e-6).fit(
            (joined(train) - mean) / deviation, train.labels
        )
        losses.append(log_loss(val.labels, model.predict_proba((joined(val) - mean) / deviation)))
        answers.append(model.predict_proba((joined(test) - mean) / deviation))
    head, result = fitted(train, val, classes)
    np.testing.assert_allclose(head_scores(head, test), answers[int(np.argmin(losses))], atol=2e-3)
    assert result.best_loss == pytest.approx(min(losses), abs=1e-3)
    assert len(result.history) == 1
    assert result.history[0]["loss"] < result.best_loss + 0.2


def test_noisy_features_get_a_stronger_penalty() -> None:
    """A weak penalty fits the noise of twenty clips of overlapping classes."""
    train, val = table(20, 0, spread=6.0), table(200, 1, spread=6.0)
    noisy, result = fitted(train, val)
    weak = LogisticRegression(C=STRENGTHS[-1], max_iter=1000).fit(joined(train), train.labels)
    assert result.best_loss < log_loss(val.labels, weak.predict_proba(joined(val))) - 0.5
    clear, _ = fitted(table(20, 0, spread=0.1), table(200, 1, spread=0.1))
    assert isinstance(noisy, LinearProbe)
    assert isinstance(clear, LinearProbe)
    assert noisy.classifier.weight.norm() < clear.classifier.weight.norm()


def test_weights_are_saved_and_loaded(tmp_path: Path) -> None:
    train, val = table(60, 0), table(20, 1)
    head, _ = fitted(train, val)
    save_weights(tmp_path / "fusion.safetensors", head, list("abcd"), {})
    loaded = create_head("logistic_regression", 6, 5, 4)
    load_weights(tmp_path / "fusion.safetensors", loaded, list("abcd"))
    np.testing.assert_array_equal(head_scores(loaded, val), head_scores(head, val))
    assert {"classifier.weight", "classifier.bias"} < set(read_tensors(tmp_path / "fusion.safetensors")[0])


def test_a_class_without_training_clips_is_never_predicted() -> None:
    train, val = table(60, 0, classes=3), table(20, 1, classes=3)
    head, _ = fitted(train, val)
    scores = head_scores(head, val)
    assert scores.shape == (20, 4)
    assert scores[:, 3].max() < 1e-6
    with pytest.raises(DataError, match="two classes"):
        fitted(table(20, 0, classes=1), val)


def test_a_run_trains_predicts_and_starts_no_second_time(tmp_path: Path) -> None:
    file, run = tmp_path / "f.safetensors", tmp_path / "run"
    save_features(file, *labelled_features())
    (tmp_path / "e.yaml").write_text("{}\n")
    settings = (
        "data.kind=features",
        f"data.root={file}",
        "data.protocol=official",
        "fusion.head=logistic_regression",
        "run.streams=[fusion]",
        f"run.dir={run}",
        f"cache.dir={tmp_path / 'cache'}",
    )
    command = ("run", tmp_path / "e.yaml", *sets(settings))
    metrics = assert_ok(moclip(*command, "--json")).json
    assert metrics["fusion"]["top1"] > 90
    assert "nothing to do" in assert_ok(moclip(*command)).err
    weights = read_tensors(run / "fusion.safetensors")[0]
    assert np.isfinite(weights["classifier.weight"]).all()
