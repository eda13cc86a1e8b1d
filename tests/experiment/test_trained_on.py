"""Clips that trained the weights of a run folder are never tested there, however the data is divided anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from moclip_lite.datasets import Clip, Fold
from moclip_lite.errors import CheckpointError
from moclip_lite.results.trained_on import refuse_trained, write_division

from support.cli import FOLDER_YAML, QUICK, TrainedRun, assert_ok, assert_refused, class_folders, moclip, sets

SAID = ("test clips were used in training", "run.seed", "are not those of the training", "moclip run")


@pytest.mark.parametrize(
    "change", ["run.seed=1", "run.seed=2", "data.test_fraction=0.6", "data.group_pattern='_0*([0-9]+)'"]
)
def test_evaluate_refuses_clips_that_trained(change: str, trained: TrainedRun) -> None:
    assert_refused(moclip("evaluate", trained.folder, "--set", change), *SAID)


def test_validation_may_not_hold_training_clips(trained: TrainedRun) -> None:
    words = ("evaluate", trained.folder, "--part", "val")
    assert_refused(moclip(*words, "--set", "run.seed=1"), "val clips were used in training")
    assert_ok(moclip(*words))


def test_copies_elsewhere_under_other_names_are_recognised(trained: TrainedRun, tmp_path: Path) -> None:
    for path in trained.data.rglob("*.mp4"):
        target = tmp_path / "moved" / path.parent.name / f"copy_of_{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    words = ("evaluate", trained.folder, "--root", tmp_path / "moved")
    assert_refused(moclip(*words, "--set", "run.seed=1"), *SAID)


def test_features_of_another_division_are_not_written(trained: TrainedRun, tmp_path: Path) -> None:
    words = ("extract", "features", trained.folder, "--out", tmp_path / "f.safetensors")
    assert_refused(moclip(*words, "--set", "run.seed=1"), "clips were used in training")
    assert not (tmp_path / "f.safetensors").exists()


def test_each_fold_is_held_to_its_own_division(tmp_path: Path) -> None:
    data, run = class_folders(tmp_path / "data"), tmp_path / "run"
    places = (f"data.root={data}", f"run.dir={run}", f"cache.dir={tmp_path / 'cache'}")
    more = ("data.group_pattern='(p[0-9])'", "data.protocol=leave-one-group-out", "train_motion.epochs=1")
    assert_ok(moclip("run", FOLDER_YAML, *sets((*QUICK, *more, *places))))
    assert_ok(moclip("evaluate", run))
    divisions = sorted(run.rglob("division.json"))
    assert len(divisions) == 4
    other = json.loads(divisions[1].read_text(encoding="utf-8"))
    divisions[0].write_text(json.dumps(other), encoding="utf-8")
    assert_refused(moclip("evaluate", run), "clips were used in training")


def test_a_run_without_a_division_says_so(trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    (folder / "division.json").unlink()
    assert "does not say which clips trained it" in assert_ok(moclip("evaluate", folder)).err
    (folder / "division.json").write_text("{}", encoding="utf-8")
    assert_refused(moclip("evaluate", folder), "division.json is damaged")


def _clips(*names: str) -> tuple[Clip, ...]:
    return tuple(Clip(Path(name), name, "label") for name in names)


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize("used", ["train", "val"])
def test_content_counts_everywhere_and_names_within_a_data_set(part: str, used: str, tmp_path: Path) -> None:
    path = tmp_path / "division.json"
    fold = Fold("holdout", **{"train": (), "val": (), "test": _clips("t"), used: _clips("a")})
    write_division(path, fold, str(tmp_path), {"a": "1", "t": "2"})
    wrong = part == "test" or used == "train"  # validation is for choosing, and may be scored again
    cases = [("a", "1", tmp_path), ("b", "1", tmp_path / "other"), ("a", "9", tmp_path)]
    for name, digest, root in cases:
        if wrong:
            with pytest.raises(CheckpointError, match=f"1 of 1 {part} clips"):
                refuse_trained(path, _clips(name), str(root), {name: digest}, part)  # type: ignore[arg-type]
        else:
            assert refuse_trained(path, _clips(name), str(root), {name: digest}, part) is None  # type: ignore[arg-type]
    note = refuse_trained(path, _clips("a"), str(tmp_path / "other"), {"a": "9"}, part)  # type: ignore[arg-type]
    assert (note is not None and "have names of clips that trained" in note) == wrong
    assert refuse_trained(path, _clips("t"), str(tmp_path), {"t": "2"}, part) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("root", ["here", "elsewhere"])
def test_copies_within_a_kept_division_are_reported_under_other_names_too(root: str, tmp_path: Path) -> None:
    path = tmp_path / "division.json"
    write_division(path, Fold("holdout", _clips("a"), (), _clips("copy")), "here", {"a": "1", "copy": "1"})
    now, digests = _clips("renamed"), {"renamed": "1"}
    note = refuse_trained(path, now, root, digests, kept={"a": "a", "renamed": "copy"})
    assert note is not None
    assert "have a copy" in note
    for kept in ({}, {"copy": "copy", "renamed": "a"}):
        with pytest.raises(CheckpointError, match="divided otherwise"):
            refuse_trained(path, now, root, digests, kept=kept)


@pytest.mark.parametrize("part", ["test", "val"])
def test_copies_within_the_division_are_told(part: str, tmp_path: Path) -> None:
    """Published divisions have some; a run of one can be tested again."""
    path = tmp_path / "division.json"
    parts = {"train": _clips("a"), "val": (), "test": (), part: _clips("copy")}
    write_division(path, Fold("split1", **parts), str(tmp_path), {"a": "1", "copy": "1"})
    place = str(tmp_path)
    note = refuse_trained(path, _clips("copy"), place, {"copy": "1"}, part)  # type: ignore[arg-type]
    assert note is not None
    assert "1 of 1" in note
    assert "have a copy" in note
    others = [("copy", "1", str(tmp_path / "other")), ("another", "1", place)]
    for name, digest, root in others:
        with pytest.raises(CheckpointError, match="divided otherwise"):
            refuse_trained(path, _clips(name), root, {name: digest}, part)  # type: ignore[arg-type]
