"""Multi-view testing of a motion network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from ..datasets import Clip
from ..sampling import choose_segments
from .augment import views
from .network import MotionNet
from .settings import ViewSettings
from .store import MotionStore

__all__ = ["batch_motion_scores", "motion_scores"]


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
    if test.segments:
        motion = motion[:, choose_segments(motion.shape[1], test.segments)]
    batch = torch.from_numpy(motion).to(device).float()
    tokens = [model.tokens(view) for view in views(batch, test.crops, test.flips)]
    scores = [model.classifier(view_tokens.mean(dim=1)).softmax(dim=1) for view_tokens in tokens]
    mean_tokens, mean_scores = (torch.stack(values).mean(dim=0).cpu().numpy() for values in (tokens, scores))
    return mean_tokens, mean_scores


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
