"""Choice and pooling of frames from training to export: predict and evaluate answer as the run did."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from support.cli import FOLDER_YAML, MOTION_ONLY, assert_ok, class_folders, moclip, sets

pytestmark = pytest.mark.usefixtures("quick_exports")

COMMON = (
    *MOTION_ONLY,
    "clip.model=timm:test_resnet",
    "clip.pretrained=none",
    "clip.frames=3",
    "train_motion.epochs=1",
    "train_head.epochs=2",
    "run.device=cpu",
    "data.test_fraction=0.5",
)
CASES = {
    "linear": ("clip.positions=motion", "clip.pooling=mean_max", "clip.crop_borders=true"),
    "weighted": ("clip.pooling=motion", "run.streams=[appearance]"),
    "attention": ("clip.positions=motion", "clip.pooling=timed", "fusion.head=frame_attention"),
}


@pytest.mark.parametrize("case", CASES)
def test_predict_and_evaluate_answer_as_the_run_did(case: str, tmp_path: Path) -> None:
    data, run = class_folders(tmp_path / "data", per_class=6, frames=14), tmp_path / "run"
    places = (f"data.root={data}", f"run.dir={run}", f"cache.dir={tmp_path / 'cache'}")
    assert_ok(moclip("run", FOLDER_YAML, *sets([*COMMON, *CASES[case], *places])))
    metrics = json.loads((run / "metrics.json").read_text())
    stream = "fusion" if "fusion" in metrics else "appearance"
    assert metrics["appearance_weights"] == "timm:test_resnet, RANDOM weights"
    assert "zero_shot" not in metrics
    with (run / f"predictions_{stream}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answers = moclip("predict", *(data / row["clip"] for row in rows), "--model", run, "--json").json
    for row, answer in zip(rows, answers, strict=True):
        first = answer["streams"][stream][0]
        assert first["label"] == row["predicted"]
        assert first["score"] == pytest.approx(float(row["score"]), abs=2e-4)
    again = assert_ok(moclip("evaluate", run, "--json")).json
    assert again[stream]["top1"] == metrics[stream]["top1"]
    assert_ok(moclip("extract", "features", run, "--out", tmp_path / "features.safetensors"))
    if case == "attention":
        assert_ok(moclip("export", run, "--out", tmp_path / "onnx"))
        described = json.loads((tmp_path / "onnx" / "model.json").read_text())
        assert "pooled by clip.pooling" in described["pooling"]
