"""Grids of two heads, and made-up results of their runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from moclip_lite.ablate import Ablation
from moclip_lite.ablate.grid import GridRun
from moclip_lite.storage.files import write_json, write_text


def grid(path: Path, **values: Any) -> Path:
    path.write_text(yaml.safe_dump({"grid": {"fusion.head": ["concat_mlp", "film"]}, **values}))
    return path


def fingerprint_of(run: GridRun) -> str:
    """The fingerprint of a made-up run."""
    return f"of {run.words}"


def fake_runs(
    ablation: Ablation, out: Path, right: dict[str, float], clips: int = 400, groups: int = 0
) -> list[GridRun]:
    """Finished runs whose heads are right with the given probability, independently of each other."""
    runs = ablation.runs(out)
    for cell, seed, experiment in runs:
        rng = np.random.default_rng([seed, sum(map(ord, str(cell)))])
        hits = rng.random(clips) < right[cell["fusion.head"]]
        group = [f"g{i % groups}" if groups else "" for i in range(clips)]
        rows = [f"c{i},a,{'a' if hit else 'b'},1.0,{group[i]},holdout" for i, hit in enumerate(hits)]
        write_text(
            experiment.run.dir / "predictions_fusion.csv",
            "\n".join(["clip,label,predicted,score,group,fold", *rows]),
        )
        top1 = 100 * float(hits.mean())
        fusion = {"top1": top1, "top5": top1, "macro": top1, "n": clips, "ci95": [0.0, 100.0]}
        metrics = {"fusion": fusion | {"per_class": {}}, "costs": {}, "folds": ["holdout"]}
        own = {"fingerprint": fingerprint_of(runs[0]._replace(cell=cell, seed=seed))}
        write_json(experiment.run.dir / "metrics.json", metrics | own)
    return runs
