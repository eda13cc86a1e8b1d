"""A change of the code or of a library that a stage depends on makes all of its entries anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moclip_lite.storage import cache_keys
from moclip_lite.storage.cache_keys import STAGES, cache_key, stage_versions

from support.cli import FOLDER_YAML, TINY, assert_ok, class_folders, entries, moclip, sets, small_models

RUN_STAGES = ("folds", "motion", "clip", "text", "motion_tokens", "trained")
FOLLOWING = {"motion": ("motion_tokens", "trained"), "motion_tokens": (), "clip": (), "text": (), "folds": ()}
"""Stages that are made from another: with it they change, whatever their own code."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], Path]]:
    """The command line of a small run of all stages, and its cache."""
    base = tmp_path_factory.mktemp("keys")
    data, cache = class_folders(base / "data", per_class=4, frames=8), base / "cache"
    quick = (
        "train_motion.epochs=1",
        "train_head.epochs=1",
        "clip.model=ViT-S-32-alt",
        "train_motion.refit=false",
    )
    places = (f"data.root={data}", f"run.dir={base / 'run'}", f"cache.dir={cache}")
    words = ["run", str(FOLDER_YAML), *sets((*TINY, *quick, *places))]
    with small_models():
        assert_ok(moclip(*words))
        yield words, cache


@pytest.mark.parametrize("stage", RUN_STAGES)
def test_a_change_of_code_makes_the_stage_again(
    stage: str, finished: tuple[list[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, cache = finished
    before = {name: set(entries(cache, name)) for name in RUN_STAGES}
    assert all(before.values()), before
    monkeypatch.setitem(STAGES, stage, replace(STAGES[stage], version=1000))
    assert "is finished" not in assert_ok(moclip(*words)).err or stage in ("folds", "text")
    computed = {name: len(set(entries(cache, name)) - before[name]) for name in RUN_STAGES}
    first = len(entries(cache, stage)) - len(before[stage])
    assert first == computed[stage] > 0
    whole = {"folds": 1, "text": 1, "motion": 8, "clip": 8}
    assert computed[stage] == whole.get(stage, computed[stage])
    if stage == "motion_tokens":
        assert computed[stage] == 8
    if stage == "trained":
        assert computed[stage] == 4  # motion, appearance, fusion and the motion control
    for name in FOLLOWING.get(stage, ()):
        assert computed[name] > 0, name


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_code_program_packages_and_libraries_are_in_every_key(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each version that a stage names, one after the other, changes its key and comes back."""
    cache_keys._versions.cache_clear()
    first = cache_key(stage, "content", {})

    def changed(target: Any, name: str, value: Any) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            cache_keys._versions.cache_clear()
            other = cache_key(stage, "content", {})
        cache_keys._versions.cache_clear()
        return other != first and cache_key(stage, "content", {}) == first

    real = cache_keys.package_version
    for package in ("moclip-lite", *STAGES[stage].packages):
        assert changed(
            cache_keys,
            "package_version",
            lambda name="moclip-lite", p=package: "0" if name == p else real(name),
        ), package
    if STAGES[stage].reads_video:
        assert changed(cache_keys.av, "library_versions", {"libavcodec": (1, 2, 3)})
        assert changed(cache_keys, "_native_parser_digest", lambda: "another build")
    monkeypatch.setitem(STAGES, stage, replace(STAGES[stage], version=1000))
    assert cache_key(stage, "content", {}) != first


def test_stages_name_what_they_call() -> None:
    """Who reads pictures names their libraries, who runs a network names torch."""
    for stage in ("clip", "video", "window"):
        assert {"open_clip_torch", "timm", "torch", "pillow", "av", "native parser"} <= set(
            stage_versions(stage)
        )
    for stage in ("text", "encoder"):
        assert {"open_clip_torch", "timm", "torch"} <= set(stage_versions(stage))
    assert {"av", "libavcodec", "native parser"} <= set(stage_versions("motion"))
    assert {"torch", "timm"} <= set(stage_versions("motion_tokens"))


def test_no_stage_is_cached_beside_the_helper() -> None:
    """Every name under which the program stores arrays is a listed stage."""
    import re

    package = Path(cache_keys.__file__).parents[1]
    used = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"cache\.(?:get|put|has)\(\s*\"([a-z_]+)\"", path.read_text(encoding="utf-8"))
    }
    assert used
    assert used <= set(STAGES)
