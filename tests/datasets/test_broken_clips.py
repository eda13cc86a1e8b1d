"""Data sets with broken clips: a row among the failures, and the rest goes on."""

from __future__ import annotations

import json
from pathlib import Path

from support.broken_files import BROKEN, resized_file, variable_rate
from support.cli import (
    FOLDER_YAML,
    MOTION_ONLY,
    QUICK,
    assert_ok,
    assert_refused,
    class_folders,
    moclip,
    sets,
)
from support.clips import H264, encode, panning
from support.tables import read_rows


def _with_broken_clips(root: Path) -> dict[str, tuple[str, ...]]:
    """Two classes with broken files among the good ones; returns name -> what its reason says."""
    class_folders(root)
    expected = {}
    for i, (make, parts) in enumerate(BROKEN.values()):
        path = make(root / ("left", "right")[i % 2])
        expected[path.relative_to(root).as_posix()] = parts[1:]
    return expected


def test_broken_clips_of_a_run_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    expected = _with_broken_clips(data)
    words = ("run", FOLDER_YAML, *sets((*QUICK, f"data.root={data}", f"run.dir={folder}")))
    outcome = assert_ok(moclip(*words))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    rows = read_rows(folder / "failures.csv")
    assert [row["clip"] for row in rows] == sorted(expected)
    assert [row["name"] for row in metrics["failures"]] == sorted(expected)
    report = (folder / "report.md").read_text(encoding="utf-8")
    for row in rows:
        assert row["stage"] == "motion"
        assert "\n" not in row["reason"]
        for part in expected[row["clip"]]:
            assert part in row["reason"]
        assert row["clip"] in report
        assert row["clip"].replace("/", "") in "".join(outcome.out.split()).replace("/", "").replace("│", "")
    assert f"{len(expected)} could not be read" in outcome.err
    good = sum(metrics["clips"].values()) - len(expected)
    assert good == 8
    tested = {row["clip"] for row in read_rows(folder / "predictions_motion.csv")}
    assert not tested & set(expected)
    again = assert_ok(moclip(*words, "--json"))
    assert "this experiment is finished" in again.err
    assert [row["name"] for row in again.json["failures"]] == sorted(expected)


def test_failures_of_an_extraction_go_to_a_file(tmp_path: Path) -> None:
    data, table = tmp_path / "data", tmp_path / "left out.csv"
    expected = _with_broken_clips(data)
    words = ("extract", "motion", data, *sets(MOTION_ONLY), "--failures", table, "--json")
    outcome = assert_ok(moclip(*words))
    assert outcome.json["made"] == 8
    assert [row["name"] for row in outcome.json["failures"]] == sorted(expected)
    assert [row["clip"] for row in read_rows(table)] == sorted(expected)
    for name in expected:
        (data / name).unlink()
    assert assert_ok(moclip(*words)).json["failures"] == []
    assert not table.exists()  # an old list would mislead


