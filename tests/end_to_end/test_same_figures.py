"""One figure for one thing, wherever it is printed: metrics.json, the report, compare and ablate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from moclip_lite.ablate import load_ablation, run_ablation
from moclip_lite.progress import Silent
from moclip_lite.streams import Stream

from support.cli import FOLDER_YAML, QUICK, assert_ok, class_folders, moclip


@pytest.mark.usefixtures("grid_in_process", "no_drawings")
def test_folds_with_groups_have_the_same_figures_everywhere(tmp_path: Path) -> None:
    quick = [setting for setting in QUICK if not setting.startswith("train_motion.epochs=")]  # the grid's
    settings = [
        *quick, f"data.root={class_folders(tmp_path / 'data', per_class=8)}", f"cache.dir={tmp_path / 'cache'}",
        "data.group_pattern='(p[0-9])'", "data.protocol=leave-one-group-out",
    ]  # fmt: skip
    grid = {"base": str(FOLDER_YAML), "set": settings, "stream": "motion", "seeds": [0]}
    file = tmp_path / "g.yaml"
    file.write_text(yaml.safe_dump({**grid, "grid": {"train_motion.epochs": [1, 4]}}), encoding="utf-8")
    ablation = load_ablation(file)
    found = run_ablation(ablation, tmp_path / "out", Silent(), 1)
    assert not found.failures
    folders = [ablation.experiment(cell, 0, tmp_path / "out").run.dir for cell in ablation.cells()]
    metrics = [json.loads((f / "metrics.json").read_text(encoding="utf-8"))["motion"] for f in folders]
    compared = assert_ok(moclip("compare", *folders, "--json")).json

    summary = found.summary[found.summary["stream"] == "motion"]
    for place, (folder, own) in enumerate(zip(folders, metrics, strict=True)):
        assert own["n"] == 16
        assert compared["runs"][place]["motion"] == own
        row = summary.iloc[place]
        assert row["mean"] == pytest.approx(own["top1"])
        assert (row["low"], row["high"]) == pytest.approx(tuple(own["ci95"]))
        report = (folder / "report.md").read_text(encoding="utf-8")
        line = next(x for x in report.splitlines() if x.startswith(f"| {Stream.MOTION.words} |"))
        shown = [cell.strip() for cell in line.strip("|").split("|")]
        low, high = own["ci95"]
        assert shown[1:4] == [f"{own['top1']:.1f}", f"{low:.1f} to {high:.1f}", f"{own['macro']:.1f}"]

    (difference,) = (d for d in compared["differences"] if d["stream"] == "motion")
    row = found.differences.iloc[0]
    value, low, high = (difference["points"][name] for name in ("value", "low", "high"))
    assert value == pytest.approx(metrics[1]["top1"] - metrics[0]["top1"])
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((value, low, high))
