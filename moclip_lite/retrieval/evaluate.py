"""Retrieval on a table of clips and captions, such as MSR-VTT's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..datasets.extraction import Failure, content_digests
from ..errors import DataError
from ..mobileviclip.encoder import VideoTextEncoder
from ..mobileviclip.training.pairs import Pair
from ..mobileviclip.training.repeats import count_repeats, same_words
from ..progress import Reporter
from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.digest import digest_file
from .scores import retrieval_scores

__all__ = ["evaluate_retrieval"]


def evaluate_retrieval(
    pairs: Sequence[Pair], encoder: VideoTextEncoder, cache: FeatureCache, reporter: Reporter
) -> dict[str, Any]:
    """Captions against whole clips, see :func:`moclip_lite.retrieval.scores.retrieval_scores`.

    As in training, clips of equal content are one clip, and a caption that stands with several clips is
    right for each of them.

    Returns:
        The scores, with "model", "videos", "texts", "repeats" and "failures": clips that can't be read are
        left out with their captions.

    Raises:
        DataError: no clip can be read.
    """
    paths = list(dict.fromkeys(pair.clip for pair in pairs))
    clips = [Clip(path, str(path), "") for path in paths]
    digests, vectors = content_digests(clips, cache), dict[str, npt.NDArray[np.float32]]()
    contents, failures = dict[Path, str](), []
    for done, clip in enumerate(clips, start=1):
        try:
            digest = digests.get(clip.name) or digest_file(clip.path)
            if digest not in vectors:
                vectors[digest] = _vector(clip.path, digest, encoder, cache)
            contents[clip.path] = digest
        except Exception as error:
            failures.append(Failure(clip.name, "video", problem_of(clip.name, error)))
        reporter.progress("clips", done, len(clips))
    if not vectors:
        raise DataError(f"none of {len(clips)} clips can be read; {failures[0].name}: {failures[0].reason}")
    column = {digest: number for number, digest in enumerate(vectors)}
    video = {path: column[digest] for path, digest in contents.items()}
    rows = [(caption, video[pair.clip]) for pair in pairs if pair.clip in video for caption in pair.captions]
    texts, owners = [caption for caption, _ in rows], [owner for _, owner in rows]
    words = [same_words(text) for text in texts]
    similarity = encoder.encode_texts(texts) @ np.stack(list(vectors.values())).T
    scores = retrieval_scores(similarity, owners, words=words)
    repeats = count_repeats(owners, words, len(video))
    if repeats.summary():
        reporter.warn(repeats.summary())
    counts = {"videos": len(vectors), "texts": len(rows), "repeats": asdict(repeats)}
    return {"model": encoder.describe(), **scores, **counts, "failures": [vars(f) for f in failures]}


def _vector(
    path: Path, digest: str, encoder: VideoTextEncoder, cache: FeatureCache
) -> npt.NDArray[np.float32]:
    """A clip's vector, from the cache if it is there."""
    key = cache_key("video", digest, {"model": encoder.digest})
    arrays = cache.get("video", key)
    if arrays is None:
        arrays = {"vector": encoder.encode_clips(encoder.read(path)[None])[0]}
        cache.put("video", key, arrays)
    return np.asarray(arrays["vector"], np.float32)
