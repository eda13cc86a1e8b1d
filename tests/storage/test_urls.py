"""Folders, locks and caches at URLs, on a real S3 server on loopback."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from moclip_lite.errors import CacheUnavailable, CheckpointError, ConfigError, MoclipError
from moclip_lite.hub.kept import check_kept
from moclip_lite.storage import lease, mirror, snapshot
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.objects import ObjectFolder, Version
from moclip_lite.storage.upkeep import prune, verify
from moclip_lite.storage.url_files import fetched
from mv_tools.urls import is_url, reported

from support.s3_server import Server, connected

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
KEY = "ab" + 30 * "0"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with connected(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The local cache folder; locks are watched for a moment only."""
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "local"))
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.4)
    return tmp_path / "local"


@pytest.fixture
def folder(server: Server, request: pytest.FixtureRequest) -> Path:
    return Path(f"{server.url}/{request.node.name}")


@pytest.fixture
def objects(folder: Path) -> ObjectFolder:
    return ObjectFolder.at(folder)


def held(path: Path, notes: list[str] | None = None) -> Any:
    return mirror.held(path, "run", "metrics.json", ([] if notes is None else notes).append)


@pytest.mark.slow
def test_objects_are_files_of_a_folder(objects: ObjectFolder, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"12345")
    assert objects.names() == []
    version = objects.send(tmp_path / "x.bin", "a/b.bin")
    assert objects.names() == ["a/b.bin"]
    assert (version.size, objects.version("a/b.bin"), objects.version("x")) == (5, version, None)
    assert objects.read("a/b.bin") == b"12345"
    assert objects.read("absent") is None
    assert objects.fetch("a/b.bin", tmp_path / "copy" / "y.bin") == version
    assert (tmp_path / "copy" / "y.bin").read_bytes() == b"12345"
    assert not objects.create("a/b.bin", b"other")
    assert objects.create("c", b"new")
    objects.remove("a/b.bin")
    objects.remove("a/b.bin")
    assert objects.names() == ["c"]


def test_a_file_is_written_to_its_url_and_read_there(folder: Path) -> None:
    from moclip_lite.storage.files import write_json

    write_json(folder / "x.json", {"a": 1})
    copy = fetched(folder / "x.json")
    assert (is_url(copy), json.loads(copy.read_text())) == (False, {"a": 1})
    with pytest.raises(FileNotFoundError, match="no such object"):
        fetched(folder / "y.json")


def test_two_writers_at_once_are_told(
    folder: Path, objects: ObjectFolder, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 60.0)  # the first sign of life ends it
    notes: list[str] = []
    with held(folder):
        with pytest.raises(
            CheckpointError, match=r"another run is at work in s3://.* \(host .*, process \d+"
        ):
            lease.Lease(objects, mirror.LOCK, "run", notes.append)._take()
        assert "waiting" in notes[0]
    assert objects.names() == []
    with held(folder):  # released
        pass


@pytest.mark.slow
def test_a_lock_that_nobody_renews_is_taken_over(folder: Path, objects: ObjectFolder, here: Path) -> None:
    """Whatever times it holds: clocks of machines are not compared."""
    objects.write(mirror.LOCK, json.dumps({"host": "dead", "since": "2999-01-01", "token": "x"}).encode())
    notes: list[str] = []
    with held(folder, notes):
        assert any("holder is gone" in note for note in notes)
    objects.write(mirror.LOCK, b"\xff no JSON")
    with held(folder):
        pass


def test_who_lost_the_lock_writes_nothing_more(
    folder: Path, objects: ObjectFolder, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 600.0)  # a beat on its way would write the lock again

    def lose_the_lock() -> None:
        with held(folder):
            objects.write(mirror.LOCK, json.dumps({"token": "other"}).encode())
            (snapshot.working_copy(folder) / "late.txt").write_text("late")

    with pytest.raises(CheckpointError, match="another process took"):
        lose_the_lock()
    assert objects.names() == [mirror.LOCK]
    assert (snapshot.working_copy(folder) / "late.txt").exists()


@pytest.mark.slow
def test_work_is_written_back_and_goes_on_elsewhere(
    folder: Path, objects: ObjectFolder, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(folder):
        work = snapshot.working_copy(folder)
        (work / "state").mkdir()
        (work / "state" / "motion.safetensors").write_bytes(b"state")
        (work / ".draft-0123456789ab.json").write_text("")
        mirror.write_back(folder)
        assert set(objects.names()) == {mirror.LOCK, "state/motion.safetensors"}
        (work / "metrics.json").write_text("{}")
        (work / "state" / "motion.safetensors").rename(work / "motion.safetensors")
    assert objects.names() == ["metrics.json", "motion.safetensors"]
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "elsewhere"))
    with held(folder):
        there = snapshot.working_copy(folder)
        assert there != work
        assert sorted(path.name for path in there.iterdir()) == ["metrics.json", "motion.safetensors"]
        (there / "metrics.json").unlink()
    monkeypatch.setenv("MOCLIP_CACHE", str(here))
    with held(folder):  # the older copy follows
        assert [path.name for path in work.iterdir()] == ["motion.safetensors"]


