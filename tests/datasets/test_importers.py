"""Exports of annotation tools become tables; what an export lacks is reported, and hostile files are refused."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moclip_lite.datasets.importers.convert import ImportOptions, ImportReport, import_annotations
from moclip_lite.datasets.table import read_table
from moclip_lite.errors import ConfigError, DataError, MoclipError

from support.annotations import long_video
from support.cli import assert_ok, moclip

Rows = list[tuple[str, str, float | None, float | None]]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of 48 pictures at 25 a second."""
    folder = tmp_path_factory.mktemp("videos")
    (folder / "day").mkdir()
    first = long_video(folder / "one.mp4", ["left", "right"] * 2)
    (folder / "day" / "two.mp4").write_bytes(first.read_bytes() + b"\0")
    return folder


def convert(kind: str, source: Path | str, videos: Path, **options: Any) -> tuple[Rows, ImportReport]:
    out = videos / "table.csv"
    report = import_annotations(kind, [str(source)], out, ImportOptions(videos, **options))
    rows = [
        (r.video, r.label, r.segment and r.segment.start, r.segment and r.segment.end)
        for r in read_table(out)
    ]
    return rows, report  # type: ignore[return-value]


def export(folder: Path, value: Any, name: str = "export.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(value))
    return path


def task(result: list[Any], video: str = "/data/upload/1/0a1b2c3d-one.mp4", **more: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"video": video}, "annotations": [{"result": result}], **more}


def timeline(label: str, start: int, end: int) -> dict[str, Any]:
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}
    return {"type": "timelinelabels", "from_name": "t", "to_name": "video", "value": value}


def test_label_studio_timelines(videos: Path, tmp_path: Path) -> None:
    """Frames count from 1, both ends included, at the labeling configuration's rate."""
    path = export(tmp_path, [task([timeline("walk", 1, 24), timeline("run", 25, 25)])])
    rows, report = convert("label-studio", path, videos)
    assert rows == [("one.mp4", "walk", 0, 1), ("one.mp4", "run", 1, pytest.approx(25 / 24, abs=1e-6))]
    assert "frames at 24 per second, Label Studio's default" in report.notes[0]
    rows, report = convert("label-studio", path, videos, rate=25.0)
    assert rows[0] == ("one.mp4", "walk", 0, 0.96)
    assert not report.notes
    for fps in (25, 25.0, "25", " 25.0 "):
        data = {"video": "one.mp4", "fps": fps}
        path = export(tmp_path, [{**task([timeline("walk", 1, 25)]), "data": data}])
        assert convert("label-studio", path, videos)[0] == [("one.mp4", "walk", 0, 1)]


@pytest.mark.parametrize("fps", [0, -25, "many", "nan", [25]])
def test_label_studio_rates_that_are_none_are_told(videos: Path, tmp_path: Path, fps: object) -> None:
    data = {"video": "one.mp4", "fps": fps}
    path = export(tmp_path, [{**task([timeline("walk", 1, 24), timeline("run", 0, 4)]), "data": data}])
    rows, report = convert("label-studio", path, videos)
    assert rows == [("one.mp4", "walk", 0, 1)]
    told = " / ".join(report.notes)
    assert "1 field(s) fps that hold no frame rate, such as" in told
    assert "24 per second, Label Studio's default" in told
    assert "1 region(s) that begin before frame 1" in told


def test_label_studio_seconds_and_choices(videos: Path, tmp_path: Path) -> None:
    """Regions of an audio control hold seconds; choices label whole videos; other results are counted."""
    audio = {"type": "labels", "value": {"start": 0.25, "end": 1.5, "channel": 0, "labels": ["talk"]}}
    choice = {"type": "choices", "value": {"choices": ["indoors"]}}
    two = {"type": "labels", "value": {"start": 0, "end": 1, "labels": ["a", "b"]}}
    box = {"type": "videorectangle", "value": {"sequence": [{"frame": 1}], "labels": ["man"]}}
    backwards = {"type": "labels", "value": {"start": 2, "end": 1, "labels": ["a"]}}
    cancelled = {"was_cancelled": True, "result": [audio]}
    tasks = [
        task([audio, two, box, backwards], "/data/local-files/?d=day/two.mp4"),
        task([choice], "s3://bucket/some/one.mp4"),
        {"id": 9, "data": {"video": "one.mp4"}, "annotations": [cancelled]},
        {"id": 10, "data": {"text": "no video"}, "annotations": []},
    ]
    rows, report = convert("label-studio", export(tmp_path, tasks), videos)
    assert rows == [("day/two.mp4", "talk", 0.25, 1.5), ("one.mp4", "indoors", None, None)]
    told = " ".join(report.notes)
    for words in (
        "1 region(s) with several labels",
        "1 result(s) of the type videorectangle",
        "1 region(s) whose end is not after",
        "1 task(s) without a finished annotation",
        "1 task(s) without a video",
    ):
        assert words in told


