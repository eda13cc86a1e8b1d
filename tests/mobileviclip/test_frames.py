"""Frames of a video as the model reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from moclip_lite.mobileviclip.frames import Crop, centre_box, random_box, read_clip, to_tensor

from support.mobileviclip import SMALLEST, shaken


@pytest.mark.parametrize("frames", [1, 3])
def test_short_clips_repeat_their_last_frame(make_clip: Callable[..., Path], frames: int) -> None:
    path = make_clip(frames=frames)
    clip = read_clip(path, 8, 32)
    assert clip.shape == (8, 3, 32, 32)
    for position in range(frames, 8):
        assert torch.equal(clip[position], clip[frames - 1])
    assert torch.equal(
        read_clip(path, 8, 32, crop=Crop(np.random.default_rng(0)))[-1],
        read_clip(path, 8, 32, crop=Crop(np.random.default_rng(0)))[frames - 1],
    )


@pytest.mark.slow
def test_huge_and_narrow_pictures() -> None:
    for shape in ((4320, 7680, 3), (2, 6000, 3), (1, 1, 3)):
        picture = np.full(shape, 128, np.uint8)
        assert to_tensor(picture, 32).shape == (3, 32, 32)
        box = random_box(shape[1], shape[0], 0.5, np.random.default_rng(0))
        assert 0 <= box[0] < box[2] <= shape[1] + 1e-6
        assert to_tensor(picture, 32, box).mean() == pytest.approx(128 / 255)
    assert centre_box(100, 60) == (20, 0, 80, 60)


def test_the_clip_is_read_by_the_model(clip: Path) -> None:
    model = shaken(SMALLEST)
    with torch.inference_mode():
        assert torch.isfinite(model.encode_video(read_clip(clip, 2, 32)[None])).all()
