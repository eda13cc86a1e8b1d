"""The cache's form of motion: nothing is lost, and what is damaged is found."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moclip_lite.datasets import Clip
from moclip_lite.errors import CheckpointError, MoclipError
from moclip_lite.motion.extract import extract_motion, load_motion
from moclip_lite.motion.packing import pack, unpack
from moclip_lite.motion.read import STEPS, MotionClip, read_motion_clip
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.cache_keys import cache_key
from moclip_lite.storage.digest import digest_file
from mv_tools import SourceChanged

from support.clips import H264, encode, panning

SPEC = MotionSpec(segments=5, frames=4, grid=(6, 7))


def some_clip(seed: int, size: float, pictures: int = 30) -> MotionClip:
    rng = np.random.default_rng(seed)
    fields = rng.normal(0, size, (pictures, 2, 6, 7)) * (rng.random((pictures, 2, 6, 7)) < 0.5)
    fields = (np.round(fields.clip(-4000, 4000) * STEPS) / STEPS).astype(np.float16)
    indices = np.sort(rng.integers(0, pictures, SPEC.shape[:2]))
    return MotionClip(fields[indices], indices, bool(seed % 2), "h264")


@given(st.integers(0, 1000), st.sampled_from([0.1, 3.0, 100.0, 2000.0]))
@settings(max_examples=40)
def test_what_is_packed_comes_back(seed: int, size: float) -> None:
    clip = some_clip(seed, size)
    motion, empty = unpack(pack(clip), SPEC)
    np.testing.assert_array_equal(motion, clip.motion)
    assert motion.dtype == np.float16
    assert empty is clip.empty


def test_reading_and_the_cache_agree_to_the_bit(clip: Path) -> None:
    spec = MotionSpec(segments=4, frames=5, grid=(8, 12))
    read = read_motion_clip(clip, spec)
    np.testing.assert_array_equal(unpack(pack(read), spec)[0], read.motion)
    np.testing.assert_array_equal(read.motion * STEPS, np.round(read.motion * STEPS))


def test_pictures_in_several_windows_are_kept_once() -> None:
    once, often = some_clip(0, 3.0), some_clip(0, 3.0)
    repeated = MotionClip(often.motion[[0] * 5], often.indices[[0] * 5], False, "h264")
    assert pack(repeated)["fields"].nbytes < pack(once)["fields"].nbytes / 3


@pytest.mark.parametrize("damage", ["cut", "noise", "bomb", "short", "more", "absent", "windows", "dtype"])
def test_damage_is_found(damage: str) -> None:
    arrays = pack(some_clip(0, 3.0))
    stream = arrays["fields"].tobytes()
    if damage == "cut":
        stream = stream[:-9]
    elif damage == "noise":
        stream = b"no stream" + stream
    elif damage == "bomb":
        stream = zlib.compress(bytes(50_000_000))
    elif damage == "short":
        stream = zlib.compress(zlib.decompress(stream)[:-2])
    elif damage == "more":
        stream = zlib.compress(zlib.decompress(stream) + b"\0")
    elif damage == "absent":
        del arrays["indices"]
    elif damage == "windows":
        arrays["indices"] = arrays["indices"][:3]
    else:
        arrays["indices"] = arrays["indices"].astype(np.float32)
    arrays["fields"] = np.frombuffer(stream, np.uint8)
    with pytest.raises(CheckpointError):
        unpack(arrays, SPEC)


def key_of(path: Path, spec: MotionSpec) -> str:
    return cache_key("motion", digest_file(path), spec.key_settings())


def test_an_entry_that_cannot_be_unpacked_is_made_again(clip: Path, tmp_path: Path) -> None:
    spec, cache = MotionSpec(segments=4, frames=3, grid=(6, 8)), FeatureCache(tmp_path)
    key = key_of(clip, spec)
    fresh, empty = load_motion(clip, spec, cache, key)
    assert not empty
    cache.put("motion", key, {"fields": np.zeros(9, np.uint8)})  # its digest is right
    np.testing.assert_array_equal(load_motion(clip, spec, cache, key)[0], fresh)
    arrays = cache.get("motion", key)
    assert arrays is not None
    np.testing.assert_array_equal(unpack(arrays, spec)[0], fresh)


def test_seven_seconds_at_25_segments_take_under_150_kb(shared: Path, tmp_path: Path) -> None:
    import mv_tools

    source = sorted((shared / "videos" / "ucf101_sample").glob("*/*.avi"))[0]
    path = mv_tools.transcode(source, tmp_path / "clip.mp4", gop=12, threads=1)
    for kind in ("raw", "accumulated"):
        spec = MotionSpec(segments=25, frames=5, grid=(24, 32), field=kind)  # type: ignore[arg-type]
        cache = FeatureCache(tmp_path / "cache")
        load_motion(path, spec, cache, key_of(path, spec))
        assert 10_000 < cache.size("motion", key_of(path, spec)) < 150_000


def test_an_entry_of_a_replaced_file_is_not_made_again(
    clip: Path, make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    spec, cache = MotionSpec(segments=4, frames=3, grid=(6, 8)), FeatureCache(tmp_path)
    key = key_of(clip, spec)
    with pytest.raises(SourceChanged, match="was changed since its motion was read"):
        load_motion(make_clip("other.mp4", crf="30"), spec, cache, key)
    assert not cache.has("motion", key)


def test_the_size_of_all_entries_is_announced_once(make_clip, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    clips = [Clip(make_clip(f"{i}.mp4", crf=str(20 + i)), f"{i}.mp4", "a") for i in range(10)]
    spec, cache = MotionSpec(segments=2, frames=3, grid=(6, 8)), FeatureCache(tmp_path / "cache")
    announced: list[tuple[str, int]] = []

    def announce(text: str) -> None:
        announced.append((text, len(list(cache.entries()))))

    report = extract_motion(clips, spec, cache, workers=1, announce=announce)
    assert report.made == 10
    ((text, entries),) = announced
    assert entries == 4
    mean = np.mean([cache.size("motion", report.keys[f"{i}.mp4"]) for i in (0, 2, 5, 7)])
    total = sum(entry.size for entry in cache.entries())
    assert text == f"10 clips will take about {10 * mean / 1000:.1f} kB in {cache.root} (measured on 4)"
    assert 10 * mean == pytest.approx(total, rel=0.2)
    announced.clear()
    assert extract_motion(clips, spec, cache, workers=1, announce=announce).reused == 10
    assert announced == []


def test_too_little_space_is_refused_before_the_start(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = FeatureCache(tmp_path / "cache")
    monkeypatch.setattr(cache, "free_bytes", lambda: 100)
    with pytest.raises(MoclipError, match="100 bytes free; choose another cache with --cache"):
        extract_motion([Clip(clip, "a.mp4", "a")], MotionSpec(), cache, workers=1)
    assert list(cache.entries()) == []


def test_space_that_suffices_for_clips_at_rest_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The share of zeros decides what an entry takes: the shape of the tensor says little."""
    video = encode(tmp_path / "still.mp4", panning(16, step=(0, 0)), **H264)
    cache = FeatureCache(tmp_path / "cache")
    monkeypatch.setattr(cache, "free_bytes", lambda: 4_000)
    report = extract_motion([Clip(video, "still.mp4", "a")], MotionSpec(), cache, workers=1)
    (entry,) = cache.entries()
    assert report.made == 1
    assert 256 <= entry.size <= 4_000


def test_a_codec_without_vectors_is_refused_with_advice_for_a_folder(tmp_path: Path) -> None:
    video = encode(tmp_path / "a.mkv", panning(6, 64, 48), "ffv1")
    report = extract_motion(
        [Clip(video, "a.mkv", "a")], MotionSpec(), FeatureCache(tmp_path / "c"), workers=1
    )
    (failure,) = report.failures
    assert "moclip mv transcode SRC DST, or a whole data set: moclip dataset prepare folder" in failure.reason
