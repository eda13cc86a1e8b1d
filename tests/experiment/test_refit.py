"""Second fits on training and validation clips, and networks that leave clips out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.datasets import Clip
from moclip_lite.errors import ConfigError, DataError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.fit_notes import fit_notes
from moclip_lite.experiment.fold.features import FoldFeatures
from moclip_lite.experiment.fold.motion_networks import parts_of
from moclip_lite.experiment.fold.training import TrainedModels
from moclip_lite.experiment.session import Session
from moclip_lite.results.fold_result import FoldResult
from moclip_lite.streams import Stream
from moclip_lite.training.checkpoint import weights_digest

from support.cli import FOLDER_YAML, QUICK, assert_ok, moclip, sets


def clips(count: int, groups: int) -> list[Clip]:
    return [Clip(Path("x"), f"{i}.mp4", "ab"[i % 2], f"g{i % groups}") for i in range(count)]


@pytest.mark.parametrize("count", [2, 3, 10])
def test_parts_hold_each_clip_once_and_keep_groups_together(count: int) -> None:
    known = clips(30, 5)
    parts = parts_of(known, count, 0)
    assert len(parts) == min(count, 5)
    assert sorted(c.name for part in parts for c in part) == sorted(c.name for c in known)
    groups = [{c.group for c in part} for part in parts]
    assert sum(map(len, groups)) == 5
    assert parts == parts_of(known, count, 0)


def test_no_part_and_too_few_groups() -> None:
    assert parts_of(clips(8, 4), 0, 0) == []
    with pytest.raises(DataError, match="cross_fit"):
        parts_of(clips(8, 1), 2, 0)


def test_one_part_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        load_experiment(None, ["train_head.cross_fit=1"])


@pytest.mark.parametrize(
    ("value", "clips", "expected"),
    [("auto", 2000, True), ("auto", 2001, False), ("true", 9000, True), ("false", 3, False)],
)
def test_when_to_fit_again(value: str, clips: int, expected: bool) -> None:
    experiment = load_experiment(
        None, [f"{section}.refit={value}" for section in ("train_motion", "train_head")]
    )
    assert experiment.train_motion.refits(clips) is expected
    assert experiment.train_head.refits(clips) is expected


@pytest.fixture(scope="module")
def session(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Generated clips, a tiny motion network."""
    folder = tmp_path_factory.mktemp("refit")
    places = (f"data.root={generated}", f"run.dir={folder / 'run'}", f"cache.dir={folder / 'cache'}")
    return Session(load_experiment(FOLDER_YAML, [*QUICK, "train_motion.epochs=2", *places]))


@pytest.fixture(scope="module")
def models(session: Session) -> TrainedModels:
    """Trained on the training clips, then on validation clips too."""
    fold = session.folds[0]
    models = TrainedModels(
        FoldFeatures(session, fold, session.extraction), session.run_folder.fold(fold.name)
    )
    models.features.use_network(models.motion_network())
    return models


def test_the_network_that_answers_is_not_the_one_that_chooses(models: TrainedModels) -> None:
    assert models._networks is not None
    networks = models._networks.left_out(2)
    digests = {weights_digest(network) for network, _ in networks}
    assert len(digests | {models.features.network_digest}) == 4
    fold = models.features.fold
    assert networks[0].clips == {clip.name for clip in fold.val}
    left = [name for _, names in networks for name in names]
    assert sorted(left) == sorted(clip.name for clip in (*fold.train, *fold.val))
    assert models.result.refitted == {Stream.MOTION}
    assert set(models.result.training) == {"motion"}
    assert "accuracy" in models.result.training["motion"]["history"][0]


def test_validation_scores_are_of_the_network_that_chose(models: TrainedModels) -> None:
    assert models._networks is not None
    network, names = models._networks.left_out(0)[0]
    scores = models.validation_scores(Stream.MOTION)
    assert scores is not None
    assert scores.shape == (len(names), len(models.features.labels))
    clips = models.features.clips("val", motion=True)
    mine = models.features.motion(network, clips, digest=weights_digest(network)).scores
    np.testing.assert_array_equal(scores, np.stack([mine[clip.name] for clip in clips]))


def test_a_second_fit_has_the_length_that_validation_found(models: TrainedModels) -> None:
    """It is found again: in the run folder, by its fingerprint, of which the length is a part."""
    session = models.session
    fold = session.folds[0]
    again = TrainedModels(FoldFeatures(session, fold, session.extraction), session.run_folder.fold(fold.name))
    assert weights_digest(again.motion_network()) == models.features.network_digest


def test_without_refit_nothing_is_trained_twice(generated: Path, tmp_path: Path) -> None:
    places = (f"data.root={generated}", f"run.dir={tmp_path / 'run'}", f"cache.dir={tmp_path / 'cache'}")
    words = ("run", FOLDER_YAML, *sets((*QUICK, "train_motion.epochs=1", *places)))
    plain = assert_ok(moclip(*words, "--set", "train_motion.refit=false"))
    assert "without validation" not in plain.err
    said = assert_ok(moclip("evaluate", tmp_path / "run", "--part", "val")).err
    assert "trained on these validation clips too" not in said
    both = assert_ok(moclip(*words))
    assert "motion: trained 1 epochs without validation" in both.err
    notes = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))["choices"]
    assert any("the motion network" in note and "refit" in note for note in notes)
    said = assert_ok(moclip("evaluate", tmp_path / "run", "--part", "val")).err
    assert "trained on these validation clips too" in said


def test_notes_tell_the_weights_of_the_pool() -> None:
    pools = [
        {"motion": {"weight": w, "C": 0.01}, "appearance": {"weight": 0.25, "C": 0.1}} for w in (0.5, 0.75)
    ]
    results = [
        FoldResult(str(i), training={"fusion": {"pool": pool, "held_out": 20}})
        for i, pool in enumerate(pools)
    ]
    (note,) = fit_notes(results)
    assert "motion 0.5 to 0.75 (C 0.01) and appearance 0.25 (C 0.1), over 2 folds" in note
    assert "20 clips that were held out" in note
    results[0].refitted = {Stream.MOTION, Stream.FUSION}
    assert "the motion network and the heads were trained again" in fit_notes(results)[0]
    assert "in 1 of 2 folds" in fit_notes(results)[0]
    assert fit_notes([FoldResult("a")]) == []