def test_what_says_that_all_is_complete_is_written_last(
    folder: Path, objects: ObjectFolder, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    send, remove = ObjectFolder.send, ObjectFolder.remove
    monkeypatch.setattr(ObjectFolder, "send", lambda self, s, n: (steps.append(n), send(self, s, n))[1])
    monkeypatch.setattr(ObjectFolder, "remove", lambda self, n: (steps.append(f"-{n}"), remove(self, n))[1])
    for content in ("one", "two!"):
        with held(folder):
            for name in ("metrics.json", "z.safetensors"):
                (snapshot.working_copy(folder) / name).write_text(content)
    steps = [step for step in steps if mirror.LOCK not in step]
    assert steps == ["z.safetensors", "metrics.json", "-metrics.json", "z.safetensors", "metrics.json"]


@pytest.mark.slow
def test_work_of_a_lost_connection_is_kept_and_written_back_later(
    folder: Path, objects: ObjectFolder, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError("it can't be reached")

    notes: list[str] = []

    def work() -> None:
        with held(folder, notes):
            monkeypatch.setattr(ObjectFolder, "send", refuse)
            (snapshot.working_copy(folder) / "a.txt").write_text("work")
            mirror.write_back(folder)
            assert "could not be written back yet" in notes[-1]

    with monkeypatch.context() as monkeypatch, pytest.raises(OSError, match=r"kept in .*continues with them"):
        work()
    assert objects.names() == []
    with held(folder, notes):
        assert "continuing with what was not written back" in notes[-1]
    assert objects.read("a.txt") == b"work"


def test_work_that_another_state_of_the_url_replaces_is_set_aside(
    folder: Path, objects: ObjectFolder, here: Path
) -> None:
    """The message of the lost connection promised that it is kept."""
    with held(folder):
        (snapshot.working_copy(folder) / "a.txt").write_text("old")
    (snapshot.working_copy(folder) / "a.txt").write_text("not written back")
    objects.write("b.txt", b"of another machine")
    notes: list[str] = []
    with held(folder, notes):
        work = snapshot.working_copy(folder)
        assert sorted(path.name for path in work.iterdir()) == ["a.txt", "b.txt"]
        assert (work / "a.txt").read_text() == "old"
    (kept,) = snapshot.place_of(objects.url).glob("kept-*")
    assert (kept / "a.txt").read_text() == "not written back"
    assert "was changed elsewhere" in notes[0]
    assert str(kept) in notes[0]
    os.utime(kept, (0, 0))
    objects.write("b.txt", b"changed again")
    with held(folder):
        assert not kept.exists()


def test_a_copy_that_was_not_fetched_to_its_end_removes_nothing_at_the_url(
    folder: Path, objects: ObjectFolder, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(self: ObjectFolder, name: str, target: Path) -> Version:
        if name == "b.txt":
            raise OSError("it can't be reached")
        return fetch(self, name, target)

    def work(notes: list[str]) -> None:
        with held(folder, notes):
            pass

    with held(folder):
        for name in ("a.txt", "b.txt"):
            (snapshot.working_copy(folder) / name).write_text(name)
    shutil.rmtree(snapshot.working_copy(folder))  # by someone who made room
    fetch = ObjectFolder.fetch
    with monkeypatch.context() as patch:
        patch.setattr(ObjectFolder, "fetch", breaks_off)
        with pytest.raises(OSError, match="can't be reached"):
            work([])
    notes: list[str] = []
    work(notes)
    assert sorted(objects.names()) == ["a.txt", "b.txt"]
    assert not notes
    assert (snapshot.working_copy(folder) / "b.txt").read_text() == "b.txt"


def test_a_full_disk_here_does_not_end_writing_back(
    folder: Path, objects: ObjectFolder, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MoclipError("the disk is full")

    notes: list[str] = []
    with held(folder, notes):
        (snapshot.working_copy(folder) / "a.txt").write_text("a")
        with monkeypatch.context() as patch:
            patch.setattr(mirror, "write_json", full)
            mirror.write_back(folder)
        assert notes == ["what changed could not be written back yet: the disk is full"]
    assert objects.read("a.txt") == b"a"


def test_a_snapshot_is_what_stands_there_now(folder: Path, objects: ObjectFolder, here: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no files"):
        snapshot.snapshot(folder)
    objects.write("a/x.txt", b"one")
    first = snapshot.snapshot(folder)
    assert snapshot.snapshot(folder) == first
    objects.write("a/x.txt", b"other")
    second = snapshot.snapshot(folder)
    assert [(path / "a" / "x.txt").read_text() for path in (first, second)] == ["one", "other"]


def test_a_folder_that_changes_while_it_is_copied_is_refused(
    folder: Path, objects: ObjectFolder, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.write("x.txt", b"one")
    state = snapshot.state_of(objects)
    objects.write("x.txt", b"two")
    monkeypatch.setattr(snapshot, "state_of", lambda remote: state)
    with pytest.raises(CheckpointError, match="was changed while it was copied"):
        snapshot.snapshot(folder)
    assert not [path for path in snapshot.place_of(objects.url).iterdir() if path.is_dir()]
    assert snapshot.working_copy(folder).parts[-3:] == ("work", "bucket", folder.name)


def test_cache_entries_go_to_the_url_and_come_from_it(folder: Path, here: Path) -> None:
    cache = FeatureCache(folder)
    assert (cache.place, cache.root, cache.shared_root, cache.has("motion", KEY)) == (
        folder,
        here,
        None,
        False,
    )
    with pytest.raises(CacheUnavailable, match="there is no cache at s3://"):
        verify(cache, check_kept)
    cache.put("motion", KEY, {"x": np.arange(3)})
    assert cache.has("motion", KEY)
    shutil.rmtree(here)
    other = pickle.loads(pickle.dumps(FeatureCache(folder)))
    assert other.has("motion", KEY)
    other.fetch("motion", [KEY, "c" * 32])
    assert other.path("motion", KEY).is_file()
    arrays = other.get("motion", KEY)
    assert arrays is not None
    np.testing.assert_array_equal(arrays["x"], np.arange(3))
    assert [(entry.stage, entry.key) for entry in other.entries()] == [("motion", KEY)]
    assert verify(other, check_kept).damaged == []
    assert prune(other, "motion")[0] == 1
    assert not FeatureCache(folder).has("motion", KEY)


def test_entries_of_an_earlier_run_without_the_url_are_sent_there(folder: Path, here: Path) -> None:
    FeatureCache().put("motion", KEY, {"x": np.arange(3)})
    assert FeatureCache(folder).has("motion", KEY)
    shutil.rmtree(here)
    assert FeatureCache(folder).get("motion", KEY) is not None


def test_a_damaged_entry_at_the_url_is_made_again(server: Server, folder: Path, here: Path) -> None:
    FeatureCache(folder).put("motion", KEY, {"x": np.arange(3)})
    path = server.folder / folder.name / "motion" / "ab" / f"{KEY}.safetensors"
    path.write_bytes(path.read_bytes()[:-2])
    shutil.rmtree(here)
    cache = FeatureCache(folder)
    assert len(verify(cache, check_kept).damaged) == 1
    assert cache.get("motion", KEY) is None
    assert not path.exists()


def test_what_hinders_is_said_in_a_sentence(
    server: Server, folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    entry = {"x": np.arange(3)}
    with pytest.raises(ConfigError, match="https URLs are only read"):
        FeatureCache(Path("https://127.0.0.1:9/cache")).put("motion", KEY, entry)
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    with pytest.raises(CacheUnavailable, match=r"access is refused.*finished work is kept") as refused:
        FeatureCache(folder).put("motion", KEY, entry)
    s3fs.S3FileSystem.clear_instance_cache()
    assert "wrong-secret" not in str(refused.value)
    assert FeatureCache().has("motion", KEY)
    monkeypatch.setenv("MOCLIP_CACHE", os.fspath(folder))
    with pytest.raises(CacheUnavailable, match="MOCLIP_CACHE names a local folder"):
        FeatureCache()


class _Answer(Exception):
    response: ClassVar = {"Error": {"Code": "NoSuchBucket"}}


_ANSWERS = {
    "the clock of this machine differs": PermissionError(
        "The difference between the request time and the current"
    ),
    "there is no such bucket": FileNotFoundError("The specified bucket does not exist"),
    "there is no such object": FileNotFoundError("bucket/x"),
    "can't be reached": ConnectionResetError("Connection lost"),
}


@pytest.mark.parametrize("words", _ANSWERS)
def test_errors_of_a_server_are_sentences(words: str) -> None:
    error = _ANSWERS[words]
    if "bucket" in words:
        error.__cause__ = _Answer()
    with pytest.raises(OSError, match=f"{words}.*s3://b/x|s3://b/x.*{words}"), reported("s3://b/x"):
        raise error
