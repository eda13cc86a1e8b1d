"""What a prediction costs stands in metrics.json, the report and its printed line."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite import Classifier
from moclip_lite.engine.files import SECTIONS
from moclip_lite.experiment.config import load_experiment
from moclip_lite.predict.costs import PredictionCosts
from moclip_lite.results.metrics import Metrics
from moclip_lite.results.prediction_cost import PredictionCost
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.storage.files import write_json

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


def test_costs_count_the_views_in_use_where_the_configuration_was_edited(
    trained: TrainedRun, tmp_path: Path
) -> None:
    """Runs of older versions do not say what they counted: then ONNX files of other settings give it away."""
    own = Classifier.load(trained.folder).costs
    assert own.motion is not None
    folder = trained.copy(tmp_path / "run")
    config = folder / "config.yaml"
    experiment = load_experiment(config)
    written = {"settings": experiment.model_dump(mode="json", include=set(SECTIONS))}
    config.write_text(config.read_text().replace("segments: 4", "segments: 8"))
    edited = load_experiment(config)
    assert edited.motion.segments == 2 * experiment.motion.segments
    assert PredictionCosts.of(RunFolder(folder), edited).motion == 2 * own.motion
    metrics = read_metrics(folder)
    assert metrics.pop("counted") == {"views": experiment.views, "frames": experiment.clip.frames}
    write_json(folder / "metrics.json", metrics)
    (folder / "onnx").mkdir()
    write_json(folder / "onnx" / "model.json", {"made_from": written})
    assert PredictionCosts.of(RunFolder(folder), edited) == PredictionCosts(None, None)
    config.write_text(experiment.to_yaml())
    assert PredictionCosts.of(RunFolder(folder), experiment) == own
