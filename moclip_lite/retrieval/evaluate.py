"""Retrieval on a table of clips and captions, such as MSR-VTT's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cache import FeatureCache, cache_key
from ..datasets import Clip
from ..errors import DataError
from ..extract import Failure, content_digests, problem_of
from ..mobileviclip.encoder import VideoTextEncoder
from ..mobileviclip.pairs import Pair
from ..reporting import Reporter
from .scores import retrieval_scores

__all__ = ["evaluate_retrieval"]


def evaluate_retrieval(
    pairs: Sequence[Pair], encoder: VideoTextEncoder, cache: FeatureCache, reporter: Reporter
) -> dict[str, Any]:
    """Captions against whole clips, see :func:`moclip_lite.retrieval.scores.retrieval_scores`.

    Returns:
        The scores, with "model", "videos", "texts" and "failures": clips that can't be read are
        left out with their captions.

    Raises:
        DataError: no clip can be read.
    """
    paths = list(dict.fromkeys(pair.clip for pair in pairs))
    clips = [Clip(path, str(path), "") for path in paths]
    digests, vectors = content_digests(clips, cache), dict[Path, np.ndarray[Any, np.dtype[np.float32]]]()
    failures = []
    for done, clip in enumerate(clips, start=1):
        try:
            key = cache_key("video", digests.get(clip.name, ""), {"model": encoder.digest})
            arrays = cache.get("video", key)
            if arrays is None:
                arrays = {"vector": encoder.encode_clips(encoder.read(clip.path)[None])[0]}
                cache.put("video", key, arrays)
            vectors[clip.path] = arrays["vector"]
        except Exception as error:
            failures.append(Failure(clip.name, "video", problem_of(clip.name, error)))
        reporter.progress("clips", done, len(clips))
    if not vectors:
        raise DataError(f"none of {len(clips)} clips can be read; {failures[0].name}: {failures[0].reason}")
    order = {path: number for number, path in enumerate(vectors)}
    rows = [(caption, order[pair.clip]) for pair in pairs if pair.clip in order for caption in pair.captions]
    texts = encoder.encode_texts([caption for caption, _ in rows])
    similarity = texts @ np.stack(list(vectors.values())).T
    scores = retrieval_scores(similarity, [owner for _, owner in rows])
    counts = {"videos": len(vectors), "texts": len(rows), "failures": [vars(f) for f in failures]}
    return {"model": encoder.describe(), **scores, **counts}
