"""Paths below the root, and the server's temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moclip_lite.serve.http.refusal import Refusal
from moclip_lite.serve.root_files import RootFiles
from moclip_lite.serve.workplace import Workplace

from support.paths import ROOT


@pytest.fixture
def root(tmp_path: Path) -> RootFiles:
    """A root with a clip, links to inside and outside, a FIFO, and a secret beside it."""
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    for name in ("clip.mp4", "sub/other.MKV", "notes.txt", ".hidden.mp4"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "root-beside" / "a.mp4").write_bytes(b"secret")
    (folder / "in.mp4").symlink_to(folder / "clip.mp4")
    (folder / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (folder / "outside").symlink_to(tmp_path)
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    os.mkfifo(folder / "pipe.mp4")
    (folder / os.fsdecode(b"\xff.mp4")).write_bytes(b"x")
    return RootFiles(folder)


@pytest.mark.parametrize(
    "name", ["clip.mp4", "./clip.mp4", "sub/other.MKV", "sub//other.MKV", "in.mp4", "notes.txt"]
)
def test_files_inside_are_found(name: str, root: RootFiles) -> None:
    assert root.find(name).is_relative_to(root.root)


OUTSIDE = [
    "", ".", "/", "..", "../secret.mp4", "sub/../../secret.mp4", "sub/../clip.mp4", "out.mp4", "outside/secret.mp4",
    "../root-beside/a.mp4", "loop.mp4", "pipe.mp4", "sub", "missing.mp4", "/etc/passwd", "//etc/passwd", "~/x", "a\0b",
    "..\\secret.mp4", "x" * 3000, "clip.mp4/x", "/dev/zero", "file:clip.mp4", "http://127.0.0.1/x.mp4", "%2e%2e/secret.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE, ids=ascii)
def test_everything_else_gets_one_answer(name: str, root: RootFiles) -> None:
    with pytest.raises(Refusal, match="no such video file below") as caught:
        root.find(name)
    assert caught.value.status == 404


def test_a_file_written_in_place_is_another_one(root: RootFiles) -> None:
    """Programs can set the size and the time of writing back, but not the time of the change."""
    file, path = root.take("clip.mp4"), root.root / "clip.mp4"
    assert file.unchanged() == path
    before = path.stat()
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the system's clock ticks every few milliseconds
        path.write_bytes(b"y")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(Refusal, match="was changed since its analysis began"):
        file.unchanged()


def test_absolute_paths_of_files_inside_are_refused(root: RootFiles) -> None:
    with pytest.raises(Refusal):
        root.find(str(root.root / "clip.mp4"))


def test_listings_show_videos_inside(root: RootFiles) -> None:
    assert root.listing("") == (["clip.mp4", "in.mp4", "sub/"], False)
    assert root.listing("sub/") == (["sub/other.MKV"], False)
    for name in ("..", "outside", "/etc", "clip.mp4", "missing"):
        with pytest.raises(Refusal):
            root.listing(name)


def test_a_long_listing_says_that_there_is_more(root: RootFiles) -> None:
    for number in range(500):
        (root.root / "sub" / f"{number:03}.mp4").touch()
    paths, more = root.listing("sub")
    assert (len(paths), paths[-1], more) == (500, "sub/499.mp4", True)
    (root.root / "sub" / "other.MKV").unlink()
    assert root.listing("sub") == (paths, False)


def test_a_root_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RootFiles(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        RootFiles(tmp_path / "file")


def test_the_temporary_folder_is_private_and_removed(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    assert place.path.stat().st_mode & 0o777 == 0o700
    folder = place.new_folder()
    (folder / "upload.mp4").write_bytes(b"x")
    place.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_server_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from moclip_lite.serve.workplace import Workplace;"
        "(Workplace(Path(sys.argv[1])).new_folder() / 'upload.mp4').write_bytes(b'x'); os.abort()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, check=False)
    (left,) = tmp_path.glob("moclip-serve-*/*/upload.mp4")
    running = Workplace(tmp_path)
    other = Workplace(tmp_path)  # does not touch that of a server that runs
    assert not left.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted((running.path.name, other.path.name))
    running.close()
    other.close()


def test_links_are_not_followed_when_folders_are_removed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "lock").write_bytes(b"")
    base = tmp_path / "tmp"
    base.mkdir()
    (base / "moclip-serve-x").symlink_to(mine)
    Workplace(base).close()
    assert (mine / "lock").exists()