def test_broken_clips_of_a_preparation(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    expected = _with_broken_clips(data)
    words = ("dataset", "prepare", "folder", "--root", data, "--out", out, "--workers", 1, "--json")
    outcome = moclip(*words)
    assert outcome.code == 2
    assert f"{len(expected)} clips could not be re-encoded" in outcome.err
    assert [row["name"] for row in outcome.json["failures"]] == sorted(expected)
    assert outcome.json["made"] == 8
    assert len(list(out.rglob("*.mp4"))) == 8


def test_clips_without_motion_are_counted(tmp_path: Path) -> None:
    data, folder = class_folders(tmp_path / "data"), tmp_path / "run"
    encode(data / "left" / "intra.mp4", panning(12), **{**H264, "g": "1"})
    encode(data / "right" / "one.mp4", panning(1), **H264)
    outcome = assert_ok(moclip("run", data, *sets((*QUICK, f"run.dir={folder}")), "--json"))
    assert any("2 clips hold no motion" in note for note in outcome.json["notes"])
    assert outcome.json["failures"] == []
    only = tmp_path / "only"
    for label in ("a", "b"):
        (only / label).mkdir(parents=True)
        for i in range(4):
            length = 4 + i + (4 if label == "b" else 0)  # no copies
            encode(only / label / f"{i}.mp4", panning(length), **{**H264, "g": "1"})
    message = assert_refused(moclip("run", only, *sets((*QUICK, f"run.dir={folder}2"))))
    assert "no stream can be trained" in message


def test_mixed_sizes_and_rates_in_one_set(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    encode(data / "left" / "größer.mp4", panning(12, 160, 120), **H264)
    encode(data / "right" / "odd size.avi", panning(12)[:, :63, :95], "mpeg4", g="12")
    variable_rate(data / "left")
    resized_file(data / "right")
    words = ("extract", "motion", data, *sets(MOTION_ONLY), "--failures", tmp_path / "f.csv", "--json")
    report = assert_ok(moclip(*words)).json
    assert report["made"] + len(report["failures"]) == 12
    assert {row["name"] for row in report["failures"]} <= {"right/resized.h264"}


def test_class_without_clips(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    (data / "jumping").mkdir()
    (data / "jumping" / "readme.txt").write_text("soon", encoding="utf-8")
    assert_refused(moclip("dataset", "list", data), "jumping", "--skip-missing")
    outcome = assert_ok(moclip("dataset", "list", data, "--skip-missing", "--json"))
    assert [row["label"] for row in outcome.json["classes"]] == ["left", "right"]
    run = ("run", data, *sets((*QUICK, f"run.dir={tmp_path / 'run'}")))
    assert_refused(moclip(*run), "jumping")
    skipped = assert_ok(moclip(*run, "--skip-missing", "--json"))
    assert skipped.json["labels"] == ["left", "right"]
    assert "left out, no clips: jumping" in skipped.err


def test_folders_that_are_no_data_set(tmp_path: Path) -> None:
    assert_refused(moclip("dataset", "list", tmp_path), "class folders")
    assert_refused(
        moclip("dataset", "list", FOLDER_YAML, "--set", f"data.root={tmp_path}/none"), "no such folder"
    )
    (tmp_path / "one").mkdir()
    encode(tmp_path / "one" / "a.mp4", panning(4), **H264)
    run = ("run", tmp_path, *sets((*QUICK, f"run.dir={tmp_path}-run")))
    assert_refused(moclip(*run), "too few")
    for i in range(7):
        encode(tmp_path / "one" / f"{i}.mp4", panning(4 + i), **H264)
    message = assert_refused(moclip(*run))
    assert "class" in message or "stream" in message


def test_split_list_that_names_absent_files(tmp_path: Path) -> None:
    data, lists = class_folders(tmp_path / "data", per_class=4), tmp_path / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 left\n2 right\n", encoding="utf-8")
    names = [p.relative_to(data).as_posix() for p in sorted(data.rglob("*.mp4"))]
    absent = [f"left/v_left_g{i:02d}_c01.avi" for i in range(1, 8)]
    train = [name for name in names if "p0" not in name] + absent
    (lists / "trainlist01.txt").write_text("\n".join(train) + "\n", encoding="utf-8")
    (lists / "testlist01.txt").write_text("\n".join(n for n in names if "p0" in n), encoding="utf-8")
    base = ("data.kind=ucf101", f"data.root={data}", f"data.splits_dir={lists}")
    words = ("run", FOLDER_YAML, *sets((*QUICK, *base, f"run.dir={tmp_path / 'run'}")))
    message = assert_refused(moclip(*words), "7 of 15 listed clips", "and 2 more", "--skip-missing")
    assert [name in message for name in absent] == [True] * 5 + [False] * 2
    outcome = assert_ok(moclip(*words, "--skip-missing", "--json"))
    assert "7 of 15 listed clips" in outcome.err
    assert sum(outcome.json["clips"].values()) == 8
    (lists / "trainlist01.txt").write_text("\n".join(names), encoding="utf-8")
    assert_refused(moclip(*words), "in train and in test")
    (lists / "trainlist01.txt").write_text("up/a.avi 1\n", encoding="utf-8")
    assert_refused(moclip(*words), "trainlist01.txt, line 1", "'up'")
    (lists / "trainlist01.txt").write_text("left/a.avi 2\n", encoding="utf-8")
    assert_refused(moclip(*words), "trainlist01.txt, line 1", "label 2")
    (lists / "classInd.txt").unlink()
    assert_refused(moclip(*words), "classInd.txt is missing")
