"""A small data set for searches of settings.

PYTEST_DONT_REWRITE: helpers that test modules import by name.
"""

from __future__ import annotations

from pathlib import Path

from moclip_lite.experiment.config import Experiment, load_experiment

from support.clips import H264, encode, panning

STEPS = {"left": (-3, 0), "up": (0, -3)}


def clips(folder: Path, count: int = 8) -> Path:
    """Clips of two classes that differ in their direction."""
    for label, (x, y) in STEPS.items():
        for number in range(count):
            path = folder / label / f"p{number}_{label}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            encode(path, panning(10 + number, 64, 64, step=(x, y)), **H264)
    return folder


def experiment(root: Path, *more: str) -> Experiment:
    """Few and short trainings of a small network."""
    return load_experiment(
        None,
        [
            f"data.root={root}",
            r"data.group_pattern=^(p\d+)_",
            "motion.segments=2",
            "motion.frames=2",
            "motion.grid=[4,4]",
            "motion.width=4",
            "motion.flip=0",
            "train_motion.epochs=4",
            "train_motion.batch=4",
            "run.workers=1",
            *more,
        ],
    )
