"""A file that is replaced between its digest and its reading leaves nothing in the cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from moclip_lite.appearance import extract as appearance
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.datasets import Clip
from moclip_lite.datasets.extraction import ExtractReport
from moclip_lite.datasets.segments import SharedDecoders
from moclip_lite.motion import extract as motion
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.storage.cache import FeatureCache
from mv_tools import SourceChanged
from mv_tools.source import Source
from mv_tools.urls import ServerFailure

from support.http_files import http_files

SPEC = MotionSpec(segments=2, frames=3, grid=(6, 8))


class Encoder:
    digest = "weights"


def after_digests(monkeypatch: pytest.MonkeyPatch, module: ModuleType, act: Callable[[], object]) -> None:
    """Do something between the digests of clips and their reading."""
    pending = module.pending

    def then(*arguments: Any) -> Any:
        result = pending(*arguments)
        act()
        return result

    monkeypatch.setattr(module, "pending", then)


def extract_motion(clip: Clip, cache: FeatureCache) -> ExtractReport:
    return motion.extract_motion([clip], SPEC, cache, workers=1)


def extract_appearance(clip: Clip, cache: FeatureCache) -> ExtractReport:
    encoder: Any = Encoder()
    return appearance.extract_appearance([clip], AppearanceSettings(), encoder, cache)


STAGES = pytest.mark.parametrize(
    ("module", "extract"),
    [(motion, extract_motion), (appearance, extract_appearance)],
    ids=["motion", "clip"],
)


@pytest.mark.parametrize("at_url", [False, True], ids=["here", "url"])
@STAGES
def test_a_replaced_clip_is_left_out(
    make_clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    extract: Callable[[Clip, FeatureCache], ExtractReport],
    at_url: bool,
) -> None:
    path, other = make_clip("a.mp4"), make_clip("b.mp4", crf="30")
    after_digests(monkeypatch, module, lambda: other.replace(path))
    cache = FeatureCache(tmp_path / "cache")
    with http_files(tmp_path) as url:
        report = extract(Clip(Path(f"{url}/a.mp4") if at_url else path, "a.mp4", "x"), cache)
    assert [failure.name for failure in report.failures] == ["a.mp4"]
    assert "was changed while it was read; run the command again" in report.failures[0].reason
    assert report.keys == {}
    assert list(cache.entries()) == []


@STAGES
def test_a_server_that_is_lost_ends_the_work(
    make_clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    extract: Callable[[Clip, FeatureCache], ExtractReport],
) -> None:
    """It is no property of a clip, to be left out."""
    make_clip("a.mp4")
    refuses: dict[str, int] = {}
    after_digests(monkeypatch, module, lambda: refuses.update({"a.mp4": 503}))
    monkeypatch.setattr("mv_tools.server_errors._IN_A_ROW", 1)
    with (
        http_files(tmp_path, refuses=refuses) as url,
        pytest.raises(ServerFailure, match=r"can't be reached \(HTTP 503\)"),
    ):
        extract(Clip(Path(f"{url}/a.mp4"), "a.mp4", "x"), FeatureCache(tmp_path / "cache"))


@STAGES
def test_a_clip_that_is_refused_is_left_out_with_the_reason(
    make_clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    extract: Callable[[Clip, FeatureCache], ExtractReport],
) -> None:
    """The server answers for others."""
    make_clip("a.mp4")
    refuses: dict[str, int] = {}
    after_digests(monkeypatch, module, lambda: refuses.update({"a.mp4": 403}))
    with http_files(tmp_path, refuses=refuses) as url:
        report = extract(Clip(Path(f"{url}/a.mp4"), "a.mp4", "x"), FeatureCache(tmp_path / "cache"))
    assert [(failure.name, failure.reason) for failure in report.failures] == [("a.mp4", "access is refused")]


def test_an_absent_clip_at_a_url_is_left_out_with_its_reason(tmp_path: Path) -> None:
    with http_files(tmp_path) as url:
        report = extract_motion(Clip(Path(f"{url}/a.mp4"), "a.mp4", "x"), FeatureCache(tmp_path / "cache"))
    assert [failure.reason for failure in report.failures] == ["there is no such object"]


def test_lost_motion_is_not_made_again_of_another_object(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    path, cache = make_clip("a.mp4"), FeatureCache(tmp_path / "cache")
    with http_files(tmp_path) as url:
        clip = Clip(Path(f"{url}/a.mp4"), "a.mp4", "x")
        key = extract_motion(clip, cache).keys["a.mp4"]
        shutil.rmtree(cache.root / "motion")
        motion.load_motion(clip.path, SPEC, cache, key)
        shutil.rmtree(cache.root / "motion")
        make_clip("b.mp4", crf="30").replace(path)
        with pytest.raises(SourceChanged, match="was changed since its motion was read"):
            motion.load_motion(clip.path, SPEC, cache, key)


def test_a_file_of_the_size_and_time_of_the_older_one_is_opened_again(tmp_path: Path) -> None:
    path, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    for file, content in ((path, b"one"), (other, b"two")):
        file.write_bytes(content)
        os.utime(file, (1e9, 1e9))
    files = SharedDecoders(Path.read_bytes)
    assert files.of(path) == files.of(path) == b"one"
    stamp = Source.of(path).stamp
    other.replace(path)
    assert files.of(path) == b"two"
    assert Source.of(path).stamp != stamp
