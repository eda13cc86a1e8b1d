"""Heads that compare frames with class text: few clips gain, uninformative text does no harm, choices stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from torch import Tensor
from torch.nn import functional

from moclip_lite.appearance.zero_shot import zero_shot_scores
from moclip_lite.errors import CheckpointError
from moclip_lite.fusion import create_head
from moclip_lite.fusion.features import HeadFeed, head_scores
from moclip_lite.fusion.heads.base import Head
from moclip_lite.fusion.heads.cosine_text import CosineText
from moclip_lite.fusion.heads.text import TextPool
from moclip_lite.fusion.heads.tip_adapter import TipAdapter
from moclip_lite.fusion.registry import BESIDE, NEED_TEXT, TEXT_POOLS
from moclip_lite.fusion.tables import FeatureTable
from moclip_lite.fusion.training import fit_head
from moclip_lite.training.checkpoint import load_weights, save_weights
from moclip_lite.training.settings import TrainSettings

CLASSES, DIM = 6, 32
LABELS = tuple("abcdef")
TEXT = functional.normalize(torch.randn(CLASSES, DIM, generator=torch.Generator().manual_seed(3)), dim=1)
HEADS = [name for name in NEED_TEXT if name != "residual_adapter"]


def table(clips: int, seed: int, noise: float = 0.4, offset: float = 0.0) -> FeatureTable:
    """Frames near their class text, all moved by an offset; motion knows a third of the classes."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(clips) % CLASSES
    shift = offset * torch.randn(CLASSES, DIM, generator=torch.Generator().manual_seed(9))
    frames = (TEXT + shift)[labels][:, None] + noise * torch.randn(clips, 3, DIM, generator=rng)
    motion = torch.randn(clips, 2, 8, generator=rng) + 2 * torch.eye(8)[labels // 2][:, None]
    return FeatureTable(motion, functional.normalize(frames, dim=-1), labels)


def fitted(
    name: str,
    train: FeatureTable,
    val: FeatureTable,
    every: FeatureTable | None = None,
    text: Tensor | None = TEXT,
) -> Head:
    torch.manual_seed(0)
    head = create_head(name, 8, DIM, CLASSES)
    head.fit_statistics(train.motion, train.appearance)
    if text is not None:
        head.start_from_text(text)
    feed = HeadFeed(head, train, val, 16, 0)
    fit_head(head, feed, TrainSettings(epochs=1), seed=0, device=torch.device("cpu"), every=every)
    return head


def accuracy(head: Head, data: FeatureTable) -> float:
    return float((head_scores(head, data).argmax(axis=1) == data.labels.numpy()).mean())


@pytest.mark.parametrize("name", TEXT_POOLS)
def test_one_clip_of_a_class_gains_from_text(name: str) -> None:
    train, val, test = table(CLASSES, 0), table(CLASSES, 1), table(600, 2)
    assert accuracy(fitted(name, train, val), test) > accuracy(fitted("linear_pool", train, val), test) + 0.05


@pytest.mark.parametrize("name", TEXT_POOLS)
def test_text_that_knows_nothing_does_no_harm(name: str) -> None:
    train, val, test = table(240, 0), table(60, 1), table(600, 2)
    plain = accuracy(fitted("linear_pool", train, val), test)
    assert accuracy(fitted(name, train, val, text=None), test) > plain - 0.03


@pytest.mark.parametrize("name", TEXT_POOLS)
def test_clips_correct_what_the_text_has_wrong(name: str) -> None:
    """Each class has the text of its neighbour: zero-shot is always wrong."""
    train, val, test = table(240, 0), table(60, 1), table(600, 2)
    head = fitted(BESIDE[name]["appearance_only"], train, val, text=TEXT.roll(1, dims=0))
    assert accuracy(head, test) > 0.75


@pytest.mark.parametrize("name", HEADS)
def test_before_clips_the_answer_is_zero_shots(name: str) -> None:
    head, data = create_head(name, 8, DIM, CLASSES).eval(), table(30, 0)
    assert isinstance(head, TextPool)
    head.start_from_text(TEXT)
    with torch.no_grad():
        scores = head.expert_logits(head.compared(data.appearance)).softmax(dim=1).numpy()
    frames = data.appearance[:, 1:2] if name.endswith("one_frame") else data.appearance
    np.testing.assert_allclose(scores, zero_shot_scores(frames.numpy(), TEXT.numpy()), atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_a_second_fit_keeps_what_was_chosen(name: str) -> None:
    train, val = table(30, 0), table(30, 1)
    once, again = fitted(name, train, val), fitted(name, train, val, table(60, 2))
    first, second = once.choices()["pool"], again.choices()["pool"]
    for stream in first:
        for choice in set(first[stream]) - {"scale"}:  # learned
            assert first[stream][choice] == second[stream][choice]
    before, after = once.state_dict(), again.state_dict()
    assert any(
        before[key].shape != after[key].shape or not torch.equal(before[key], after[key]) for key in before
    )


def test_a_cache_of_any_size_is_saved_and_loaded(tmp_path: Path) -> None:
    head, test = fitted("tip_adapter", table(18, 0), table(12, 1)), table(30, 2)
    assert isinstance(head, TipAdapter)
    assert head.keys.shape == (18, DIM)
    save_weights(tmp_path / "head.safetensors", head, LABELS, {})
    loaded = create_head("tip_adapter", 8, DIM, CLASSES)
    load_weights(tmp_path / "head.safetensors", loaded, LABELS)
    np.testing.assert_array_equal(head_scores(loaded, test), head_scores(head, test))
    head.values = head.values[:7]
    save_weights(tmp_path / "bad.safetensors", head, LABELS, {})
    with pytest.raises(CheckpointError, match="values"):
        load_weights(tmp_path / "bad.safetensors", create_head("tip_adapter", 8, DIM, CLASSES), LABELS)


def test_directions_are_the_minimum() -> None:
    """At the solution the gradient of the stated loss vanishes."""
    data, pull = table(30, 0), 0.1
    head = fitted("cosine_text_appearance", data, table(30, 1))
    assert isinstance(head, CosineText)
    head.pull.fill_(pull)
    head.fit_expert(data)
    classes = head.classes.detach().double().requires_grad_()
    directions = functional.normalize(classes, dim=1)
    scale = float(head.log_scale.detach().exp())
    logits = scale * torch.from_numpy(head.compared_array(data)) @ directions.T
    loss = functional.cross_entropy(logits, data.labels)
    (loss + pull * (classes - TEXT).square().sum() / CLASSES).backward()
    assert classes.grad is not None
    assert classes.grad.abs().max() < 2e-3


def test_alpha_follows_the_number_of_clips() -> None:
    shares = [
        fitted("text_pool", table(clips, 0, 0.3, 0.2), table(clips, 1, 0.3, 0.2)).choices()["alpha"]
        for clips in (CLASSES, 40 * CLASSES)
    ]
    assert 0 <= shares[0] < shares[1] <= 1


@pytest.mark.parametrize("name", [*HEADS, "linear_pool", "logistic_regression", "late_average"])
def test_solvers_of_small_problems_use_one_blas_thread(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    minimize = scipy.optimize.minimize
    threads: list[int] = []

    def recorded(*args: Any, **kwargs: Any) -> Any:
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return minimize(*args, **kwargs)

    monkeypatch.setattr(scipy.optimize, "minimize", recorded)
    text = TEXT if name in HEADS else None
    with threadpool_limits(2, user_api="blas"):
        before = threadpool_info()
        fitted(name, table(60, 0), table(24, 1), text=text)
        assert threadpool_info() == before
    assert threads
    assert set(threads) == {1}
