"""Annotation tables: the three formats give the same rows, and each bad value is reported with its row and column."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from moclip_lite.datasets.clip import Segment
from moclip_lite.datasets.table import inspect_table, overlaps, read_table
from moclip_lite.datasets.table.load import divide_by_table, load_table
from moclip_lite.errors import DataError
from moclip_lite.timeline.truth import read_truth

HEADER = "video,label,start,end,split,group"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with two files that are called like videos; the reader opens none."""
    (tmp_path / "sub").mkdir()
    for name in ("a.mp4", "sub/b.mp4"):
        (tmp_path / name).write_bytes(b"video")
    return tmp_path


def table(folder: Path, *rows: str, header: str = HEADER, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


ROWS: list[dict[str, Any]] = [
    {"video": "a.mp4", "label": "walk", "start": 0.0, "end": 2.5, "split": "train", "group": "p1"},
    {"video": "a.mp4", "label": "run", "start": 2.5, "end": 4.0, "split": "Validation", "group": "p1"},
    {"video": "sub/b.mp4", "label": "run", "start": None, "end": None, "split": "test", "group": None},
]


def written(folder: Path, kind: str) -> Path:
    """ROWS in one of the formats."""
    path = folder / f"t.{'jsonl' if kind == 'jsonl' else 'parquet' if kind == 'parquet' else 'csv'}"
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
        return path
    if kind == "jsonl":
        rows = [{name: value for name, value in row.items() if value is not None} for row in ROWS]
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", encoding="utf-8")
        return path
    separator, encoding = {
        "csv": (",", "utf-8"),
        "bom": (",", "utf-8-sig"),
        "semicolon": (";", "utf-8"),
        "tab": ("\t", "utf-16"),
        "bar": ("|", "utf-8"),
    }[kind]
    lines = [separator.join(f" {name.title()} " for name in ROWS[0])]
    for row in ROWS:
        cells = ["" if value is None else str(value) for value in row.values()]
        if kind == "semicolon":
            cells = [cell.replace(".", ",") if cell[:1].isdigit() else cell for cell in cells]
        lines.append(separator.join(cells))
    path.write_bytes("\r\n\r\n".join(lines).encode(encoding))
    return path


@pytest.mark.parametrize("kind", ["csv", "bom", "semicolon", "tab", "bar", "jsonl", "parquet"])
def test_formats_give_the_same_rows(videos: Path, kind: str) -> None:
    """Whatever the format, encoding, separator, order and case of the columns."""
    rows = read_table(written(videos, kind))
    assert [(r.video, r.label, r.segment, r.splits["split1"], r.group) for r in rows] == [
        ("a.mp4", "walk", Segment(0, 2.5), "train", "p1"),
        ("a.mp4", "run", Segment(2.5, 4), "val", "p1"),
        ("sub/b.mp4", "run", None, "test", None),
    ]
    assert all(row.path.is_file() for row in rows)


EMPTY: dict[str, Any] = dict.fromkeys(HEADER.split(","))
PLAIN = EMPTY | {"video": "a.mp4", "label": "walk"}
SWEEP: list[dict[str, Any]] = [
    EMPTY,
    *(PLAIN | {column: value} for column in ("label", "group", "split") for value in ("x", 7, -1, 1.5, 2.0, True, False)),
    *(PLAIN | {"start": start, "end": end} for start, end in ((0, 1), (0.5, 1), (Decimal("0.25"), 1.5), (True, 2), (1, 0))),
    PLAIN | {"label": Decimal("1.50"), "group": ""},
    dict.fromkeys(EMPTY, "  "),
    *(EMPTY | {column: "x"} for column in EMPTY),
    PLAIN | {"label": None},
]  # fmt: skip


def in_format(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A table as Python writes its values."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(EMPTY))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row, default=float) + "\n" for row in rows))
    else:
        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_values_of_every_type_are_read_alike(videos: Path) -> None:
    """One row at a time, because a column of Parquet has one type: the row, or the column of its problem."""
    for values in SWEEP:
        outcomes = []
        for suffix in ("csv", "jsonl", "parquet"):
            if suffix == "jsonl" and Decimal("1.50") in values.values():
                continue  # JSON has no decimals
            read = inspect_table(in_format(videos / f"one.{suffix}", [values]))
            rows = [(r.video, r.label, r.segment, dict(r.splits), r.group) for r in read.rows]
            outcomes.append((rows, [p.column for p in read.problems]))
        assert all(outcome == outcomes[0] for outcome in outcomes), (values, outcomes)
        assert bool(outcomes[0][0] or outcomes[0][1]) == any(str(v or "").strip() for v in values.values())


def test_empty_rows_between_others_are_skipped(videos: Path) -> None:
    rows = [PLAIN, EMPTY, PLAIN | {"label": "run"}]
    for suffix, numbers in (("csv", [2, 4]), ("jsonl", [1, 3]), ("parquet", [1, 3])):
        assert [r.number for r in read_table(in_format(videos / f"some.{suffix}", rows))] == numbers


BAD = {
    "a.mp4,walk,3,2,train,p": "row 2, column end: 2 s is not after the start at 3 s",
    "a.mp4,walk,2,2,train,p": "row 2, column end: 2 s is not after",
    "a.mp4,walk,-1,2,train,p": "row 2, column start: -1 s is negative",
    "a.mp4,walk,nan,2,train,p": "row 2, column start: 'nan' is not a number",
    "a.mp4,walk,0,inf,train,p": "row 2, column end: 'inf' is not a number",
    "a.mp4,walk,0,1e999,train,p": "row 2, column end: '1e999' is not a finite number",
    "a.mp4,walk,0,1e9,train,p": "row 2, column end: 1000000000 s is more than any video has",
    "a.mp4,walk,0:10,0:12,train,p": "row 2, column start: '0:10' is not a number of seconds",
    "a.mp4,walk,1_0,12,train,p": "row 2, column start: '1_0' is not a number",
    "a.mp4,walk,\u0661,12,train,p": "row 2, column start: ",
    "a.mp4,walk,,2,train,p": "row 2, column start: is empty, while end is 2",
    "a.mp4,walk,1,,train,p": "row 2, column end: is empty, while start is 1",
    "a.mp4,,0,1,train,p": "row 2, column label: is empty",
    ",walk,0,1,train,p": "row 2, column video: is empty",
    "no.mp4,walk,0,1,train,p": "row 2, column video: there is no such video",
    "sub,walk,0,1,train,p": "row 2, column video: is a folder",
    "http://x/a.mp4,walk,0,1,train,p": "row 2, column video: 'http://x/a.mp4' is an address",
    "a.mp4,walk,0,1,trian,p": "row 2, column split: must be train, validation or test, got 'trian'",
    "a.mp4,walk,0,1": "row 2: has 4 values, the header has 6 columns",
    "a.mp4,walk,0,1,train,p,x": "row 2: has 7 values",
    'a.mp4,"wa\nlk",0,1,train,p': "row 2, column label: 'wa\\nlk' holds a control character",
    f"a.mp4,{'x' * 300},0,1,train,p": "row 2, column label: has 300 characters",
    f"{'x' * 5000},walk,0,1,train,p": "row 2, column video: has 5,000 characters",
    f"{'x' * 300}/{'y' * 300},walk,0,1,train,p": "row 2, column video: ",
    'a.mp4,"wa"lk,0,1,train,p': "row 2: ",
}


@pytest.mark.parametrize("row", BAD)
def test_bad_values_are_named(videos: Path, row: str) -> None:
    """One sentence that holds file, row and column."""
    path = table(videos, row)
    with pytest.raises(DataError) as error:
        read_table(path)
    assert f"{path}, {BAD[row]}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("label,start,end", "row 1: there is no column video; it has: label, start, end"),
        ("file,class", "row 1: there is no column video and no column label"),
        ("video,label,start", "row 1: there is a column start and no column end"),
        ("video,label,spilt", "row 1: the column 'spilt' is not known; is it meant to be split?"),
        (
            "video,label,start_time,end_time",
            "row 1: the column 'start_time' is not known; is it meant to be start?",
        ),
        ("video,label,start,end,Subset", "row 1: the column '.ubset' is not known; is it meant to be split?"),
        ("video,label,subject", "row 1: the column 'subject' is not known; is it meant to be group?"),
        ("video,label,Label", "row 1: the column 'label' stands there twice"),
        ("video,label,split,split2", "row 1: there are columns split and split2"),
        (",".join(["video", "label", *(f"c{i}" for i in range(2000))]), "has 2,002 columns"),
        ("", "row 1: there is no column video"),
    ],
)
def test_bad_headers(videos: Path, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        read_table(table(videos, header=header))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"video,label\nstra\xdfe.mp4,x\n", "row 2: is not UTF-8"),
        ("t.csv", b"video,label\na.mp4,x\0\n", "row 2: holds a zero byte"),
        ("t.csv", b"video,label\n", "the table has no rows"),
        ("t.jsonl", b"", "there is no column video"),
        ("t.jsonl", b"[1]\n", "row 1: is not an object"),
        ("t.jsonl", b'{"video": "a.mp4", "label": NaN}\n', "row 1, column label: nan is not text"),
        (
            "t.jsonl",
            b'{"video": "a.mp4", "label": "x", "start": NaN, "end": 1}',
            "column start: nan is not a finite",
        ),
        (
            "t.jsonl",
            b'{"video": "a.mp4", "label": "x", "start": true, "end": 1}',
            "column start: True is not a num",
        ),
        ("t.jsonl", b'{"video": "a.mp4", "label": "x", "label": "y"}', "row 1: is not JSON \\(a name stands"),
        ("t.jsonl", b'{"video": ["a.mp4"], "label": "x"}', "column video: \\['a.mp4'\\] is not text"),
        ("t.jsonl", b"[" * 200_000, "row 1: is not JSON"),
        ("t.parquet", b"PAR1 no", "is damaged, or no Parquet file"),
        ("t.json", b"[]", "a table ends with .csv"),
    ],
)
def test_bad_files(videos: Path, name: str, data: bytes, message: str) -> None:
    path = videos / name
    path.write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_table(path)


