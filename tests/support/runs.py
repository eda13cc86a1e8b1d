"""Run folders with random predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from moclip_lite.experiment.config import Experiment
from moclip_lite.results.metrics import plain, score
from moclip_lite.results.read import Run, load_run


def made_run(folder: Path, labels: list[str], clips: int = 4, folds: int = 1, right: float = 0.7) -> Run:
    """Make a finished run folder with random predictions of motion, appearance and fusion."""
    rng = np.random.default_rng(len(labels))
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(Experiment().to_yaml(), encoding="utf-8")
    truth = np.repeat(np.arange(len(labels)), clips).astype(np.int64)
    metrics: dict[str, Any] = {
        "labels": labels,
        "folds": [f"f{i}" for i in range(folds)],
        "notes": [],
        "failures": [],
        "seconds": {"train": 1.5},
        "costs": {"fusion": {"parameters": 2e6, "trainable": 5e5, "gflops": 3.25}},
        "appearance_weights": "none",
    }
    for i, stream in enumerate(("motion", "appearance", "fusion")):
        scores = rng.random((len(truth), len(labels))).astype(np.float32)
        scores[np.arange(len(truth)), truth] += np.where(rng.random(len(truth)) < right + 0.1 * i, 2, 0)
        scores /= scores.sum(axis=1, keepdims=True)
        metrics[stream] = plain(score(scores, truth, labels))
        if folds > 1:
            metrics[stream]["folds_top1"] = [metrics[stream]["top1"]] * folds
        with (folder / f"predictions_{stream}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["clip", "label", "predicted", "score"])
            for n, row in enumerate(scores):
                best = int(row.argmax())
                writer.writerow(
                    [f"{labels[truth[n]]}/{n}.mp4", labels[truth[n]], labels[best], float(row[best])]
                )
    (folder / "metrics.json").write_text(json.dumps(metrics))
    history = [
        {"epoch": e, "loss": 2 / (e + 1), "val_loss": 3 / (e + 1), "accuracy": 10.0 * e, "lr": 0.1}
        for e in range(5)
    ]
    training = {stage: {"history": history, "best_epoch": 4} for stage in ("motion", "appearance", "fusion")}
    for fold in [folder] if folds == 1 else [folder / "folds" / f"f{i}" for i in range(folds)]:
        fold.mkdir(parents=True, exist_ok=True)
        (fold / "training.json").write_text(json.dumps(training))
    return load_run(folder)
