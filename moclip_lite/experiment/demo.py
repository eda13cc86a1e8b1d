"""The offline demonstration: generated clips through the whole pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mv_tools import MotionDecoder, visualize

from ..datasets.synthetic.clips import MOTIONS, TEXTURES
from ..errors import require_packages
from ..extras import TRAINING
from ..progress import Reporter
from ..results.metrics import Metrics
from .config import Experiment, load_experiment
from .run import run_experiment
from .session import Session

__all__ = ["FIRST_LINE", "demo_experiment", "run_demo"]

FIRST_LINE: Final = (
    "Demo on generated clips: CLIP runs with RANDOM weights here, so that nothing is downloaded; "
    "textures are simple enough for it."
)

_SETTINGS: Final = (
    "data.kind=synthetic",
    "clip.model=ViT-S-32",
    "clip.pretrained=none",
    "clip.frames=1",
    "motion.segments=4",
    "motion.grid=[12,16]",
    # Left and right are classes here: a mirrored clip would be another class.
    "motion.flip=0",
    "test.flips=1",
    "motion.train_segments=4",
    "train_motion.epochs=30",
)


def demo_experiment(out: Path, overrides: tuple[str, ...] = ()) -> Experiment:
    """The demo's configuration below a folder."""
    place = (f"data.root={out / 'clips'}", f"run.dir={out / 'run'}", f"cache.dir={out / 'cache'}")
    return load_experiment(None, [*_SETTINGS, *place, *overrides])


def run_demo(out: Path, reporter: Reporter, overrides: tuple[str, ...] = ()) -> tuple[Metrics, Session]:
    """Generate, extract, train, test, and draw one clip's motion.

    Returns:
        (the content of the run's metrics.json, its session).

    Raises:
        MissingPackage: a package that training needs is not installed.
    """
    require_packages((*TRAINING, "open_clip"))
    session = Session(demo_experiment(out, overrides), reporter)
    reporter.say(
        f"{len(TEXTURES)} textures x {len(MOTIONS)} motions = {len(session.dataset.labels)} classes, "
        f"{len(session.dataset.clips)} H.264 clips in {out / 'clips'}"
    )
    clip = next(c for c in session.dataset.clips if c.label.endswith("rotate"))
    decoder = MotionDecoder(clip.path)
    reporter.say(f"motion of {clip.name} through {decoder.backend}: {decoder[len(decoder) // 2]}")
    picture = visualize.save_png(clip.path, out / "motion.png", len(decoder) // 2)
    reporter.say(f"drawn in {picture}")
    metrics = run_experiment(session)
    return metrics, session
