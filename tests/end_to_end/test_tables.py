"""Runs on annotation tables: segments of long videos in all commands, folds by group, several seeds, groups for folders."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.session import Session

from support.annotations import long_video, segments_of
from support.cli import FOLDER_YAML, QUICK, TINY, assert_ok, assert_refused, class_folders, moclip, sets
from support.tables import read_rows

LABELS = ["left", "right"] * 3
VIDEOS = 4


@dataclass(frozen=True)
class Place:
    """A folder of long videos and their table."""

    table: Path

    @property
    def folder(self) -> Path:
        """Where all of it lies."""
        return self.table.parent

    def words(self, run: str, *more: str, quick: tuple[str, ...] = QUICK) -> list[str]:
        """A run on the table."""
        places = ("data.kind=table", f"data.table={self.table}", f"run.dir={self.folder / run}")
        return [
            "run",
            str(FOLDER_YAML),
            *sets((*quick, *places, f"cache.dir={self.folder / 'cache'}", *more)),
        ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Four videos of six segments, and a row of a broken file."""
    folder = tmp_path_factory.mktemp("table")
    content = long_video(folder / "v0.mp4", LABELS).read_bytes()
    rows = []
    for number in range(VIDEOS):
        path = folder / f"v{number}.mp4"
        path.write_bytes(content + (12).to_bytes(4, "big") + b"free" + number.to_bytes(4, "big"))
        rows += [
            [path.name, c.label, c.segment.start, c.segment.end]
            for c in segments_of(path, LABELS)
            if c.segment
        ]
    (folder / "broken.mp4").write_bytes(b"no video")
    rows.append(["broken.mp4", "left", 0, 1])
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["video", "label", "start", "end"], *rows])
    return Place(folder / "table.csv")


def test_a_run_on_segments(place: Place) -> None:
    """Videos stay together; results, failures, features and a second evaluation name segments."""
    metrics = assert_ok(moclip(*place.words("run"), "--json")).json
    assert metrics["motion"]["n"] == 6
    assert (
        "cluster bootstrap over 1 group" in metrics["motion"]["ci95_over"]
        or "1 group" in metrics["motion"]["ci95_over"]
    )
    rows = read_rows(place.folder / "run" / "predictions_motion.csv")
    assert {row["clip"].partition("@")[0] for row in rows} == {rows[0]["group"]}
    assert all("@" in row["clip"] for row in rows)
    failures = read_rows(place.folder / "run" / "failures.csv")
    assert [row["clip"] for row in failures] == ["broken.mp4@0-1"]
    assert "this experiment is finished" in assert_ok(moclip(*place.words("run"))).err
    again = assert_ok(moclip("evaluate", place.folder / "run", "--json")).json
    assert again["motion"]["top1"] == metrics["motion"]["top1"]
    features = place.folder / "features.safetensors"
    assert_ok(moclip("extract", "features", place.folder / "run", "--out", features))
    heads = ("data.kind=features", f"data.root={features}", f"run.dir={place.folder / 'heads'}")
    assert (
        assert_ok(moclip("run", FOLDER_YAML, *sets((*QUICK, *heads)), "--json")).json["motion_head"]["n"] == 6
    )


def test_all_streams_and_the_report(place: Place) -> None:
    """Frames for CLIP come from the segments; the report shows them."""
    short = ("train_motion.epochs=1", "train_head.epochs=1", "clip.frames=2")
    assert_ok(moclip(*place.words("streams", *short, quick=TINY)))
    report = (place.folder / "streams" / "report.md").read_text(encoding="utf-8")
    assert "broken.mp4@0-1" in report
    assert (place.folder / "streams" / "predictions_fusion.csv").is_file()


