"""The pool of linear classifiers: no stream does harm, what is held out decides, a second fit keeps the choice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from moclip_lite.errors import DataError
from moclip_lite.fusion import create_head
from moclip_lite.fusion.features import HeadFeed, head_scores
from moclip_lite.fusion.heads.linear_pool import LinearPool
from moclip_lite.fusion.tables import FeatureTable, Split, join_tables
from moclip_lite.fusion.training import fit_head
from moclip_lite.training.settings import TrainSettings

CLASSES = 4
CPU = torch.device("cpu")


def table(
    clips: int, seed: int, motion: float = 1.5, appearance: float = 1.5, classes: int = CLASSES
) -> FeatureTable:
    """Features of streams that know the class so well; 0 is noise, of which there are many dimensions."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, clips)
    seen = [
        rng.normal(size=(clips, tokens, 24)) + signal * np.eye(24)[labels][:, None]
        for tokens, signal in ((3, motion), (2, appearance))
    ]
    return FeatureTable(*(torch.from_numpy(x.astype(np.float32)) for x in seen), torch.from_numpy(labels))


def fitted(
    name: str, train: FeatureTable, val: FeatureTable, every: FeatureTable | None = None, **settings: object
) -> LinearPool:
    head = create_head(name, 24, 24, CLASSES)
    head.fit_statistics(train.motion, train.appearance)
    feed = HeadFeed(head, train, val, 16, 0)
    fit_head(head, feed, TrainSettings(**settings), seed=0, device=CPU, every=every)  # type: ignore[arg-type]
    assert isinstance(head, LinearPool)
    return head


def accuracy(head: LinearPool, data: FeatureTable) -> float:
    return float((head_scores(head, data).argmax(axis=1) == data.labels.numpy()).mean())


def described(data: FeatureTable, stream: str) -> npt.NDArray[np.float64]:
    tokens = getattr(data, stream).numpy().astype(np.float64)
    parts = [tokens.mean(1)] if stream == "motion" else [tokens.mean(1), tokens.std(1)]
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("classes", [2, CLASSES])
def test_each_classifier_is_scikit_learns(classes: int, balanced: bool) -> None:
    """Two of four classes may have no training clip: they are never the answer."""
    train, val, test = (table(60, seed, classes=classes) for seed in range(3))
    head = fitted("linear_pool", train, val, balance="classes" if balanced else "none")
    for number, stream in enumerate(("motion", "appearance")):
        mean, spread = described(train, stream).mean(0), described(train, stream).std(0)
        model = LogisticRegression(
            C=float(head.strengths[number]),
            max_iter=2000,
            tol=1e-6,
            class_weight="balanced" if balanced else None,
        ).fit((described(train, stream) - mean) / spread, train.labels)
        with torch.no_grad():
            scores = head.stream_scores(test.motion, test.appearance)[..., number].exp().numpy()
        expected = model.predict_proba((described(test, stream) - mean) / spread)
        np.testing.assert_allclose(scores[:, :classes], expected, atol=3e-3)
        assert scores[:, classes:].max(initial=0) < 1e-6


@pytest.mark.parametrize("useless", ["motion", "appearance"])
@pytest.mark.parametrize("clips", [24, 120])
def test_a_useless_stream_does_no_harm(useless: str, clips: int) -> None:
    signal = {"motion": 1.5, "appearance": 1.5, useless: 0.0}
    train, val, test = table(clips, 0, **signal), table(clips // 4, 1, **signal), table(1000, 2, **signal)
    alone = fitted("linear_appearance" if useless == "motion" else "linear_motion", train, val)
    assert accuracy(fitted("linear_pool", train, val), test) > accuracy(alone, test) - 0.02


def test_two_streams_are_better_than_one() -> None:
    train, val, test = table(160, 0, 1, 1), table(40, 1, 1, 1), table(1000, 2, 1, 1)
    both = accuracy(fitted("linear_pool", train, val), test)
    for name in ("linear_motion", "linear_appearance"):
        assert both > accuracy(fitted(name, train, val), test) + 0.05


def test_a_stream_that_is_right_on_its_own_training_clips_only_is_not_trusted() -> None:
    """Motion features of training clips tell the class, those of others do not: what a motion network gives."""
    train, val, test = table(80, 0, motion=6, appearance=1), table(40, 1, 0, 1), table(1000, 2, 0, 1)
    alone = accuracy(fitted("linear_appearance", train, val), test)
    head = fitted("linear_pool", train, val)
    assert accuracy(head, test) > alone - 0.05
    assert head.weights[0] < 0.5 * head.weights[1]


def test_held_out_clips_of_several_networks_decide_together() -> None:
    """The features of another split are of another space: they must be used within it alone."""
    train, val = table(80, 0), table(6, 1)
    turn = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(0)))[0]
    other = [
        FeatureTable(100 + t.motion @ turn, t.appearance, t.labels) for t in (table(80, 3), table(40, 4))
    ]
    head = create_head("linear_pool", 24, 24, CLASSES)
    head.fit_statistics(train.motion, train.appearance)
    feed = HeadFeed(head, train, val, 16, 0, further=[Split(other[0], other[1])])
    fit_head(head, feed, TrainSettings(), seed=0, device=CPU)
    assert isinstance(head, LinearPool)
    more = fitted("linear_pool", train, join_tables([val, table(40, 4)]))
    assert accuracy(head, table(500, 5)) > accuracy(more, table(500, 5)) - 0.05


