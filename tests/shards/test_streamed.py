"""Streamed tables of features: the order, and trainings that are interrupted in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from moclip_lite.fusion import create_head
from moclip_lite.fusion.features import HeadFeed, head_scores
from moclip_lite.fusion.streamed import StreamedTable
from moclip_lite.fusion.tables import FeatureTable, Rows
from moclip_lite.training.batches import ShuffleBuffer
from moclip_lite.training.classification import Batch, fit
from moclip_lite.training.loop import TrainingProgress
from moclip_lite.training.settings import TrainSettings

CPU = torch.device("cpu")
CLIPS = 300


def table(buffer: int, reads: list[int] | None = None) -> tuple[FeatureTable, StreamedTable]:
    """The same clips in memory and streamed."""
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(np.arange(CLIPS) % 3)
    motion = rng.normal(size=(CLIPS, 2, 5)).astype(np.float32)
    motion[..., 0] += np.arange(CLIPS)[:, None] % 3
    appearance = rng.normal(size=(CLIPS, 2, 4)).astype(np.float32)

    def read(positions: Rows) -> Iterator[tuple[Rows, np.ndarray, np.ndarray]]:
        if reads is not None:
            reads.append(len(positions))
        for part in np.array_split(np.argsort(positions), 3):
            yield part, motion[positions[part]], appearance[positions[part]]

    whole = FeatureTable(torch.from_numpy(motion), torch.from_numpy(appearance), labels)
    return whole, StreamedTable(read, np.arange(CLIPS), labels, buffer, "digest")


def test_an_order_names_each_clip_once_and_stays_near_in_the_files() -> None:
    positions = np.random.default_rng(1).permutation(20_000)
    order = ShuffleBuffer(positions, 4096).order(64, np.random.default_rng(2))
    assert sorted(order) == list(range(20_000))
    for start in range(0, 20_000, 4096):
        chunks = np.unique(positions[order[start : start + 4096]] // 1024)
        assert len(chunks) <= 4096 // 1024 + 2
    assert not np.array_equal(order, ShuffleBuffer(positions, 4096).order(64, np.random.default_rng(3)))
    few = ShuffleBuffer(positions[:100], 100).order(10, np.random.default_rng(5))
    np.testing.assert_array_equal(few, np.random.default_rng(5).permutation(100))


def test_a_small_buffer_holds_clips_of_all_classes_of_its_chunk() -> None:
    """Files are sorted by class: rows of a chunk that stay in their order would be few classes a window."""
    classes = np.repeat(np.arange(16), 64)  # of a chunk
    order = ShuffleBuffer(np.arange(2 * len(classes)), 64).order(16, np.random.default_rng(0))
    for start in range(0, len(order), 64):
        window = order[start : start + 64]
        assert len(np.unique(window // 1024)) == 1  # still read at once
        assert len(np.unique(classes[window % 1024])) > 10


def test_a_chunk_may_be_as_small_as_what_is_read_at_once() -> None:
    order = ShuffleBuffer(np.arange(1000), 256, chunk=64).order(16, np.random.default_rng(0))
    assert sorted(order) == list(range(1000))
    windows = [order[start : start + 256] for start in range(0, 1000, 256)]
    assert all(len(np.unique(window // 64)) <= 256 // 64 + 2 for window in windows)
    assert max(np.ptp(window) for window in windows) > 512  # chunks from all over the files


@pytest.mark.parametrize("first", [0, 1, 7, 18])
def test_batches_from_any_on_are_those_of_the_epoch(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moclip_lite.fusion.streamed.CHUNK", 16)
    _, streamed = table(64)
    feed = HeadFeed(create_head("concat_mlp", 5, 4, 3), streamed, streamed, 16, 0)
    every, rest = list(feed.train_batches(2)), list(feed.train_batches(2, first))
    assert len(every) == feed.steps == 19
    assert len(rest) == 19 - first
    for one, other in zip(every[first:], rest, strict=True):
        for here, there in zip((*one[0], one[1]), (*other[0], other[1]), strict=True):
            torch.testing.assert_close(here, there, rtol=0, atol=0)


def test_statistics_and_scores_are_those_of_a_table_in_memory() -> None:
    whole, streamed = table(64)
    heads = [create_head("concat_mlp", 5, 4, 3) for _ in range(2)]
    heads[1].load_state_dict(heads[0].state_dict())
    heads[0].standardize_to(whole)
    heads[1].standardize_to(streamed)
    for name in ("motion_norm", "appearance_norm"):
        torch.testing.assert_close(getattr(heads[0], name).scale, getattr(heads[1], name).scale)
    np.testing.assert_allclose(head_scores(heads[0], whole), head_scores(heads[1], streamed), rtol=1e-5)


class _Interrupted(HeadFeed):
    """A feed that ends the program at a batch."""

    left = 10**9

    def train_batches(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        for batch in super().train_batches(epoch, first):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield batch


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("stop", [5, 30])
def test_a_training_goes_on_in_the_middle_of_an_epoch(
    tmp_path: Path, streams: bool, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the same weights, dropout and mixup included, without reading what came before."""
    monkeypatch.setattr("moclip_lite.fusion.streamed.CHUNK", 16)
    monkeypatch.setattr("moclip_lite.training.classification._SAVE_WITHIN_EPOCH", 0.0)
    monkeypatch.setattr("moclip_lite.training.classification._SAVE_EVERY", 0.0)
    reads: list[int] = []
    features = table(64, reads)[streams]
    settings = TrainSettings(epochs=3, batch=16, mixup=0.2, average=0)
    weights = []
    for state in (None, tmp_path / "state"):
        torch.manual_seed(0)
        head = create_head("concat_mlp", 5, 4, 3)
        feed = _Interrupted(head, features, features, 16, 0)

        def train(state: Path | None = state, head: torch.nn.Module = head, feed: HeadFeed = feed) -> None:
            progress = TrainingProgress(checkpoint=state, fingerprint="x")
            fit(head, feed, settings, seed=1, device=CPU, progress=progress, validates=False)

        if state is not None:
            feed.left = stop
            with pytest.raises(KeyboardInterrupt):
                train()
            feed.left, reads[:] = 10**9, []
        train()
        weights.append(head.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=0, atol=0)
    if streams:
        assert sum(reads) <= 3 * CLIPS - 16 * stop + 2 * 16
