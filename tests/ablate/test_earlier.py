"""Grids in a folder with results of other settings."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from moclip_lite.ablate import load_ablation, run_ablation
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.progress import Silent

from support.features import labelled_features

pytestmark = pytest.mark.usefixtures("no_drawings")


class _Said(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.slow
@pytest.mark.usefixtures("grid_in_process")
def test_a_grid_of_another_base_says_once_that_earlier_runs_are_replaced(tmp_path: Path) -> None:
    """Before the cells start; neither the first time nor where the runs are finished already."""
    file, out = tmp_path / "f.safetensors", tmp_path / "out"
    save_features(file, *labelled_features()[:3])
    fixed = [f"data.root={file}", "data.kind=features", f"cache.dir={tmp_path / 'c'}", "run.streams=[fusion]"]

    def said(epochs: int) -> list[str]:
        settings = [*fixed, f"train_head.epochs={epochs}"]
        reporter = _Said()
        values = {"grid": {"fusion.head": ["concat_mlp", "film"]}, "seeds": [0, 1], "set": settings}
        (tmp_path / "g.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        run_ablation(load_ablation(tmp_path / "g.yaml"), out, reporter, 1)
        start = next(i for i, text in enumerate(reporter.said) if text.startswith("4 runs in"))
        assert not any("removed" in text for text in reporter.said[start:])
        return [text for text in reporter.said[:start] if "removed" in text]

    assert said(1) == []
    assert said(1) == []
    assert said(2) == [
        f"{out}: the results of 4 earlier runs are removed (train_head.epochs was 1, now 2); "
        "another --out keeps them"
    ]
    assert said(2) == []