def test_a_second_fit_keeps_what_was_chosen() -> None:
    train, val, test = table(30, 0), table(30, 1), table(1000, 2)
    every = join_tables([train, val])
    once, again = fitted("linear_pool", train, val), fitted("linear_pool", train, val, every)
    torch.testing.assert_close(again.weights, once.weights)
    torch.testing.assert_close(again.strengths, once.strengths)
    assert accuracy(again, test) > accuracy(once, test)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear_pool", "concat_mlp", "late_average", "logistic_regression"])
def test_validation_figures_are_of_the_first_fit(name: str) -> None:
    """After the second fit the validation clips are training clips."""
    noise = {"motion": 0.0, "appearance": 0.0}
    train, val = table(40, 0, **noise), table(40, 1, **noise)
    results = []
    for every in (None, join_tables([train, val])):
        torch.manual_seed(0)
        head = create_head(name, 24, 24, CLASSES, hidden=64, dropout=0)
        head.fit_statistics(train.motion, train.appearance)
        settings = TrainSettings(epochs=15, batch=16, lr=1e-2, label_smoothing=0, average=0)
        feed = HeadFeed(head, train, val, 16, 0)
        results.append(fit_head(head, feed, settings, seed=0, device=CPU, every=every))
    first, second = results
    assert second.best_accuracy == first.best_accuracy
    assert not first.val_scores
    said = np.array(second.val_scores).argmax(axis=1) == val.labels.numpy()
    assert 100 * said.mean() == pytest.approx(first.best_accuracy)


def test_the_pool_is_calibrated() -> None:
    """Its cross-entropy on new clips is no larger than with any other temperature, nearly."""
    train, val, test = table(80, 0, 1, 1), table(100, 1, 1, 1), table(2000, 2, 1, 1)
    scores = np.log(head_scores(fitted("linear_pool", train, val), test).astype(np.float64) + 1e-12)
    rows, labels = np.arange(2000), test.labels.numpy()
    losses = {t: -log_softmax(scores / t, axis=1)[rows, labels].mean() for t in np.geomspace(0.3, 3, 41)}
    assert losses[min(losses, key=lambda t: abs(t - 1))] < min(losses.values()) + 0.02


def test_one_frame_of_many_is_no_still_clip() -> None:
    """Its deviation is unknown, not zero."""
    train = table(60, 0)
    head = fitted("linear_pool", train, table(20, 1))
    with torch.no_grad():
        described = head.described("appearance", train.motion, train.appearance[:, :1])
    assert (described[:, 24:] == 0).all()
    assert (described[:, :24] != 0).all()


def test_one_class_is_refused() -> None:
    one = table(8, 0, classes=1)
    with pytest.raises(DataError, match="at least two classes"):
        fitted("linear_pool", one, one)


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_frames_that_are_alike_are_one_frame(size: float) -> None:
    """However often a picture is repeated: the rounding of its mean is no spread."""
    head = fitted("linear_pool", table(60, 0), table(60, 1))
    motion, frames = table(20, 2).motion, size * table(20, 2).appearance[:, :1]
    with torch.no_grad():
        once = head(motion, frames)
        for count in range(2, 17):
            torch.testing.assert_close(head(motion, frames.repeat(1, count, 1)), once, rtol=1e-4, atol=1e-4)
        slightly = torch.cat([frames, frames + 1e-3 * size], dim=1)
        assert not torch.allclose(head(motion, slightly), once, rtol=1e-2)
