"""Settings that no part of an experiment looks at are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.idle_settings import idle_settings

from support.cli import ROOT


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train_head.lr=0.1"], "train_head.lr has no effect on linear_appearance, linear_pool"),
        (["train_head.epochs=3", "fusion.hidden=8"], "train_head.epochs, fusion.hidden have no effect"),
        (["train_head.lr=0.1", "run.streams=[motion,appearance]"], "no effect on linear_appearance,"),
        (["train_head.cross_fit=3", "train_head.refit=false"], ""),
        (["train_head.lr=0.1", "fusion.head=concat_mlp"], ""),
        (
            ["train_head.lr=0.1", "fusion.head=logistic_regression"],
            "",
        ),  # appearance alone is trained by steps
        (["train_head.lr=0.1", "run.streams=[motion]"], ""),
        ([], ""),
    ],
)
def test_settings_without_effect_on_solved_heads(overrides: list[str], words: str) -> None:
    found = idle_settings(load_experiment(None, overrides))
    assert (words in found) if words else not found


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_experiments_have_none(path: Path) -> None:
    assert not idle_settings(load_experiment(path))
