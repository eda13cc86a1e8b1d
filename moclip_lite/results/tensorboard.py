"""A run's curves, scores and confusion matrices as TensorBoard logs."""

from __future__ import annotations

import shutil

import numpy as np
from PIL import Image

from .read import Run
from .run_folder import RunFolder, fold_name

__all__ = ["write_events"]


def write_events(run: Run) -> None:
    """Write ``tensorboard/`` into the run folder: ``tensorboard --logdir RUN`` shows it.

    A log per fold holds each stage's history by epoch; the log of the run itself the scores and the
    confusion matrices.
    """
    from torch.utils.tensorboard import SummaryWriter  # two seconds to import

    folder = RunFolder(run.folder)
    place = folder.tensorboard
    if place.is_dir():
        shutil.rmtree(place)  # logs only ever grow: those of an earlier training would stand beside
    many = len(run.training) > 1
    for fold, stages in run.training.items():
        with SummaryWriter(place / fold_name(list(run.training), fold) if many else place) as writer:
            for stage, result in stages.items():
                for row in result.get("history", []):
                    for key, value in row.items():
                        if key != "epoch":
                            writer.add_scalar(f"{stage}/{key}", value, int(row["epoch"]))
    with SummaryWriter(place) as writer:
        for stream in run.streams:
            for key in ("top1", "top5", "macro"):
                writer.add_scalar(f"test/{stream}_{key}", getattr(run.metrics.streams[stream], key), 0)
            picture = folder.confusion(stream, ".png")
            if picture.is_file():
                with Image.open(picture) as image:
                    pixels = np.asarray(image.convert("RGB"))
                writer.add_image(f"confusion/{stream}", pixels, dataformats="HWC")
