"""Search of an index by sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mv_tools.urls import url_below, url_of

from ..errors import DataError, MoclipError
from ..mobileviclip.encoder import VideoTextEncoder
from .index import VideoIndex

__all__ = ["EXACT_LIMIT", "Hit", "nearest", "search"]

_ROUNDING: Final = 1e-5  # of a product of unit vectors
EXACT_LIMIT: Final = 100_000
"""Largest number of windows searched by a matrix product; more are searched by FAISS, which is exact too and
does not store the score of every window for every query."""


@dataclass(frozen=True)
class Hit:
    """Part of a video, in seconds; `score` is the cosine of its vector and the query's."""

    path: str
    start: float
    stop: float
    score: float


def search(
    index: VideoIndex, encoder: VideoTextEncoder, texts: Sequence[str], k: int, limit: int = EXACT_LIMIT
) -> tuple[list[list[Hit]], list[str]]:
    """Find the windows nearest to each sentence.

    Videos that are gone since they were indexed are left out.

    Args:
        index: see :func:`moclip_lite.retrieval.index.build_index`.
        encoder: the model that made it.
        texts: the sentences.
        k: hits per sentence.
        limit: largest number of windows searched by a matrix product.

    Returns:
        (hits of each sentence, best first; warnings).

    Raises:
        CheckpointError: the index was made by another model.
        DataError: every video of the index is gone.
        ValueError: an empty text.
    """
    index.check_model(encoder)
    warnings: list[str] = []
    queries = encoder.encode_texts(texts, warn=warnings.append)
    states = [video.state(index.root) for video in index.videos]
    usable = np.flatnonzero(np.array([state != "gone" for state in states])[index.video_of])
    if not len(usable):
        raise DataError(f"all {len(states)} videos of the index are gone from {index.root}")
    vectors = index.vectors if len(usable) == len(index.vectors) else index.vectors[usable]
    scores, places = nearest(vectors, queries, min(k, len(usable)), limit)
    hits = [
        [_hit(index, int(usable[place]), float(score)) for score, place in zip(*row, strict=True)]
        for row in zip(scores, places, strict=True)
    ]
    counts = Counter(states)
    warnings += [
        f"{counts[state]} of {len(states)} videos {text} since they were indexed"
        for state, text in (("gone", "are gone"), ("changed", "have changed"))
        if counts[state]
    ]
    return hits, warnings


def _hit(index: VideoIndex, window: int, score: float) -> Hit:
    start, stop = (round(float(x), 3) for x in index.seconds[window])
    root, name = url_of(index.root), index.videos[int(index.video_of[window])].path
    return Hit(str(index.root / name) if root is None else url_below(root, name), start, stop, score)


def nearest(
    vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], k: int, limit: int = EXACT_LIMIT
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Find the k vectors of largest inner product with each query, best first, equal ones by position.

    Args:
        vectors: [N, D].
        queries: [Q, D].
        k: at most N.
        limit: largest N searched by a matrix product; more are searched by FAISS.

    Returns:
        (products [Q, k], positions [Q, k]).

    Raises:
        MoclipError: FAISS is needed and not installed.
    """
    if len(vectors) <= limit:
        products = queries @ vectors.T
        places = np.argsort(-products, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(products, places, axis=1), places.astype(np.int64)
    try:
        import faiss
    except ImportError as error:
        raise MoclipError(
            f"an index of more than {limit} windows needs FAISS: pip install 'moclip-lite[faiss]'"
        ) from error
    flat: Any = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors))
    return _in_order(flat, vectors, np.ascontiguousarray(queries), k)


def _in_order(
    flat: Any, vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], k: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Search with FAISS; of equal products the first positions, which it promises for none.

    It is asked for more until the last products are below the k-th ones.
    """
    count = k
    while True:
        count = min(2 * count, len(vectors))
        rough, found = flat.search(queries, count)
        if count == len(vectors) or bool((rough[:, k - 1] - rough[:, -1] > _ROUNDING).all()):
            break
    found = np.sort(np.asarray(found, np.int64), axis=1)
    pairs = zip(found, queries, strict=True)
    products = np.stack(
        [(vectors[row] * query).sum(axis=1) for row, query in pairs]
    )  # equal for equal vectors
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(products, order, axis=1), np.take_along_axis(found, order, axis=1)
