"""Zero-shot classification: cosine similarity of frames and class names."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["unit", "zero_shot_scores"]

_SCALE: Final = 100.0  # CLIP's logit scale at the end of its training (Radford et al. 2021)


def unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Normalise vectors [..., D] to length 1; zeros stay zeros."""
    norm = np.linalg.norm(np.asarray(rows, np.float64), axis=-1, keepdims=True)  # squares of float32 overflow
    return np.asarray(rows / np.maximum(norm, 1e-12), np.float32)


def zero_shot_scores(
    frames: npt.NDArray[np.float32], classes: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Class probabilities by cosine similarity with the mean of normalised frame features.

    Args:
        frames: [N, F, D].
        classes: [C, D], L2-normalised.

    Returns:
        float32 [N, C].
    """
    logits = _SCALE * unit(unit(frames).mean(axis=1)) @ classes.T
    logits -= logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float32)