def test_missing_and_large_tables(videos: Path) -> None:
    with pytest.raises(DataError, match="there is no such table"):
        read_table(videos / "none.csv")
    with (videos / "large.csv").open("wb") as file:
        file.truncate(1 << 29)
    with pytest.raises(DataError, match="larger than 256 MB"):
        read_table(videos / "large.csv")


def test_duplicates_are_told_with_the_first_row(videos: Path) -> None:
    """Also where the video or the times are spelt otherwise, or differ by less than names of segments tell."""
    for times in ("0.0,1.00", "0.0000001,1"):
        path = table(videos, "a.mp4,walk,0,1,train,", f"sub/../a.mp4,walk,{times},train,")
        with pytest.raises(DataError, match=r"row 3: is the same as row 2$"):
            read_table(path)


@pytest.mark.parametrize(
    ("rest", "words"), [("test,", "split"), ("train,p", "group"), ("test,p", "split and group")]
)
def test_a_clip_in_two_parts_is_told_as_such(videos: Path, rest: str, words: str) -> None:
    path = table(videos, "a.mp4,walk,0,1,train,", f"a.mp4,walk,0,1,{rest}")
    with pytest.raises(DataError, match=f"row 3: names the same clip as row 2, with another {words}$"):
        read_table(path)


def test_all_problems_are_listed(videos: Path) -> None:
    """A listing shows the usable rows and every problem, the sentence of a command the first one."""
    path = table(videos, "no.mp4,walk,0,1,train,", "a.mp4,walk,0,1,train,", "a.mp4,walk,2,1,train,")
    listing = inspect_table(path)
    assert [row.number for row in listing.rows] == [3]
    assert [(p.row, p.column, p.missing) for p in listing.problems] == [(2, "video", True), (4, "end", False)]
    with pytest.raises(DataError, match=r"row 2, column video: .*\(1 more rows have problems"):
        read_table(path)


