"""Fetched runs in the cache: one fetch at a time, whole folders, nothing left of killed ones."""

from __future__ import annotations

import errno
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from moclip_lite.engine.model_json import write_model_json
from moclip_lite.hub import kept, local_run, pull
from moclip_lite.hub.address import HubAddress
from moclip_lite.hub.portable import RUN_FILES
from moclip_lite.progress import Silent
from moclip_lite.results.fold_folder import FoldFolder
from moclip_lite.storage import upkeep
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.lock import FolderLock
from moclip_lite.storage.upkeep import HUB, HUB_LOCK, remove_run

from support.cli import assert_ok, assert_refused, moclip
from support.hub_server import FakeHub, Repository


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cache keeps user/walks."""
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / HUB / "user--walks"


def test_many_fetches_of_one_commit_at_once(hub: FakeHub, walks: Repository, place: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(local_run, ["hf://user/walks"] * 4))
    assert set(folders) == {place / walks.sha}
    downloads = [
        request for request in hub.requests if request.startswith("GET") and "config.yaml" in request
    ]
    assert len(downloads) == 1


@pytest.mark.parametrize("name", ["config.yaml", "labels.json", "motion.safetensors", "metrics.json"])
def test_an_incomplete_folder_is_replaced(name: str, hub: FakeHub, walks: Repository, place: Path) -> None:
    folder = local_run("hf://user/walks")
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    assert local_run("hf://user/walks") == folder
    assert (folder / name).read_bytes() == content
    (folder / name).write_bytes(content[:-1])
    assert local_run("hf://user/walks") == folder
    assert (folder / name).read_bytes() == content
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert local_run("hf://user/walks") == folder
    assert (folder / name).read_bytes() == content


def _networks(folder: Path, content: bytes) -> None:
    """Made-up ONNX files, as ``moclip export --engine`` writes them."""
    (folder / "onnx").mkdir(exist_ok=True)
    (folder / "onnx" / "motion.onnx").write_bytes(content)
    write_model_json(folder / "onnx" / "model.json", {"files": {"motion.onnx": {}}})


@pytest.mark.parametrize("of_the_hub", [True, False])
def test_networks_that_were_written_anew_are_kept(
    of_the_hub: bool, hub: FakeHub, walks: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program tells people to write them into the folder in the cache."""
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pull, "_check", lambda *_: None)  # of networks that are none
    if of_the_hub:
        _networks(tmp_path, b"of the hub")
        for name in ("model.json", "motion.onnx"):
            walks.files[f"onnx/{name}"] = (tmp_path / "onnx" / name).read_bytes()
    folder = local_run("hf://user/walks")
    _networks(folder, b"of this machine")
    hub.requests.clear()
    local_run("hf://user/walks")
    assert not [request for request in hub.requests if "resolve" in request or "tree" in request]
    if of_the_hub:
        (folder / "onnx" / "motion.onnx").unlink()
        local_run("hf://user/walks")
        assert (folder / "onnx" / "motion.onnx").read_bytes() == b"of the hub"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert local_run("hf://user/walks") == folder


def test_a_whole_folder_is_not_fetched_again(hub: FakeHub, walks: Repository, place: Path) -> None:
    local_run("hf://user/walks")
    hub.requests.clear()
    local_run("hf://user/walks")
    assert not [request for request in hub.requests if "resolve" in request or "tree" in request]


