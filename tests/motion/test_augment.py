"""Flips, crops and views of motion tensors."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from moclip_lite.motion.augment import CROPS, RandomView, crop, flip, views


def field(batch: int = 3, height: int = 12, width: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, 4, 5, 2, height, width, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_flipping_twice_is_the_identity_and_once_turns_x(seed: int) -> None:
    motion = field(seed=seed)
    mirrored = flip(motion)
    torch.testing.assert_close(flip(mirrored), motion, rtol=0, atol=0)
    torch.testing.assert_close(mirrored[..., 0, :, :], -motion[..., 0, :, :].flip(-1), rtol=0, atol=0)
    torch.testing.assert_close(mirrored[..., 1, :, :], motion[..., 1, :, :].flip(-1), rtol=0, atol=0)


def test_no_motion_stays_exactly_zero_in_every_view() -> None:
    still = torch.zeros(2, 4, 5, 2, 12, 16)
    for number in CROPS:
        assert all(not view.any() for view in views(still, number, 2))


def test_a_crop_enlarges_vectors_with_the_picture() -> None:
    motion = torch.ones(2, 1, 1, 2, 12, 16)
    cut = crop(motion, torch.tensor([1.0, 0.5]), torch.zeros(2), torch.zeros(2))
    torch.testing.assert_close(cut[0], motion[0])
    torch.testing.assert_close(cut[1], 2 * motion[1])


def test_crops_lie_where_they_say() -> None:
    motion = torch.zeros(1, 1, 1, 2, 16, 16)
    motion[..., :4, :4] = 1.0  # something in the upper left corner
    side, corner = torch.tensor([0.5]), torch.tensor([1.0])
    assert crop(motion, side, -corner, -corner).any()
    assert not crop(motion, side, corner, corner).any()


@pytest.mark.parametrize(("crops", "flips"), [(1, 1), (1, 2), (3, 2), (5, 2)])
def test_views_are_distinct_and_the_same_every_time(crops: int, flips: int) -> None:
    motion = field()
    first, second = list(views(motion, crops, flips)), list(views(motion, crops, flips))
    assert len(first) == crops * flips
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    for i in range(len(first)):
        assert all(not torch.equal(first[i], first[j]) for j in range(i))


def test_unknown_views_are_refused() -> None:
    with pytest.raises(ValueError, match="crops"):
        list(views(field(), 4, 1))
    with pytest.raises(ValueError, match="flips"):
        list(views(field(), 1, 3))


def test_random_views_are_seeded() -> None:
    motion = field()
    view = RandomView()
    one, again, other = (view(motion, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert not torch.equal(one, other)
    plain = RandomView(flip=0, min_side=1, speed=1)
    torch.testing.assert_close(plain(motion, torch.Generator()), motion, rtol=0, atol=0)
