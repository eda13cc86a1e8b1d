"""Pictures are prepared as open_clip and MobileViCLIP do, bit for bit, without torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from moclip_lite.engine.pictures import PictureRules
from moclip_lite.errors import CheckpointError
from moclip_lite.mobileviclip.frames import to_tensor

SIZES = (
    (240, 320),
    (320, 240),
    (224, 224),
    (225, 224),
    (48, 64),
    (300, 224),
    (33, 500),
    (719, 1279),
    (2, 3),
    (501, 334),
)


def _picture(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("resize", ["shortest", "squash"])
@pytest.mark.parametrize("size", [224, 256])
def test_equals_open_clip_bit_for_bit(size: int, resize: str, interpolation: str) -> None:
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    from open_clip.transform import image_transform  # takes seconds

    theirs = image_transform(
        size, is_train=False, mean=mean, std=std, resize_mode=resize, interpolation=interpolation
    )
    rules = PictureRules(size, resize, interpolation)
    for height, width in SIZES:
        picture = _picture(height, width)
        ours = torch.from_numpy(rules.prepare(picture[None])[0])
        normalized = (ours - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        assert torch.equal(normalized, theirs(Image.fromarray(picture))), (height, width)


def test_equals_mobileviclip_bit_for_bit() -> None:
    rules = PictureRules(256, "square", "bilinear")
    for height, width in SIZES:
        picture = _picture(height, width)
        assert np.array_equal(rules.prepare(picture[None])[0], to_tensor(picture, 256).numpy())


@pytest.mark.parametrize(
    "values",
    [
        {"size": 224, "resize": "longest", "interpolation": "bicubic"},
        {"size": 224, "resize": "shortest", "interpolation": "lanczos"},
        {"size": "224", "resize": "shortest", "interpolation": "bicubic"},
        {"size": 0, "resize": "shortest", "interpolation": "bicubic"},
        {"resize": "shortest", "interpolation": "bicubic"},
        None,
    ],
)
def test_unknown_rules_are_refused(values: object) -> None:
    with pytest.raises(CheckpointError, match=r"prepro|prepared"):
        PictureRules.of(values)
