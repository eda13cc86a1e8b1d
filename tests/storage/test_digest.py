"""Content digests follow the content, and are remembered between runs."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from moclip_lite.errors import CacheUnavailable
from moclip_lite.storage import content_digests, digest
from moclip_lite.storage.content_digests import ContentDigests
from moclip_lite.storage.digest import digest_bytes, digest_file


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "ü b.mp4"
    path.write_bytes(b"one")
    return path


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "digests.sqlite"


def test_digests_are_blake2b_of_128_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # BLAKE2b-128 of "abc"
    assert digest_bytes([b"abc"]) == "cf4ab791c62b8d2b2109c90275287816"
    assert digest_bytes([b"a", b"", b"bc"]) == digest_bytes([b"abc"])
    assert digest_bytes([]) == digest_bytes([b""]) != digest_bytes([b"abc"])
    monkeypatch.setattr(digest, "_CHUNK", 2)
    (tmp_path / "x").write_bytes(b"abc")
    assert digest_file(tmp_path / "x") == digest_bytes([b"abc"])


def test_digests_follow_the_content(video: Path, database: Path) -> None:
    memory = ContentDigests(database)
    first = memory.of([video])[video]
    assert first == digest_file(video)
    video.write_bytes(b"two!")
    assert memory.of([video])[video] == digest_file(video) != first


def test_a_change_that_keeps_size_and_modification_time_is_noticed(video: Path, database: Path) -> None:
    stat = video.stat()
    memory = ContentDigests(database)
    first = memory.of([video])[video]
    time.sleep(0.02)  # the clock of the file system ticks
    video.write_bytes(b"two")
    os.utime(video, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (video.stat().st_size, video.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert memory.of([video])[video] == digest_file(video) != first


def test_a_remembered_file_is_not_read_again(
    video: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ContentDigests(database).of([video])
    monkeypatch.setattr(content_digests, "digest_file", lambda path: pytest.fail("read again"))
    assert ContentDigests(database).of([video]) == first


def test_files_that_cannot_be_read_are_left_out(video: Path, database: Path, tmp_path: Path) -> None:
    unreadable = [tmp_path / "gone.mp4", tmp_path, Path("zero\0byte")]
    assert ContentDigests(database).of([*unreadable, video]) == {video: digest_file(video)}


def test_names_that_are_not_utf8_are_remembered(
    tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    odd.write_bytes(b"one")
    first = ContentDigests(database).of([odd])
    assert first == {odd: digest_file(odd)}
    monkeypatch.setattr(content_digests, "digest_file", lambda path: pytest.fail("read again"))
    assert ContentDigests(database).of([odd]) == first


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def add_other_table(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE digests (path TEXT, digest TEXT)")
    db.commit()
    db.close()


@pytest.mark.parametrize(
    ("damage", "warned"),
    [
        (lambda path: path.write_bytes(b"not a database at all\n" * 500), True),
        (truncate, True),
        (lambda path: path.write_bytes(b""), False),
        (add_other_table, False),
    ],
    ids=["text", "cut", "empty", "an older version's table"],
)
def test_a_damaged_memory_is_made_again(
    damage: Callable[[Path], object],
    warned: bool,
    video: Path,
    database: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = ContentDigests(database).of([video])
    damage(database)
    monkeypatch.setattr(logging.getLogger("moclip"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="moclip.cache"):
        assert ContentDigests(database).of([video]) == first
    assert ("is damaged" in caplog.text) == warned


def test_a_memory_damaged_while_in_use_costs_only_time(
    video: Path, database: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = ContentDigests(database)
    first = memory.of([video])
    database.write_bytes(b"not a database at all\n" * 500)
    monkeypatch.setattr(logging.getLogger("moclip"), "propagate", True)
    with caplog.at_level(logging.WARNING, logger="moclip.cache"):
        assert memory.of([video]) == first
    assert "can't be read" in caplog.text
    assert "could not be written" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnavailable, match=r"--cache"):
        ContentDigests(tmp_path / "file" / "digests.sqlite")


def test_a_locked_database_is_not_taken_for_a_damaged_one(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ContentDigests(database)
    before = database.read_bytes()

    def locked(*args: object, **options: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sqlite3, "connect", locked)
    with pytest.raises(CacheUnavailable, match="database is locked"):
        ContentDigests(database)
    assert database.read_bytes() == before