def test_label_studio_annotation_that_counts(videos: Path, tmp_path: Path) -> None:
    """The ground truth, else the one that was changed last."""
    old = {"result": [timeline("old", 1, 10)], "updated_at": "2024-01-01T00:00:00Z"}
    new = {"result": [timeline("new", 1, 10)], "updated_at": "2024-02-01T00:00:00Z"}
    path = export(tmp_path, [{"id": 1, "data": {"video": "one.mp4"}, "annotations": [new, old]}])
    assert convert("label-studio", path, videos)[0][0][1] == "new"
    path = export(
        tmp_path,
        [{"id": 1, "data": {"video": "one.mp4"}, "annotations": [new, {**old, "ground_truth": True}]}],
    )
    rows, report = convert("label-studio", path, videos)
    assert rows[0][1] == "old"
    assert "1 further annotation(s) of a task" in " ".join(report.notes)


def test_label_studio_minimal(videos: Path, tmp_path: Path) -> None:
    tasks = [
        {
            "video": "one.mp4",
            "id": 1,
            "timeline": [{"ranges": [{"start": 1, "end": 24}], "timelinelabels": ["walk"]}],
            "sound": [{"start": 0.5, "end": 1, "labels": ["talk"]}],
        },
        {"video": "day/two.mp4", "id": 2, "choice": "indoors"},
    ]
    rows, _ = convert("label-studio", export(tmp_path, tasks), videos)
    assert rows == [
        ("one.mp4", "walk", 0, 1),
        ("one.mp4", "talk", 0.5, 1),
        ("day/two.mp4", "indoors", None, None),
    ]


TIMELINE = [{"ranges": [{"start": 1, "end": 24}], "timelinelabels": ["walk"]}]
OWN = {
    "id": 3,
    "annotator": "a@b.c",
    "annotation_id": 4,
    "created_at": "x",
    "updated_at": "y",
    "lead_time": 1.5,
}


@pytest.mark.parametrize(
    ("fields", "labels", "told"),
    [
        ([{"action": "run"}, {"choice": "jump"}], ["run", "jump"], ""),
        ([{"action": "run"}, {"what": {"choices": ["jump"]}}], ["run", "jump"], ""),
        ([{"action": "run", "poster": "https://x/y.jpg"}, {"action": "jump", "fps": 25}], ["run", "jump"], "fields poster"),
        ([{"action": "run", "title": "Sunday"}, {"choice": "jump"}], ["jump"], "1 task.s. without a field .*action, title"),
        # where the title stands beside a label elsewhere, it is no label where it stands alone
        ([{"action": "run", "title": "Sunday"}, {"title": "Monday"}, {"choice": "x"}], ["x"], "they have title; say"),
        ([{"t": TIMELINE, "title": "Sunday"}, {"title": "Monday"}], ["walk"], "they have title; say.*|fields title,"),
        ([{"stars": 3, "taxonomy": [["a", "b"]]}, {"choice": "x"}], ["x"], "they have stars, taxonomy; say"),
        ([{}, {"choice": "x"}], ["x"], "1 task.s. without a field that is surely a label$"),
        ([{"choice": ""}, {"choice": {"choices": ["x", "y"]}}, {"choice": "x"}], ["x"], "several labels"),
    ],
)  # fmt: skip
def test_label_studio_minimal_choices(
    videos: Path, tmp_path: Path, fields: list[dict[str, Any]], labels: list[str], told: str
) -> None:
    """Controls have any name; what can't be told from data is left out, counted and named."""
    names = ["one.mp4", "day/two.mp4", "one.mp4"]
    tasks = [{"video": name, **OWN, **more} for name, more in zip(names, fields, strict=False)]
    rows, report = convert("label-studio", export(tmp_path, tasks), videos)
    assert [row[1] for row in rows] == labels
    left_out = [note for note in report.notes if note.startswith("left out")]
    assert bool(left_out) == bool(told)
    assert not told or any(re.search(told, note) for note in left_out), left_out


