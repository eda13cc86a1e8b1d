"""Fitting of a head: by its own solver where it has one, elsewhere by the training loop."""

from __future__ import annotations

import time
from typing import Any

import torch

from ..parallel.ranks import agree, share, share_weights
from ..training.classification import fit
from ..training.loop import FitResult
from ..training.settings import TrainSettings
from .base import Head
from .features import HeadFeed

__all__ = ["fit_head"]


def fit_head(
    head: Head, feed: HeadFeed, settings: TrainSettings, *, device: torch.device, **options: Any
) -> FitResult:
    """Fit a head; it holds the weights that are best on the validation clips.

    Args:
        head: moved to `device`.
        feed: training and validation features.
        settings: of the training loop.
        device: where to train; solvers run on the CPU.
        options: further arguments of :func:`moclip_lite.training.classification.fit`.
    """
    if not head.closed_form:
        return fit(head, feed, settings, device=device, **options)
    started = time.perf_counter()
    results = (0.0, 0.0, 0.0)
    if share().leads:
        train_loss = feed.solve(head.cpu())
        results = (train_loss, *feed.validate(head))
    share_weights(head.to(device))
    train_loss, accuracy, val_loss = agree(results)
    row = {"epoch": 0, "loss": train_loss, "val_loss": val_loss, "accuracy": accuracy, "lr": 0.0}
    return FitResult(0, accuracy, val_loss, [row], time.perf_counter() - started)
