"""Fusion heads and controls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from moclip_lite.appearance.zero_shot import zero_shot_scores
from moclip_lite.errors import ConfigError
from moclip_lite.fusion import create_head, list_heads
from moclip_lite.fusion.registry import LINEAR
from moclip_lite.training.costs import count_cost

from support.training import train_head

CONTROLS = (
    "appearance_one_frame",
    "appearance_only",
    "cosine_text_appearance",
    "cosine_text_one_frame",
    "frame_attention_only",
    "linear_appearance",
    "linear_motion",
    "linear_one_frame",
    "motion_only",
    "text_pool_appearance",
    "text_pool_one_frame",
    "tip_adapter_appearance",
    "tip_adapter_one_frame",
)
"""Heads that see one stream."""


@pytest.mark.slow
def test_only_the_fusion_sees_both_halves() -> None:
    assert train_head("concat_mlp")[1] > 95
    assert 35 < train_head("appearance_only")[1] < 65
    assert 35 < train_head("motion_only")[1] < 65
    for name in LINEAR.values():
        assert 35 < train_head(name)[1] < 65


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(list_heads()) - set(CONTROLS)))
def test_every_fusion_sees_both_halves(name: str) -> None:
    """Class = (a bit of motion, a bit of appearance): one stream alone stays near 50 %."""
    assert train_head(name, 30)[1] > 90


@pytest.mark.parametrize("name", list_heads())
@pytest.mark.parametrize("frames", [(), (1,), (8,)])
@pytest.mark.parametrize("segments", [(), (3,)])
def test_heads_take_one_token_or_many(name: str, segments: tuple[int, ...], frames: tuple[int, ...]) -> None:
    head = create_head(name, 16, 12, 5).eval()
    assert head(torch.randn(3, *segments, 16), torch.randn(3, *frames, 12)).shape == (3, 5)


@pytest.mark.parametrize("name", [n for n in list_heads() if not create_head(n, 6, 5, 4).tokens])
def test_averaging_tokens_first_changes_nothing(name: str) -> None:
    head = create_head(name, 6, 5, 4, hidden=16).eval()
    motion, appearance = torch.randn(4, 3, 6), torch.randn(4, 7, 5)
    whole = head(motion, appearance)
    torch.testing.assert_close(head(motion.mean(1), appearance.mean(1)), whole)


def test_attention_sees_order_and_frames() -> None:
    head = create_head("query_attention", 6, 5, 4, hidden=32).eval()
    motion, appearance = torch.randn(4, 3, 6), torch.randn(4, 7, 5)
    assert not torch.allclose(head(motion.flip(1), appearance), head(motion, appearance), atol=1e-6)
    assert not torch.allclose(head(motion, appearance.flip(1)), head(motion, appearance), atol=1e-6)


def test_frame_attention_starts_as_the_mean_and_sees_order_once_trained() -> None:
    head = create_head("frame_attention_only", 6, 5, 4, hidden=64).eval()
    motion, frames = torch.randn(4, 3, 6), torch.randn(4, 7, 5)
    torch.testing.assert_close(head(motion, frames), head(motion, frames.mean(1, keepdim=True)))
    trained = train_head("frame_attention", 5)[0].eval()
    motion, frames = torch.randn(4, 6), torch.randn(4, 3, 5)
    assert not torch.allclose(trained(motion, frames), trained(motion, frames.flip(1)), atol=1e-6)


def test_the_adapter_starts_from_the_class_names() -> None:
    """Before training its answer is zero-shot's; the classes are its classifier."""
    classes = nn.functional.normalize(torch.randn(4, 5), dim=1)
    frames = nn.functional.normalize(torch.randn(6, 3, 5), dim=2)
    head = create_head("residual_adapter", 6, 5, 4).eval()
    head.start_from_text(classes)
    scores = head(torch.randn(6, 6), frames).softmax(1).detach().numpy()
    np.testing.assert_allclose(scores, zero_shot_scores(frames.numpy(), classes.numpy()), atol=1e-5)


def test_modality_dropout_blanks_one_stream_in_training_only() -> None:
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
    # Those of the size of their data.
    closed = {name for name in CONTROLS if create_head(name, 6, 5, 4).closed_form}
    for name in set(CONTROLS) - closed:
        beside = sizes["frame_attention"]["parameters"] if name == "frame_attention_only" else fused
        assert sizes[name]["parameters"] == pytest.approx(beside, rel=0.02)


def test_unknown_heads_are_refused() -> None:
    with pytest.raises(ConfigError, match="concat_mlp"):
        create_head("sum", 1, 1, 2)
