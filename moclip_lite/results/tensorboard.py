"""TensorBoard logs of a run: curves, scores and confusion matrices."""

from __future__ import annotations

import shutil

import numpy as np
from PIL import Image

from .fold_folder import fold_name
from .read import Run
from .run_folder import RunFolder

__all__ = ["write_events"]


def write_events(run: Run) -> None:
    """Write ``tensorboard/`` into the run folder; ``tensorboard --logdir RUN`` shows it.

    A log per fold contains the history of each stage; the log of the run contains the scores and the
    confusion matrices.
    """
    from torch.utils.tensorboard import SummaryWriter  # takes two seconds to import

    folder = RunFolder(run.folder)
    logs = folder.tensorboard
    if logs.is_dir():
        shutil.rmtree(logs)  # a writer adds files: those of an earlier training would remain
    folds = list(run.training)
    for fold, stages in run.training.items():
        with SummaryWriter(logs / fold_name(folds, fold) if len(folds) > 1 else logs) as writer:
            for stage, result in stages.items():
                for row in result.get("history", []):
                    for key in row.keys() - {"epoch"}:
                        writer.add_scalar(f"{stage}/{key}", row[key], int(row["epoch"]))
    with SummaryWriter(logs) as writer:
        for stream in run.streams:
            for key in ("top1", "top5", "macro"):
                writer.add_scalar(f"test/{stream}_{key}", getattr(run.metrics.streams[stream], key), 0)
            picture = folder.confusion(stream, ".png")
            if picture.is_file():
                with Image.open(picture) as image:
                    pixels = np.asarray(image.convert("RGB"))
                writer.add_image(f"confusion/{stream}", pixels, dataformats="HWC")