def test_other_columns_are_ignored_and_named_by_every_reader(videos: Path) -> None:
    path = table(videos, "a.mp4,walk,me,p1,s1", header="video,label,annotator,group,subject")
    unread = f"{path.name}: columns that are not read: annotator, subject"
    listing = inspect_table(path)
    assert listing.ignored == ["annotator", "subject"]
    whole = (unread, f"{path.name} has no times: each row is about its whole video")
    assert load_table(path).notes[:2] == whole
    assert read_truth(path, ["walk"]).notes == whole
    clips = replace(load_table(path), root=videos, notes=())
    assert divide_by_table(clips, path).notes == (unread,)


def test_a_table_that_divides_nothing_is_refused(videos: Path) -> None:
    path = table(videos, "a.mp4,walk,me", header="video,label,annotator")
    with pytest.raises(DataError, match=r"neither a column group nor a column split.* it has annotator"):
        divide_by_table(replace(load_table(path), root=videos), path)


def test_numbered_splits_and_folders(videos: Path) -> None:
    """Several divisions in one table; videos relative to another folder; Windows separators; empty parts."""
    (videos / "lists").mkdir()
    path = table(
        videos / "lists", "sub\\b.mp4,walk,test,train", "a.mp4,run,train,", header="video,label,split1,split2"
    )
    rows = read_table(path, videos=videos)
    assert [row.splits for row in rows] == [{"split1": "test", "split2": "train"}, {"split1": "train"}]
    assert rows[0].video == "sub/b.mp4"


def test_overlaps_of_other_labels(videos: Path) -> None:
    rows = read_table(
        table(
            videos,
            "a.mp4,walk,0,10,,",
            "a.mp4,run,2,3,,",
            "a.mp4,run,9,12,,",
            "a.mp4,walk,12,13,,",
            "a.mp4,walk,12.5,14,,",
            "sub/b.mp4,run,0,10,,",
        )
    )
    assert [(a.number, b.number) for a, b in overlaps(rows)] == [(2, 3), (2, 4)]


@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl", "parquet"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str
) -> None:
    """Hostile content ends in a DataError or in rows, never in another exception."""
    path = tmp_path_factory.mktemp("any") / f"t.{kind}"
    head = b"video,label,start,end\n" if kind == "csv" else b""
    path.write_bytes(head + data)
    try:
        rows = read_table(path)
    except DataError:
        return
    assert rows
