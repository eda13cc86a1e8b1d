"""Columns of annotation tables: those that say which pictures a row means are never passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.datasets.table import inspect_table, read_table
from moclip_lite.datasets.table.load import load_table
from moclip_lite.errors import DataError

from support.cli import moclip


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with a file that is called like a video; no test opens it."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    return tmp_path


def table(folder: Path, *rows: str, header: str) -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("Start (s)", "End (s)", "meant to be"),
        ("start [s]", "end [s]", "meant to be"),
        ("t_start", "t_end", "meant to be"),
        ("starttime", "segment end", "meant to be"),
        ("onset", "offset", "meant to be"),
        ("start_ns", "end_ns", "in nanoseconds"),
        ("strat", "ende", "meant to be"),
        ("the start", "the end", "meant to be"),
        ("start timecode", "end timecode", "meant to be"),
        ("since", "until", "meant to be"),
        ("from", "to", "meant to be"),
        ("Startzeit", "Endzeit", "meant to be"),
        ("Début", "fin", "meant to be"),
        ("Begin Time - ss.msec", "End Time - ss.msec", "meant to be"),
        ("Begin Time - hh:mm:ss.ms", "End Time - hh:mm:ss.ms", "meant to be"),
        ("start_frame", "end_frame", "counts frames"),
        ("first frame", "last frame", "counts frames"),
        ("FrameStart", "FrameEnd", "counts frames"),
        ("start_no", "end_no", "counts frames"),
        ("start_ms", "end_ms", "is in milliseconds"),
        ("Start (min)", "End (min)", "is in minutes"),
    ],
)
def test_columns_of_times_are_never_passed_over(videos: Path, start: str, end: str, reason: str) -> None:
    """In common spellings, alone or beside the right one, whatever the order; other words are ignored."""
    for header in (f"video,label,{start},{end}", f"video,{end},label,{start}", f"video,label,start,{end}"):
        with pytest.raises(DataError, match=reason):
            inspect_table(table(videos, header=header))
    both = table(videos, "a.mp4,walk,0,1,5,6", header=f"video,label,start,end,{start},{end}")
    assert inspect_table(both).ignored == [start.lower(), end.lower()]


@pytest.mark.parametrize(
    "name",
    [
        *("gender", "endoscope", "from", "frames", "duration", "weekend", "ts" * 40),
        *("offset", "time_offset", "frame_offset", "offset_ms", "onset", "until"),
        *("no_stop", "end_code", "stop_code", "trend", "send", "stars", "starter", "start_x"),
    ],
)
def test_columns_of_other_words_are_ignored(videos: Path, name: str) -> None:
    assert inspect_table(table(videos, "a.mp4,walk,x", header=f"video,label,{name}")).ignored == [name]


def test_a_start_with_a_duration(videos: Path) -> None:
    with pytest.raises(DataError, match="no column end; duration is not read, write end instead"):
        read_table(table(videos, header="video,label,start,duration"))


def test_refusals_of_rows_tell_what_is_not_read(videos: Path) -> None:
    """Rows may differ in a column that is not read."""
    header = "video,label,moment,by"
    path = table(videos, "a.mp4,walk,1,me", "a.mp4,walk,2,me", header=header)
    with pytest.raises(DataError) as error:
        read_table(path)
    unread = f"{path.name}: columns that are not read: moment, by"
    assert str(error.value).endswith(f"row 3: is the same as row 2 in all columns that are read; {unread}")
    listed = moclip("dataset", "list", path)
    assert listed.code == 2
    assert unread in " ".join(listed.err.split())
    path = table(videos, "a.mp4,walk,1,me", "a.mp4,run,2,me", header=header)
    with pytest.raises(
        DataError, match=r"a clip has one class; t\.csv: columns that are not read: moment, by"
    ):
        load_table(path)


@pytest.mark.parametrize("first", ["sep=;", "SEP=;\r", '"sep=;"'])
def test_the_line_that_states_a_separator_is_no_header(videos: Path, first: str) -> None:
    """As Excel writes it; rows are counted as spreadsheets count them, without it."""
    path = table(videos, "video;label, or name;label", "a.mp4;x;walk", ";x;walk", header=first)
    assert inspect_table(path).ignored == ["label, or name"]
    with pytest.raises(DataError, match="row 3, column video: is empty"):
        read_table(path)


@pytest.mark.parametrize("around", ["annotation_{}", "window {}", "{}_offset", "cut.{}", "{}-pts"])
def test_pairs_of_times_are_known_whatever_stands_around(videos: Path, around: str) -> None:
    header = f"video,label,{around.format('start')},{around.format('end')}"
    with pytest.raises(DataError, match="meant to be start"):
        inspect_table(table(videos, header=header))
    assert inspect_table(table(videos, "a.mp4,walk,1", header="video,label,annotation_end")).ignored


def test_pairs_that_are_no_times_are_ignored(videos: Path) -> None:
    header = "video,label,start_x,start_y,end_x,end_y,start_date,end_date"
    found = inspect_table(table(videos, "a.mp4,walk,1,2,3,4,5,6", header=header))
    assert found.ignored == header.split(",")[2:]


def test_a_division_with_a_number_beside_one_without(videos: Path) -> None:
    with pytest.raises(DataError, match="columns split and split1; number all"):
        read_table(table(videos, header="video,label,split1,split"))
