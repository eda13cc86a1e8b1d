"""Runs of several folds: groups left out, and UCF101's lists."""

from __future__ import annotations

import shutil
from pathlib import Path

from moclip_lite.datasets.manifest import read_manifest

from support.cli import FOLDER_YAML, QUICK, assert_ok, assert_refused, class_folders, moclip, sets
from support.clips import encode, panning
from support.tables import read_rows


def test_leave_one_group_out(tmp_path: Path) -> None:
    data, folder = class_folders(tmp_path / "data"), tmp_path / "run"
    protocol = ("data.protocol=leave-one-group-out", "data.group_pattern='^(p[0-9])_'")
    places = (f"data.root={data}", f"run.dir={folder}")
    words = ("run", FOLDER_YAML, *sets((*QUICK, *protocol, *places)))
    metrics = assert_ok(moclip(*words, "--json")).json
    assert metrics["folds"] == ["p0", "p1", "p2", "p3"]
    assert metrics["motion"]["n"] == 8
    rows = read_rows(folder / "predictions_motion.csv")
    assert len({row["clip"] for row in rows}) == 8  # each clip is tested once
    for fold in metrics["folds"]:
        assert (folder / "folds" / fold / "motion.safetensors").is_file()
    assert "this experiment is finished" in assert_ok(moclip(*words)).err
    clip = next((data / "left").iterdir())
    assert_refused(moclip("predict", clip, "--model", folder), "4 folds", "p0")
    answer = assert_ok(moclip("predict", clip, "--model", folder / "folds" / "p0", "--json")).json
    assert answer[0]["stream"] == "motion"
    assert_refused(moclip(*words, "--set", "data.group_pattern=null"), "at least 3 groups")


def ucf101_tree(base: Path) -> tuple[Path, Path]:
    """Two classes of six groups as .avi and .mp4, and two official splits."""
    root, lists = base / "UCF-101", base / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 Archery\n2 Basketball\n", encoding="utf-8")
    for number in (1, 2):
        (lists / f"trainlist0{number}.txt").write_text("", encoding="utf-8")
        (lists / f"testlist0{number}.txt").write_text("", encoding="utf-8")
    for label, name in enumerate(("Archery", "Basketball"), start=1):
        (root / name).mkdir(parents=True)
        for group in range(1, 7):
            listed = f"{name}/v_{name}_g{group:02d}_c01.avi"
            codec, suffix = ("mpeg4", ".avi") if group % 2 else ("libx264", ".mp4")
            pictures = panning(12 + group, step=(3 if label == 1 else -3, group % 3))
            encode((root / listed).with_suffix(suffix), pictures, codec, g="12")
            for number in (1, 2):
                test = group <= 2 if number == 1 else group >= 5
                line = f"{listed}\n" if test else f"{listed} {label}\n"
                with (lists / f"{'test' if test else 'train'}list0{number}.txt").open("a") as file:
                    file.write(line)
    return root, lists


def test_ucf101_lists(tmp_path: Path) -> None:
    root, lists = ucf101_tree(tmp_path)
    folder = tmp_path / "run"
    data = ("data.kind=ucf101", f"data.root={root}", f"data.splits_dir={lists}", "data.splits=[1,2]")
    words = ("run", FOLDER_YAML, *sets((*QUICK, *data, f"run.dir={folder}")))
    metrics = assert_ok(moclip(*words, "--json")).json
    assert metrics["folds"] == ["split1", "split2"]
    assert metrics["labels"] == ["Archery", "Basketball"]
    tested = [row["clip"] for row in read_rows(folder / "predictions_motion.csv")]
    listed = [line for n in (1, 2) for line in (lists / f"testlist0{n}.txt").read_text().split()]
    assert sorted(tested) == sorted(listed)
    assert metrics["clips"]["train"] + metrics["clips"]["val"] == 16

    out = tmp_path / "prepared"
    for number in (1, 2):
        shutil.copy(lists / f"trainlist0{number}.txt", lists / "trainlist03.txt")
        shutil.copy(lists / f"testlist0{number}.txt", lists / "testlist03.txt")
    prepare = (
        "dataset",
        "prepare",
        "ucf101",
        "--root",
        root,
        "--splits",
        lists,
        "--out",
        out,
        "--workers",
        1,
        "--json",
    )
    assert assert_ok(moclip(*prepare)).json["made"] == 12
    listed_again = assert_ok(
        moclip("dataset", "list", FOLDER_YAML, *sets((*data, f"data.root={out}")), "--json")
    ).json
    assert listed_again["clips"] == 12
    manifest = read_manifest(out / "gop12")
    assert {(r.split1, r.split2, r.split3) for r in manifest if "_g01_" in r.path} == {
        ("test", "train", "train")
    }
