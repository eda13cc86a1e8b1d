"""Retrieval scores and dual softmax."""

from __future__ import annotations

import numpy as np
import pytest

from moclip_lite.retrieval import dual_softmax, retrieval_scores


def test_recall_and_median_rank_by_hand() -> None:
    similarity = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.1], [0.1, 0.3, 0.7]], np.float32)
    scores = retrieval_scores(similarity, [0, 1, 2])
    assert scores["text_to_video"]["r1"] == pytest.approx(200 / 3)
    assert scores["text_to_video"]["median_rank"] == 1
    assert scores["video_to_text"]["r1"] == pytest.approx(200 / 3)  # video 1's best text is text 2
    assert scores["text_to_video"]["r5"] == scores["text_to_video"]["r10"] == 100
    tied = retrieval_scores(np.ones((4, 4), np.float32), range(4))
    assert tied["text_to_video"]["median_rank"] == 4  # ties count against a query


def test_several_captions_of_a_video() -> None:
    similarity = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.4]], np.float32)  # texts 0 and 1 are of video 0
    scores = retrieval_scores(similarity, [0, 0, 1])
    assert scores["text_to_video"]["n"] == 3
    assert scores["text_to_video"]["r1"] == pytest.approx(200 / 3)
    assert scores["video_to_text"]["n"] == 2
    assert scores["video_to_text"]["r1"] == 50
    for wrong in ([0, 0], [0, 0, 2], [0, 0, 0]):
        with pytest.raises(ValueError, match="each video"):
            retrieval_scores(similarity, wrong)
    with pytest.raises(ValueError, match="finite"):
        retrieval_scores(similarity * np.nan, [0, 0, 1])


def test_equal_captions_are_correct_for_all_their_videos() -> None:
    similarity = np.array([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1], [0.1, 0.2, 0.7]], np.float32)
    apart = retrieval_scores(similarity, [0, 1, 2])
    assert apart["text_to_video"]["r1"] == pytest.approx(200 / 3)  # the best video of text 1 is video 0
    alike = retrieval_scores(similarity, [0, 1, 2], captions=["a dog", "a dog", "a cat"])
    assert alike["text_to_video"]["r1"] == alike["video_to_text"]["r1"] == 100
    with pytest.raises(ValueError, match="1 captions"):
        retrieval_scores(similarity, [0, 1, 2], captions=["a dog"])


def test_dual_softmax_demotes_hubs() -> None:
    # Video 0 is close to every text; the correct video is second.
    similarity = np.array([[0.9, 0.1, 0.1], [0.50, 0.49, 0.1], [0.50, 0.1, 0.49]], np.float32)
    scores = retrieval_scores(similarity, range(3))
    assert scores["text_to_video"]["r1"] == pytest.approx(100 / 3)
    assert scores["dual_softmax"]["text_to_video"]["r1"] == 100
    by_hand = similarity * np.exp(similarity / 0.2) / np.exp(similarity / 0.2).sum(axis=0)
    np.testing.assert_allclose(dual_softmax(similarity, 0.2), by_hand, rtol=1e-4)


@pytest.mark.parametrize("shift", [0.0, -0.2, -0.5, -0.9, -1.0])
@pytest.mark.parametrize("size", [2, 5, 20])
def test_perfect_retrieval_stays_perfect_for_any_sign(shift: float, size: int) -> None:
    rng = np.random.default_rng(size)
    similarity = rng.uniform(0.05, 0.4, (size, size)).astype(np.float32)
    np.fill_diagonal(similarity, rng.uniform(0.7, 0.9, size))
    scores = retrieval_scores(similarity + np.float32(shift), range(size))
    for table in (scores, scores["dual_softmax"]):
        for direction in ("text_to_video", "video_to_text"):
            assert table[direction]["r1"] == 100
            assert table[direction]["median_rank"] == 1


def test_dual_softmax_rises_with_the_similarity_and_with_its_share() -> None:
    """Negative cosines included; without negative ones it is the published product."""
    rng = np.random.default_rng(0)
    similarity = rng.uniform(-1, 1, (6, 7)).astype(np.float32)
    weighted = dual_softmax(similarity, 0.1)
    for row, column in np.ndindex(similarity.shape):
        more = similarity.copy()
        more[row, column] += 0.05
        assert dual_softmax(more, 0.1)[row, column] > weighted[row, column]
    positive = np.abs(similarity)
    share = np.exp(positive.astype(np.float64) / 0.1)
    np.testing.assert_allclose(dual_softmax(positive, 0.1), positive * share / share.sum(axis=0), rtol=1e-5)
    far = np.array([[0.99, -0.99], [0.98, -0.98]], np.float32)  # softmax values of 1e-86 are distinguished
    assert (dual_softmax(far.T)[1] > 0).any()
