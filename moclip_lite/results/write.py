"""What a run leaves behind: metrics, predictions, confusion matrices and the report."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..storage.files import write_json, write_text
from .confusion import save_confusion_csv, save_confusion_png
from .metrics import confusion_matrix, score_folds
from .read import STREAMS, read_run
from .report import write_report
from .statistics import units_of
from .tensorboard import write_events

__all__ = ["FoldResult", "add_encoder_cost", "join_folds", "write_results"]

NamedScores = tuple[list[str], npt.NDArray[np.float32]]


@dataclass
class FoldResult:
    """What one fold gave.

    Attributes:
        fold: its name.
        scores: stream -> (names of test clips, class probabilities [N, C]).
        training: stage -> history of its training.
        seconds: stage -> wall time.
        costs: stream -> parameters and operations.
        notes: what a reader should know.
    """

    fold: str
    scores: dict[str, NamedScores] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    costs: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def _numbers(clips: Sequence[Clip], labels: Sequence[str]) -> dict[str, int]:
    number = {label: i for i, label in enumerate(labels)}
    return {clip.name: number[clip.label] for clip in clips}


def join_folds(results: Sequence[FoldResult], clips: Sequence[Clip], labels: Sequence[str]) -> dict[str, Any]:
    """Scores by stream (over the tests of all folds), training times and costs."""
    truth = _numbers(clips, labels)
    group = {clip.name: clip.group for clip in clips}
    out: dict[str, Any] = {}
    for stream in STREAMS:
        found = [result.scores[stream] for result in results if stream in result.scores]
        if found:
            tested = [name for names, _ in found for name in names]
            each = [(scores, np.array([truth[n] for n in names], np.int64)) for names, scores in found]
            out[stream] = score_folds(each, labels, units_of(tested, [group[name] for name in tested]))
    stages = sorted({stage for r in results for stage in r.seconds})
    out["seconds"] = {stage: sum(r.seconds.get(stage, 0.0) for r in results) for stage in stages}
    out["costs"] = dict(results[0].costs)
    return out


def add_encoder_cost(metrics: dict[str, Any], frame: dict[str, Any], frames: int) -> None:
    """Add CLIP's share to the streams that see pictures, and motion's to the fusion."""
    costs = metrics["costs"]
    for stream in ("appearance", "fusion", "appearance_frame", "zero_shot"):
        if stream not in costs:
            continue
        total = dict(costs[stream])
        total["parameters"] += frame["parameters"]
        for key in ("gflops", "latency_ms"):
            total[key] += (1 if stream == "appearance_frame" else frames) * frame.get(key, 0.0)
        if stream == "fusion" and "motion" in costs:
            for key in ("parameters", "trainable", "gflops", "latency_ms"):
                total[key] += costs["motion"][key]
        costs[stream] = total


def write_results(
    folder: Path,
    metrics: dict[str, Any],
    results: Sequence[FoldResult],
    clips: Sequence[Clip],
    labels: Sequence[str],
) -> None:
    """Write the run folder's results; metrics.json last: where it stands, the run is complete.

    Predictions name the group of each clip that the split was cut by, and the fold that tested it.
    """
    truth = _numbers(clips, labels)
    for stream in STREAMS:
        parts = [r.scores[stream] for r in results if stream in r.scores]
        if not parts:
            continue
        names = [name for part, _ in parts for name in part]
        scores = np.concatenate([s for _, s in parts])
        confusion = confusion_matrix(scores, np.array([truth[n] for n in names], np.int64))
        save_confusion_csv(folder / f"confusion_{stream}.csv", confusion, labels)
        title = f"{stream}: {metrics[stream]['top1']:.1f} % top-1"
        save_confusion_png(folder / f"confusion_{stream}.png", confusion, labels, title)
        folds = [r.fold for r in results for _ in r.scores.get(stream, ([],))[0]]
        groups = {clip.name: clip.group or "" for clip in clips}
        rows = [(name, groups[name], fold) for name, fold in zip(names, folds, strict=True)]
        _write_predictions(folder / f"predictions_{stream}.csv", rows, scores, truth, labels)
    run = read_run(folder, metrics, [stream for stream in STREAMS if stream in metrics])
    write_report(run, {clip.name: clip.path for clip in clips})
    write_events(run)
    write_json(folder / "metrics.json", metrics)


def _write_predictions(
    path: Path,
    tested: Sequence[tuple[str, str, str]],
    scores: npt.NDArray[np.float32],
    truth: dict[str, int],
    labels: Sequence[str],
) -> None:
    """A row per test; `tested` holds the clip, its group ("" where it has none) and the fold."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "label", "predicted", "score", "group", "fold"])
    for (name, group, fold), row in zip(tested, scores, strict=True):
        best = int(row.argmax())
        writer.writerow([name, labels[truth[name]], labels[best], f"{row[best]:.4f}", group, fold])
    write_text(path, text.getvalue())
