"""How well captions find their videos and videos their captions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["dual_softmax", "retrieval_scores"]

Matrix = npt.NDArray[np.floating[Any]]


def dual_softmax(similarity: Matrix, temperature: float = 0.01) -> npt.NDArray[np.float64]:
    """Weigh each similarity by its share among all queries (dual softmax, arXiv 2109.04290).

    It looks at the whole test set at once: a figure with it is not comparable to one without.

    The product is the published one where no cosine is negative. A negative one it would turn around: the
    larger the share, the lower the score. Where there are some, all are raised by the same amount until the
    lowest is 0, which changes neither an order nor a softmax.

    Args:
        similarity: [queries, candidates], cosines.
        temperature: that similarities are divided by within the softmax over queries.

    Returns:
        [queries, candidates], in double precision: shares of 1e-80 are still told apart.
    """
    exact = similarity.astype(np.float64)
    scaled = (exact - exact.max(axis=0, keepdims=True)) / temperature
    prior = np.exp(scaled)
    prior /= prior.sum(axis=0, keepdims=True)
    return np.asarray((exact - min(0.0, float(exact.min()))) * prior, np.float64)


def _ranks(similarity: Matrix, right: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Rank from 1 of the best right candidate of each query; ties count against it."""
    best = np.where(right, similarity, -np.inf).max(axis=1, keepdims=True)
    better = ((similarity >= best) & ~right).sum(axis=1)
    return np.asarray(better + 1, np.int64)


def _summary(ranks: npt.NDArray[np.int64]) -> dict[str, float]:
    recalls = {f"r{k}": 100.0 * float((ranks <= k).mean()) for k in (1, 5, 10)}
    return {**recalls, "median_rank": float(np.median(ranks)), "n": len(ranks)}


def retrieval_scores(
    similarity: Matrix,
    video_of_text: Sequence[int],
    temperature: float = 0.01,
    words: Sequence[Hashable] | None = None,
) -> dict[str, Any]:
    """R@1, R@5, R@10 (percent) and median rank in both directions, plain and with dual softmax.

    Args:
        similarity: [texts, videos], cosines.
        video_of_text: the video of each text; a video may have several, and then its best one counts.
        temperature: of the dual softmax.
        words: what each text says; texts of equal words belong to all of their videos. None if all differ.

    Returns:
        {"text_to_video": {...}, "video_to_text": {...}, "dual_softmax": {both again}}.

    Raises:
        ValueError: an empty matrix, a video without text, numbers that are not finite, or not as many words as texts.
    """
    texts, videos = similarity.shape
    owner = np.asarray(video_of_text, np.int64)
    if not texts or len(owner) != texts or set(owner.tolist()) != set(range(videos)):
        raise ValueError(f"{texts} texts and {videos} videos: each video needs a text, each text one video")
    if not np.isfinite(similarity).all():
        raise ValueError("similarities must be finite")
    right = owner[:, None] == np.arange(videos)[None, :]
    if words is not None:
        if len(words) != texts:
            raise ValueError(f"{texts} texts and the words of {len(words)}")
        numbers: dict[Hashable, int] = {}
        alike = [numbers.setdefault(word, len(numbers)) for word in words]
        said = np.zeros((len(numbers), videos), bool)
        said[alike, owner] = True
        right = said[alike]

    def both(forward: Matrix, backward: Matrix) -> dict[str, Any]:
        return {
            "text_to_video": _summary(_ranks(forward, right)),
            "video_to_text": _summary(_ranks(backward, right.T)),
        }

    plain = both(similarity, similarity.T)
    dual = both(dual_softmax(similarity, temperature), dual_softmax(similarity.T, temperature))
    return {**plain, "dual_softmax": dual}
