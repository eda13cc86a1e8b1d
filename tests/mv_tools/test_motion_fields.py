"""Uses of motion fields: pooling, accumulation, camera motion, files, drawings; transcoding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

import mv_tools
from mv_tools import (
    ArgumentError,
    FlowPooler,
    MotionDecoder,
    accumulate,
    fit_affine,
    flow,
    pool,
    remove_camera_motion,
    to_dense,
    visualize,
)
from mv_tools.camera import affine_flow

from support.clips import annex_b
from support.frames import motion_frame


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 24), st.integers(1, 24))
def test_pooling_keeps_the_mean(rows: int, columns: int, high: int, wide: int) -> None:
    field = np.random.default_rng(rows * columns).normal(size=(2, rows, columns)).astype(np.float32)
    small = pool(field, (high, wide))
    assert small.shape == (2, high, wide)
    np.testing.assert_allclose(small.mean(axis=(1, 2)), field.mean(axis=(1, 2)), atol=1e-4)


def test_pooling_leaves_out_the_padding() -> None:
    field = np.ones((2, 16, 24), np.float32)
    field[:, 15:, :] = 100
    field[:, :, 23:] = 100
    np.testing.assert_allclose(pool(field, (5, 7), width=92, height=60), 1.0, rtol=1e-5)


def test_dense_fields_repeat_blocks_and_crop() -> None:
    field = np.arange(2 * 4 * 6, dtype=np.float32).reshape(2, 4, 6)
    dense = to_dense(field, width=22, height=15)
    assert dense.shape == (15, 22, 2)
    np.testing.assert_array_equal(dense[7, 9], field[:, 1, 2])
    with pytest.raises(ValueError, match="does not cover"):
        to_dense(field, width=25, height=15)


def test_accumulation_sums_back_to_the_i_picture(clip: Path) -> None:
    """Content moving 3 pixels a frame has moved 3 k pixels k frames after the I picture."""
    decoder = MotionDecoder(clip)
    since = 0
    for frame, total in zip(decoder, accumulate(decoder), strict=True):
        since = 0 if frame.pict_type == "I" else since + 1
        if frame.pict_type == "I":
            assert not total.any()
        else:
            assert np.median(total[0, 2:-2, 12:-4]) == pytest.approx(3 * since, abs=0.5)


def test_accumulation_keeps_fractions() -> None:
    """Four steps of a quarter sample are one sample; steps in integers would lose them."""
    mv = np.zeros((2, 8, 8, 2), np.int16)
    mv[0, ..., 0] = -1
    ref = np.full((2, 8, 8), -1, np.int8)
    ref[0] = 0

    def frame(i: int) -> mv_tools.MotionFrame:
        if i == 0:
            return motion_frame(mv * 0, np.full_like(ref, -1), index=0, pict_type="I", is_keyframe=True)
        return motion_frame(mv, ref, index=i)

    *_, last = accumulate(frame(i) for i in range(5))
    np.testing.assert_allclose(last[0], 1.0)


def test_camera_motion_is_removed_and_moving_parts_stay() -> None:
    affine = np.array([[3.0, -0.5, 0.2], [-1.0, 0.3, 0.8]])
    field = affine_flow(affine, 24, 32)
    field[:, 8:16, 10:20] += 6.0  # about a tenth of the picture moves independently
    field += np.random.default_rng(0).normal(0, 0.05, field.shape).astype(np.float32)
    np.testing.assert_allclose(fit_affine(field), affine, atol=0.05)
    left = remove_camera_motion(field)
    assert np.abs(left[:, :6]).max() < 0.5
    np.testing.assert_allclose(left[:, 8:16, 10:20], 6.0, atol=0.5)
    np.testing.assert_array_equal(left, remove_camera_motion(field))


def test_camera_fit_without_motion_blocks() -> None:
    field = np.zeros((2, 4, 4), np.float32)
    assert not fit_affine(field, np.zeros((4, 4), bool)).any()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("kind", ["vectors", "flow"])
def test_written_motion_reads_back(clip_b: Path, tmp_path: Path, suffix: str, kind: str) -> None:
    out = tmp_path / f"m{suffix}"
    decoder = MotionDecoder(clip_b)
    assert mv_tools.write_motion(decoder, out, kind=kind) == 24  # type: ignore[arg-type]
    arrays = load_file(out) if suffix == ".safetensors" else dict(np.load(out, allow_pickle=False))
    assert sorted(arrays["decode_index"].tolist()) == list(range(24))
    for i, frame in enumerate(decoder):
        if kind == "flow":
            np.testing.assert_array_equal(arrays["flow"][i], flow(frame))
        else:
            np.testing.assert_array_equal(arrays["mv"][i], frame.mv)
            np.testing.assert_array_equal(arrays["ref_idx"][i], frame.ref_idx)
        assert "IPB"[arrays["pict_type"][i]] == frame.pict_type
    assert list(tmp_path.iterdir()) == [out]


def test_other_file_endings_are_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.npz or \.safetensors"):
        mv_tools.write_motion(MotionDecoder(clip), tmp_path / "m.txt")


def test_chosen_pictures_equal_a_full_decode(clip_b: Path) -> None:
    import av

    with av.open(str(clip_b)) as container:
        full = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    frames, indices = mv_tools.read_rgb_at(clip_b, [17, 0, -1, 17, 5])
    assert indices.tolist() == [17, 0, 23, 17, 5]
    for i, picture in zip(indices, frames, strict=True):
        np.testing.assert_array_equal(picture, full[i])
    keys = mv_tools.read_keyframes(clip_b)
    assert keys.indices.tolist() == MotionDecoder(clip_b).keyframe_indices()
    np.testing.assert_array_equal(keys.frames[-1], full[keys.indices[-1]])
    assert len(mv_tools.read_keyframes(clip_b, max_frames=1).frames) == 1
    with pytest.raises(IndexError, match="24"):
        mv_tools.read_rgb_at(clip_b, [24])


def test_pictures_of_raw_streams(make_clip: Callable[..., Path]) -> None:
    mp4 = make_clip("a.mp4")
    raw = annex_b(mp4)
    a, b = mv_tools.read_rgb_at(raw, [20, -1]), mv_tools.read_rgb_at(mp4, [20, 23])
    np.testing.assert_array_equal(a.frames, b.frames)
    assert mv_tools.count_frames(raw) == 24


def test_transcoding_follows_the_recipe(clip_mpeg4: Path, tmp_path: Path) -> None:
    out = mv_tools.transcode(clip_mpeg4, tmp_path / "a" / "b.mp4", gop=8, bframes=0)
    summary = mv_tools.probe(out)
    assert (summary.metadata.codec, summary.metadata.num_frames) == ("h264", 24)
    assert summary.pictures is not None
    assert summary.pictures.pattern == "I" + 7 * "P"
    assert summary.pictures.pict_types == {"I": 3, "P": 21}
    small = mv_tools.transcode(clip_mpeg4, tmp_path / "small.mp4", side=32)
    assert MotionDecoder(small).metadata.height == 32
    with pytest.raises(ValueError, match="gop"):
        mv_tools.transcode(clip_mpeg4, tmp_path / "c.mp4", gop=0)
    with pytest.raises(ValueError, match="same file"):
        mv_tools.transcode(out, out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "small.mp4"]


def test_drawings(clip: Path, tmp_path: Path) -> None:
    png = visualize.save_png(clip, tmp_path / "m.png", 5)
    with Image.open(png) as image:
        assert image.width >= 96
    film = visualize.save_mp4(clip, tmp_path / "m.mp4", range(6))
    assert mv_tools.count_frames(film) == 6
    for write, name in ((visualize.save_png, "m.jpg"), (visualize.save_mp4, "m.avi")):
        with pytest.raises(ArgumentError, match=r"must end in \.(png|mp4)"):
            write(clip, tmp_path / name, 5)  # type: ignore[operator]
    still = visualize.flow_to_rgb(np.zeros((4, 4, 2), np.float32))
    assert (still == 255).all()
    right = visualize.flow_to_rgb(np.full((4, 4, 2), [5.0, 0.0], np.float32))
    left = visualize.flow_to_rgb(np.full((4, 4, 2), [-5.0, 0.0], np.float32))
    assert not np.array_equal(left, right)
    with pytest.raises(ValueError, match="style"):
        visualize.render(np.zeros((64, 96, 3), np.uint8), np.zeros((2, 16, 24), np.float32), "dots")  # type: ignore[arg-type]


FIELD = np.zeros((2, 12, 16), np.float32)
NO_GRIDS: list[Any] = [(0, 3), (3, -1), (1.5, 3), (3,), (2, 3, 4), "ab", None, 4, (True, 3), (10**6, 10**6)]
NO_FIELDS: list[Any] = [FIELD[0], np.zeros((2, 0, 4), np.float32), np.zeros((2, 3, 4), "U1"), None, "abc"]


@pytest.mark.parametrize("grid", NO_GRIDS, ids=str)
def test_what_is_no_grid_is_refused(grid: Any) -> None:
    """A grid of 10**12 cells ended the whole process, as there is no memory for it."""
    for call in (lambda: pool(FIELD, grid), lambda: FlowPooler(grid)):
        with pytest.raises(ArgumentError, match="grid must"):
            call()


@pytest.mark.parametrize("field", NO_FIELDS, ids=["2-D", "empty", "text", "None", "str"])
def test_what_is_no_field_is_refused(field: Any) -> None:
    calls = (
        lambda: pool(field, (2, 2)),
        lambda: to_dense(field, 8, 8),
        lambda: fit_affine(field),
        lambda: remove_camera_motion(field),
    )
    for call in calls:
        with pytest.raises(ArgumentError, match="a motion field must be an array of numbers"):
            call()


def test_camera_motion_of_wrong_fields_is_refused() -> None:
    for call in (fit_affine, remove_camera_motion):
        with pytest.raises(ArgumentError, match="two components"):
            call(np.zeros((3, 12, 16), np.float32))
        with pytest.raises(ArgumentError, match="finite"):
            call(np.full((2, 12, 16), np.nan, np.float32))
        with pytest.raises(ArgumentError, match=r"mask must have the shape \(12, 16\)"):
            call(FIELD, np.ones((3, 3), bool))
    with pytest.raises(ArgumentError, match="at least 1"):
        to_dense(FIELD, 0, 8)
