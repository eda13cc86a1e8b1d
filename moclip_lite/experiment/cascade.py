"""Calibration of the cascade of prediction: on validation clips that none of its models was trained on."""

from __future__ import annotations

import numpy as np

from ..fusion.features import HeadFeed, head_scores
from ..fusion.tables import FeatureTable
from ..fusion.training import fit_head
from ..parallel.ranks import share
from ..results.cascade import MIN_CLIPS, Cascade, fit_cascade
from ..streams import Stream
from ..training.checkpoint import weights_digest
from .features import FoldFeatures
from .motion_networks import LeftOut
from .training import new_head, prepare_head

__all__ = ["calibrate_cascade"]


def calibrate_cascade(features: FoldFeatures, first: LeftOut) -> Cascade | None:
    """Choose the thresholds of a fold's cascade.

    The models that answer may have been trained on the validation clips too. So the scores here are of the motion
    network that was trained on the training clips alone, and of a fusion head fitted to its features.

    Args:
        features: of the fold.
        first: the motion network that did not see the validation clips.

    Returns:
        The thresholds; None where there are fewer than 15 validation clips with motion and pictures.
    """
    session, seed = features.session, features.seed
    clips = {part: features.clips(part, motion=True, appearance=True) for part in ("train", "val")}
    if len(clips["val"]) < MIN_CLIPS or not clips["train"]:
        return None
    network, _ = first
    motion = features.motion(network, [*clips["train"], *clips["val"]], digest=weights_digest(network))
    tables = features.tables(clips, motion.tokens)
    train, held_out = tables["train"], tables["val"]
    head = new_head(features, Stream.FUSION, train)
    prepare_head(head, features, train)
    settings = session.experiment.train_head
    feed = HeadFeed(head, train, held_out, settings.batch, seed, share())
    fit_head(head, feed, settings, seed=seed, device=session.device)
    uniform = np.full(len(features.labels), 1 / len(features.labels), np.float32)
    alone = np.stack([motion.scores.get(clip.name, uniform) for clip in clips["val"]])
    frames = held_out.appearance.shape[1] if held_out.appearance.ndim == 3 else 1
    middle = None
    if frames > 1:
        one = held_out.appearance[:, frames // 2 : frames // 2 + 1]
        middle = head_scores(head, FeatureTable(held_out.motion, one, held_out.labels))
    return fit_cascade(alone, middle, head_scores(head, held_out), held_out.labels.numpy())
