"""The run folder: where its files lie, one run at a time, and nothing old beside the present run."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moclip_lite.errors import CheckpointError, ConfigError
from moclip_lite.results.fold_folder import STAGES, FoldFolder, fold_name
from moclip_lite.results.run_folder import RunFolder

RESULTS = (
    "metrics.json", "training.json", "report.html", "report.md", "predictions_motion.csv", "confusion_motion.csv",
    "confusion_motion.png", "figures/a.png", "tensorboard/motion/events",
)  # fmt: skip
SOURCES = ("encoder.json", "features.json", "division.json")
FOREIGN = ("notes.txt", "my_predictions.csv", "sub/metrics.json", "other.safetensors")


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def weights(*stages: str) -> list[str]:
    return [f"{stage}.safetensors" for stage in stages or STAGES]


# Names

NAMES = st.lists(
    st.text("pP1.+_-/\\ é", max_size=4) | st.text(max_size=3), unique=True, min_size=1, max_size=6
)


@pytest.mark.slow
@given(NAMES)
def test_no_two_folds_share_a_folder(names: list[str]) -> None:
    folders = [fold_name(names, name) for name in names]
    assert len({folder.casefold() for folder in folders}) == len(names)
    for folder in folders:
        assert all(c.isalnum() or c in "-_" for c in folder)
        assert 0 < len(folder) < 120


def test_plain_names_of_folds_stay() -> None:
    assert fold_name(["p0", "p1"], "p0") == "p0"
    assert fold_name(["p.1", "p+1"], "p.1") != fold_name(["p.1", "p+1"], "p+1")
    assert len(fold_name(["x" * 300], "x" * 300)) < 120


def test_one_fold_lies_in_the_run_folder_and_several_below_it(tmp_path: Path) -> None:
    one, two = RunFolder(tmp_path, ["holdout"]), RunFolder(tmp_path, ["p0", "p1"])
    assert one.fold("holdout").path == tmp_path
    assert one.fold("holdout").weights("motion") == tmp_path / "motion.safetensors"
    assert two.fold("p1").path == tmp_path / "folds" / "p1"
    assert two.fold("p1").weights("motion") == tmp_path / "folds" / "p1" / "motion.safetensors"
    assert two.fold("p0").division == tmp_path / "folds" / "p0" / "division.json"
    assert {folder.run_path for folder in (one.fold("holdout"), two.fold("p1"))} == {tmp_path}
    assert two.fold_folders() == []
    fill(tmp_path, "folds/p1/config.yaml", "folds/p0/config.yaml", "folds/empty/x.txt")
    assert [folder.path.name for folder in RunFolder(tmp_path).fold_folders()] == ["p0", "p1"]


# Begin and end


def test_a_run_sets_weights_aside_and_removes_results(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, ["holdout"])
    fill(tmp_path, *weights(), *RESULTS, *SOURCES, *FOREIGN, "config.yaml", "labels.json")
    drafts = (".config-0123456789ab.yaml", ".metrics-ba9876543210.json")
    fill(tmp_path, *drafts)
    assert run.begin()
    aside = {run.set_aside(stage).relative_to(tmp_path).as_posix() for stage in STAGES}
    assert files(tmp_path) == {*FOREIGN, *aside, "config.yaml", "labels.json"}
    assert FoldFolder(tmp_path).set_aside("motion").read_text() == "motion.safetensors"
    run.end()
    assert files(tmp_path) == {*FOREIGN, "config.yaml", "labels.json"}
    assert not run.begin()  # there were no results this time


def test_weights_taken_back_survive_the_end(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, ["holdout"])
    fill(tmp_path, *weights("motion", "fusion"))
    run.begin()
    FoldFolder(tmp_path).set_aside("motion").rename(tmp_path / "motion.safetensors")
    run.end()
    assert files(tmp_path) == {"motion.safetensors"}


def test_a_run_that_was_stopped_keeps_the_weights_that_are_aside(tmp_path: Path) -> None:
    """The next attempt may take them back."""
    fill(tmp_path, *weights("motion"))
    for _ in range(2):
        RunFolder(tmp_path, ["holdout"]).begin()
    assert FoldFolder(tmp_path).set_aside("motion").read_text() == "motion.safetensors"


def test_metrics_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they stand, the rest belongs to them: a kill in the middle leaves no old metrics."""
    fill(tmp_path, *weights("motion"), *RESULTS)

    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("moclip_lite.results.fold_folder.shutil.rmtree", stop)
    with pytest.raises(KeyboardInterrupt):
        RunFolder(tmp_path, ["holdout"]).begin()
    assert "metrics.json" not in files(tmp_path)


