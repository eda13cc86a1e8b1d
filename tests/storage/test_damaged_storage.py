"""A damaged cache is made again; a full disk keeps what was finished."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from moclip_lite.hub.kept import check_kept
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.upkeep import verify

from support.cli import (
    MOTION_ONLY,
    QUICK,
    TrainedRun,
    assert_ok,
    assert_refused,
    class_folders,
    entries,
    moclip,
    sets,
)
from support.clips import H264, encode, panning

# The cache


def test_damaged_entries_are_made_again_and_never_used(trained: TrainedRun, tmp_path: Path) -> None:
    """One entry of each stage is cut in half: the numbers are those of the sound cache."""
    first = json.loads((trained.folder / "metrics.json").read_text(encoding="utf-8"))
    stages = ("motion", "clip", "motion_tokens")
    # The oldest are this run's; other tests add theirs to the shared cache.
    cut = {
        stage: min(entries(trained.cache, stage), key=lambda path: path.stat().st_mtime_ns)
        for stage in stages
    }
    intact = {stage: load_file(path) for stage, path in cut.items()}
    for path in cut.values():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    outcome = assert_ok(moclip(*trained.words(tmp_path / "run"), "--json"))
    for path in cut.values():
        assert any(
            line.startswith("warning: ") and str(path) in line and "damaged" in line
            for line in outcome.err.splitlines()
        ), outcome.err
    for stream in ("motion", "appearance", "fusion"):
        assert outcome.json[stream] == first[stream]
    for stage, path in cut.items():
        again = load_file(path)
        assert set(again) == set(intact[stage])
        for name, array in intact[stage].items():
            np.testing.assert_allclose(again[name], array, atol=1e-5, err_msg=f"{stage} {name}")
    assert_ok(moclip("cache", "verify", "--cache", trained.cache))


def test_entry_of_another_clip_is_not_used(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    words = ("run", data, *sets((*QUICK, f"cache.dir={tmp_path / 'cache'}")))
    first = assert_ok(moclip(*words, "--run-dir", tmp_path / "one", "--json")).json
    a, b = entries(tmp_path / "cache", "motion")[:2]
    sound = load_file(a)["fields"]
    a.write_bytes(b.read_bytes())
    second = assert_ok(moclip(*words, "--run-dir", tmp_path / "two", "--json"))
    assert "belongs to another key" in second.err
    assert second.json["motion"] == first["motion"]
    np.testing.assert_array_equal(load_file(a)["fields"], sound)


def extraction(data: Path, cache: Path, folder: Path) -> tuple[Any, ...]:
    """The words that extract motion into `cache`, failures told in `folder`."""
    place = ("--cache", cache, "--failures", folder / "f.csv")
    return ("extract", "motion", data, *sets(MOTION_ONLY), *place, "--json")


def test_damaged_notes_beside_the_cache(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    cache = tmp_path / "cache"
    words = extraction(data, cache, tmp_path)
    assert_ok(moclip(*words))
    (cache / "digests.sqlite").write_bytes(b"not a database at all\n" * 500)
    again = assert_ok(moclip(*words))
    assert (again.json["made"], again.json["reused"]) == (0, 8)


# A full disk


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a file system of so many bytes; calling it again changes its size."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def mount(size: int) -> Path:
        nonlocal mounted
        options = f"size={size}" + (",remount" if mounted else "")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("file systems can't be mounted here")
        mounted = True
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _no_drafts(place: Path) -> bool:
    return not [p for p in place.rglob(".*") if p.is_file()]


def test_full_disk_keeps_what_was_finished(tiny_disk: Callable[[int], Path], tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", per_class=8)
    cache = tiny_disk(64 << 10) / "cache"
    words = extraction(data, cache, tmp_path)
    assert_refused(moclip(*words), "disk is full", "kept")
    remaining = entries(cache, "motion")
    assert 0 < len(remaining) < 16
    assert _no_drafts(cache)
    assert_ok(moclip("cache", "verify", "--cache", cache))
    tiny_disk(4 << 20)
    again = assert_ok(moclip(*words)).json
    assert (again["made"], again["reused"]) == (16 - len(remaining), len(remaining))


def test_full_disk_is_foreseen(tiny_disk: Callable[[int], Path], tmp_path: Path) -> None:
    """Nothing is read where not even entries without motion would fit."""
    data = class_folders(tmp_path / "data", per_class=40, frames=4)
    cache = tiny_disk(36 << 10) / "cache"
    words = ("extract", "motion", data, "--cache", cache, "--failures", tmp_path / "f.csv")
    assert_refused(moclip(*words), "80 more clips", "free")
    assert entries(cache, "motion") == []


def test_full_disk_for_single_files(tiny_disk: Callable[[int], Path], tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", panning(30, 160, 120), **H264)
    disk = tiny_disk(8 << 10)
    for words in (
        ("mv", "extract", clip, "-o", disk / "x.npz"),
        ("mv", "extract", clip, "-o", disk / "x.safetensors"),
        ("mv", "show", clip, "-o", disk / "x.png"),
        ("mv", "show", clip, "-o", disk / "x.mp4"),
        ("mv", "transcode", clip, disk / "x.mp4", "--crf", 1),
    ):
        assert_refused(moclip(*words), "disk is full")
        assert list(disk.iterdir()) == [], words


def test_full_disk_for_a_run_folder(tiny_disk: Callable[[int], Path], tmp_path: Path) -> None:
    data, cache = class_folders(tmp_path / "data"), tmp_path / "cache"
    folder = tiny_disk(16 << 10) / "run"
    words = ("run", data, *sets((*QUICK, f"run.dir={folder}", f"cache.dir={cache}")))
    assert_refused(moclip(*words), "disk is full")
    assert len(entries(cache, "motion")) == 8
    assert _no_drafts(folder)
    tiny_disk(8 << 20)
    assert assert_ok(moclip(*words, "--json")).json["motion"]["n"] > 0


def test_full_disk_without_a_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where no file system can be mounted: the kernel's answer to a rename is replaced."""
    data, cache = class_folders(tmp_path / "data"), tmp_path / "cache"
    real, written = os.replace, 0

    def full(source: str | Path, target: str | Path) -> None:
        nonlocal written
        written += Path(target).suffix == ".safetensors"
        if written > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        real(source, target)

    extract = ("extract", "motion", data, "--cache", cache, *sets(MOTION_ONLY))
    words = (*extract, "--failures", tmp_path / "f.csv", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert_refused(moclip(*words), "disk is full", "kept")
    assert len(entries(cache, "motion")) == 3
    assert _no_drafts(cache)
    assert verify(FeatureCache(cache), check_kept).damaged == []
    assert assert_ok(moclip(*words)).json["reused"] == 3
