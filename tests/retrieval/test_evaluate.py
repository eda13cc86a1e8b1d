"""Retrieval scores on tables of video files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.errors import DataError
from moclip_lite.mobileviclip.encoder import VideoTextEncoder
from moclip_lite.mobileviclip.training.pairs import FilePairs, Pair
from moclip_lite.progress import Silent
from moclip_lite.retrieval import evaluate_retrieval, retrieval_scores
from moclip_lite.storage.cache import FeatureCache

from support.mobileviclip import TINY


def test_unreadable_clips_are_left_out(folder: Path, encoder: VideoTextEncoder, tmp_path: Path) -> None:
    pairs = [
        Pair(folder / name, (caption,), i)
        for i, (name, caption) in enumerate(
            [("pan.mp4", "a pan"), ("one.mp4", "still"), ("broken.mp4", "x"), ("pan.mp4", "down")]
        )
    ]
    result = evaluate_retrieval(pairs, encoder, FeatureCache(tmp_path / "cache"), Silent())
    assert (result["videos"], result["texts"]) == (2, 3)
    assert [Path(f["name"]).name for f in result["failures"]] == ["broken.mp4"]
    vectors = np.stack(
        [encoder.encode_clips(encoder.read(folder / n)[None])[0] for n in ("pan.mp4", "one.mp4")]
    )
    expected = retrieval_scores(encoder.encode_texts(["a pan", "still", "down"]) @ vectors.T, [0, 1, 0])
    assert result["text_to_video"] == expected["text_to_video"]
    with pytest.raises(DataError, match="none of 1 clips"):
        evaluate_retrieval(pairs[2:3], encoder, FeatureCache(tmp_path / "cache"), Silent())


def test_duplicates_are_counted_as_in_training(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path
) -> None:
    shutil.copy(folder / "pan.mp4", folder / "copy.mp4")
    (folder / "link.mp4").symlink_to(folder / "pan.mp4")
    rows = [("pan.mp4", "a pan"), ("copy.mp4", "moving"), ("link.mp4", "A  pan"), ("one.mp4", "a pan")]
    groups = {"a pan": 0, "moving": 1, "A  pan": 0}
    pairs = [Pair(folder / name, (caption,), groups[caption]) for name, caption in rows]
    result = evaluate_retrieval(pairs, encoder, FeatureCache(tmp_path / "cache"), Silent())
    assert (result["videos"], result["texts"]) == (2, 4)
    assert result["repeats"] == {"captions": 1, "names": 2}
    assert result["repeats"] == vars(FilePairs(pairs, TINY).duplicates())
    vectors = np.stack(
        [encoder.encode_clips(encoder.read(folder / n)[None])[0] for n in ("pan.mp4", "one.mp4")]
    )
    texts = encoder.encode_texts([caption for _, caption in rows])
    expected = retrieval_scores(texts @ vectors.T, [0, 0, 0, 1], captions=[0, 1, 0, 0])
    assert result["text_to_video"] == expected["text_to_video"]
    assert result["dual_softmax"] == expected["dual_softmax"]
