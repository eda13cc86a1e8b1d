"""Retrieval scores on a table of clips and captions, such as MSR-VTT's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..datasets.clip_errors import problem_of
from ..datasets.extraction import Failure, stamped_contents
from ..datasets.prompts import normalize_caption
from ..errors import DataError
from ..mobileviclip.encoder import VideoTextEncoder
from ..mobileviclip.training.duplicates import count_duplicates
from ..mobileviclip.training.pairs import Pair
from ..progress import Reporter
from ..storage.cache import FeatureCache
from ..storage.cache_keys import cache_key
from ..storage.content_digests import Stamped, stamped_digest
from ..storage.stamps import check_unchanged
from .scores import retrieval_scores

__all__ = ["evaluate_retrieval"]

Vectors = dict[str, npt.NDArray[np.float32]]


def evaluate_retrieval(
    pairs: Sequence[Pair], encoder: VideoTextEncoder, cache: FeatureCache, reporter: Reporter
) -> dict[str, Any]:
    """Score captions against complete clips; see :func:`moclip_lite.retrieval.scores.retrieval_scores`.

    As in training, clips of equal content are one clip,
    and a caption of several clips is correct for each of them.

    Returns:
        The scores, with "model", "videos", "texts", "repeats" (duplicates) and "failures": clips that can't
        be read, which are left out together with their captions.

    Raises:
        DataError: no clip can be read.
    """
    digest_of, vectors, failures = _encode_clips(pairs, encoder, cache, reporter)
    columns = {digest: number for number, digest in enumerate(vectors)}
    rows = [(text, columns[digest_of[p.clip]]) for p in pairs if p.clip in digest_of for text in p.captions]
    texts, videos = [text for text, _ in rows], [video for _, video in rows]
    captions = [normalize_caption(text) for text in texts]
    similarity = encoder.encode_texts(texts) @ np.stack(list(vectors.values())).T
    scores = retrieval_scores(similarity, videos, captions=captions)
    duplicates = count_duplicates(videos, captions, len(digest_of))
    if duplicates.summary():
        reporter.warn(duplicates.summary())
    counts = {"videos": len(vectors), "texts": len(rows), "repeats": asdict(duplicates)}
    return {"model": encoder.describe(), **scores, **counts, "failures": [vars(f) for f in failures]}


def _encode_clips(
    pairs: Sequence[Pair], encoder: VideoTextEncoder, cache: FeatureCache, reporter: Reporter
) -> tuple[dict[Path, str], Vectors, list[Failure]]:
    """(content digest of each readable clip, vector of each content, unreadable clips)."""
    clips = [Clip(path, str(path), "") for path in dict.fromkeys(pair.clip for pair in pairs)]
    known = stamped_contents(clips, cache)
    digest_of, vectors, failures = dict[Path, str](), Vectors(), list[Failure]()
    for done, clip in enumerate(clips, start=1):
        try:
            content = known.get(clip.name) or stamped_digest(clip.path)
            if content.digest not in vectors:
                vectors[content.digest] = _vector(clip.path, content, encoder, cache)
            digest_of[clip.path] = content.digest
        except Exception as error:
            failures.append(Failure(clip.name, "video", problem_of(clip.name, error)))
        reporter.progress("clips", done, len(clips))
    if not vectors:
        raise DataError(f"none of {len(clips)} clips can be read; {failures[0].name}: {failures[0].reason}")
    return digest_of, vectors, failures


def _vector(
    path: Path, content: Stamped, encoder: VideoTextEncoder, cache: FeatureCache
) -> npt.NDArray[np.float32]:
    """Vector of a clip, from the cache if it is there.

    Raises:
        SourceChanged: the file was changed while it was read.
    """
    key = cache_key("video", content.digest, {"model": encoder.digest})
    arrays = cache.get("video", key)
    if arrays is None:
        arrays = {"vector": encoder.encode_clips(encoder.read(path)[None])[0]}
        check_unchanged(path, content.stamp)
        cache.put("video", key, arrays)
    return np.asarray(arrays["vector"], np.float32)
