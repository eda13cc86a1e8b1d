"""moclip compare: paired differences on the same clips, and refusals."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from moclip_lite.results.compare import compare_runs
from moclip_lite.results.predictions import ClipKey, Prediction
from moclip_lite.results.read import Run, load_run

from support.cli import TrainedRun, assert_ok, assert_refused, moclip
from support.pages import is_self_contained
from support.runs import made_run
from support.tables import read_rows


def copy(run: Path, target: Path) -> Path:
    shutil.copytree(run, target)
    return target


def change(run: Path, stream: str, wrong: set[int], label: str) -> None:
    """Change a stream's prediction of some clips to `label`."""
    path = run / f"predictions_{stream}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    for i in wrong:
        rows[i][2] = label
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    count(run, stream)


def count(run: Path, stream: str) -> None:
    """Change the number of tests and the accuracy in metrics.json to those of the predictions."""
    rows = read_rows(run / f"predictions_{stream}.csv")
    metrics = json.loads((run / "metrics.json").read_text())
    right = sum(row["label"] == row["predicted"] for row in rows)
    metrics[stream] |= {"n": len(rows), "top1": 100 * right / len(rows)}
    (run / "metrics.json").write_text(json.dumps(metrics))


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs: in the first all clips are right, in the second thirty of ninety are predicted as "a"."""
    first = made_run(tmp_path / "one" / "run", ["a", "b", "c"], clips=30, right=5.0).folder
    second = copy(first, tmp_path / "two" / "run")
    change(second, "fusion", set(range(40, 70)), "a")
    return first, second


def test_differences_are_those_that_were_made(two: tuple[Path, Path]) -> None:
    found = assert_ok(moclip("compare", *two, "--json")).json
    by = {row["stream"]: row for row in found["differences"]}
    fusion = by["fusion"]
    assert (fusion["run"], fusion["against"], fusion["clips"]) == ("two/run", "one/run", 90)
    assert fusion["points"]["value"] == pytest.approx(-100 / 3)
    assert (fusion["test"]["only_a"], fusion["test"]["only_b"]) == (0, 30)
    assert fusion["test"]["p"] == pytest.approx(stats.binomtest(0, 30).pvalue)
    error = 100 * np.sqrt(1 / 3 * 2 / 3 / 90)
    assert fusion["points"]["low"] == pytest.approx(-100 / 3 - 1.96 * error, abs=1.5)
    assert fusion["verdict"] == "worse"
    assert {c["label"]: c["points"] for c in fusion["classes"]} == {
        "a": 0.0,
        "b": pytest.approx(-200 / 3),
        "c": pytest.approx(-100 / 3),
    }
    assert by["motion"]["points"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert by["motion"]["verdict"] == "no difference shown"


def test_tables_pages_and_settings(two: tuple[Path, Path], tmp_path: Path) -> None:
    config = yaml.safe_load((two[1] / "config.yaml").read_text())
    config["run"] = {"seed": 7, "dir": "elsewhere"}
    (two[1] / "config.yaml").write_text(yaml.safe_dump(config))
    outcome = assert_ok(moclip("compare", *two, "--out", tmp_path / "c.html"))
    for words in ("-33.3", "worse", "run.seed", "one/run", "two/run", "Settings that differ"):
        assert words in outcome.out
    assert "run.dir" not in outcome.out  # the location of a run is not compared
    page = is_self_contained((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert "-33.3" in page.shown
    assert_ok(moclip("compare", *two, "--out", tmp_path / "c.md"))
    text = (tmp_path / "c.md").read_text(encoding="utf-8")
    assert "| two/run | fusion | 90 | 90 | -33.3 |" in text
    assert "| run.seed | 0 | 7 |" in text
    assert_refused(moclip("compare", *two, "--out", tmp_path / "c.pdf"), ".html or .md")


def test_settings_of_streams_that_were_not_tested_are_left_out(two: tuple[Path, Path]) -> None:
    for folder, tag in zip(two, ("openai", "none"), strict=True):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config |= {"clip": {"pretrained": tag}, "motion": {"width": 24 if tag == "none" else 32}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert set(compare_runs(two).settings) == {"clip.pretrained", "motion.width"}
    metrics = json.loads((two[1] / "metrics.json").read_text())
    motion_only = {key: value for key, value in metrics.items() if key not in ("appearance", "fusion")}
    (two[1] / "metrics.json").write_text(json.dumps(motion_only))
    assert set(compare_runs(two).settings) == {"motion.width"}


def test_only_common_clips_count(two: tuple[Path, Path]) -> None:
    path = two[1] / "predictions_fusion.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[:51]) + "\n", encoding="utf-8")  # 50 clips, 10 of them wrong
    count(two[1], "fusion")
    outcome = assert_ok(moclip("compare", *two, "--json"))
    fusion = next(d for d in outcome.json["differences"] if d["stream"] == "fusion")
    assert (fusion["clips"], fusion["left_out"]) == (50, 40)
    assert fusion["points"]["value"] == pytest.approx(-20)
    assert "40 tests are of one run only" in assert_ok(moclip("compare", *two)).err


def test_runs_that_cannot_be_compared(two: tuple[Path, Path], tmp_path: Path) -> None:
    assert_refused(moclip("compare", two[0]), "at least two")
    assert_refused(moclip("compare", two[0], two[0]), "named twice")
    assert_refused(moclip("compare", two[0], tmp_path), "not a run folder")
    other = made_run(tmp_path / "other", ["a", "b", "d"]).folder
    assert_refused(moclip("compare", two[0], other), "different labels", "c, d")
    path = two[1] / "predictions_motion.csv"
    path.write_text(path.read_text().replace("/", "_"), encoding="utf-8")
    assert_refused(moclip("compare", *two), "motion", "no clip in common")
    lines = path.read_text().replace("_", "/").splitlines()
    path.write_text("\n".join([lines[0], lines[1].replace(",a,", ",b,", 1)]), encoding="utf-8")
    count(two[1], "motion")
    assert_refused(moclip("compare", *two), "'b' in one and 'a' in the other")
    (two[1] / "metrics.json").unlink()
    assert_refused(moclip("compare", *two), "not finished")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.json", "{"),
        ("metrics.json", "[]"),
        ("metrics.json", '{"labels": ["a"], "motion": 3}'),
        ("metrics.json", '{"labels": ["a"]}'),
        ("config.yaml", "a: ["),
        ("config.yaml", "7"),
        ("predictions_motion.csv", "clip,label\na,b\n"),
        ("predictions_motion.csv", "clip,label,predicted,score\na,b,c,x\n"),
    ],
)
def test_damaged_run_folders(name: str, text: str, two: tuple[Path, Path]) -> None:
    (two[1] / name).write_text(text, encoding="utf-8")
    message = assert_refused(moclip("compare", *two))
    assert "damaged" in message or "no stream" in message


def _cut(lines: list[str]) -> list[str]:
    return lines[:29]


def _doubled(lines: list[str]) -> list[str]:
    return [*lines, "a/another.mp4,a,a,0.9"]


def _another_label(lines: list[str]) -> list[str]:
    return [lines[0], lines[1].replace(",a,a,", ",a,b,"), *lines[2:]]


def _another_column(lines: list[str]) -> list[str]:
    return [f"{lines[0]},grup", *(f"{line},g" for line in lines[1:])]


def _no_header(lines: list[str]) -> list[str]:
    return lines[1:]


def _no_fold(lines: list[str]) -> list[str]:
    return [f"{lines[0]},group,fold", *(f"{line},,f0" for line in lines[1:-1]), f"{lines[-1]},,"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (_cut, "holds 28 of the 90 clips that metrics.json counts"),
        (_doubled, "holds 91 clips, and metrics.json counts 90"),
        (_another_label, "has an accuracy of 98.89 %, and metrics.json says 100.00 %"),
        (_another_column, "is damaged: it has a column 'grup'"),
        (_no_header, "is damaged: it has no column 'clip'"),
        (_no_fold, 'is damaged: "line 91 has no fold"'),
        (lambda lines: lines[:1], "holds 0 of the 90 clips"),
        (lambda lines: [], "is damaged: it has no column 'clip'"),
    ],
    ids=["cut", "longer", "label", "column", "no header", "no fold", "only the header", "empty"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_predictions_of_other_tests_than_the_metrics_are_refused(
    changed: Callable[[list[str]], list[str]], words: str, place: int, two: tuple[Path, Path]
) -> None:
    path = two[place] / "predictions_motion.csv"
    path.write_text("\n".join(changed(path.read_text(encoding="utf-8").splitlines())), encoding="utf-8")
    assert_refused(moclip("compare", *two), f"{path} {words}")


def test_missing_predictions_are_refused(two: tuple[Path, Path]) -> None:
    path = two[1] / "predictions_motion.csv"
    path.unlink()
    assert_refused(moclip("compare", *two), f"{path} is missing", f"moclip run {two[1]}")
    metrics = json.loads((two[0] / "metrics.json").read_text())
    del metrics["motion"]
    (two[0] / "metrics.json").write_text(json.dumps(metrics))
    assert {d.stream for d in compare_runs(two).differences} == {"appearance", "fusion"}  # not asked for


def test_groups_widen_the_interval(two: tuple[Path, Path]) -> None:
    """Nine groups, each right or wrong as a whole, count as nine units, not ninety."""
    plain = compare_runs(two).differences[-1].difference
    for folder in two:
        for path in folder.glob("predictions_*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                header, *rows = list(csv.reader(file))
            for i, row in enumerate(rows):
                row[0] = f"{row[1]}/g{i // 10}_{i}.mp4"
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([header, *rows])
        config = {"data": {"kind": "folder", "group_pattern": r"^(g\d)_"}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    grouped = compare_runs(two).differences[-1].difference
    assert (plain.groups, grouped.groups) == (0, 9)
    assert grouped.points.value == plain.points.value
    lengths = [points.high - points.low for points in (plain.points, grouped.points)]
    assert lengths[1] > 2 * lengths[0]


def test_groups_of_ucf101_are_read_from_names(tmp_path: Path) -> None:
    run = Run(tmp_path, {"labels": []}, {"data": {"kind": "ucf101"}}, {}, {})
    keys = [ClipKey("Archery/v_Archery_g03_c01.avi", "0"), ClipKey("Diving/v_Diving_g03_c01.avi", "0")]
    assert run.groups(keys) == ["Archery_g03", "Diving_g03"]
    assert run.groups([*keys, ClipKey("odd.avi", "0")]) is None


def test_a_clip_of_several_folds_is_paired_fold_by_fold(two: tuple[Path, Path]) -> None:
    text = "clip,label,predicted,score,group,fold\nx,a,a,1,g,f1\nx,a,b,1,g,f2\n"
    other = "clip,label,predicted,score,group,fold\nx,a,b,1,g,f2\nx,a,a,1,g,f1\n"
    for folder in two:
        for stream in ("motion", "appearance", "fusion"):
            path = folder / f"predictions_{stream}.csv"
            path.write_text(text if folder == two[0] else other, encoding="utf-8")
            count(folder, stream)
    run = load_run(two[0])
    assert run.predictions["motion"] == {
        ClipKey("x", "f1"): Prediction("a", "a", 1.0, "g"),
        ClipKey("x", "f2"): Prediction("a", "b", 1.0, "g"),
    }
    found = compare_runs(two).differences[0].difference
    assert (found.tests, found.units, found.test.only_a, found.test.only_b) == (2, 1, 0, 0)


def test_folds_are_paired_by_name_whatever_their_order(two: tuple[Path, Path]) -> None:
    rows = ["x,a,a,1,g1,p1", "x,a,b,1,g1,p2", "y,b,b,1,g2,p1"]
    for folder, order in zip(two, (rows, rows[::-1]), strict=True):
        for stream in ("motion", "appearance", "fusion"):
            (folder / f"predictions_{stream}.csv").write_text(
                "\n".join(["clip,label,predicted,score,group,fold", *order]) + "\n", encoding="utf-8"
            )
            count(folder, stream)
    first, second = (load_run(folder) for folder in two)
    assert first.predictions == second.predictions
    assert first.predictions["motion"][ClipKey("x", "p2")] == Prediction("a", "b", 1.0, "g1")
    keys = sorted(first.predictions["motion"])
    assert first.groups(keys) == ["g1", "g1", "g2"]
    found = compare_runs(two).differences[0].difference
    assert (found.clips, found.tests, found.units, found.points.value) == (2, 3, 2, 0)


def test_a_trained_run_and_its_copy_do_not_differ(trained: TrainedRun, tmp_path: Path) -> None:
    other = trained.copy(tmp_path / "copy")
    found = assert_ok(moclip("compare", trained.folder, other, "--json")).json
    assert len(found["differences"]) >= 4
    assert {d["verdict"] for d in found["differences"]} == {"no difference shown"}
    assert (
        json.loads((other / "metrics.json").read_text())["fusion"]["top1"]
        == found["runs"][1]["fusion"]["top1"]
    )


def with_groups(run: Path, groups: list[str]) -> None:
    """Give the run's tables a group for each clip, "" for none."""
    for path in run.glob("predictions_*.csv"):
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        grouped = [f"{row},{group},f0" for row, group in zip(rows, groups, strict=True)]
        path.write_text("\n".join([f"{header},group,fold", *grouped]) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("known", "contradict", "units"),
    [
        ([f"g{i // 20}" for i in range(90)], False, 5),  # the other names them otherwise
        ([""] * 90, False, 5),  # the other knows none
        ([f"h{i // 30}" for i in range(90)], True, 2),  # h0 and h1 share p1
        (["", *[f"g{i // 20}" for i in range(1, 90)]], False, 5),
    ],
)
def test_units_do_not_depend_on_the_order_of_the_runs(
    known: list[str], contradict: bool, units: int, two: tuple[Path, Path]
) -> None:
    with_groups(two[0], [f"p{i // 20}" for i in range(90)])
    with_groups(two[1], known)
    one, other = (
        next(d for d in compare_runs(runs).differences if d.stream == "fusion").difference
        for runs in (two, two[::-1])
    )
    assert (one.units, one.groups, one.contradict, one.p) == (units, units, contradict, other.p)
    assert (other.units, other.groups, other.contradict) == (units, units, contradict)
    assert one.points.value == -other.points.value
    assert one.points.high - one.points.low == pytest.approx(other.points.high - other.points.low, abs=2)
    said = assert_ok(moclip("compare", *two)).err
    assert ("contradict each other; clips that share a group" in said) == contradict