def test_folds_of_another_division_are_removed(tmp_path: Path) -> None:
    fold = [
        *weights("motion"),
        *SOURCES,
        "config.yaml",
        "labels.json",
        "training.json",
        "state/motion.safetensors",
    ]
    for name in ("p0", "p1", "p2"):
        fill(tmp_path / "folds" / name, *fold)
    fill(tmp_path / "folds" / "p2", "notes.txt")
    fill(tmp_path, *weights("fusion"))  # of a division into one fold
    run = RunFolder(tmp_path, ["p0", "p3"])
    run.begin()
    assert files(tmp_path) == {
        "folds/p0/config.yaml",
        "folds/p0/labels.json",
        "folds/p0/state/motion.safetensors",
        "folds/p0/state/earlier/motion.safetensors",
        "folds/p2/notes.txt",
    }
    run.end()
    assert files(tmp_path) == {"folds/p0/config.yaml", "folds/p0/labels.json", "folds/p2/notes.txt"}


def test_no_empty_folder_of_folds_is_left(tmp_path: Path) -> None:
    fill(tmp_path / "folds" / "p0", "config.yaml", *weights("motion"))
    RunFolder(tmp_path, ["holdout"]).begin()
    assert not (tmp_path / "folds").exists()


# One run at a time


def test_the_lock_is_removed_with_its_holder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "run")
    for _ in range(2):
        with run.locked():
            with (
                pytest.raises(CheckpointError, match=r"another run.*run.*--run-dir"),
                RunFolder(run.path).locked(),
            ):
                pass
            (run.path / "metrics.json").write_text("{}")
        assert files(run.path) == {"metrics.json"}


def test_a_run_that_left_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "new").locked():
        pass
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with RunFolder(tmp_path / "old").locked():
        pass
    assert (tmp_path / "old").is_dir()


def test_the_lock_is_released_by_an_error_and_a_leftover_is_free(tmp_path: Path) -> None:
    (tmp_path / "run.lock").touch()  # of a killed run
    with pytest.raises(KeyboardInterrupt), RunFolder(tmp_path).locked():
        raise KeyboardInterrupt
    with RunFolder(tmp_path).locked():
        pass


def test_a_lock_of_another_process_is_respected(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "run.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(CheckpointError, match="another run"), RunFolder(tmp_path).locked():
            pass
    finally:
        os.close(descriptor)
    with RunFolder(tmp_path).locked():
        pass


def test_a_file_system_without_locks_lets_the_run_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*args: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with RunFolder(tmp_path).locked():
        pass


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_run_folder_that_cannot_be_made_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"can't be the run folder.*--run-dir"),
        RunFolder(tmp_path / place).locked(),
    ):
        pass


def test_drafts_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    fold = tmp_path / "folds" / "one"
    fold.mkdir(parents=True)
    (fold / "config.yaml").touch()
    for folder in (tmp_path, fold):
        for name in (".motion-0123456789ab.safetensors", ".notes-0123456789ab", ".motion-notes.txt", ".keep"):
            (folder / name).touch()
    with RunFolder(tmp_path).locked():
        for folder in (tmp_path, fold):
            assert {p.name for p in folder.glob(".*")} - {"run.lock"} == {".motion-notes.txt", ".keep"}
