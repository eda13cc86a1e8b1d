"""What a prediction costs stands in metrics.json, the report and its printed line."""

from __future__ import annotations

import pytest

from moclip_lite import Classifier
from moclip_lite.results.metrics import Metrics
from moclip_lite.results.prediction_cost import PredictionCost

from support.cli import TrainedRun
from support.run_files import read_metrics


def test_a_run_says_what_a_prediction_costs(trained: TrainedRun) -> None:
    metrics = read_metrics(trained.folder)
    cost = Metrics.from_json(metrics).prediction
    assert cost is not None
    stages = {"reading motion", "motion network", "reading pictures", "image encoder", "heads"}
    assert set(cost.cpu_ms) == stages
    assert all(value >= 0 for value in cost.cpu_ms.values())
    assert sum(cost.cpu_ms.values()) > 0
    fusion = metrics["costs"]["fusion"]["gflops"]
    assert abs(sum(cost.gflops.values()) - fusion) < 0.05 * fusion
    for name in ("report.html", "report.md"):
        assert "ms of CPU a clip" in (trained.folder / name).read_text(encoding="utf-8")


def test_the_line_names_stages_networks_and_the_share_of_the_cascade() -> None:
    cost = PredictionCost(
        "onnx", 3, {"reading motion": 70.4, "image encoder": 375}, {"image encoder": 23.58}, 0.34
    )
    assert cost.words == (
        "A prediction takes 445 ms of CPU a clip (reading motion 70, image encoder 375; engine onnx, 3 clips, start-up "
        "aside) and 23.6 GFLOPs (image encoder 23.6); with --cascade 34 % of the validation clips need pictures."
    )


def test_costs_follow_the_views_and_frames_asked_for(trained: TrainedRun) -> None:
    own = Classifier.load(trained.folder).costs
    more = Classifier.load(trained.folder, overrides=["test.crops=3", "test.flips=2", "clip.frames=2"]).costs
    assert own.motion is not None
    assert more.motion == pytest.approx(6 * own.motion)
    assert more.frame == own.frame  # of one frame