def test_folds_and_seeds_are_pooled(place: Place) -> None:
    """Each segment is tested once for each seed; groups are the units; runs with the same seeds are compared."""
    protocol = ("data.protocol=kfold", "data.folds=2", "run.seeds=[3,5]", "train_motion.epochs=1")
    metrics = assert_ok(moclip(*place.words("folds", *protocol), "--json")).json
    assert metrics["folds"] == ["fold1-seed3", "fold2-seed3", "fold1-seed5", "fold2-seed5"]
    assert metrics["motion"]["n"] == 2 * 6 * VIDEOS
    assert metrics["motion"]["ci95_over"] == "cluster bootstrap over 4 groups"
    other = [
        word.replace("folds", "other") if word.startswith("run.dir") else word
        for word in place.words("folds", *protocol)
    ]
    assert_ok(moclip(*other, "--set", "motion.flip=0.5"))
    compared = assert_ok(moclip("compare", place.folder / "folds", place.folder / "other", "--json")).json
    (difference,) = compared["differences"]
    assert (difference["clips"], difference["tests"]) == (6 * VIDEOS, 2 * 6 * VIDEOS)
    assert difference["groups"] == VIDEOS
    single = load_experiment(place.folder / "folds" / "config.yaml", ["run.seeds=[]", "run.seed=5"])
    pooled = Session(load_experiment(place.folder / "folds" / "config.yaml")).folds
    assert [f.test for f in Session(single).folds] == [f.test for f in pooled[2:]]


def test_a_limit_of_groups_left_out(place: Place) -> None:
    protocol = ("data.protocol=leave-one-group-out", "data.folds=2", "data.skip_missing=true")
    words = [word for word in place.words("limit", *protocol) if word != "run"]
    experiment = load_experiment(FOLDER_YAML, words[2::2])
    folds = Session(experiment).folds
    assert len(folds) == 2
    assert all({clip.video for clip in fold.test} == {fold.name} for fold in folds)


def test_bad_tables_and_protocols(place: Place, tmp_path: Path) -> None:
    late = tmp_path / "late.csv"
    late.write_text(f"video,label,start,end\n{place.folder}/v0.mp4,left,0,99\n")
    assert_refused(moclip("run", late), "row 2, column end: 99 s is behind the video's end at 2.880 s")
    assert_refused(moclip("extract", "motion", tmp_path / "none.csv"), "there is no such file or folder")
    assert_refused(
        moclip("run", place.table, "--set", "data.folds=3"), "data.folds=3 is for data.protocol kfold"
    )
    assert_refused(
        moclip("run", place.table, *sets(("data.protocol=kfold", "data.folds=9"))),
        "can't be divided into 9 folds",
    )
    assert_refused(moclip("run", FOLDER_YAML, "--set", "data.kind=table"), "data.table is not set")
    assert_refused(
        moclip("run", place.table, "--set", f"data.root={place.table}"),
        "is no folder; it is the folder of the videos",
    )
    assert_refused(
        moclip("run", FOLDER_YAML, "--set", f"data.root={place.table}"),
        "an annotation table needs --set data.kind=table",
    )
    grid = tmp_path / "grid.yaml"
    grid.write_text(f"base: {FOLDER_YAML}\nset: ['run.seeds=[1,2]']\ngrid: {{motion.width: [8]}}\n")
    assert_refused(
        moclip("ablate", grid, "--out", tmp_path / "grid"), "a grid repeats each cell with its own 'seeds'"
    )


def test_a_table_of_groups_for_class_folders(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", per_class=4, frames=8)
    table = tmp_path / "groups.csv"
    clips = sorted(path.relative_to(data).as_posix() for path in data.glob("*/*.mp4"))
    parts = {"p0": "test", "p1": "val", "p2": "train", "p3": "train"}
    rows = [f"{name},person {name.split('/')[1][:2]},{parts[name.split('/')[1][:2]]}" for name in clips]
    table.write_text("\n".join(["video,group,split", *rows]) + "\n")
    places = (
        f"data.root={data}",
        f"data.table={table}",
        f"run.dir={tmp_path / 'run'}",
        "train_motion.epochs=1",
    )
    metrics = assert_ok(moclip("run", FOLDER_YAML, *sets((*QUICK, *places)), "--json")).json
    assert metrics["folds"] == ["split1"]
    assert metrics["clips"] == {"train": 4, "val": 2, "test": 2}
    rows_of = read_rows(tmp_path / "run" / "predictions_motion.csv")
    assert {row["group"] for row in rows_of} == {"person p0"}
