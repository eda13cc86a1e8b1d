"""The grid of an ablation, and the demonstration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from PIL import Image

from support.cli import TrainedRun, assert_ok, assert_refused, moclip, sets
from support.run_files import STREAMS, modification_times
from support.tables import read_rows

pytestmark = pytest.mark.usefixtures("quick_exports")


@pytest.mark.usefixtures("grid_in_process")
def test_ablation(generated: Path, trained: TrainedRun, tmp_path: Path) -> None:
    grid = tmp_path / "width.yaml"
    base = tmp_path / "base.yaml"
    settings = ("run.streams=[motion]", "train_motion.epochs=2", f"cache.dir={trained.cache}")
    base.write_text(
        "motion: {segments: 4, grid: [12, 16], flip: 0}\ntest: {flips: 1, crops: 1}\n", encoding="utf-8"
    )
    plan = {"base": "base.yaml", "set": list(settings), "grid": {"motion.width": [8, 12]}}
    plan |= {"seeds": [0, 1], "stream": "motion"}
    grid.write_text(yaml.safe_dump(plan), encoding="utf-8")
    out = tmp_path / "out"
    words = ("ablate", grid, "--root", generated, "--out", out, "--workers", 1, "--json")
    found = assert_ok(moclip(*words)).json
    assert [row["motion.width"] for row in found] == ["8", "12"]
    table = read_rows(out / "table.csv")
    assert [(row["motion.width"], row["seed"]) for row in table] == [
        ("8", "0"),
        ("8", "1"),
        ("12", "0"),
        ("12", "1"),
    ]
    for row in found:
        own = [float(r["top1"]) for r in table if r["motion.width"] == row["motion.width"]]
        assert row["mean"] == pytest.approx(sum(own) / 2)
    assert found[0]["trainable"] < found[1]["trainable"]
    assert "| 8 | motion only (network) |" in (out / "summary.md").read_text(encoding="utf-8")
    with Image.open(out / "plot.png") as picture:
        assert picture.format == "PNG"
    before = modification_times(out / "runs", "*.safetensors")
    assert_ok(moclip(*words))
    assert modification_times(out / "runs", "*.safetensors") == before
    grid.write_text(yaml.safe_dump({**plan, "grid": {"motion.widht": [8]}}), encoding="utf-8")
    assert_refused(moclip(*words), "'motion.width'")


@pytest.mark.usefixtures("small_clip")
def test_demo_says_what_it_is(tmp_path: Path) -> None:
    quick = (
        "data.clips_per_class=4",
        "data.frames=4",
        "train_motion.epochs=1",
        "train_head.epochs=2",
        "run.workers=1",
    )
    outcome = assert_ok(moclip("demo", "--out", tmp_path / "demo", *sets(quick), "--json"))
    assert "RANDOM weights" in outcome.err.splitlines()[0]
    for stream in STREAMS:
        assert set(outcome.json[stream]) >= {"top1", "top5", "per_class", "n"}
    assert len(outcome.json["labels"]) == 20
    assert (tmp_path / "demo" / "motion.png").is_file()
    assert (tmp_path / "demo" / "run" / "onnx" / "model.json").is_file()  # whatever is printed
    table = assert_ok(moclip("demo", "--out", tmp_path / "demo", *sets(quick))).out
    assert "RANDOM" in table