def test_label_studio_control_that_is_asked_for(videos: Path, tmp_path: Path) -> None:
    fields = [{"action": "run", "title": "Sunday"}, {"title": "Monday"}, {"t": TIMELINE, "action": "jump"}]
    names = ["one.mp4", "one.mp4", "day/two.mp4"]
    tasks = [{"video": name, **OWN, **more} for name, more in zip(names, fields, strict=True)]
    rows, report = convert("label-studio", export(tmp_path, tasks), videos, attribute="action")
    assert [row[1] for row in rows] == ["run", "jump"]
    assert "1 task(s) without the field action" in " ".join(report.notes)
    other = {"type": "choices", "from_name": "sky", "value": {"choices": ["blue"]}}
    path = export(tmp_path, [task([timeline("walk", 1, 24), other])])
    rows, report = convert("label-studio", path, videos, attribute="t")
    assert [row[1] for row in rows] == ["walk"]
    assert "1 result(s) of other controls than t" in " ".join(report.notes)


def test_what_gives_no_row_is_counted(videos: Path, tmp_path: Path) -> None:
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    no_span = {"type": "timelinelabels", "value": {"ranges": [], "timelinelabels": ["walk"]}}
    tasks = [task([timeline("walk", 1, 24), relation, no_span]), task([])]
    _, report = convert("label-studio", export(tmp_path, tasks), videos)
    for words in (
        "1 result(s) of the type relation",
        "1 region(s) without a time span",
        "annotation is empty",
    ):
        assert words in " ".join(report.notes)

    path = tmp_path / "images.xml"
    image = f'<image id="2" name="f">{box(2)}<tag label="jump"/></image>'
    path.write_text(cvat(f'{image}<tag label="jump"/><tag frame="7" label=""/>'))
    _, report = convert("cvat", path, videos)
    for words in (
        "1 shape(s) of single images",
        "1 tag(s) of no frame",
        "1 shape(s) or tag(s) without a label",
    ):
        assert words in " ".join(report.notes)

    segment = {"segment": [0.5, 1.25], "label": "x"}
    path = export(tmp_path, {"one": {"annotations": [segment], "subset": "extra"}})
    assert "1 subset(s) other than training" in " ".join(convert("mmaction", path, videos)[1].notes)


def cvat(body: str, source: str = "one.mp4", step: str = "") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task><id>3</id>'
        f"<name>some task</name><frame_filter>{step}</frame_filter><labels><label><name>walk</name></label></labels>"
        f"</task><dumped>x</dumped><source>{source}</source></meta>{body}</annotations>"
    )


def box(frame: int, outside: int = 0, inner: str = "") -> str:
    return f'<box frame="{frame}" outside="{outside}" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="9" ybr="9">{inner}</box>'


def test_cvat_tracks_and_tags(videos: Path, tmp_path: Path) -> None:
    """Times are those of the video's frames; a track that leaves and returns is two segments."""
    track = box(0) + box(5) + box(10, 1) + box(20) + box(25, 1)
    shown_to_the_end = box(46) + box(47)
    tags = "".join(
        f'<image id="{i}" name="f"><tag label="jump" source="manual"/></image>' for i in (3, 4, 5, 9)
    )
    body = f'<track id="0" label="walk">{track}</track><track id="1" label="run">{shown_to_the_end}</track>{tags}'
    path = tmp_path / "annotations.xml"
    path.write_text(cvat(body))
    expected = [
        ("one.mp4", "walk", 0, 0.4),
        ("one.mp4", "walk", 0.8, 1),
        ("one.mp4", "run", 1.84, 1.92),
        ("one.mp4", "jump", 0.12, 0.24),
        ("one.mp4", "jump", 0.36, 0.4),
    ]
    assert convert("cvat", path, videos)[0] == expected
    with zipfile.ZipFile(tmp_path / "task.zip", "w") as archive:
        archive.write(path, "annotations.xml")
    assert convert("cvat", tmp_path / "task.zip", videos)[0] == expected


