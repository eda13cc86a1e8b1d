"""`moclip dataset` and `moclip cache`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.cache_keys import cached_stages
from mv_tools import probe

from support.cli import MOTION_ONLY, assert_ok, assert_refused, class_folders, entries, moclip, sets
from support.clips import H264, encode, panning


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of four clips."""
    return class_folders(tmp_path_factory.mktemp("folders") / "data")


# dataset


def test_list_counts_clips_and_groups(folders: Path) -> None:
    pattern = "data.group_pattern='^(p[0-9])_'"
    listing = assert_ok(moclip("dataset", "list", folders, "--json", "--set", pattern)).json
    assert listing["clips"] == 8
    assert listing["classes"] == [
        {"label": label, "clips": 4, "groups": ["p0", "p1", "p2", "p3"]} for label in ("left", "right")
    ]
    table = assert_ok(moclip("dataset", "list", folders)).out
    assert "left" in table
    assert "right" in table


@pytest.mark.parametrize(
    ("pattern", "says"), [("^(q)_", "does not match"), ("^p", "one group"), ("(", "regular")]
)
def test_list_refuses_group_patterns(pattern: str, says: str, folders: Path) -> None:
    assert_refused(moclip("dataset", "list", folders, "--set", f"data.group_pattern='{pattern}'"), says)


@pytest.mark.slow
def test_prepare_a_folder_once(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "prepared"
    words = (
        "dataset",
        "prepare",
        "folder",
        "--root",
        folders,
        "--out",
        out,
        "--gop",
        5,
        "--workers",
        1,
        "--json",
    )
    report = assert_ok(moclip(*words)).json
    out = out / "gop5"
    assert report["out"] == str(out)
    assert (report["recipe"], report["made"], report["kept"], report["failures"]) == ("gop5", 8, 0, [])
    clips = sorted(out.rglob("*.mp4"))
    assert [p.relative_to(out) for p in clips] == sorted(
        p.relative_to(folders) for p in folders.rglob("*.mp4")
    )
    assert probe(clips[0]).gop.max == 5
    (out / "left" / clips[0].name).unlink()
    assert assert_ok(moclip(*words)).json["made"] == 1
    assert assert_ok(moclip(*(w if w != 5 else 6 for w in words))).json["out"].endswith("gop6")
    (out / "recipe.json").write_text('{"gop": 7}', encoding="utf-8")
    assert_refused(moclip(*words), "another recipe")


def test_prepare_synthetic(tmp_path: Path) -> None:
    out = tmp_path / "made"
    words = (
        "dataset",
        "prepare",
        "synthetic",
        "--out",
        out,
        "--clips-per-class",
        4,
        "--workers",
        1,
        "--json",
    )
    (tmp_path / "made").mkdir()
    (out / "letter.txt").write_text("mine", encoding="utf-8")
    assert_refused(moclip(*words), "not empty")
    assert (out / "letter.txt").read_text(encoding="utf-8") == "mine"
    assert_refused(moclip(*(word if word != 4 else 1 for word in words)), "at least 4")


# cache


def test_verify_tells_that_there_is_no_cache(tmp_path: Path) -> None:
    assert_refused(
        moclip("cache", "verify", "--cache", tmp_path / "x"), f"there is no cache at {tmp_path / 'x'}"
    )
    (tmp_path / "x").mkdir()
    assert "0 entries read" in assert_ok(moclip("cache", "verify", "--cache", tmp_path / "x")).err


def test_cache_info_verify_prune(folders: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    extract = (
        "extract",
        "motion",
        folders,
        "--cache",
        cache,
        "--json",
        *sets(MOTION_ONLY),
        "--failures",
        tmp_path / "f.csv",
    )
    first = assert_ok(moclip(*extract))
    assert (first.json["made"], first.json["reused"], first.json["failures"]) == (8, 0, [])
    second = assert_ok(moclip(*extract))
    assert (second.json["made"], second.json["reused"]) == (0, 8)
    assert "nothing to do" in second.err
    summary = assert_ok(moclip("cache", "info", "--cache", cache, "--json")).json
    size = sum(path.stat().st_size for path in entries(cache, "motion"))
    assert summary == {"path": str(cache), "stages": {"motion": {"entries": 8, "bytes": size}}}
    assert "motion" in assert_ok(moclip("cache", "info", "--cache", cache)).out

    assert assert_ok(moclip("cache", "verify", "--cache", cache, "--json")).json == {
        "entries": 8,
        "damaged": [],
        "removed": False,
    }
    broken = entries(cache, "motion")[3]
    body = bytearray(broken.read_bytes())
    body[-1] ^= 1  # a single bit
    broken.write_bytes(body)
    verified = moclip("cache", "verify", "--cache", cache, "--json")
    assert verified.code == 2
    assert [row["path"] for row in verified.json["damaged"]] == [str(broken)]
    assert "digest" in verified.json["damaged"][0]["reason"]
    assert broken.exists()
    assert "1 of 8 entries damaged" in moclip("cache", "verify", "--cache", cache).out
    assert_ok(moclip("cache", "verify", "--cache", cache, "--remove"))
    assert "7 entries read, none is damaged" in assert_ok(moclip("cache", "verify", "--cache", cache)).err
    assert not broken.exists()

    assert "removed 0 entries" in assert_ok(moclip("cache", "prune", "--cache", cache, "--days", 1)).err
    assert "removed 0 entries" in assert_ok(moclip("cache", "prune", "--cache", cache, "--stage", "clip")).err
    for stage in sorted({*cached_stages()} - {"motion"}):
        FeatureCache(cache).put(stage, "ab" * 16, {"x": np.zeros(1)})
        assert stage in assert_ok(moclip("cache", "info", "--cache", cache, "--json")).json["stages"]
        assert (
            "removed 1 entries" in assert_ok(moclip("cache", "prune", "--cache", cache, "--stage", stage)).err
        )
    assert_refused(moclip("cache", "prune", "--cache", cache, "--stage", "encoder"), *cached_stages())
    assert len(entries(cache, "motion")) == 7
    assert "removed 7 entries" in assert_ok(moclip("cache", "prune", "--cache", cache, "--all")).err
    assert entries(cache, "motion") == []


def test_cache_is_where_the_environment_says(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "mine"))
    assert assert_ok(moclip("cache", "info", "--json")).json == {"path": str(tmp_path / "mine"), "stages": {}}
    data = tmp_path / "data" / "one"
    data.mkdir(parents=True)
    encode(data / "a.mp4", panning(), **H264)
    monkeypatch.chdir(tmp_path)
    assert_ok(moclip("extract", "motion", tmp_path / "data", *sets(MOTION_ONLY)))
    assert len(entries(tmp_path / "mine", "motion")) == 1
    assert not (tmp_path / "failures.csv").exists()
