"""Flips of a run whose classes mirror each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.cli.configuration import experiment_of
from moclip_lite.datasets import Clip, Fold
from moclip_lite.errors import CheckpointError
from moclip_lite.experiment.config import load_experiment, load_run_settings
from moclip_lite.experiment.division.directions import Directions
from moclip_lite.experiment.evaluate import evaluate_run
from moclip_lite.experiment.run import run_experiment
from moclip_lite.experiment.session import Session
from moclip_lite.experiment.settings.asked_flips import asked_flips, earlier_decision, keep_asked_flips
from moclip_lite.motion.mirrors import MeanMotion, Mirrored
from moclip_lite.motion.store import MotionStore
from moclip_lite.progress import Silent
from moclip_lite.results.metrics import Metrics
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.streams import Stream

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


def test_another_run_of_the_folder_decides_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what was asked for; the configuration in the folder has what the weights are used with."""
    run = RunFolder(tmp_path / "run")
    run_experiment(session(folder, run.path))
    assert experiment_of(run.path, None, {}).test.flips == 1  # tests of the weights
    asked = experiment_of(run.path, None, {}, again=True)
    assert (asked.motion.flip, asked.test.flips) == (0.5, 2)
    assert experiment_of(run.path, ["test.flips=1"], {}, again=True).test.flips == 1  # explicit
    said: list[str] = []
    monkeypatch.setattr(Silent, "say", lambda _, text: said.append(text))
    more = experiment_of(run.path, ["train_motion.epochs=2"], {}, again=True)
    metrics = run_experiment(Session(more))
    assert any("east and west" in note for note in metrics.notes)
    assert any("(train_motion.epochs was 1, now 2)" in text for text in said)
    monkeypatch.setattr(
        "moclip_lite.experiment.division.directions.mirrored_classes", lambda *_: Mirrored([], "")
    )
    once_more = experiment_of(run.path, ["train_motion.epochs=1"], {}, again=True)
    assert not any("flips are off" in note for note in run_experiment(Session(once_more)).notes)
    assert load_run_settings(run.config).test.flips == 2
    assert not run.asked.exists()


def test_an_earlier_decision_that_a_folder_keeps_is_told(tmp_path: Path) -> None:
    """Of earlier versions, which did not keep what was asked for."""
    run, off = RunFolder(tmp_path), load_experiment(None, []).without_flips()
    run.describe(off.to_yaml(), ["east", "west"])
    assert earlier_decision(run, off) == []
    run.metrics.write_text(json.dumps(Metrics({}, notes=("flips are off: by their names",)).to_json()))
    (note,) = earlier_decision(run, off)
    assert "config.yaml has them off from an earlier decision" in note
    assert earlier_decision(run, load_experiment(None, [])) == []
    made = Session(off)
    made.earlier = [note]
    assert made.keep_directions() == [note]
    keep_asked_flips(run, load_experiment(None, []))
    assert earlier_decision(run, off) == []
    run.asked.write_text("[]")
    with pytest.raises(CheckpointError, match=r"asked\.json is damaged"):
        asked_flips(run)


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


class Steps(MotionStore):
    """Clips whose names say how they move: "2 0 east/3" by (2, 0)."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def moving(self, clips: Iterable[Clip]) -> list[Clip]:
        return list(clips)

    def motion(self, clip: Clip, encoding: int = 0) -> np.ndarray:  # type: ignore[type-arg]
        self.read.append(clip.name)
        x, y, name = clip.name.split(maxsplit=2)
        noise = np.random.default_rng(len(name)).normal(0, 0.1, (1, 1, 2, 3, 4))
        return (noise + np.array([float(x), float(y)])[:, None, None]).astype(np.float16)


def moving(label: str, steps: Sequence[tuple[int, int]], name: str) -> tuple[Clip, ...]:
    names = [f"{x} {y} {label}/{name}{number}" for number in range(4) for x, y in steps]
    return tuple(Clip(Path("x"), name, label) for name in names)


def test_each_fold_decides_on_its_own_training_and_validation_clips() -> None:
    """A clip that another fold tests takes no part in that fold's decision."""
    labels = ("east", "north", "west")

    def part(name: str, *, directed: bool) -> tuple[Clip, ...]:
        east = moving("east", [(2, 0)] if directed else [(2, 0), (-2, 0)], name)
        west = moving("west", [(-2, 0)] if directed else [(2, 0), (-2, 0)], name)
        return (*east, *west, *moving("north", [(0, -2)], name))

    straight, both = [
        tuple(part(f"{name} {directed}", directed=directed) for name in ("train", "val", "test"))
        for directed in (True, False)
    ]
    folds = [Fold("one", *straight[:2], both[2]), Fold("two", *both[:2], straight[2])]
    store = Steps()
    found = Directions.found(labels, folds, MeanMotion(store))
    assert found.folds == {"one"}
    (note,) = found.notes
    assert "flips are off in 1 of 2 folds (one): classes mirror each other on validation" in note
    tested = {clip.name for fold in folds for clip in fold.test}
    assert tested.isdisjoint(store.read)
    assert len(store.read) == len(set(store.read))  # once for all folds
    experiment = load_experiment(None, [])
    assert found.of(experiment, "one").motion.flip == 0
    assert found.of(experiment, "two") == experiment
    assert Directions.found(labels, folds[:1], MeanMotion(store)).notes[0].startswith("flips are off: ")