def folds_named(run: Path, fold: str, again: str | None = None) -> None:
    """Give the tests of a run another fold name; with again, a second test of the first clip."""
    for path in run.glob("predictions_*.csv"):
        lines = path.read_text(encoding="utf-8").replace(",f0", f",{fold}").splitlines()
        if again is not None:
            lines.append(lines[1].replace(f",{fold}", f",{again}"))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        count(run, path.stem.removeprefix("predictions_"))


def test_clips_that_each_run_tests_once_are_paired_whatever_the_fold(two: tuple[Path, Path]) -> None:
    """Divisions into folds by two seeds test a clip in unlike folds."""
    for run in two:
        with_groups(run, [""] * 90)
    same = compare_runs(two).differences
    folds_named(two[1], "f7")
    assert compare_runs(two).differences == same
    assert same[0].difference.left_out == 0


def test_clips_in_common_without_a_fold_in_common_are_spoken_of(two: tuple[Path, Path]) -> None:
    """One seed against several: the folds are called otherwise."""
    for run in two:
        with_groups(run, [""] * 90)
    folds_named(two[1], "f0-seed0", again="f0-seed1")
    assert_refused(
        moclip("compare", *two),
        "they share 90 clips, but no fold (f0-seed0, f0-seed1; f0)",
        "run.seeds and data.protocol",
    )
