"""Preparing again after originals were replaced, renamed, deleted or damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from moclip_lite.datasets import load_folder
from moclip_lite.datasets.manifest import MANIFEST, read_manifest
from moclip_lite.datasets.prepare.transcode import PrepareReport, prepare
from moclip_lite.errors import DataError
from moclip_lite.storage.digest import digest_file
from moclip_lite.storage.lock import FolderLock
from mv_tools import MotionDecoder, Recipe

from support.cli import assert_ok, class_folders, moclip
from support.clips import H264, encode, panning

FIRST = "left/p0_left0.mp4"
LONG_AGO = 10**18  # nanoseconds, in 2001


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "data", per_class=2, frames=6)


def again(data: Path) -> PrepareReport:
    return prepare(load_folder(data), data.parent / "out", Recipe(threads=1))


def copy_of(data: Path, name: str = FIRST) -> Path:
    return data.parent / "out" / "gop12" / name


def replace(original: Path) -> None:
    """Put a video of 9 pictures in the place of another, with the time of that one."""
    stat = original.stat()
    other = encode(original.parent.parent.parent / "other.mp4", panning(9), **H264)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(original)


def without_originals(folder: Path) -> None:
    """Make the manifest one of an earlier version."""
    from pyarrow import parquet

    table = parquet.read_table(folder / MANIFEST).drop_columns(["original_digest", "original_stamp"])
    parquet.write_table(table, folder / MANIFEST)
    assert all(row.original_digest == "" for row in read_manifest(folder))


def test_drafts_of_a_killed_preparation_are_removed(data: Path) -> None:
    left = [copy_of(data, f"{place}.clip-0123456789ab.mp4") for place in ("", "left/", "gone/deep/")]
    for draft in left:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.touch()
    again(data)
    assert not [draft for draft in left if draft.exists()]


def test_one_preparation_at_a_time_works_in_a_folder(data: Path) -> None:
    draft = copy_of(data, ".clip-0123456789ab.mp4")
    draft.parent.mkdir(parents=True)
    draft.touch()
    lock = FolderLock(copy_of(data, ".lock"))
    assert lock.acquire()
    with pytest.raises(DataError, match=r"another preparation is at work in .*gop12; wait for it"):
        again(data)
    assert draft.exists()
    lock.release()
    again(data)
    assert not list(copy_of(data, "").glob(".*"))


def test_an_original_that_was_replaced_is_encoded_again(data: Path) -> None:
    assert again(data).made == 4
    others = {path: path.stat().st_mtime_ns for path in copy_of(data).parent.parent.rglob("*.mp4")}
    del others[copy_of(data)]
    replace(data / FIRST)
    report = again(data)
    assert (report.made, report.kept, report.strays) == (1, 3, [])
    assert len(MotionDecoder(copy_of(data))) == 9
    assert {path: path.stat().st_mtime_ns for path in others} == others
    (row,) = (row for row in read_manifest(report.out) if row.name == FIRST)
    assert row.original_digest == digest_file(data / FIRST)
    assert (row.frames, again(data).kept) == (9, 4)


def test_originals_are_read_again_only_where_they_may_have_changed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again(data)
    read: list[Path] = []
    monkeypatch.setattr(
        "moclip_lite.datasets.prepare.originals.digest_file",
        lambda path: read.append(path) or digest_file(path),  # type: ignore[func-returns-value]
    )
    assert (again(data).kept, read) == (4, [])
    shutil.copy(data / FIRST, data.parent / "same.mp4")
    (data.parent / "same.mp4").replace(data / FIRST)  # equal content, another file
    assert (again(data).kept, read) == (4, [data / FIRST])
    assert (again(data).kept, read) == (4, [data / FIRST])


def test_copies_without_an_original_are_told(data: Path) -> None:
    again(data)
    (data / "right").rename(data / "rechts")
    (data / FIRST).unlink()
    report = again(data)
    assert (report.made, report.kept) == (2, 1)
    assert report.strays == [FIRST, "right/p0_right0.mp4", "right/p1_right1.mp4"]
    words = ("dataset", "prepare", "folder", "--root", data, "--out", data.parent / "out", "--workers", 1)
    outcome = assert_ok(moclip(*words, "--json"))
    assert outcome.json["strays"] == report.strays
    said = " ".join(outcome.err.split())
    assert "holds 3 video(s) that are no copies of originals as they are now" in said
    assert f"{FIRST}, right/p0_right0.mp4 and 1 more" in said
    assert "delete them" in said
    listed = assert_ok(moclip("dataset", "list", report.out))
    assert "holds 3 video(s) that are no copies of originals" in " ".join(listed.err.split())
    (report.out / read_manifest(report.out)[0].path).unlink()
    notes = assert_ok(moclip("dataset", "list", report.out, "--json")).json["notes"]
    assert [note.split()[1:3] for note in notes] == [["holds", "3"], ["clips", "of"]]
    for name in report.strays:
        (report.out / name).unlink()
    assert again(data).strays == []
    (report.out / "right").rmdir()
    assert assert_ok(moclip("dataset", "list", report.out, "--json")).json["notes"] == []


def cut(original: Path) -> None:
    original.write_bytes(original.read_bytes()[:200])


@pytest.mark.parametrize("damage", [cut, Path.unlink])
@pytest.mark.parametrize("earlier", [False, True])
def test_an_original_that_can_no_longer_be_read_fails(
    data: Path, damage: Callable[[Path], None], earlier: bool
) -> None:
    out = again(data).out
    if earlier:
        without_originals(out)
    dataset = load_folder(data)
    damage(data / FIRST)
    for _ in range(2):  # the copy that is left does not pass for one of another time
        report = prepare(dataset, data.parent / "out", Recipe(threads=1))
        assert [name for name, _ in report.failures] == [FIRST]
        assert (report.kept, report.strays) == (3, [FIRST])
        assert len(read_manifest(out)) == 3


def test_a_replaced_original_is_not_forgotten_by_an_interruption(data: Path) -> None:
    again(data)
    replace(data / FIRST)

    def interrupt(stage: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    (data / "left" / "new.mp4").write_bytes((data / FIRST).read_bytes())
    (data / FIRST).rename(data / "left" / "z.mp4")  # so that it comes last
    copy_of(data).rename(copy_of(data, "left/z.mp4"))
    with pytest.raises(KeyboardInterrupt):
        prepare(load_folder(data), data.parent / "out", Recipe(threads=1), progress=interrupt)
    assert len(MotionDecoder(copy_of(data, "left/z.mp4"))) != 9
    again(data)
    assert len(MotionDecoder(copy_of(data, "left/z.mp4"))) == 9


def test_copies_of_an_earlier_version_are_judged_by_time(data: Path) -> None:
    out = again(data).out
    os.utime(data / FIRST, ns=(LONG_AGO, LONG_AGO))
    without_originals(out)
    assert again(data).kept == 4  # and what they are made of is known now
    assert {row.original_digest for row in read_manifest(out)} == {
        digest_file(path) for path in data.rglob("*.mp4")
    }
    without_originals(out)
    os.utime(data / FIRST)
    report = again(data)
    assert (report.made, report.kept) == (1, 3)
    without_originals(out)
    shutil.copy(data / FIRST, data / "left" / "p0_left0.avi")
    (data / FIRST).unlink()
    assert again(data).made == 1  # a copy of another file


def test_copies_without_a_row_count_if_their_originals_are_older(data: Path) -> None:
    out = again(data).out
    (out / MANIFEST).unlink()
    assert again(data).kept == 4
    (out / MANIFEST).unlink()
    replace(data / FIRST)
    report = again(data)
    assert (report.made, report.kept) == (1, 3)
