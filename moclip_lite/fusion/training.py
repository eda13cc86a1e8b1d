"""Fitting of a head: by its own solver where it has one, elsewhere by the training loop."""

from __future__ import annotations

import copy
import time

import torch

from ..parallel.ranks import agree, share, share_weights
from ..training.batches import uneven
from ..training.classification import fit
from ..training.loop import FitResult, TrainingProgress
from ..training.schedule import plan_epochs
from ..training.settings import TrainSettings
from .features import HeadFeed
from .heads.base import Head
from .streamed import StreamedTable
from .tables import FeatureTable

__all__ = ["fit_head"]


def fit_head(
    head: Head,
    feed: HeadFeed,
    settings: TrainSettings,
    *,
    seed: int,
    device: torch.device,
    progress: TrainingProgress | None = None,
    every: FeatureTable | StreamedTable | None = None,
) -> FitResult:
    """Fit a head; it holds the weights that are best on the validation clips.

    Args:
        head: moved to `device`.
        feed: training and validation features.
        settings: of the training loop.
        seed: seed of the training.
        device: where to train; solvers run on the CPU.
        progress: see :func:`moclip_lite.training.loop.train`.
        every: features of all clips that the head is fitted to again once its settings are chosen: the
            training and validation clips, by the motion network that is used in testing.
            None for no second fit.

    Returns:
        The result of the first fit, whose validation figures are of clips that it was not fitted to.
    """
    if head.closed_form:
        labels = feed.labels
        head.balanced = settings.balance == "classes" or (settings.balance == "auto" and uneven(labels))
        return _solve(head, feed, device, every)
    start = copy.deepcopy(head)
    result = fit(head, feed, settings, seed=seed, device=device, progress=progress)
    if every is not None:
        result.val_scores, result.val_one_frame = feed.val_scores(head), feed.val_one_frame(head)
        start.restandardize(every)
        passes = (result.best_epoch + 1) * plan_epochs(settings, feed.steps).passes
        chosen = settings.model_copy(update={"epochs": passes})
        again = fit(start, feed.of_all(start, every), chosen, seed=seed, device=device, validates=False)
        start.take_calibration(head)
        head.load_state_dict(start.state_dict())
        result.seconds += again.seconds
    return result


def _solve(
    head: Head, feed: HeadFeed, device: torch.device, every: FeatureTable | StreamedTable | None
) -> FitResult:
    started = time.perf_counter()
    results = (0.0, 0.0, 0.0)
    val_scores: list[list[float]] = []
    one_frame: list[list[float]] = []
    if share().leads:
        train_loss = feed.solve(head.cpu())
        results = (train_loss, *feed.validate(head))
        if every is not None:
            val_scores, one_frame = feed.val_scores(head), feed.val_one_frame(head)
            head.restandardize(every)
            feed.of_all(head, every).refit(head)
    sizes = agree([value.shape[0] if value.ndim else 0 for value in head.state_dict().values()])
    if not share().leads:  # the solver may have changed them
        head.take_shapes({name: (int(size),) for name, size in zip(head.state_dict(), sizes, strict=True)})
    share_weights(head.to(device))
    train_loss, accuracy, val_loss = agree(results)
    row = {"epoch": 0, "loss": train_loss, "val_loss": val_loss, "accuracy": accuracy}  # at no learning rate
    return FitResult(0, accuracy, val_loss, [row], time.perf_counter() - started, val_scores, one_frame)
