"""Retrieval scores: recall and median rank of captions and videos for each other."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["dual_softmax", "retrieval_scores"]

Matrix = npt.NDArray[np.floating[Any]]


def dual_softmax(similarity: Matrix, temperature: float = 0.01) -> npt.NDArray[np.float64]:
    """Multiply each similarity by its softmax over queries (dual softmax, arXiv 2109.04290).

    It uses the complete test set: scores with it are not comparable to scores without it.

    Without negative cosines the product is as published. For a negative cosine a larger softmax would lower
    the product; if there are any, a constant is added to all cosines so that the lowest is 0, which changes
    neither their order nor a softmax.

    Args:
        similarity: [queries, candidates], cosines.
        temperature: divisor of similarities in the softmax over queries.

    Returns:
        float64 [queries, candidates], which distinguishes softmax values of 1e-80.
    """
    exact = similarity.astype(np.float64)
    scaled = (exact - exact.max(axis=0, keepdims=True)) / temperature
    prior = np.exp(scaled)
    prior /= prior.sum(axis=0, keepdims=True)
    return np.asarray((exact - min(0.0, float(exact.min()))) * prior, np.float64)


def _ranks(similarity: Matrix, correct: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Rank, from 1, of the best correct candidate of each query; ties count against it."""
    best = np.where(correct, similarity, -np.inf).max(axis=1, keepdims=True)
    better = ((similarity >= best) & ~correct).sum(axis=1)
    return np.asarray(better + 1, np.int64)


def _summary(ranks: npt.NDArray[np.int64]) -> dict[str, float]:
    recalls = {f"r{k}": 100.0 * float((ranks <= k).mean()) for k in (1, 5, 10)}
    return {**recalls, "median_rank": float(np.median(ranks)), "n": len(ranks)}


def retrieval_scores(
    similarity: Matrix,
    video_of_text: Sequence[int],
    temperature: float = 0.01,
    captions: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """R@1, R@5, R@10 (percent) and median rank in both directions, plain and with dual softmax.

    Args:
        similarity: [texts, videos], cosines.
        video_of_text: the video of each text; of several texts of a video the best counts.
        temperature: divisor of similarities in the dual softmax.
        captions: for each text, a value that is equal for equal captions, which are correct for all of their
            videos; None if all differ.

    Returns:
        {"text_to_video": {...}, "video_to_text": {...}, "dual_softmax": {both again}}.

    Raises:
        ValueError: an empty matrix, a video without text, numbers that are not finite, or another number of
            captions than of texts.
    """
    texts, videos = similarity.shape
    owner = np.asarray(video_of_text, np.int64)
    if not texts or len(owner) != texts or set(owner.tolist()) != set(range(videos)):
        raise ValueError(f"{texts} texts and {videos} videos: each video needs a text, each text one video")
    if not np.isfinite(similarity).all():
        raise ValueError("similarities must be finite")
    if captions is not None and len(captions) != texts:
        raise ValueError(f"{texts} texts and {len(captions)} captions")
    numbers: dict[Hashable, int] = {}
    rows = [numbers.setdefault(caption, len(numbers)) for caption in captions or range(texts)]
    videos_of_caption = np.zeros((len(numbers), videos), bool)
    videos_of_caption[rows, owner] = True
    correct = videos_of_caption[rows]

    def both(forward: Matrix, backward: Matrix) -> dict[str, Any]:
        return {
            "text_to_video": _summary(_ranks(forward, correct)),
            "video_to_text": _summary(_ranks(backward, correct.T)),
        }

    plain = both(similarity, similarity.T)
    dual = both(dual_softmax(similarity, temperature), dual_softmax(similarity.T, temperature))
    return {**plain, "dual_softmax": dual}
