"""Indexing and search of a folder of videos."""

from __future__ import annotations

import dataclasses
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moclip_lite.errors import CheckpointError, DataError, MoclipError
from moclip_lite.mobileviclip import save_model
from moclip_lite.mobileviclip.encoder import VideoTextEncoder
from moclip_lite.mobileviclip.training.pairs import Pair
from moclip_lite.progress import Silent
from moclip_lite.retrieval import evaluate_retrieval, load_index, nearest, save_index, search
from moclip_lite.storage.cache import FeatureCache
from mv_tools import MotionError

from support.mobileviclip import shaken
from support.retrieval import index_of


def test_index_and_search(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = index_of(folder, encoder, tmp_path / "cache")
    assert [video.path for video in index.videos] == ["one.mp4", "pan.mp4", "sub/scenes.mp4"]
    assert index.video_of.tolist() == [0, 1, 2, 2]
    assert [f.name for f in index.failures] == ["broken.mp4"]
    save_index(tmp_path / "i.safetensors", index)
    loaded = load_index(tmp_path / "i.safetensors")
    np.testing.assert_array_equal(loaded.vectors, index.vectors)
    assert (loaded.videos, loaded.model, loaded.model_digest) == (
        index.videos,
        index.model,
        index.model_digest,
    )
    (hits, few), warnings = search(loaded, encoder, ["a person juggling", "water"], 10)
    assert warnings == []
    assert len(hits) == len(few) == 4
    query = encoder.encode_texts(["a person juggling"])[0]
    assert [hit.score for hit in hits] == pytest.approx(
        sorted((index.vectors @ query).tolist(), reverse=True)
    )
    shots = sorted(
        (round(hit.start, 3), round(hit.stop, 3)) for hit in hits if hit.path.endswith("scenes.mp4")
    )
    assert shots == [(0.0, 1.2), (1.2, 2.4)]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(VideoTextEncoder, "encode_clips", never)
    again = index_of(folder, encoder, tmp_path / "cache")  # from the cache alone
    np.testing.assert_array_equal(again.vectors, index.vectors)


def test_missing_and_changed_videos_are_reported(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path
) -> None:
    index = index_of(folder, encoder, tmp_path / "cache")
    (folder / "sub" / "scenes.mp4").unlink()
    (folder / "pan.mp4").write_bytes((folder / "pan.mp4").read_bytes() + b"\0")
    (hits,), warnings = search(index, encoder, ["a person juggling"], 10)
    assert {Path(hit.path).name for hit in hits} == {"one.mp4", "pan.mp4"}
    assert warnings == [
        "1 of 3 videos are gone since they were indexed",
        "1 of 3 videos have changed since they were indexed",
    ]
    _, (cut, *others) = search(index, encoder, ["word " * 80], 1)
    assert cut.startswith("the text 'word word")
    assert cut.endswith("has 80 tokens; cut to 75")
    assert others == warnings
    for video in index.videos:
        (folder / video.path).unlink(missing_ok=True)
    with pytest.raises(DataError, match="all 3 videos"):
        search(index, encoder, ["x"], 1)
    with pytest.raises(DataError, match="no such folder"):
        index_of(folder / "absent", encoder, tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no video files"):
        index_of(tmp_path / "empty", encoder, tmp_path / "cache")


def test_another_model_is_refused(folder: Path, encoder: VideoTextEncoder, tmp_path: Path) -> None:
    index = index_of(folder, encoder, tmp_path / "cache")
    other = shaken(seed=9)
    save_model(tmp_path / "other.safetensors", other)
    stranger = VideoTextEncoder(
        dataclasses.replace(encoder.spec, pretrained=str(tmp_path / "other.safetensors"))
    )
    digests = f"digest {index.model_digest[:8]}.*digest {stranger.digest[:8]}"
    with pytest.raises(CheckpointError, match=f"other weights.*{digests}"):
        search(index, stranger, ["x"], 1)
    with pytest.raises(ValueError, match="empty"):
        search(index, encoder, [" "], 1)


def test_an_index_stores_the_absolute_path_of_its_checkpoint(
    folder: Path, model: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    near = VideoTextEncoder(dataclasses.replace(encoder.spec, pretrained=model.name))
    save_index(tmp_path / "i.safetensors", index_of(folder, near, tmp_path / "cache"))
    monkeypatch.chdir(folder)
    index = load_index(tmp_path / "i.safetensors")
    hits, _ = search(index, VideoTextEncoder(index.model), ["x"], 1)
    assert len(hits[0]) == 1


@pytest.mark.parametrize("error", [IndexError("i"), RuntimeError("r"), OSError(5, "io"), MemoryError("m")])
def test_a_bad_file_does_not_stop_indexing(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    read = VideoTextEncoder.read

    def failing(self: VideoTextEncoder, path: Path, *stretch: int) -> Any:
        if path.name == "pan.mp4":
            raise error
        return read(self, path, *stretch)

    monkeypatch.setattr(VideoTextEncoder, "read", failing)
    index = index_of(folder, encoder, tmp_path / "cache")
    assert [video.path for video in index.videos] == ["one.mp4", "sub/scenes.mp4"]
    reasons = {failure.name: failure.reason for failure in index.failures}
    assert set(reasons) == {"broken.mp4", "pan.mp4"}
    assert "a bug in this program" in reasons["pan.mp4"] or isinstance(error, (OSError, MemoryError))
    pairs = [Pair(folder / name, (name,), 0) for name in ("pan.mp4", "one.mp4")]
    result = evaluate_retrieval(pairs, encoder, FeatureCache(tmp_path / "cache"), Silent())
    assert (result["videos"], len(result["failures"])) == (1, 1)


def test_a_video_that_is_replaced_while_it_is_indexed_is_left_out(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors are kept under the digest of the content that they were made of, and of no other."""
    read, other = VideoTextEncoder.read, tmp_path / "other.mp4"
    shutil.copy(folder / "one.mp4", other)

    def replacing(self: VideoTextEncoder, path: Path, *stretch: int) -> Any:
        if path.name == "one.mp4":
            shutil.copy(other, folder / "pan.mp4")
        return read(self, path, *stretch)

    monkeypatch.setattr(VideoTextEncoder, "read", replacing)
    index = index_of(folder, encoder, tmp_path / "cache")
    assert [video.path for video in index.videos] == ["one.mp4", "sub/scenes.mp4"]
    reasons = {failure.name: failure.reason for failure in index.failures}
    assert "was changed while it was read" in reasons["pan.mp4"]
    monkeypatch.setattr(VideoTextEncoder, "read", read)
    again = index_of(folder, encoder, tmp_path / "cache")
    fresh = index_of(folder, encoder, tmp_path / "fresh")
    np.testing.assert_array_equal(again.vectors, fresh.vectors)

    shutil.copy(folder / "sub" / "scenes.mp4", folder / "pan.mp4")
    pairs = [Pair(folder / name, (name,), 0) for name in ("one.mp4", "pan.mp4")]
    monkeypatch.setattr(VideoTextEncoder, "read", replacing)
    result = evaluate_retrieval(pairs, encoder, FeatureCache(tmp_path / "cache"), Silent())
    assert [Path(failure["name"]).name for failure in result["failures"]] == ["pan.mp4"]


def test_each_unreadable_file_is_reported(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unreadable: two of them must not be taken for one another. Names need not be UTF-8."""
    strange = os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(folder / "one.mp4", folder / strange)
    opened = Path.open

    def denied(self: Path, *args: Any, **options: Any) -> Any:
        if self.name in ("pan.mp4", "scenes.mp4"):
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **options)

    monkeypatch.setattr(Path, "open", denied)
    index = index_of(folder, encoder, tmp_path / "cache")
    assert [video.path for video in index.videos] == [strange, "one.mp4"]
    reasons = {failure.name: failure.reason for failure in index.failures}
    assert reasons["pan.mp4"] == reasons["sub/scenes.mp4"] == "Permission denied"
    save_index(tmp_path / "i.safetensors", index)
    assert load_index(tmp_path / "i.safetensors").videos == index.videos


def test_a_full_disk_stops_indexing(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MoclipError("the disk is full")

    monkeypatch.setattr(FeatureCache, "put", full)
    with pytest.raises(MoclipError, match="disk"):
        index_of(folder, encoder, tmp_path / "cache")


def test_the_encoder_reads_parts_of_videos(folder: Path, encoder: VideoTextEncoder) -> None:
    path = folder / "sub" / "scenes.mp4"
    whole, second = encoder.read(path), encoder.read(path, 30, 60)
    assert whole.shape == second.shape == (4, 3, 64, 64)
    assert not np.allclose(whole[0], second[0])
    with pytest.raises((FileNotFoundError, MotionError)):
        encoder.read(folder / "absent.mp4")
    assert not encoder.random


def test_faiss_and_the_matrix_product_agree(hide_package: Callable[[str], None]) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact, places = nearest(vectors, vectors[:5], 7)
    np.testing.assert_array_equal(places[:, 0], range(5))
    beyond, same = nearest(vectors, vectors[:5], 7, limit=100)
    np.testing.assert_array_equal(same, places)
    np.testing.assert_allclose(beyond, exact, atol=1e-5)
    copies = np.repeat(vectors[:60], 5, axis=0)  # equal products
    for k in (3, 7, 300):
        _, places = nearest(copies, vectors[:5], k, limit=100)
        for query, row in enumerate(places.tolist()):
            assert row[:5] == list(range(5 * query, 5 * query + 5))[:k]
            assert all(a < b for a, b in itertools.pairwise(row) if a // 5 == b // 5)
            assert len(set(row)) == k
    hide_package("faiss")
    with pytest.raises(MoclipError, match=r"moclip-lite\[faiss\]"):
        nearest(vectors, vectors[:5], 7, limit=100)