def test_folds_without_flips_are_tested_again_as_they_were(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where folds differ each says so itself, and the run keeps what was asked for."""
    asked = ("data.protocol=kfold", "data.folds=2")
    answers = iter([Mirrored([("east", "west")], "on validation"), Mirrored([], "on validation")])
    monkeypatch.setattr(
        "moclip_lite.experiment.division.directions.mirrored_classes", lambda *_: next(answers)
    )
    metrics = run_experiment(session(folder, tmp_path / "run", *asked))
    flips = [
        (config.motion.flip, config.test.flips)
        for path in (tmp_path / "run", *sorted((tmp_path / "run" / "folds").iterdir()))
        for config in [load_experiment(path / "config.yaml")]
    ]
    assert flips == [(0.5, 2), (0, 1), (0.5, 2)]
    assert metrics.counted["views"] == 2 * 3  # of the first fold, as the costs are: segments, crops, no flips

    def refuse(*_: object) -> None:
        raise AssertionError("features of other views are computed")

    monkeypatch.setattr("moclip_lite.experiment.fold.features.motion_scores", refuse)  # all are in the cache
    tested = evaluate_run(Session(load_run_settings(tmp_path / "run" / "config.yaml")), tmp_path / "run")
    assert tested.streams[Stream.MOTION].top1 == metrics.streams[Stream.MOTION].top1
    assert run_experiment(session(folder, tmp_path / "run", *asked)).fingerprint == metrics.fingerprint


def trained_folds(run: RunFolder, flips: Sequence[int]) -> list[Fold]:
    """Folders of a run's folds, each with or without flips; the run keeps what was asked for where one has."""
    asked = load_experiment(None, [])
    run.describe((asked if 2 in flips else asked.without_flips()).to_yaml(), ["east", "west"])
    for name, count in zip(run.folds, flips, strict=True):
        run.fold(name).describe((asked if count == 2 else asked.without_flips()).to_yaml(), ["east", "west"])
    return [Fold(name, (), (), ()) for name in run.folds]


@pytest.mark.parametrize("flips", [(1,), (1, 1), (1, 2)], ids=str)
def test_flips_that_are_asked_for_hold_for_all_folds(tmp_path: Path, flips: tuple[int, ...]) -> None:
    run = RunFolder(tmp_path, [f"fold{number}" for number in range(len(flips))])
    folds = trained_folds(run, flips)
    now = load_run_settings(run.config, ["test.flips=2"])
    asked = Directions.of_run(run, now, folds, {"test.flips"})
    assert {asked.of(now, fold.name).test.flips for fold in folds} == {2}
    where = {1: "", 2: r" in \d of 2 folds \(fold0.*\)"}[len(flips)]
    assert re.fullmatch(f"test.flips=2 mirrors clips, .* trained without flips{where}", asked.notes[0])
    again = Directions.of_run(run, load_run_settings(run.config), folds)
    assert [again.of(load_run_settings(run.config), fold.name).test.flips for fold in folds] == list(flips)
    assert not again.notes


def test_flips_that_are_changed_hold_without_being_named(tmp_path: Path) -> None:
    """By a program that makes the configuration itself."""
    run = RunFolder(tmp_path, ["a", "b"])
    folds = trained_folds(run, (1, 1))
    now = load_run_settings(run.config, ["test.flips=2"])
    assert Directions.of_run(run, now, folds).of(now, "b").test.flips == 2
