"""Training on several encodings of the same clips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from moclip_lite.errors import ConfigError, DataError
from moclip_lite.experiment.config import Experiment, load_experiment
from moclip_lite.experiment.fold.features import FoldFeatures
from moclip_lite.experiment.session import Session
from moclip_lite.motion.augment import RandomView
from moclip_lite.motion.batches import Batches, MotionFeed
from moclip_lite.motion.store import MotionStore

from support.clips import H264, WITH_B, encode, panning

OPTIONS = {"gop12": H264, "gop250_b2": {**WITH_B, "g": "250"}, "gop4": {**H264, "g": "4"}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    for recipe, options in OPTIONS.items():
        for label, step in (("left", (-3, 0)), ("up", (0, -3))):
            for number in range(6):
                path = folder / recipe / label / f"{label}_{number}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                encode(path, panning(12 + number, 64, 64, step=step), **options)
    return folder


def experiment(root: Path, *more: str) -> Experiment:
    settings = ("motion.segments=2", "motion.frames=2", "motion.grid=[4,4]", "run.workers=1")
    return load_experiment(None, [f"data.root={root}", "run.streams=[motion]", *settings, *more])


def features(root: Path, *more: str) -> FoldFeatures:
    session = Session(experiment(root, *more))
    return FoldFeatures(session, session.folds[0], session.extraction)


BOTH = ("data.recipe=gop12", "data.train_recipes=[gop12,gop250_b2,gop4]")


def test_each_training_clip_is_read_in_every_recipe_and_test_clips_in_their_own(root: Path) -> None:
    made = features(root, *BOTH)
    store, fold = made.training_store, made.fold
    for clip in (*fold.train, *fold.val):
        assert store.encodings(clip) == 3
        own, *others = (store.motion(clip, encoding) for encoding in range(3))
        np.testing.assert_array_equal(own, made.store.motion(clip))
        for name, other in zip(("gop250_b2", "gop4"), others, strict=True):
            alone = features(root, f"data.recipe={name}")
            np.testing.assert_array_equal(other, alone.store.motion(replace(clip, path=Path("unread"))))
    assert all(store.encodings(clip) == 1 for clip in fold.test)


def test_without_recipes_nothing_else_is_read(root: Path) -> None:
    made = features(root, "data.recipe=gop12")
    assert made.training_store is made.store


def test_what_other_recipes_hold_decides_the_fingerprints(root: Path) -> None:
    one, all_three = features(root, "data.recipe=gop12"), features(root, *BOTH)
    two = features(root, "data.recipe=gop12", "data.train_recipes=[gop4]")
    clip = two.fold.train[0]
    assert two.training_store.encodings(clip) == 1  # the tested recipe takes part only where it is listed
    assert [source.path.relative_to(root).parts[0] for source, _ in two.session.encodings[clip.name]] == [
        "gop4"
    ]
    prints = {made.fingerprint("x") for made in (one, two, all_three)}
    runs = {made.session.fingerprint for made in (one, two, all_three)}
    assert len(prints) == len(runs) == 3


def test_epochs_draw_encodings_and_views_do_not_depend_on_them() -> None:
    """Clips whose motion is their encoding's number: over epochs each encoding is drawn, each about as often."""
    from moclip_lite.datasets import Clip

    clips = [Clip(Path("x"), f"{number}", "ab"[number % 2]) for number in range(8)]

    class Numbers(MotionStore):
        segments = 2

        def __init__(self, count: int) -> None:
            self.count = count

        def encodings(self, clip: Clip) -> int:
            return self.count

        def motion(self, clip: Clip, encoding: int = 0) -> np.ndarray:  # type: ignore[type-arg]
            return np.full((2, 1, 2, 4, 4), encoding, np.float16)

    def draws(count: int) -> tuple[list[float], list[list[int]]]:
        plain = RandomView(flip=0, min_side=1, speed=1)
        feed = MotionFeed(Numbers(count), clips, clips, "ab", Batches(plain, segments=1, size=4, seed=3))
        values: list[float] = []
        labels: list[list[int]] = []
        for epoch in range(60):
            for (motion,), targets in feed.train_batches(epoch):
                values += motion[:, 0, 0, 0, 0, 0].tolist()
                labels.append(targets.tolist())
        return values, labels

    values, order = draws(3)
    counts = torch.bincount(torch.tensor(values).long(), minlength=3)
    assert counts.min() > 120  # of 480
    assert draws(1)[1] == order
    assert set(draws(1)[0]) == {0.0}


def test_recipes_without_the_clips_are_refused_and_missing_clips_are_told(root: Path, tmp_path: Path) -> None:
    for source in root.rglob("gop12/*/*.mp4"):
        target = tmp_path / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        if source.name.endswith("_1.mp4"):  # one clip of each class in the other recipe
            copy = tmp_path / "gop4" / source.relative_to(root / "gop12")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((root / "gop4" / source.relative_to(root / "gop12")).read_bytes())
        other = tmp_path / "gop9" / source.parent.name / "other.mp4"
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(source.read_bytes())
    warnings: list[str] = []
    reporter = SimpleNamespace(say=len, warn=warnings.append, progress=lambda *words: None)
    settings = experiment(tmp_path, "data.recipe=gop12", "data.train_recipes=[gop4]")
    encodings = Session(settings, reporter).encodings  # type: ignore[arg-type]
    assert {len(others) for others in encodings.values()} <= {0, 1}
    assert any("training clips are missing" in text for text in warnings)
    bad = experiment(tmp_path, "data.recipe=gop12", "data.train_recipes=[gop9]")
    with pytest.raises(DataError, match="none of the clips"):
        _ = Session(bad).encodings


def test_recipes_to_train_on_need_the_one_to_test_on(root: Path) -> None:
    with pytest.raises(ConfigError, match="name it too"):
        experiment(root, "data.train_recipes=[gop4]")
    with pytest.raises(ConfigError, match="twice"):
        experiment(root, "data.recipe=gop4", "data.train_recipes=[gop4,gop4]")
