"""Settings that no part of an experiment looks at are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.ablate.grid import load_ablation
from moclip_lite.datasets import Clip, Fold, VideoDataset, official_folds
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.settings.idle import idle_division, idle_settings, idle_splits

from support.cli import ROOT

SOLVED = "on linear_appearance, linear_pool, whose weights a solver finds"
READ = "on features that are read from a file"

CASES = [
    (["train_head.lr=0.1"], f"train_head.lr has no effect {SOLVED}"),
    (["train_head.epochs=3", "fusion.hidden=8"], "train_head.epochs, fusion.hidden have no effect"),
    (["train_head.lr=0.1", "run.streams=[motion,appearance]"], "no effect on linear_appearance,"),
    (["train_head.cross_fit=3", "train_head.refit=false"], ""),
    (["run.seed=5", "run.seeds=[0,1]"], "run.seed has no effect beside run.seeds"),
    (["run.seed=5"], ""),
    (["train_head.lr=0.1", "fusion.head=concat_mlp"], ""),
    (["train_head.lr=0.1", "fusion.head=logistic_regression"], ""),  # appearance alone is trained by steps
    (["train_head.lr=0.1", "run.streams=[motion]"], ""),
    ([], ""),
    (
        ["train_motion.milestones=[3]"],
        "train_motion.milestones has no effect with train_motion.schedule=cosine",
    ),
    (["train_motion.milestones=[3]", "train_motion.schedule=steps"], ""),
    (["train_motion.epochs=3", "train_motion.max_steps=10"], "train_motion.max_steps has no effect beside"),
    (["train_motion.epochs=3", "train_motion.min_steps=10"], "train_motion.min_steps has no effect beside"),
    (["train_motion.max_steps=10"], ""),
    (["fusion.head=concat_mlp", "train_head.max_steps=10"], "train_head.max_steps has no effect beside"),
    (["fusion.head=concat_mlp", "train_head.max_steps=10", "train_head.epochs=null"], ""),
    (["clip.frames=8", "data.appearance=a.npz"], f"clip.frames has no effect {READ}"),
    (["clip.pooling=max", "clip.normalize=false", "data.appearance=a.npz"], ""),
    (
        ["motion.stride=2", "test.crops=1", "data.kind=features"],
        f"motion.stride, test.crops have no effect {READ}",
    ),
    (["clip.model=RN50", "data.kind=shards"], f"clip.model has no effect {READ}"),
    (["motion.stride=2", "data.kind=shards"], ""),
    (["motion.backend=native", "data.kind=shards"], f"motion.backend has no effect {READ}"),
    (["motion.backend=native"], ""),
    (["motion.crop_side=0.5"], "motion.crop_side has no effect with motion.crop=none"),
    (["motion.crop_side=0.5", "motion.crop=actor"], ""),
    (["motion.width=32", "motion.net=efficientnet_b0"], "motion.width has no effect on efficientnet_b0"),
    (["data.clips_per_class=4"], "data.clips_per_class has no effect on clips that are there"),
    (["data.clips_per_class=4", "data.kind=synthetic"], ""),
    (["data.splits_dir=lists"], "data.splits_dir has no effect without data.kind=ucf101"),
    (["data.buffer=100"], "data.buffer has no effect on videos"),
    (["data.buffer=100", "data.kind=features"], ""),
    (["data.skip_missing=true", "data.kind=synthetic"], "data.skip_missing has no effect"),
    (["data.skip_missing=true", "data.root=https://example.org/clips/"], "data.skip_missing has no effect"),
    (["data.skip_missing=true"], ""),
    (
        ["data.test_fraction=0.5", "data.protocol=kfold"],
        "data.test_fraction has no effect where lists or groups",
    ),
    (["data.test_fraction=0.5"], ""),
    (["test.segments=17"], "test.segments has no effect above motion.segments"),
    (["test.segments=16"], ""),
    (["motion.train_segments=3", "motion.segments=2"], "motion.train_segments has no effect above"),
    (["motion.segments=1"], ""),  # lowers the default of train_segments
    (
        ["train_head.max_steps=40", "train_head.epochs=null"],
        "train_head.epochs, train_head.max_steps have no effect on",
    ),  # and not min_steps beside it
]


@pytest.mark.parametrize(
    ("overrides", "words"), CASES, ids=lambda value: ",".join(value) if isinstance(value, list) else ""
)
def test_settings_without_effect_are_told(overrides: list[str], words: str) -> None:
    found = " / ".join(idle_settings(load_experiment(None, overrides)))
    assert (words in found) if words else not found


@pytest.mark.parametrize(
    ("overrides", "fold", "words"),
    [
        (["data.splits=[2]"], "holdout", "data.splits has no effect on clips without official splits"),
        (["data.splits=[2]", "data.protocol=kfold"], "fold1", "no effect with data.protocol=kfold"),
        (["data.splits=[2]"], "split2", ""),
        ([], "holdout", ""),
    ],
)
def test_splits_without_effect_are_told(overrides: list[str], fold: str, words: str) -> None:
    found = idle_splits(load_experiment(None, overrides), [Fold(fold, (), (), ())])
    assert (words in found[0]) if words else not found


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_experiments_have_none(path: Path) -> None:
    assert not idle_settings(load_experiment(path))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments/ablations").glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_grid_is_told_what_has_no_effect_in_any_cell(path: Path) -> None:
    def sentences(*overrides: str) -> list[str]:
        runs = load_ablation(path, overrides).runs(Path("grid"))
        return idle_settings(*(run.experiment for run in runs))

    assert not sentences()
    assert "data.buffer has no effect on videos; it is for features and shards" in sentences(
        "data.buffer=100"
    )


def _divided(official: bool) -> VideoDataset:
    clips = tuple(Clip(Path(name), name, "a") for name in "abcd")
    parts = {"split1": (frozenset("ab"), frozenset("c"))} if official else {}
    return VideoDataset(Path(), clips, ("a",), parts)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], ""),
        (["data.protocol=official"], ""),
        (["data.protocol=kfold"], ""),
        (["data.protocol=holdout"], "data.protocol=holdout has no effect on clips with official splits"),
        (["data.test_fraction=0.5"], "data.test_fraction has no effect"),
        (
            ["data.protocol=holdout", "data.test_fraction=0.5"],
            "data.protocol=holdout and data.test_fraction have",
        ),
    ],
)
def test_a_holdout_in_vain_is_told(overrides: list[str], words: str) -> None:
    experiment = load_experiment(None, overrides)
    found = idle_division(experiment, _divided(official=True))
    assert found[0].startswith(words) if words else not found
    assert not idle_division(experiment, _divided(official=False))


def test_the_configuration_of_a_run_names_all_settings(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(load_experiment(None).to_yaml())
    assert not idle_division(load_experiment(path), _divided(official=True))


def test_clips_in_no_part_of_a_split_are_told_with_it() -> None:
    [fold] = official_folds(_divided(official=True), 0.5, 0)
    assert fold.notes == ("1 clips are in no part of it and are left out",)
