"""A file that is replaced between its digest and its reading leaves nothing in the cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from moclip_lite.appearance import extract as appearance
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.datasets import Clip
from moclip_lite.datasets.extraction import ExtractReport
from moclip_lite.motion import extract as motion
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.storage.cache import FeatureCache


class Encoder:
    digest = "weights"


def extract_motion(clip: Clip, cache: FeatureCache) -> ExtractReport:
    spec = MotionSpec(segments=2, frames=3, grid=(6, 8))
    return motion.extract_motion([clip], spec, cache, workers=1)


def extract_appearance(clip: Clip, cache: FeatureCache) -> ExtractReport:
    encoder: Any = Encoder()
    return appearance.extract_appearance([clip], AppearanceSettings(), encoder, cache)


@pytest.mark.parametrize(
    ("module", "extract"),
    [(motion, extract_motion), (appearance, extract_appearance)],
    ids=["motion", "clip"],
)
def test_a_replaced_clip_is_left_out(
    make_clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    extract: Callable[[Clip, FeatureCache], ExtractReport],
) -> None:
    clip = Clip(make_clip("a.mp4"), "a.mp4", "x")
    other = make_clip("b.mp4", crf="30")
    pending = module.pending

    def replaced(*arguments: Any) -> Any:
        result = pending(*arguments)
        other.replace(clip.path)
        return result

    monkeypatch.setattr(module, "pending", replaced)
    cache = FeatureCache(tmp_path / "cache")
    report = extract(clip, cache)
    assert [failure.name for failure in report.failures] == ["a.mp4"]
    assert "was changed while it was read; run the command again" in report.failures[0].reason
    assert report.keys == {}
    assert list(cache.entries()) == []