def test_an_incomplete_folder_does_not_answer_without_a_connection(
    hub: FakeHub, walks: Repository, place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (local_run("hf://user/walks") / "labels.json").unlink()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert_refused(moclip("predict", tmp_path / "x.mp4", "--model", "hf://user/walks"), "can't be reached")


@pytest.mark.parametrize("writable", [True, False])
def test_a_folder_without_sizes_answers_without_a_connection(
    writable: bool, hub: FakeHub, walks: Repository, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older versions wrote none, and a cache may be filled by hand or be read-only."""
    folder = local_run("hf://user/walks")
    sizes = folder / ".files.json"
    content = sizes.read_bytes()
    sizes.unlink()
    if not writable:
        for module in (kept, pull):
            monkeypatch.setattr(module, "write_json", _read_only)
    hub.requests.clear()
    assert local_run("hf://user/walks") == folder
    assert not [request for request in hub.requests if "resolve" in request or "tree" in request]
    assert sizes.exists() == writable
    assert not writable or json.loads(sizes.read_bytes()) == json.loads(content)
    sizes.unlink(missing_ok=True)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert local_run("hf://user/walks") == folder


def _read_only(*_: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("name", ["config.yaml", "labels.json", "motion.safetensors"])
def test_an_incomplete_folder_without_sizes_is_replaced(
    name: str, hub: FakeHub, walks: Repository, place: Path
) -> None:
    folder = local_run("hf://user/walks")
    (folder / ".files.json").unlink()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-9])
    assert local_run("hf://user/walks") == folder
    assert (folder / name).read_bytes() == content
    assert {path.name for path in place.iterdir()} == {folder.name, "revisions.json", HUB_LOCK}


def test_a_killed_removal_leaves_no_run(
    hub: FakeHub, walks: Repository, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_run("hf://user/walks")

    def kill(path: Path) -> None:
        raise KeyboardInterrupt if path.exists() else FileNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            remove_run(folder)
    assert not folder.exists()
    assert local_run("hf://user/walks") == folder
    assert {path.name for path in place.iterdir()} == {folder.name, "revisions.json", HUB_LOCK}


def test_drafts_of_killed_fetches_are_removed(hub: FakeHub, walks: Repository, place: Path) -> None:
    for name in (".0123456789abcdef-draft", f".{walks.sha}-x1"):
        (place / name).mkdir(parents=True)
        (place / name / "motion.safetensors").write_bytes(b"half")
    folder = local_run("hf://user/walks")
    assert {path.name for path in place.iterdir()} == {folder.name, "revisions.json", HUB_LOCK}


def test_a_killed_pull_leaves_its_draft_to_the_next(hub: FakeHub, walks: Repository, tmp_path: Path) -> None:
    out = tmp_path / "in" / "out"
    draft = out.with_name(".out-draft")
    draft.mkdir(parents=True)
    (draft / "motion.safetensors").write_bytes(b"half")
    (draft / "onnx").mkdir()
    (draft.parent / ".out.lock").touch()  # of a process that is no more
    assert_ok(moclip("pull", "user/walks", "-o", out, "-q"))
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("out", [".", "../here"])
def test_an_empty_folder_by_any_name(
    out: str, hub: FakeHub, walks: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "in" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert_ok(moclip("pull", "user/walks", "-o", out, "-q"))
    assert set(os.listdir(".")) >= {"config.yaml", "labels.json", "motion.safetensors"}  # noqa: PTH208
    assert not (set(os.listdir(".")) - set(RUN_FILES))  # noqa: PTH208
    assert Path.cwd() == here
    assert [path.name for path in here.parent.iterdir()] == ["here"]


def test_a_folder_that_cannot_be_removed(
    hub: FakeHub, walks: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a mount point; another file system may lie around it."""
    out = tmp_path / "out"
    (out / ".pull-draft").mkdir(parents=True)  # of a pull that was killed
    rename = Path.rename

    def busy(path: Path, target: Path | None = None) -> Path:
        if out in (path, target):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        if target is not None and path.parent != out and out in target.parents and out not in path.parents:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, target)

    monkeypatch.setattr(Path, "rmdir", busy)
    monkeypatch.setattr(Path, "rename", busy)
    assert_ok(moclip("pull", "user/walks", "-o", out, "-q"))
    assert {path.name for path in out.iterdir()} <= set(RUN_FILES)
    assert (out / "config.yaml").is_file()


def test_a_folder_that_is_used_meanwhile_is_left(
    hub: FakeHub, walks: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    check = pull.check_run

    def late(folder: FoldFolder) -> None:
        check(folder)
        (out / "config.yaml").write_text("mine", encoding="utf-8")

    monkeypatch.setattr(pull, "check_run", late)
    assert_refused(moclip("pull", "user/walks", "-o", out, "-q"), "is there already")
    assert [path.name for path in out.iterdir()] == ["config.yaml"]
    assert (out / "config.yaml").read_text(encoding="utf-8") == "mine"


def test_two_pulls_into_one_folder(hub: FakeHub, walks: Repository, tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / ".out.lock")
    assert lock.acquire()
    assert_refused(moclip("pull", "user/walks", "-o", tmp_path / "out"), "another pull is at work")
    lock.release()
    pull.pull(HubAddress.parse("user/walks"), tmp_path / "out", Silent())
    assert not (tmp_path / ".out.lock").exists()


def test_the_cache_counts_and_prunes_them(hub: FakeHub, walks: Repository, place: Path) -> None:
    folder = local_run("hf://user/walks")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    stages = assert_ok(moclip("cache", "info", "--json")).json["stages"]
    assert stages[HUB] == {"entries": 1, "bytes": size}
    assert "removed 0 entries" in assert_ok(moclip("cache", "prune", "--days", 1)).err
    with FileLock(place / HUB_LOCK):  # a fetch is at work
        assert "removed 0 entries" in assert_ok(moclip("cache", "prune", "--stage", HUB)).err
    os.utime(folder, (1, 1))
    assert "removed 1 entries" in assert_ok(moclip("cache", "prune", "--days", 1)).err
    assert not folder.exists()
    assert local_run("hf://user/walks") == folder


@pytest.mark.parametrize("listed", [True, False])
def test_the_cache_verifies_them(listed: bool, hub: FakeHub, walks: Repository, place: Path) -> None:
    folder = local_run("hf://user/walks")
    (place / f".{folder.name}-draft").mkdir()  # of a fetch that was killed
    if not listed:
        (folder / ".files.json").unlink()
    assert "1 entry read, none is damaged" in assert_ok(moclip("cache", "verify")).err
    weights = folder / "motion.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = moclip("cache", "verify", "--json")
    assert found.code == 2
    assert [row["path"] for row in found.json["damaged"]] == [str(folder)]
    assert "motion.safetensors" in found.json["damaged"][0]["reason"]
    assert_ok(moclip("cache", "verify", "--remove"))
    assert not folder.exists()


def test_a_run_in_use_is_not_pruned_by_age(
    hub: FakeHub, walks: Repository, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_run("hf://user/walks")
    for endpoint in (hub.address, "http://127.0.0.1:1"):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        os.utime(folder, (1, 1))
        local_run("hf://user/walks")
        assert "removed 0 entries" in assert_ok(moclip("cache", "prune", "--days", 1)).err


def test_runs_that_are_removed_meanwhile_are_not_counted(
    hub: FakeHub, walks: Repository, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local_run("hf://user/walks")
    cache = FeatureCache(place.parents[1])
    entries = upkeep.other_entries(cache)
    assert [entry.path for entry in entries] == [folder]
    size = upkeep._folder_size

    def removed(path: Path) -> int:
        shutil.rmtree(path)
        return size(path)

    monkeypatch.setattr(upkeep, "_folder_size", removed)
    assert assert_ok(moclip("cache", "info", "--json")).json["stages"] == {}
    monkeypatch.setattr(upkeep, "other_entries", lambda _: entries)
    assert upkeep.prune(cache) == (0, 0)
