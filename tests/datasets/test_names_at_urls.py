"""Names at web servers are those of the same files here: URLs alone are percent-encoded."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from moclip_lite.datasets import load_folder
from moclip_lite.datasets.remote import load_remote_folder
from moclip_lite.datasets.table.load import checked_table, load_table
from moclip_lite.datasets.table.videos import name_in_table
from moclip_lite.errors import DataError
from mv_tools.source import Source

from support.http_files import http_files

NAMES = ("play ball/a b.mp4", "play ball/a%20b.mp4", "run #1/a&b=1.mp4", "run #1/50%.mp4", "läuft/?x=1+2.mp4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "my data"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def content(path: Path) -> str:
    return Source.of(path).open_raw().read().decode()


def test_class_folders_are_those_of_a_local_folder(folder: Path) -> None:
    with http_files(folder.parent) as url:
        far = load_remote_folder(Path(f"{url}/my%20data"))
        assert {clip.name: content(clip.path) for clip in far.clips} == {name: name for name in NAMES}
    here = load_folder(folder)
    assert far.labels == here.labels
    assert {(clip.name, clip.label) for clip in far.clips} == {(c.name, c.label) for c in here.clips}


def test_a_table_names_files_as_they_are_called(folder: Path) -> None:
    table = folder / "t.csv"
    table.write_text("\n".join(["video,label", *(f'"{name}",x' for name in NAMES)]))
    with http_files(folder.parent) as url:
        clips = load_table(Path(f"{url}/my%20data/t.csv")).clips
        assert [(clip.name, content(clip.path)) for clip in clips] == [(name, name) for name in NAMES]
        assert [name_in_table(clip.path, Path(f"{url}/my%20data")) for clip in clips] == list(NAMES)


def test_problems_of_a_table_name_its_url(folder: Path) -> None:
    (folder / "t.csv").write_text("video,label\nplay ball,x\nplay ball/a b.mp4,x\nabsent.mp4,x\n")
    with http_files(folder.parent, "lists") as url:
        place = f"{url}/my%20data"
        table = checked_table(Path(f"{place}/t.csv"))
        reasons = [
            f"there is no such video, {place}/play%20ball",
            f"there is no such video, {place}/absent.mp4",
        ]
        assert [problem.reason for problem in table.problems] == reasons
        with pytest.raises(
            DataError, match=f"^{re.escape(place)}/t.csv, row 2, column video: there is no such"
        ):
            load_table(Path(f"{place}/t.csv"))


def test_a_video_that_is_refused_is_not_called_absent(folder: Path) -> None:
    (folder / "t.csv").write_text("video,label\nplay ball/a b.mp4,x\n")
    with (
        http_files(folder, refuses={"a b.mp4": 503}) as url,
        pytest.raises(DataError, match=r"can't be reached \(HTTP 503\).*a%20b\.mp4"),
    ):
        load_table(Path(f"{url}/t.csv"))


def test_videos_that_are_refused_are_skipped_with_the_absent_ones(folder: Path) -> None:
    rows = ("play ball/a b.mp4,x", "play ball/a%20b.mp4,x", "absent.mp4,x")
    (folder / "t.csv").write_text("\n".join(("video,label", *rows)))
    with http_files(folder, refuses={"a b.mp4": 403}) as url:
        table = load_table(Path(f"{url}/t.csv"), skip_missing=True)
    assert [clip.name for clip in table.clips] == ["play ball/a%20b.mp4"]
    refused = f"the server does not give it: access is refused, {url}/play%20ball/a%20b.mp4"
    assert table.notes[0] == f"left out, 2 row(s) of t.csv whose video is absent or refused ({refused})"


def test_a_web_folder_that_is_not_there_is_said_so(folder: Path) -> None:
    with http_files(folder) as url:
        with pytest.raises(FileNotFoundError, match=r"there is no such folder.*/absent"):
            load_remote_folder(Path(f"{url}/absent"))
        for name in NAMES:
            shutil.rmtree((folder / name).parent, ignore_errors=True)
        with pytest.raises(DataError, match="holds no videos"):
            load_remote_folder(Path(url))
