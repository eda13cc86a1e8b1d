"""Retrieval: scores, windows, index and search, and what is refused."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from moclip_lite.errors import CheckpointError, DataError, MoclipError
from moclip_lite.mobileviclip import VARIANTS, save_model
from moclip_lite.mobileviclip.encoder import ModelSpec, VideoTextEncoder
from moclip_lite.mobileviclip.training.pairs import FilePairs, Pair
from moclip_lite.progress import Silent
from moclip_lite.retrieval import (
    VideoIndex,
    WindowSpec,
    build_index,
    cut_windows,
    dual_softmax,
    evaluate_retrieval,
    find_cuts,
    load_index,
    nearest,
    retrieval_scores,
    save_index,
    search,
    video_windows,
)
from moclip_lite.retrieval.index import VideoFile
from moclip_lite.storage.cache import FeatureCache
from mv_tools import MotionError

from support.clips import H264, encode, panning
from support.mobileviclip import TINY, shaken


def test_recall_and_median_rank_by_hand() -> None:
    similarity = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.1], [0.1, 0.3, 0.7]], np.float32)
    found = retrieval_scores(similarity, [0, 1, 2])
    assert found["text_to_video"]["r1"] == pytest.approx(200 / 3)
    assert found["text_to_video"]["median_rank"] == 1
    assert found["video_to_text"]["r1"] == pytest.approx(200 / 3)  # video 1's best text is text 2
    assert found["text_to_video"]["r5"] == found["text_to_video"]["r10"] == 100
    tied = retrieval_scores(np.ones((4, 4), np.float32), range(4))
    assert tied["text_to_video"]["median_rank"] == 4  # a constant answer is no answer


def test_several_captions_of_a_video() -> None:
    similarity = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.4]], np.float32)  # texts 0 and 1 are of video 0
    found = retrieval_scores(similarity, [0, 0, 1])
    assert found["text_to_video"]["n"] == 3
    assert found["text_to_video"]["r1"] == pytest.approx(200 / 3)
    assert found["video_to_text"]["n"] == 2
    assert found["video_to_text"]["r1"] == 50
    for wrong in ([0, 0], [0, 0, 2], [0, 0, 0]):
        with pytest.raises(ValueError, match="each video"):
            retrieval_scores(similarity, wrong)
    with pytest.raises(ValueError, match="finite"):
        retrieval_scores(similarity * np.nan, [0, 0, 1])


def test_dual_softmax_takes_from_hubs() -> None:
    # Video 0 is near to every text; each text's own video is second.
    similarity = np.array([[0.9, 0.1, 0.1], [0.50, 0.49, 0.1], [0.50, 0.1, 0.49]], np.float32)
    found = retrieval_scores(similarity, range(3))
    assert found["text_to_video"]["r1"] == pytest.approx(100 / 3)
    assert found["dual_softmax"]["text_to_video"]["r1"] == 100
    by_hand = similarity * np.exp(similarity / 0.2) / np.exp(similarity / 0.2).sum(axis=0)
    np.testing.assert_allclose(dual_softmax(similarity, 0.2), by_hand, rtol=1e-4)


@pytest.mark.parametrize("shift", [0.0, -0.2, -0.5, -0.9, -1.0])
@pytest.mark.parametrize("size", [2, 5, 20])
def test_a_perfect_order_stays_perfect_whatever_the_sign(shift: float, size: int) -> None:
    rng = np.random.default_rng(size)
    similarity = rng.uniform(0.05, 0.4, (size, size)).astype(np.float32)
    np.fill_diagonal(similarity, rng.uniform(0.7, 0.9, size))
    found = retrieval_scores(similarity + np.float32(shift), range(size))
    for scores in (found, found["dual_softmax"]):
        for direction in ("text_to_video", "video_to_text"):
            assert scores[direction]["r1"] == 100
            assert scores[direction]["median_rank"] == 1


def test_dual_softmax_rises_with_the_similarity_and_with_its_share() -> None:
    """Negative cosines too; where none is negative it is the published product."""
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
    far = np.array([[0.99, -0.99], [0.98, -0.98]], np.float32)  # shares of 1e-86 are told apart still
    assert (dual_softmax(far.T)[1] > 0).any()


def test_texts_of_equal_words_belong_to_all_their_videos() -> None:
    similarity = np.array([[0.9, 0.8, 0.1], [0.9, 0.8, 0.1], [0.1, 0.2, 0.7]], np.float32)
    apart = retrieval_scores(similarity, [0, 1, 2])
    assert apart["text_to_video"]["r1"] == pytest.approx(200 / 3)  # text 1 finds video 0
    alike = retrieval_scores(similarity, [0, 1, 2], words=["a dog", "a dog", "a cat"])
    assert alike["text_to_video"]["r1"] == alike["video_to_text"]["r1"] == 100
    with pytest.raises(ValueError, match="words of 1"):
        retrieval_scores(similarity, [0, 1, 2], words=["a dog"])


def test_windows_cover_every_frame_once() -> None:
    windows = cut_windows(np.arange(251) / 25, [60, 70, 245], longest=4.0)
    assert [(w.start, w.stop) for w in windows] == [(0, 60), (60, 155), (155, 250)]
    assert windows[1].start_seconds == pytest.approx(2.4)
    assert [(w.start, w.stop) for w in cut_windows(np.arange(2) / 25, [], 10.0)] == [(0, 1)]


def scenes(path: Path, **options: str) -> Path:
    """Two shots of 30 frames."""
    first, second = panning(30), 255 - np.rot90(panning(30, 64, 96), axes=(1, 2))
    second[..., 1:] //= 4
    return encode(path, np.concatenate([first, second]), **{**H264, **options})


@pytest.mark.parametrize("scenecut", ["40", "0"])
def test_motion_finds_cuts(tmp_path: Path, scenecut: str) -> None:
    """An I picture out of turn, or a P picture that refers to nothing."""
    path = scenes(tmp_path / "scenes.mp4", sc_threshold=scenecut, g="25", keyint_min="1")
    assert find_cuts(path) == [30]
    assert [(w.start, w.stop) for w in video_windows(path, 10.0)] == [(0, 30), (30, 60)]
    assert len(video_windows(path, 10.0, shots=False)) == 1


def test_steady_shots_and_codecs_without_motion_have_no_cuts(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    assert find_cuts(make_clip(frames=60, g="25", sc_threshold="40")) == []
    assert find_cuts(encode(tmp_path / "v.mkv", panning(30), "ffv1")) == []


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    made = shaken()
    made.weights = "made for tests"
    save_model(path, made)
    return path


@pytest.fixture
def encoder(model: Path, monkeypatch: pytest.MonkeyPatch) -> VideoTextEncoder:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    return VideoTextEncoder(ModelSpec(name="mobileviclip-tiny", pretrained=str(model), num_frames=4))


@pytest.fixture
def folder(tmp_path: Path, make_clip: Callable[..., Path]) -> Path:
    (tmp_path / "videos" / "sub").mkdir(parents=True)
    scenes(tmp_path / "videos" / "sub" / "scenes.mp4")
    make_clip("videos/one.mp4", frames=1)
    make_clip("videos/pan.mp4", step=(0, 3))
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"broken")
    (tmp_path / "videos" / "notes.txt").write_text("no video")
    return tmp_path / "videos"


def made(folder: Path, encoder: VideoTextEncoder, cache: Path) -> VideoIndex:
    return build_index(folder, encoder, WindowSpec(), FeatureCache(cache), Silent())


def test_index_and_search(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = made(folder, encoder, tmp_path / "cache")
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
    again = made(folder, encoder, tmp_path / "cache")  # from the cache alone
    np.testing.assert_array_equal(again.vectors, index.vectors)


def test_videos_that_vanish_or_change(folder: Path, encoder: VideoTextEncoder, tmp_path: Path) -> None:
    index = made(folder, encoder, tmp_path / "cache")
    (folder / "sub" / "scenes.mp4").unlink()
    (folder / "pan.mp4").write_bytes((folder / "pan.mp4").read_bytes() + b"\0")
    (hits,), warnings = search(index, encoder, ["a person juggling"], 10)
    assert {Path(hit.path).name for hit in hits} == {"one.mp4", "pan.mp4"}
    assert warnings == [
        "1 of 3 videos are gone since they were indexed",
        "1 of 3 videos have changed since they were indexed",
    ]
    for video in index.videos:
        (folder / video.path).unlink(missing_ok=True)
    with pytest.raises(DataError, match="all 3 videos"):
        search(index, encoder, ["x"], 1)
    with pytest.raises(DataError, match="no such folder"):
        made(folder / "absent", encoder, tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no video files"):
        made(tmp_path / "empty", encoder, tmp_path / "cache")


def test_another_model_is_refused(folder: Path, encoder: VideoTextEncoder, tmp_path: Path) -> None:
    index = made(folder, encoder, tmp_path / "cache")
    other = shaken(seed=9)
    save_model(tmp_path / "other.safetensors", other)
    stranger = VideoTextEncoder(
        dataclasses.replace(encoder.spec, pretrained=str(tmp_path / "other.safetensors"))
    )
    with pytest.raises(CheckpointError, match="other weights"):
        search(index, stranger, ["x"], 1)
    with pytest.raises(ValueError, match="empty"):
        search(index, encoder, [" "], 1)


@pytest.mark.parametrize(
    "how", ["missing", "cut", "foreign", "outside", "lengths", "window", "shape", "json"]
)
def test_damaged_indexes_are_refused(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "i.safetensors"
    index = made(folder, encoder, tmp_path / "cache")
    save_index(path, index)
    arrays = load_file(path)
    about = {
        "root": str(folder), "videos": [dataclasses.asdict(v) for v in index.videos], "model": dataclasses.asdict(index.model),
        "model_digest": index.model_digest, "model_text": "x",
    }  # fmt: skip
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        if how == "outside":
            about["videos"][0]["path"] = "../secret.mp4"  # type: ignore[index]
        elif how == "lengths":
            arrays["vectors"] = arrays["vectors"] * 2
        elif how == "window":
            arrays["video_of"] = arrays["video_of"] + 7
        elif how == "shape":
            arrays["seconds"] = arrays["seconds"][:1]
        text = "{" if how == "json" else json.dumps(about)
        save_file(arrays, path, {"format": "else" if how == "foreign" else "moclip-index-1", "about": text})
    with pytest.raises(CheckpointError, match=r"i\.safetensors"):
        load_index(path)


HOSTILE = [
    float("inf"), float("nan"), -1, 10**400, 1e30, True, None, "x", "", "\0", "\ud800", "../x", "/etc/passwd", [], {}, [[]],
]  # fmt: skip


def _leaves(value: object, place: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(leaf for key, part in inner for leaf in _leaves(part, (*place, key)))]


def test_hostile_descriptions_are_refused_by_the_files_name(
    encoder: VideoTextEncoder, tmp_path: Path, model: Path
) -> None:
    """Every value of an index's description replaced by what has no sense there: a search never ends otherwise
    than in hits or in a sentence."""
    path = tmp_path / "i.safetensors"
    (tmp_path / "v.mp4").write_bytes(b"v")
    video = VideoFile("v.mp4", 1, (tmp_path / "v.mp4").stat().st_mtime_ns)
    vectors = encoder.encode_texts(["a", "b"])
    index = VideoIndex(
        tmp_path, (video,), vectors, np.zeros(2, np.int64), np.array([[0, 1], [1, 2]], np.float32),
        encoder.spec, encoder.digest, "x",
    )  # fmt: skip
    save_index(path, index)
    with safe_open(str(path), "numpy") as file:
        about = json.loads(file.metadata()["about"])
    arrays, refused = load_file(path), 0
    for place in _leaves(about):
        for wrong in HOSTILE:
            changed = copy.deepcopy(about)
            inside = changed
            for key in place[:-1]:
                inside = inside[key]
            if place:
                inside[place[-1]] = wrong
            text = json.dumps(changed if place else wrong)
            save_file(arrays, path, {"format": "moclip-index-1", "about": text.replace("Infinity", "1e999")})
            message = ""
            try:
                search(load_index(path), encoder, ["a"], 1)
            except (CheckpointError, DataError) as error:
                message = str(error)
            assert not message or str(path) in message or "gone" in message, (place, wrong)
            refused += bool(message)
    assert refused > 100


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("vectors", lambda a: a * np.nan), ("vectors", lambda a: a[:, :8]), ("vectors", lambda a: a[0]),
        ("vectors", lambda a: a[0, 0]), ("vectors", lambda a: a[:0]), ("vectors", lambda a: a.astype(np.float64)),
        ("vectors", lambda a: a[:, :8] / np.linalg.norm(a[:, :8], axis=1, keepdims=True)),
        ("vectors", lambda a: a[..., None]), ("vectors", lambda a: a[:, :0]),
        ("seconds", lambda a: a * 0 + [1e30, -5]), ("seconds", lambda a: a[:, ::-1]), ("seconds", lambda a: a - 5),
        ("seconds", lambda a: a + np.inf), ("seconds", lambda a: a + 1e30), ("seconds", lambda a: a * np.nan),
        ("seconds", lambda a: a.T[:1]), ("seconds", lambda a: a.ravel()),
        ("video_of", lambda a: a - 1), ("video_of", lambda a: a + 1), ("video_of", lambda a: a.astype(np.int32)),
        ("video_of", lambda a: a[:1]), ("video_of", lambda a: a + 2**62),
    ],
)  # fmt: skip
def test_hostile_arrays_are_refused_by_the_files_name(
    encoder: VideoTextEncoder, tmp_path: Path, name: str, spoil: Callable[..., Any]
) -> None:
    path = tmp_path / "i.safetensors"
    arrays = {
        "vectors": encoder.encode_texts(["a", "b"]), "video_of": np.zeros(2, np.int64),
        "seconds": np.array([[0, 1], [1, 2]], np.float32),
    }  # fmt: skip
    wrong = np.ascontiguousarray(spoil(arrays[name]))
    arrays[name] = wrong if name != "seconds" else wrong.astype(np.float32)
    about = VideoIndex(
        tmp_path, (VideoFile("v.mp4", 1, 1),), *arrays.values(), encoder.spec, encoder.digest, "x"
    )
    save_index(path, about)
    with pytest.raises(CheckpointError, match=r"i\.safetensors"):
        search(load_index(path), encoder, ["a"], 1)


@pytest.mark.parametrize("error", [IndexError("i"), RuntimeError("r"), OSError(5, "io"), MemoryError("m")])
def test_one_bad_file_never_ends_an_index(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    read = VideoTextEncoder.read

    def failing(self: VideoTextEncoder, path: Path, *stretch: int) -> Any:
        if path.name == "pan.mp4":
            raise error
        return read(self, path, *stretch)

    monkeypatch.setattr(VideoTextEncoder, "read", failing)
    index = made(folder, encoder, tmp_path / "cache")
    assert [video.path for video in index.videos] == ["one.mp4", "sub/scenes.mp4"]
    reasons = {failure.name: failure.reason for failure in index.failures}
    assert set(reasons) == {"broken.mp4", "pan.mp4"}
    assert "a bug in this program" in reasons["pan.mp4"] or isinstance(error, (OSError, MemoryError))
    pairs = [Pair(folder / name, (name,), 0) for name in ("pan.mp4", "one.mp4")]
    result = evaluate_retrieval(pairs, encoder, FeatureCache(tmp_path / "cache"), Silent())
    assert (result["videos"], len(result["failures"])) == (1, 1)


def test_files_that_cannot_be_read_or_named_are_left_out_one_by_one(
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
    index = made(folder, encoder, tmp_path / "cache")
    assert [video.path for video in index.videos] == [strange, "one.mp4"]
    reasons = {failure.name: failure.reason for failure in index.failures}
    assert reasons["pan.mp4"] == reasons["sub/scenes.mp4"] == "Permission denied"
    save_index(tmp_path / "i.safetensors", index)
    assert load_index(tmp_path / "i.safetensors").videos == index.videos


def test_a_full_disk_ends_an_index(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MoclipError("the disk is full")

    monkeypatch.setattr(FeatureCache, "put", full)
    with pytest.raises(MoclipError, match="disk"):
        made(folder, encoder, tmp_path / "cache")


def test_a_relative_checkpoint_is_kept_by_its_whole_path(
    folder: Path, model: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    near = VideoTextEncoder(dataclasses.replace(encoder.spec, pretrained=model.name))
    save_index(tmp_path / "i.safetensors", made(folder, near, tmp_path / "cache"))
    monkeypatch.chdir(folder)
    index = load_index(tmp_path / "i.safetensors")
    hits, _ = search(index, VideoTextEncoder(index.model), ["x"], 1)
    assert len(hits[0]) == 1


def test_retrieval_counts_copies_and_equal_captions_as_training_does(
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
    assert result["repeats"] == vars(FilePairs(pairs, TINY).repeats())
    vectors = np.stack(
        [encoder.encode_clips(encoder.read(folder / n)[None])[0] for n in ("pan.mp4", "one.mp4")]
    )
    texts = encoder.encode_texts([caption for _, caption in rows])
    wanted = retrieval_scores(texts @ vectors.T, [0, 0, 0, 1], words=[0, 1, 0, 0])
    assert result["text_to_video"] == wanted["text_to_video"]
    assert result["dual_softmax"] == wanted["dual_softmax"]


def test_faiss_and_the_matrix_product_agree(hide_package: Callable[[str], None]) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact, places = nearest(vectors, vectors[:5], 7)
    np.testing.assert_array_equal(places[:, 0], range(5))
    beyond, same = nearest(vectors, vectors[:5], 7, limit=100)
    np.testing.assert_array_equal(same, places)
    np.testing.assert_allclose(beyond, exact, atol=1e-5)
    hide_package("faiss")
    with pytest.raises(MoclipError, match=r"moclip-lite\[faiss\]"):
        nearest(vectors, vectors[:5], 7, limit=100)


def test_retrieval_on_files(folder: Path, encoder: VideoTextEncoder, tmp_path: Path) -> None:
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
    wanted = retrieval_scores(encoder.encode_texts(["a pan", "still", "down"]) @ vectors.T, [0, 1, 0])
    assert result["text_to_video"] == wanted["text_to_video"]
    with pytest.raises(DataError, match="none of 1 clips"):
        evaluate_retrieval(pairs[2:3], encoder, FeatureCache(tmp_path / "cache"), Silent())


def test_the_encoder_reads_stretches(folder: Path, encoder: VideoTextEncoder) -> None:
    path = folder / "sub" / "scenes.mp4"
    whole, second = encoder.read(path), encoder.read(path, 30, 60)
    assert whole.shape == second.shape == (4, 3, 64, 64)
    assert not np.allclose(whole[0], second[0])
    with pytest.raises((FileNotFoundError, MotionError)):
        encoder.read(folder / "absent.mp4")
    assert not encoder.random
