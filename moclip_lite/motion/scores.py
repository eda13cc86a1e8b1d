"""Multi-view testing of a motion network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from ..datasets import Clip
from .augment import views
from .network import MotionNet
from .settings import ViewSettings
from .store import MotionStore

__all__ = ["batch_motion_scores", "motion_scores", "scores_of_segments", "segment_features"]


_EVAL_BATCH: Final = 32


@torch.inference_mode()
def batch_motion_scores(
    model: MotionNet, motion: npt.NDArray[np.float16], test: ViewSettings, device: torch.device
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Multi-view testing of [B, segments, frames, 2, rows, columns].

    Returns:
        (a token per window, [B, T, D], class probabilities [B, C]), each the mean over the views.
    """
    model.eval()
    chosen = motion[:, test.chosen(motion.shape[1])] if test.segments else motion
    batch = torch.from_numpy(chosen).to(device).float()
    tokens = [model.tokens(view) for view in views(batch, test.crops, test.flips)]
    scores = [model.classifier(view_tokens.mean(dim=1)).softmax(dim=1) for view_tokens in tokens]
    mean_tokens, mean_scores = (torch.stack(values).mean(dim=0).cpu().numpy() for values in (tokens, scores))
    return mean_tokens, mean_scores


@torch.inference_mode()
def segment_features(
    model: MotionNet, motion: npt.NDArray[np.float16], test: ViewSettings, device: torch.device
) -> npt.NDArray[np.float32]:
    """Features [N, views, D] of segments [N, frames, 2, rows, columns], before the network mixes them."""
    model.eval()
    batch = torch.from_numpy(motion)[None].to(device).float()
    encoded = [model.encode(view)[0] for view in views(batch, test.crops, test.flips)]
    return np.asarray(torch.stack(encoded, dim=1).float().cpu().numpy())


@torch.inference_mode()
def scores_of_segments(
    model: MotionNet, segments: npt.NDArray[np.float32], device: torch.device
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """:func:`batch_motion_scores` of one clip, [T, D] and [C], from its segments' features [T, views, D]."""
    model.eval()
    tokens = model.mix(torch.from_numpy(segments).to(device).transpose(0, 1))
    scores = model.classifier(tokens.mean(dim=1)).softmax(dim=1)
    return tokens.mean(dim=0).cpu().numpy(), scores.mean(dim=0).cpu().numpy()


def motion_scores(
    model: MotionNet, store: MotionStore, clips: Sequence[Clip], test: ViewSettings, device: torch.device
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Multi-view testing of clips: tokens [N, T, D] and class probabilities [N, C]."""
    results = []
    for start in range(0, len(clips), _EVAL_BATCH):
        motion = np.stack([store.motion(clip) for clip in clips[start : start + _EVAL_BATCH]])
        results.append(batch_motion_scores(model, motion, test, device))
    tokens, scores = zip(*results, strict=True)
    return np.concatenate(tokens), np.concatenate(scores)
