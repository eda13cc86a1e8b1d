"""A run is tested on its own test clips where its folder got or lost clips since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from moclip_lite.datasets import Clip, Fold, VideoDataset
from moclip_lite.errors import CheckpointError
from moclip_lite.experiment import kept_division
from moclip_lite.experiment.config import Experiment
from moclip_lite.results.trained_on import StoredDivision

from support.cli import FOLDER_YAML, QUICK, assert_ok, assert_refused, class_folders, moclip, sets
from support.clips import H264, encode, panning


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and its clips."""
    base = tmp_path_factory.mktemp("kept")
    data = class_folders(base / "data", per_class=8)
    places = (f"data.root={data}", f"run.dir={base / 'run'}", f"cache.dir={base / 'cache'}")
    assert_ok(moclip("run", FOLDER_YAML, *sets((*QUICK, "train_motion.epochs=1", *places))))
    return base / "run", data


def scored(run: Path, *words: object) -> tuple[int, str]:
    """How many clips an evaluation scores, and what it says."""
    outcome = assert_ok(moclip("evaluate", run, "--json", *words))
    return int(outcome.json["motion"]["n"]), " ".join(outcome.err.split())


def _changes(names: dict[str, str | None], now: dict[str, str | None], *, elsewhere: bool) -> Any:
    stored = [StoredDivision("holdout", "/data", {"train": names, "val": {}, "test": {}})]
    clips = tuple(Clip(Path(name), name, "label") for name in now)
    digests = {name: content for name, content in now.items() if content is not None}
    dataset = VideoDataset(Path("/data"), clips, ("label",))
    return kept_division._changes(stored, dataset, digests, elsewhere=elsewhere)


@pytest.mark.parametrize(
    ("elsewhere", "names", "now", "found", "gone", "new"),
    [
        (False, {"a": "1", "b": "2"}, {"a": "1", "b": "9"}, {"a": "a", "b": "b"}, [], []),
        (False, {"a": "1", "b": "2"}, {"a": "1", "c": "2"}, {"a": "a", "b": "c"}, ["b"], []),
        (False, {"a": "1", "b": "2"}, {"c": "2", "d": "2"}, {}, ["a", "b"], ["c", "d"]),  # not known which
        (False, {"a": None}, {"c": None}, {}, ["a"], ["c"]),
        (False, {"a": "1", "b": "1"}, {"c": "1"}, {"a": "c"}, ["a", "b"], []),
        (True, {"a": "1", "b": "2"}, {"a": "1", "b": "9"}, {"a": "a"}, ["b"], ["b"]),
        (True, {"a": "1", "b": "2"}, {"a": "2", "b": "1"}, {"a": "b", "b": "a"}, ["a", "b"], []),
        (True, {"a": None, "b": "2"}, {"a": None, "b": None}, {}, ["a", "b"], ["a", "b"]),
    ],
)
def test_clips_are_found_by_name_and_content_elsewhere_by_content(
    elsewhere: bool, names: dict[str, str | None], now: dict[str, str | None], found: Any, gone: Any, new: Any
) -> None:
    changes = _changes(names, now, elsewhere=elsewhere)
    assert (changes.names, changes.gone, changes.new) == (found, gone, new)


@pytest.mark.parametrize(
    ("found", "copy"), [("abcd", True), ("abd", True), ("ad", False), ("abc", False), ("bcd", True)]
)
def test_a_copy_of_the_clips_has_most_of_them_and_some_of_each_part(found: str, copy: bool) -> None:
    stored = StoredDivision(
        "holdout", "/data", {"train": dict.fromkeys("abc"), "val": {}, "test": {"d": None}}
    )
    assert kept_division._is_copy([stored], {name: name for name in found}) == copy


