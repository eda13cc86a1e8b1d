"""CPU time of training the motion network on as many clips as UCF101's split 1 has, from generated features.

    python benchmarks/motion_training.py [--steps 6] [--clips 9537] [--experiment experiments/motion_small.yaml]

A few steps and validation clips are timed in CPU seconds of one thread, which other work on the machine changes little;
the whole training is their multiple. "Before" is the training of version 0.1.0: 60 passes, four windows a clip,
float32, tensors in torch's default format, 16 windows of every validation clip after each pass.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from moclip_lite.datasets import Clip
from moclip_lite.experiment.config import load_experiment
from moclip_lite.motion.batches import Batches, MotionFeed
from moclip_lite.motion.network import build_motion_net
from moclip_lite.motion.scores import motion_scores
from moclip_lite.motion.settings import MotionSettings, ViewSettings
from moclip_lite.motion.store import MotionStore
from moclip_lite.training.classification import fit
from moclip_lite.training.schedule import plan_epochs
from moclip_lite.training.settings import TrainSettings

CLASSES = 101
VAL_FRACTION = 0.2
CPU = torch.device("cpu")


class Generated(MotionStore):
    """Random motion in the cache's format; 64 different clips."""

    def __init__(self, motion: MotionSettings) -> None:
        self._spec = motion
        rng = np.random.default_rng(0)
        values = rng.normal(0, 1, (64, *motion.shape)).astype(np.float16)
        self._values = np.round(values * 8) / np.float16(8)

    def motion(self, clip: Clip, encoding: int = 0) -> npt.NDArray[np.float16]:
        return np.asarray(self._values[int(clip.name) % len(self._values)])

    def encodings(self, clip: Clip) -> int:
        return 1


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def minutes(motion: MotionSettings, settings: TrainSettings, clips: int, steps: int, before: bool) -> float:
    """CPU minutes of a training, from `steps` steps and 32 validation clips."""
    train, val = round(clips * (1 - VAL_FRACTION)), round(clips * VAL_FRACTION)
    network = build_motion_net(motion, CLASSES)
    if before:
        network = network.to(memory_format=torch.contiguous_format)
    store, labels = Generated(motion), [str(number) for number in range(CLASSES)]
    some = [Clip(Path(), str(i), str(i % CLASSES)) for i in range(steps * settings.batch)]
    feed = MotionFeed(store, some, some, labels, Batches.of(motion, settings, 0))
    once = settings.model_copy(update={"epochs": 1})

    def pass_over() -> None:
        fit(network, feed, once, seed=0, device=CPU, validates=False)

    pass_over()  # warm up
    step = cpu_seconds(pass_over) / steps
    view = ViewSettings(segments=motion.segments if before else min(8, motion.segments), crops=1, flips=1)
    validation = cpu_seconds(lambda: motion_scores(network, store, some[:32], view, CPU)) / 32
    plan = plan_epochs(settings, -(-train // settings.batch))
    total = plan.epochs * (plan.steps * step + val * validation)
    print(
        f"{'before' if before else 'now':7}{1000 * step:8.1f} ms a step {plan.epochs * plan.steps:7} steps "
        f"{1000 * validation:6.1f} ms a validation clip {plan.epochs:4} validations {total / 60:7.1f} CPU min"
    )
    return total / 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--clips", type=int, default=9537)
    parser.add_argument("--experiment", type=Path, default=Path("experiments/folder.yaml"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    experiment = load_experiment(options.experiment)
    old_motion = experiment.motion.model_copy(update={"train_segments": 4})
    old = experiment.train_motion.model_copy(
        update={"epochs": 60, "average": 0.0, "precision": "float32", "balance": "none"}
    )
    before = minutes(old_motion, old, options.clips, options.steps, before=True)
    now = minutes(experiment.motion, experiment.train_motion, options.clips, options.steps, before=False)
    print(
        f"{now / before:.2f} of before; on two cores {now / 2:.1f} instead of {before / 2:.1f} minutes a split"
    )


if __name__ == "__main__":
    main()
