"""The feature cache and the files below it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout
from hypothesis import given
from hypothesis import strategies as st

from moclip_lite.errors import CacheUnavailable, MoclipError
from moclip_lite.hub.kept import check_kept
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.storage.cache import FeatureCache, default_cache_dir
from moclip_lite.storage.cache_keys import STAGES, cache_key, cached_stages, stage_versions
from moclip_lite.storage.digest import digest_bytes
from moclip_lite.storage.upkeep import ENCODERS, Verified, other_entries, prune, verify

KEY = "ab" * 16
ARRAYS = {"features": np.arange(12, dtype=np.float32).reshape(3, 4), "empty": np.array([0], np.uint8)}


def test_entries_come_back(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    assert cache.get("clip", KEY) is None
    cache.put("clip", KEY, ARRAYS)
    arrays = cache.get("clip", KEY)
    assert arrays is not None
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert [(e.stage, e.key) for e in cache.entries()] == [("clip", KEY)]


@pytest.mark.parametrize("damage", ["half", "empty", "flipped", "foreign", "text"])
def test_a_damaged_entry_is_never_used(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("clip", KEY, ARRAYS)
    path = cache.path("clip", KEY)
    data = bytearray(path.read_bytes())
    if damage == "half":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "flipped":
        data[-3] ^= 1
        path.write_bytes(data)
    elif damage == "foreign":
        cache.put("clip", "cd" * 16, ARRAYS)
        path.write_bytes(cache.path("clip", "cd" * 16).read_bytes())
    else:
        path.write_text("not tensors")
    damaged = {entry.key for entry, _ in verify(cache, check_kept).damaged}
    assert KEY in damaged
    logging.getLogger("moclip").propagate = True
    with caplog.at_level(logging.WARNING, logger="moclip.cache"):
        assert cache.get("clip", KEY) is None
    assert "damaged" in caplog.text
    assert not path.exists()
    cache.put("clip", KEY, ARRAYS)
    assert cache.get("clip", KEY) is not None


spec_changes = st.sampled_from(
    [
        {"segments": 8},
        {"frames": 3},
        {"grid": (12, 16)},
        {"field": "accumulated"},
        {"normalize_distance": False},
        {"crop": "actor"},
        {"crop_side": 0.5},
    ]
)


@given(spec_changes)
def test_every_setting_changes_the_key(change: dict[str, object]) -> None:
    base = MotionSpec()
    other = MotionSpec(**change)  # type: ignore[arg-type]
    key = cache_key("motion", "x", dict(base.key_settings()))
    assert key != cache_key("motion", "x", dict(other.key_settings()))
    assert key == cache_key("motion", "x", dict(MotionSpec().key_settings()))


@given(st.sampled_from(sorted(STAGES)), st.sampled_from(sorted(STAGES)), st.text(max_size=8))
def test_stage_and_content_change_the_key(a: str, b: str, content: str) -> None:
    assert (cache_key(a, content, {}) == cache_key(b, content, {})) == (a == b)
    assert cache_key(a, content, {}) != cache_key(a, content + "x", {})
    assert cache_key(a, content, {"x": 1}) != cache_key(a, content, {"x": 2})


def test_a_stage_of_unknown_code_has_no_key() -> None:
    with pytest.raises(KeyError):
        cache_key("somewhere", "", {})


def test_the_decoder_is_part_of_the_key() -> None:
    libav, other = (
        MotionSpec(backend="libav").key_settings(),
        MotionSpec(backend="mvextractor").key_settings(),
    )
    assert libav["backend"] != other["backend"]
    assert "libavcodec" in stage_versions("motion")


def _put_many(root: str, stamp: int) -> None:
    cache = FeatureCache(Path(root))
    for i in range(30):
        cache.put("clip", f"{i:032x}", {"features": np.full(50_000, i, np.float32)})
        arrays = cache.get("clip", f"{(i * 7 + stamp) % 30:032x}")
        assert arrays is None or (arrays["features"] == arrays["features"][0]).all()


@pytest.mark.slow
def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_put_many, args=(str(tmp_path), i)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    cache = FeatureCache(tmp_path)
    assert len(list(cache.entries())) == 30
    assert verify(cache, check_kept).damaged == []
    assert not list(tmp_path.rglob(".*"))


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MoclipError, match="disk is full"):
        FeatureCache(tmp_path).put("clip", KEY, ARRAYS)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_prune_by_stage_and_age(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    cache.put("clip", KEY, ARRAYS)
    cache.put("motion", KEY, ARRAYS)
    old = cache.path("motion", KEY)
    os.utime(old, (0, 0))
    assert prune(cache, older_than_days=1)[0] == 1
    assert not old.exists()
    assert prune(cache, "clip")[0] == 1


def test_prune_leaves_held_locks(tmp_path: Path) -> None:
    """A training may take days: its lock is as old as it."""
    cache = FeatureCache(tmp_path)
    with cache.lock("free"):
        pass
    with cache.lock("held"):
        for name in ("free", "held"):
            os.utime(tmp_path / "locks" / f"{name}.lock", (0, 0))
        prune(cache, older_than_days=1)
        assert [p.stem for p in (tmp_path / "locks").iterdir()] == ["held"]
        other = FileLock(tmp_path / "locks" / "held.lock")
        with pytest.raises(Timeout):
            other.acquire(timeout=0)
    prune(cache, older_than_days=1)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other cache folders")
@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/home/someone/.cache/moclip-lite"),
        ({"XDG_CACHE_HOME": ""}, "/home/someone/.cache/moclip-lite"),
        ({"XDG_CACHE_HOME": "/scratch"}, "/scratch/moclip-lite"),
        ({"XDG_CACHE_HOME": "/scratch", "MOCLIP_CACHE": "~/features"}, "/home/someone/features"),
    ],
)
def test_the_default_folder(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "MOCLIP_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/someone", **environment}.items():
        monkeypatch.setenv(name, value)
    assert default_cache_dir() == Path(folder)


def test_without_a_home_the_user_chooses_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_user(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME", "MOCLIP_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_user)
    with pytest.raises(CacheUnavailable, match="choose a folder with --cache"):
        default_cache_dir()


def test_encoders_are_counted_and_pruned(tmp_path: Path) -> None:
    """ONNX files of image encoders lie in the cache beside its entries."""
    cache = FeatureCache(tmp_path)
    path = tmp_path / ENCODERS / "ab" / f"{'ab' * 16}{digest_bytes([b'12345'])}.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"12345")
    (path.parent / "other.onnx").touch()  # not ours
    assert [(entry.stage, entry.path, entry.size) for entry in other_entries(cache)] == [(ENCODERS, path, 5)]
    assert list(cache.entries()) == []
    assert verify(cache, check_kept) == Verified(1, [])
    path.write_bytes(b"12346")
    ((entry, reason),) = verify(cache, check_kept).damaged
    assert entry.path == path
    assert "does not match the digest" in reason
    path = path.rename(path.with_name(f"{'ab' * 16}.onnx"))
    ((_, reason),) = verify(cache, check_kept).damaged
    assert "an earlier version wrote it without a digest" in reason
    assert ENCODERS in cached_stages()
    assert prune(cache, "motion") == (0, 0)
    assert prune(cache, older_than_days=1) == (0, 0)
    assert prune(cache, ENCODERS) == (1, 5)
    assert not path.exists()
