"""Flips of a run whose classes mirror each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.run import run_experiment
from moclip_lite.experiment.session import Session

from support.clips import H264, encode, panning

pytestmark = pytest.mark.usefixtures("no_drawings")

QUICK = (
    "motion.segments=2",
    "motion.frames=2",
    "motion.grid=[4,8]",
    "motion.width=4",
    "train_motion.epochs=1",
    "train_motion.refit=false",
    "run.streams=[motion]",
    "run.workers=1",
    "data.val_fraction=0.5",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("directions")
    for label, step in (("east", (3, 0)), ("west", (-3, 0)), ("north", (0, -3))):
        for number in range(10):
            path = root / label / f"{label}{number}.mp4"
            path.parent.mkdir(exist_ok=True)
            encode(path, panning(10 + number, 64, 64, step=step), **H264)
    return root


def session(folder: Path, run: Path, *more: str) -> Session:
    places = (f"data.root={folder}", f"run.dir={run}", f"cache.dir={folder.parent / 'directions-cache'}")
    return Session(load_experiment(None, [*QUICK, *places, *more]))


def test_flips_are_off_in_training_and_testing_and_the_run_says_so(folder: Path, tmp_path: Path) -> None:
    metrics = run_experiment(session(folder, tmp_path / "run"))
    assert any("east and west" in note and "on validation" in note for note in metrics.notes)
    saved = load_experiment(tmp_path / "run" / "config.yaml")
    assert (saved.motion.flip, saved.test.flips) == (0, 1)
    again = run_experiment(session(folder, tmp_path / "run"))
    assert again.fingerprint == metrics.fingerprint  # finished: the same run, as it was asked for


@pytest.mark.parametrize(
    "setting", [("motion.mirrors=ignore",), ("motion.flip=0", "test.flips=1"), ("run.streams=[appearance]",)]
)
def test_flips_stay_where_they_are_not_to_be_changed(
    folder: Path, tmp_path: Path, setting: tuple[str, ...]
) -> None:
    made = session(folder, tmp_path / "run", *setting)
    before = made.experiment
    assert made.keep_directions() == []
    assert made.experiment == before


def test_names_are_enough(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for label, other in (("swipe left", "east"), ("swipe right", "north")):
        (root / label).mkdir(parents=True)
        for source in (folder / other).iterdir():
            (root / label / source.name).write_bytes(source.read_bytes())
    made = session(root, tmp_path / "run")
    assert "by their names (swipe left and swipe right)" in made.keep_directions()[0]
    assert made.saved_experiment.test.flips == 1