@pytest.mark.parametrize(
    ("now", "alike"),
    [
        ({"root": "a"}, True),
        ({"root": "/c", "table": "/c/t.csv"}, True),  # moved with the clips
        ({"root": "/c", "table": "a/t.csv"}, True),  # the one of the training
        ({"root": "a", "table": "a/u.csv"}, False),
        ({"root": "a", "table": "/c/t.csv"}, False),
        ({"root": "a", "table": None}, False),
        ({"kind": "table"}, False),
        ({"group_pattern": "(.)"}, False),
    ],
)
def test_paths_are_compared_by_what_they_name(
    now: dict[str, Any], alike: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained: dict[str, Any] = {"kind": "folder", "root": tmp_path / "a", "table": tmp_path / "a" / "t.csv"}
    run, asked = Experiment(data=trained), Experiment(data={**trained, **now})
    assert kept_division._divides_alike(asked, run) == alike


def test_tables_in_the_place_of_a_root_are_compared(tmp_path: Path) -> None:
    names = ("t.csv", "moved/t.csv", "u.csv")
    table, moved, other = (Experiment(data={"kind": "table", "root": tmp_path / name}) for name in names)
    assert kept_division._divides_alike(moved, table)
    assert not kept_division._divides_alike(other, table)
    videos = {"kind": "table", "root": tmp_path / "gone", "table": tmp_path / "t.csv"}
    assert kept_division._divides_alike(
        Experiment(data={**videos, "root": tmp_path}), Experiment(data=videos)
    )


def test_a_part_without_clips_is_refused() -> None:
    stored = StoredDivision("fold1", "/data", {"train": {"a": None}, "val": {}, "test": {"b": None}})
    dataset = VideoDataset(Path("/data"), (Clip(Path("a"), "a", "label"),), ("label",))
    with pytest.raises(CheckpointError, match="none of the 1 test clips of fold fold1 is there any more"):
        kept_division._fold(stored, dataset, {"a": "a"}, (0,))
    both = VideoDataset(Path("/data"), (*dataset.clips, Clip(Path("b"), "b", "label")), ("label",))
    fold = kept_division._fold(stored, both, {"a": "a", "b": "b"}, (0,))
    assert fold == Fold("fold1", (both.clips[0],), (), (both.clips[1],))
    seeded = stored._replace(name="fold1-seed12")
    fold = kept_division._fold(seeded, both, {"a": "a", "b": "b"}, (2, 12))
    assert (fold.seed, fold.division) == (12, "fold1")


def test_a_run_is_tested_as_it_was_divided_whatever_divides_now(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of the program may divide otherwise; the clips are as they were, so nothing is said."""
    run, _ = made

    def divide(*arguments: Any) -> Any:
        raise AssertionError("divided anew")

    monkeypatch.setattr("moclip_lite.experiment.session.divide_by_seeds", divide)
    count, said = scored(run)
    assert count == len(json.loads((run / "division.json").read_text())["test"])
    assert "changed since training" not in said


def test_the_folder_may_be_given_by_a_relative_path(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, data = made
    divided: list[Any] = []
    monkeypatch.setattr(
        "moclip_lite.experiment.session.divide_by_seeds", lambda *given: divided.append(given)
    )
    monkeypatch.chdir(data.parent)
    count, _ = scored(run, "--root", data.name)
    assert count == len(json.loads((run / "division.json").read_text())["test"])
    assert not divided


def test_a_copy_of_the_folder_is_divided_as_the_run_was(made: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = made
    division = json.loads((run / "division.json").read_text())
    copy = shutil.copytree(data, tmp_path / "copy")
    gone, moved = list(division["test"])[:2]
    (copy / gone).unlink()
    (copy / moved).rename((copy / moved).with_name("renamed.mp4"))
    encode(copy / "left" / "added.mp4", panning(12, step=(-2, 1)), **H264)
    count, said = scored(run, "--root", copy)
    assert count == len(division["test"]) - 1
    assert f"1 gone ({gone}), 1 renamed, 1 new, which are left out (left/added.mp4)" in said


def test_clips_of_the_same_names_elsewhere_are_divided_anew(made: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = made
    for number, path in enumerate(sorted(data.rglob("*.mp4"))):
        other = tmp_path / path.relative_to(data)
        other.parent.mkdir(exist_ok=True)
        encode(other, panning(12, step=(number % 5 - 2, number % 3)), **H264)
    _, said = scored(run, "--root", tmp_path)
    assert "division is kept" not in said


def test_what_a_configuration_asks_in_vain_is_refused_as_before_a_training(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run, _ = made
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text("classes: {lefd: [a ball rolls left]}\n", encoding="utf-8")
    said = ("'lefd' is none of the", "labels")
    assert_refused(moclip("evaluate", run, "--set", f"clip.prompts={prompts}"), *said)


def test_copies_that_the_run_allowed_are_reported_in_a_copy_of_the_folder_too(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    run, data = shutil.copytree(made[0], tmp_path / "run"), shutil.copytree(made[1], tmp_path / "data")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("shared_groups: false", "shared_groups: true"))
    division = json.loads((run / "division.json").read_text())
    train, test = next(iter(division["train"])), next(iter(division["test"]))
    shutil.copy(data / train, data / test)
    division["test"][test] = division["train"][train]
    (run / "division.json").write_text(json.dumps(division))
    said = assert_ok(moclip("evaluate", run, "--root", data)).err
    assert "have a copy, or an overlapping segment, among the clips that trained the weights" in said
    out = tmp_path / "features.safetensors"
    assert_ok(moclip("extract", "features", run, "--set", f"data.root={data}", "--out", out))


def test_clips_that_come_go_or_move_leave_the_division_as_it_is(made: tuple[Path, Path]) -> None:
    run, data = made
    division = json.loads((run / "division.json").read_text())
    count, said = scored(run)
    assert count == len(division["test"])
    assert "changed since training" not in said
    gone, kept = list(division["test"])[:2]
    moved = next(iter(division["train"]))
    (data / gone).unlink()
    (data / kept).rename((data / kept).with_name("renamed.mp4"))
    (data / moved).rename((data / moved).with_name("renamed too.mp4"))
    encode(data / "left" / "added.mp4", panning(12, step=(-2, 1)), **H264)
    remaining, said = scored(run)
    assert remaining == count - 1
    assert f"1 gone ({gone}), 2 renamed, 1 new, which are left out (left/added.mp4)" in said
    assert "the run's division is kept" in said
    assert_refused(moclip("evaluate", run, "--set", "run.seed=5"), "clips were used in training", "run.seed")
    out = run.with_name("features.safetensors")
    assert "division is kept" in assert_ok(moclip("extract", "features", run, "--out", out)).err
    for name in division["test"]:
        (data / name).unlink(missing_ok=True)
    (data / kept).with_name("renamed.mp4").unlink()
    assert_refused(moclip("evaluate", run), "none of the", "test clips of fold holdout is there any more")