def test_cvat_steps_and_attributes(videos: Path, tmp_path: Path) -> None:
    """Every 5th frame was labelled; the class is an attribute that changes within a track."""

    def action(name: str) -> str:
        return f'<attribute name="id">4</attribute><attribute name="action">{name}</attribute>'

    track = (
        box(0, 0, action("walk"))
        + box(5, 0, action("walk"))
        + box(10, 0, action("run"))
        + box(15, 1, action("run"))
    )
    path = tmp_path / "annotations.xml"
    path.write_text(cvat(f'<track id="0" label="person">{track}{box(30)}</track>', step="step=5"))
    rows, report = convert("cvat", path, videos, attribute="action")
    assert rows == [("one.mp4", "walk", 0, 0.4), ("one.mp4", "run", 0.4, 0.6)]
    assert "1 shape(s) or tag(s) without the attribute action" in " ".join(report.notes)
    assert convert("cvat", path, videos)[0] == [
        ("one.mp4", "person", 0, 0.6),
        ("one.mp4", "person", 1.2, 1.4),
    ]


def test_attributes_of_parts_of_a_skeleton_are_not_its_own(videos: Path, tmp_path: Path) -> None:
    def action(name: str) -> str:
        return f'<attribute name="action">{name}</attribute>'

    part = f'<points label="head" outside="0" points="1,1">{action("nod")}</points>'
    shapes = "".join(
        f'<skeleton frame="{frame}" outside="0">{inner}</skeleton>'
        for frame, inner in ((0, action("walk") + part), (5, part + action("walk")))
    )
    path = tmp_path / "annotations.xml"
    path.write_text(cvat(f'<track id="0" label="person">{shapes}</track>'))
    assert convert("cvat", path, videos, attribute="action")[0] == [("one.mp4", "walk", 0, 0.24)]


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<annotations>&b;</annotations>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "has a document type declaration"),
        (
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>',
            "has a document type declaration",
        ),
        ("<html/>", "its root is <html>, not <annotations>"),
        ("<annotations>", "is no sound XML"),
        ("", "is no sound XML"),
        ("<annotations>" + "<a>" * 200, "nested too deep"),
        (cvat('<track id="0" label="x"><box frame="-1" outside="0"/></track>'), "is no frame number"),
        (
            cvat('<track id="0" label="x"><box frame="99999999999" outside="0"/></track>'),
            "is no frame number",
        ),
        (cvat(f'<track id="0" label="x">{box(500)}</track>'), "it has 48 frames, and frame 500 is annotated"),
        (cvat(f'<track id="0" label="x">{box(5)}</track>', source="none.mp4"), "none.mp4 .not found below"),
        (cvat(""), "no annotation can be used"),
        ("<annotations><meta/><track id='0' label='x'/></annotations>", "does not say which of its 0 tasks"),
    ],
)
def test_bad_cvat_files(videos: Path, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        convert("cvat", path, videos)


def test_mmaction_lists(videos: Path, tmp_path: Path) -> None:
    """Class numbers become names; train=FILE and test=FILE become the column split."""
    (tmp_path / "classes.txt").write_text("walk\nrun fast\n")
    (tmp_path / "train.txt").write_text("one.mp4 0\n\n")
    (tmp_path / "test.txt").write_text("day/two.mp4 1\n")
    out = videos / "table.csv"
    sources = [f"train={tmp_path / 'train.txt'}", f"test={tmp_path / 'test.txt'}"]
    import_annotations("mmaction", sources, out, ImportOptions(videos, classes=tmp_path / "classes.txt"))
    assert [(r.video, r.label, r.splits["split1"]) for r in read_table(out)] == [
        ("one.mp4", "walk", "train"),
        ("day/two.mp4", "run fast", "test"),
    ]
    (tmp_path / "classes.txt").write_text("1 walk\n2 run\n")
    assert (
        convert("mmaction", tmp_path / "test.txt", videos, classes=tmp_path / "classes.txt")[0][0][1]
        == "walk"
    )
    rows, report = convert("mmaction", tmp_path / "test.txt", videos)
    assert rows[0][1] == "1"
    assert "classes are called by their numbers" in report.notes[0]
    (tmp_path / "bad.txt").write_text("one.mp4 0\none.mp4 walk\n")
    with pytest.raises(DataError, match=r"row 2: 'one.mp4 walk' is not a path and the number"):
        convert("mmaction", tmp_path / "bad.txt", videos)
    for line in ("one.mp4 0 1", "day/two 48 1", "one.mp4,0,1"):
        (tmp_path / "bad.txt").write_text(line)
        with pytest.raises(
            DataError, match=r"row 1: .* has several numbers behind the path; lists of raw frames"
        ):
            convert("mmaction", tmp_path / "bad.txt", videos)
    with pytest.raises(DataError, match="row 1: 0 is the number of no class"):
        convert("mmaction", tmp_path / "train.txt", videos, classes=tmp_path / "classes.txt")


@pytest.mark.parametrize("original", [True, False])
def test_activitynet(videos: Path, tmp_path: Path, original: bool) -> None:
    """MMAction2's form and the original one, whose subsets become the column split."""
    annotation = {"segment": [0.5, 1.25], "label": "Rock climbing"}
    content: dict[str, Any] = {
        "one": {"annotations": [annotation, {"segment": [2, 1], "label": "x"}], "subset": "training"},
        "two": {"annotations": []},
    }
    path = export(tmp_path, {"database": content} if original else content)
    rows, report = convert("mmaction", path, videos)
    assert rows == [("one.mp4", "Rock climbing", 0.5, 1.25)]
    assert read_table(videos / "table.csv")[0].splits == {"split1": "train"}
    assert len(report.notes) == 2


def test_missing_and_ambiguous_videos(videos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    for name in ("a/x.mp4", "b/x.mp4", "y.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    path = export(
        tmp_path, [task([timeline("w", 1, 9)], name) for name in ("x.mp4", "z.mp4", "y.mp4", "../y.mp4")]
    )
    with pytest.raises(DataError, match=r"2 video\(s\) can't be used: x.mp4 \(2 files .*z.mp4 \(not found"):
        convert("label-studio", path, folder)
    rows, report = convert("label-studio", path, folder, skip_missing=True)
    assert [row[0] for row in rows] == ["y.mp4"]
    assert "left out: 2 annotation(s) of videos that are absent" in " ".join(report.notes)
    assert "left out: 1 annotation(s) that say the same as another one" in " ".join(report.notes)


def test_videos_that_no_table_can_name(videos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "two\nlines.mp4").write_bytes((videos / "one.mp4").read_bytes())
    (folder / "one.mp4").write_bytes((videos / "one.mp4").read_bytes())
    choice = {"type": "choices", "value": {"choices": ["x"]}}
    path = export(tmp_path, [task([choice], "two\nlines.mp4"), task([choice], "one.mp4")])
    with pytest.raises(DataError, match="holds a control character or a line break"):
        convert("label-studio", path, folder)
    assert [row[0] for row in convert("label-studio", path, folder, skip_missing=True)[0]] == ["one.mp4"]


@pytest.mark.parametrize("kind", ["label-studio", "cvat", "mmaction"])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_converted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name in ("x.json", "x.txt"):
        (folder / name).write_bytes(data)
        with pytest.raises(MoclipError):
            import_annotations(kind, [str(folder / name)], folder / "t.csv", ImportOptions(folder))


def test_the_command(videos: Path, tmp_path: Path) -> None:
    path = export(tmp_path, [task([timeline("walk", 1, 24), timeline("run", 25, 40)])])
    out = tmp_path / "out" / "table.csv"
    words = ["dataset", "import", "label-studio", str(path), "--videos", str(videos), "--out", str(out)]
    result = assert_ok(moclip(*words, "--json"))
    assert result.json["labels"] == {"run": 1, "walk": 1}
    listing = assert_ok(moclip("dataset", "list", str(out), "--json")).json
    assert [(row["label"], row["seconds"]) for row in listing["classes"]] == [("run", 0.667), ("walk", 1.0)]
    for wrong, message in (
        (["dataset", "import", "vott", str(path), "--out", str(out)], "kind must be one of label-studio"),
        ([*words[:-1], str(tmp_path / "t.xlsx")], "--out must end with .csv"),
        ([*words[:5], str(tmp_path / "none"), *words[6:]], "there is no such folder (--videos)"),
    ):
        outcome = moclip(*wrong)
        assert outcome.code == 2
        assert message in outcome.err


def test_unknown_kinds(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        import_annotations("x", [], tmp_path / "t.csv", ImportOptions(tmp_path))
