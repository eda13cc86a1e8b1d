"""What the tests of complete runs look at in a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STREAMS = ("motion", "appearance", "fusion")
LABELS = ["bricks_pan_left", "bricks_rotate", "water_pan_left", "water_rotate"]
"""Classes of the generated clips."""


def read_metrics(folder: Path) -> dict[str, Any]:
    """The metrics of a run folder."""
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def modification_times(folder: Path, pattern: str = "*") -> dict[str, int]:
    """File name -> nanoseconds of its last change, of all files below a folder."""
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob(pattern) if path.is_file()}
