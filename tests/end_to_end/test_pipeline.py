"""Whole runs on small generated data: what they leave behind, and that nothing is done twice."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from safetensors import safe_open

from moclip_lite.datasets import read_manifest

from support.cli import (
    FOLDER_YAML,
    QUICK,
    TINY,
    TrainedRun,
    assert_ok,
    assert_refused,
    class_folders,
    entries,
    many_clips,
    moclip,
    sets,
    start,
    stop_when_filled,
)
from support.clips import encode, panning

STREAMS = ("motion", "appearance", "fusion")
LABELS = ["bricks_pan_left", "bricks_rotate", "water_pan_left", "water_rotate"]


def _metrics(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return value


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _times(folder: Path, pattern: str = "*") -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.rglob(pattern) if p.is_file()}


# What a run leaves behind


def test_run_folder_is_complete(trained: TrainedRun) -> None:
    names = {p.name for p in trained.folder.iterdir()}
    assert {"config.yaml", "labels.json", "metrics.json", "training.json"} <= names
    assert {"report.md", "report.html", "tensorboard"} <= names
    for stream in STREAMS:
        assert {f"{stream}.safetensors", f"confusion_{stream}.csv", f"confusion_{stream}.png"} <= names
        assert f"predictions_{stream}.csv" in names
        with safe_open(str(trained.folder / f"{stream}.safetensors"), "numpy") as file:
            assert len(list(file.keys())) > 2
    assert "failures.csv" not in names
    assert not [name for name in names if name.startswith(".")], "drafts are left"
    assert json.loads((trained.folder / "labels.json").read_text(encoding="utf-8")) == LABELS
    config = yaml.safe_load((trained.folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["root"] == str(trained.data)
    assert config["clip"]["model"] == "ViT-S-32"
    assert config["motion"]["backend"] == "auto"  # defaults are written out too


def test_metrics_have_the_promised_form(trained: TrainedRun) -> None:
    metrics = _metrics(trained.folder)
    assert metrics["clips"]["test"] == 8
    assert sum(metrics["clips"].values()) == 32
    for stream in STREAMS:
        found = metrics[stream]
        assert found["n"] == 8
        assert set(found["per_class"]) == set(LABELS)
        rows = _rows(trained.folder / f"predictions_{stream}.csv")
        right = 100 * sum(row["label"] == row["predicted"] for row in rows) / len(rows)
        assert found["top1"] == pytest.approx(right)  # percent
        assert found["top1"] <= found["top5"] == 100  # four classes
        for label, value in found["per_class"].items():
            own = [row for row in rows if row["label"] == label]
            assert value == pytest.approx(100 * sum(r["predicted"] == label for r in own) / len(own))
    assert metrics["failures"] == []
    assert "RANDOM" in metrics["appearance_weights"]
    assert metrics["fusion"]["top1"] >= 75
    assert metrics["fusion"]["top1"] > max(metrics["motion"]["top1"], metrics["appearance"]["top1"])


@pytest.mark.parametrize("stream", STREAMS)
def test_confusion_matrix_counts_the_predictions(stream: str, trained: TrainedRun) -> None:
    with (trained.folder / f"confusion_{stream}.csv").open(encoding="utf-8", newline="") as file:
        header, *body = list(csv.reader(file))
    assert header[1:] == LABELS == [row[0] for row in body]
    rows = _rows(trained.folder / f"predictions_{stream}.csv")
    for true, counts in zip(LABELS, body, strict=True):
        for predicted, count in zip(LABELS, counts[1:], strict=True):
            assert int(count) == sum((r["label"], r["predicted"]) == (true, predicted) for r in rows)
    with Image.open(trained.folder / f"confusion_{stream}.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 100


def test_report_shows_what_the_metrics_say(trained: TrainedRun) -> None:
    text, metrics = (trained.folder / "report.md").read_text(encoding="utf-8"), _metrics(trained.folder)
    for words, stream in (("fusion", "fusion"), ("motion only (network)", "motion")):
        assert f"| {words} | {metrics[stream]['top1']:.1f} |" in text
    assert "RANDOM weights" in text
    for name in text.split("](")[1:]:
        assert (trained.folder / name.split(")")[0]).is_file()


def test_nothing_is_pickled(trained: TrainedRun) -> None:
    files = [p for root in (trained.folder, trained.cache) for p in root.rglob("*") if p.is_file()]
    assert len(files) > 60
    allowed = {
        ".safetensors",
        ".json",
        ".yaml",
        ".csv",
        ".png",
        ".md",
        ".sqlite",
        ".html",
        ".svg",
        ".jpg",
        ".lock",
    }
    assert {p.suffix for p in files if "tfevents" not in p.name} <= allowed
    for path in files:
        head = path.read_bytes()[:9]
        if path.suffix == ".safetensors":  # eight bytes of length, then JSON
            assert head[8:] == b"{", path
            continue
        assert head[:1] != b"\x80", f"{path} begins as a pickle"
        assert head[:2] != b"PK", f"{path} is a zip archive, as torch.save writes"


def test_parts_are_distinct_and_test_is_never_trained_on(trained: TrainedRun) -> None:
    tested = {row["clip"] for row in _rows(trained.folder / "predictions_fusion.csv")}
    assert len(tested) == 8
    validated = assert_ok(moclip("evaluate", trained.folder, "--part", "val", "--json")).json
    assert validated["fusion"]["n"] == _metrics(trained.folder)["clips"]["val"]
    words = [*sets((f"data.root={trained.data}",)), "--json"]
    listed = assert_ok(moclip("dataset", "list", FOLDER_YAML, *words)).json
    assert listed["clips"] == 32


# Nothing is done twice


def test_second_run_does_nothing_and_says_so(trained: TrainedRun) -> None:
    before = _times(trained.folder), _times(trained.cache, "*.safetensors")
    again = assert_ok(moclip(*trained.words(), "--json"))
    assert "motion: nothing to do, all 32 clips are in the cache" in again.err
    assert "clip: nothing to do, all 32 clips are in the cache" in again.err
    assert "nothing to do, this experiment is finished" in again.err
    assert "loading" not in again.err
    assert again.json == _metrics(trained.folder)
    assert (_times(trained.folder), _times(trained.cache, "*.safetensors")) == before


def test_a_finished_run_imports_nothing_heavy(trained: TrainedRun) -> None:
    """Seconds of imports are most of what a run with nothing to do would take."""
    program = (
        "import json, sys\n"
        "from moclip_lite.cli import main\n"
        "done = [main(words) for words in json.loads(sys.argv[1])]\n"
        "heavy = ('torch', 'sklearn', 'scipy', 'pandas', 'matplotlib', 'open_clip', 'timm', 'transformers')\n"
        "sys.exit(f'{done} {[name for name in heavy if name in sys.modules]}')\n"
    )
    run = [str(word) for word in trained.words()]
    calls = json.dumps([["--help"], ["dataset", "list", *run[1:]], run])
    found = subprocess.run([sys.executable, "-c", program, calls], capture_output=True, text=True)
    assert "this experiment is finished" in found.stderr
    assert found.stderr.splitlines()[-1] == "[0, 0, 0] []"


def test_run_folder_is_an_experiment(trained: TrainedRun) -> None:
    again = assert_ok(moclip("run", trained.folder))
    assert "this experiment is finished" in again.err


def test_same_seed_gives_the_same_answers(trained: TrainedRun, tmp_path: Path) -> None:
    assert_ok(moclip(*trained.words(tmp_path / "run")))
    first, second = _metrics(trained.folder), _metrics(tmp_path / "run")
    for stream in STREAMS:
        assert first[stream] == second[stream]
        name = f"predictions_{stream}.csv"
        assert (trained.folder / name).read_text() == (tmp_path / "run" / name).read_text()


def test_only_what_a_setting_touches_is_trained_again(trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    before = _times(folder)
    outcome = assert_ok(moclip(*trained.words(folder), "--set", "fusion.hidden=16", "--json"))
    assert "motion: already trained" in outcome.err
    after = _times(folder)
    assert after["motion.safetensors"] == before["motion.safetensors"]
    assert after["fusion.safetensors"] != before["fusion.safetensors"]
    assert outcome.json["motion"] == _metrics(trained.folder)["motion"]


def test_train_motion_then_fusion(trained: TrainedRun, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = trained.words(folder)[1:]
    first = assert_ok(moclip("train", "motion", *words, "--json")).json
    assert "fusion" not in first
    assert "appearance" not in first
    assert first["motion"]["n"] == 8
    assert not (folder / "fusion.safetensors").exists()
    weights = _times(folder)["motion.safetensors"]
    second = assert_ok(moclip("train", "fusion", *words, "--json"))
    assert "motion: already trained" in second.err
    assert _times(folder)["motion.safetensors"] == weights
    assert second.json["motion"] == first["motion"]
    assert second.json["fusion"] == _metrics(trained.folder)["fusion"]


def test_heads_are_trained_again_on_exported_features(trained: TrainedRun, tmp_path: Path) -> None:
    """The same clips, features and settings, without the videos: the same scores."""
    file, folder = tmp_path / "features.safetensors", tmp_path / "heads"
    assert_ok(moclip("extract", "features", trained.folder, "--out", file))
    settings = (
        "data.kind=features",
        f"data.root={file}",
        "data.protocol=official",
        "run.streams=[appearance,fusion]",
    )
    found = assert_ok(moclip(*trained.words(folder), *sets(settings), "--json")).json
    assert found["appearance_weights"] == f"features of {file}"
    assert found["fusion"]["n"] == _metrics(trained.folder)["fusion"]["n"]
    assert found["fusion"]["top1"] >= 75


# Testing again


def test_evaluate_repeats_the_numbers(trained: TrainedRun, tmp_path: Path) -> None:
    before = _times(trained.folder)
    found = assert_ok(moclip("evaluate", trained.folder, "--json")).json
    metrics = _metrics(trained.folder)
    for stream in STREAMS:
        assert found[stream] == metrics[stream]
    assert _times(trained.folder) == before
    moved = shutil.copytree(trained.data, tmp_path / "moved")
    elsewhere = assert_ok(moclip("evaluate", trained.folder, "--root", moved, "--json"))
    assert elsewhere.json["fusion"] == metrics["fusion"]
    assert "nothing to do" in elsewhere.err  # the cache goes by content, not by path


def test_evaluate_with_other_views(trained: TrainedRun) -> None:
    outcome = assert_ok(moclip("evaluate", trained.folder, "--set", "test.crops=5", "--json"))
    assert outcome.json["motion"]["n"] == 8
    assert "fusion" in assert_ok(moclip("evaluate", trained.folder)).out
    assert_refused(moclip("evaluate", trained.folder, "--part", "train"), "--part", "'train'")
    assert_refused(moclip("evaluate", trained.folder, "--set", "test.crops=2"), "test.crops", "2")


def test_evaluate_refuses_other_labels(trained: TrainedRun, tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    message = assert_refused(moclip("evaluate", trained.folder, "--root", data))
    assert "labels" in message or "classes" in message


def test_zero_shot(trained: TrainedRun, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(
        "templates: ['a film of {}']\nclasses: {water_rotate: [a whirlpool]}\n", encoding="utf-8"
    )
    words = ("zero-shot", *trained.words()[1:])
    found = assert_ok(moclip(*words, "--prompts", prompts, "--json")).json
    assert found["n"] == 8
    assert set(found["per_class"]) == set(LABELS)
    assert 0 <= found["top1"] <= found["top5"] <= 100
    table = assert_ok(moclip(*words, "--prompts", prompts)).out
    assert "macro %" in table
    assert f"{found['macro']:.1f}" in table
    assert "top-5" not in table  # of four classes
    prompts.write_text("templates: ['no place for the name']\n", encoding="utf-8")
    assert_refused(moclip(*words, "--prompts", prompts), "{}")
    clip = sorted(trained.data.rglob("*.mp4"))[0]
    labels = "a wall, the sea, a dog"
    one = assert_ok(moclip("zero-shot", clip, "--labels", labels, *sets(TINY), "--json")).json
    assert [row["path"] for row in one] == [str(clip)]
    assert sorted(p["label"] for p in one[0]["predictions"]) == ["a dog", "a wall", "the sea"]
    assert sum(p["score"] for p in one[0]["predictions"]) == pytest.approx(1, abs=1e-4)


def test_weights_that_cannot_be_had_are_named(trained: TrainedRun) -> None:
    words = trained.words()[1:]
    assert_refused(moclip("zero-shot", *words, "--pretrained", "no-such-tag"), "no-such-tag")
    assert_refused(moclip("run", *words, "--set", "clip.model=ViT-Q-99"), "ViT-Q-99")
    absent = "/nowhere/weights.safetensors"
    assert_refused(moclip("zero-shot", *words, "--pretrained", absent), absent)


# Other divisions


def test_leave_one_group_out(tmp_path: Path) -> None:
    data, folder = class_folders(tmp_path / "data"), tmp_path / "run"
    protocol = ("data.protocol=leave-one-group-out", "data.group_pattern='^(p[0-9])_'")
    places = (f"data.root={data}", f"run.dir={folder}")
    words = ("run", FOLDER_YAML, *sets((*QUICK, *protocol, *places)))
    metrics = assert_ok(moclip(*words, "--json")).json
    assert metrics["folds"] == ["p0", "p1", "p2", "p3"]
    assert metrics["motion"]["n"] == 8
    rows = _rows(folder / "predictions_motion.csv")
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
    tested = [row["clip"] for row in _rows(folder / "predictions_motion.csv")]
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


def test_ablation(generated: Path, trained: TrainedRun, tmp_path: Path) -> None:
    grid = tmp_path / "width.yaml"
    base = tmp_path / "base.yaml"
    settings = ("run.streams=[motion]", "train_motion.epochs=2", f"cache.dir={trained.cache}")
    base.write_text(
        "motion: {segments: 4, grid: [12, 16], flip: 0}\ntest: {flips: 1, crops: 1}\n", encoding="utf-8"
    )
    plan = {"base": "base.yaml", "set": list(settings), "grid": {"motion.width": [8, 12]}, "seeds": [0, 1]}
    grid.write_text(yaml.safe_dump(plan), encoding="utf-8")
    out = tmp_path / "out"
    words = ("ablate", grid, "--root", generated, "--out", out, "--workers", 1, "--json")
    found = assert_ok(moclip(*words)).json
    assert [row["motion.width"] for row in found] == ["8", "12"]
    table = _rows(out / "table.csv")
    assert [(row["motion.width"], row["seed"]) for row in table] == [
        ("8", "0"),
        ("8", "1"),
        ("12", "0"),
        ("12", "1"),
    ]
    for row in found:
        own = [float(r["top1"]) for r in table if r["motion.width"] == row["motion.width"]]
        assert row["mean"] == pytest.approx(sum(own) / 2)
    assert found[0]["trainable"] < found[1]["trainable"]
    assert "| 8 | motion only (network) |" in (out / "summary.md").read_text(encoding="utf-8")
    with Image.open(out / "plot.png") as picture:
        assert picture.format == "PNG"
    before = _times(out / "runs", "*.safetensors")
    assert_ok(moclip(*words))
    assert _times(out / "runs", "*.safetensors") == before
    grid.write_text(yaml.safe_dump({**plan, "grid": {"motion.widht": [8]}}), encoding="utf-8")
    assert_refused(moclip(*words), "'motion.width'")


# Killed


def test_goes_on_after_a_kill(tmp_path: Path) -> None:
    cache, data, folder = tmp_path / "cache", tmp_path / "data", tmp_path / "run"
    many_clips(data, 10, "one")
    many_clips(data, 10, "two")
    places = (f"data.root={data}", f"run.dir={folder}", f"cache.dir={cache}")
    words = ("run", FOLDER_YAML, *sets((*QUICK, "train_motion.epochs=1", *places)), "--json")
    outcome = stop_when_filled(start(*words, cwd=tmp_path), cache, "motion", 3, signal.SIGKILL)
    assert outcome.code == -signal.SIGKILL
    assert not (folder / "metrics.json").exists()
    kept = entries(cache, "motion")
    assert 3 <= len(kept) < 20
    assert_ok(moclip("cache", "verify", "--cache", cache))
    before = {path: path.stat().st_mtime_ns for path in kept}
    again = assert_ok(moclip(*words))
    assert f"motion: {20 - len(kept)} clips computed, {len(kept)} found in the cache" in again.err
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert again.json["clips"]["test"] == again.json["motion"]["n"]


# The demonstration


def test_demo_says_what_it_is(tmp_path: Path) -> None:
    quick = (
        "data.clips_per_class=4",
        "data.frames=4",
        "train_motion.epochs=1",
        "train_head.epochs=2",
        "run.workers=1",
    )
    outcome = assert_ok(moclip("demo", "--out", tmp_path / "demo", *sets(quick), "--json"))
    assert "RANDOM weights" in outcome.err.splitlines()[0]
    for stream in STREAMS:
        assert set(outcome.json[stream]) >= {"top1", "top5", "per_class", "n"}
    assert len(outcome.json["labels"]) == 20
    assert (tmp_path / "demo" / "motion.png").is_file()
    table = assert_ok(moclip("demo", "--out", tmp_path / "demo", *sets(quick))).out
    assert "RANDOM" in table
