"""Motion fields: decoding, order, random access, flow."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mv_tools
from mv_tools import MotionDecoder, MotionFrame, UnsupportedStream, flow, inter_mask
from mv_tools.blocks import blocks_from_grid, grid_from_blocks

from support.clips import annex_b, encode, panning
from support.frames import motion_frame

BACKENDS = mv_tools.available_backends()


def assert_same(a: MotionFrame, b: MotionFrame) -> None:
    assert (a.index, a.decode_index, a.pict_type, a.pts_seconds) == (
        b.index,
        b.decode_index,
        b.pict_type,
        b.pts_seconds,
    )
    np.testing.assert_array_equal(a.mv, b.mv)
    np.testing.assert_array_equal(a.ref_idx, b.ref_idx)
    np.testing.assert_array_equal(flow(a), flow(b))


@pytest.mark.parametrize("backend", BACKENDS)
def test_flow_is_the_motion_of_the_content(clip: Path, backend: str) -> None:
    decoder = MotionDecoder(clip, backend=backend)
    assert decoder.backend == backend
    assert len(decoder) == 24
    for frame in decoder:
        if frame.pict_type == "I":
            assert not inter_mask(frame).any()
            assert not flow(frame).any()
            continue
        x, y = flow(frame)[:, 2:-2, 6:-6]
        assert np.median(x) == pytest.approx(3.0, abs=0.26)
        assert np.median(y) == pytest.approx(0.0, abs=0.26)


@pytest.mark.parametrize("backend", BACKENDS)
def test_flow_divides_the_distance_to_the_reference(clip_b: Path, backend: str) -> None:
    """With B pictures a P picture refers three frames back; per frame the motion is the same."""
    frames = [f for f in MotionDecoder(clip_b, backend=backend) if f.pict_type != "I"]
    assert {"P", "B"} <= {f.pict_type for f in frames}
    inner = [float(np.median(flow(f)[0, 2:-2, 8:-8])) for f in frames]
    assert np.median(inner) == pytest.approx(3.0, abs=0.3)
    long = [float(np.median(flow(f, normalize=False)[0, 2:-2, 8:-8])) for f in frames if f.pict_type == "P"]
    assert max(long) > 5


@pytest.mark.parametrize("fixture", ["clip", "clip_b", "clip_mpeg4"])
def test_backends_agree(fixture: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(fixture)
    if "mvextractor" not in BACKENDS:
        pytest.skip("motion-vector-extractor has wheels for x86-64 Linux only")
    pairs = zip(MotionDecoder(path, "libav"), MotionDecoder(path, "mvextractor"), strict=True)
    for a, b in pairs:
        assert_same(a, b)
        np.testing.assert_array_equal(a.to_blocks(), b.to_blocks())


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fixture", ["clip", "clip_b", "clip_mpeg4"])
def test_random_access_equals_a_full_pass(backend: str, fixture: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(fixture)
    try:
        full = list(MotionDecoder(path, backend))
    except mv_tools.UnsupportedStream:
        assert backend == "native"
        return
    decoder = MotionDecoder(path, backend)
    indices = [23, 0, 13, 13, -1, 5]
    for i, frame in zip(indices, decoder.get_frames_at(indices), strict=True):
        assert_same(frame, full[i])
    assert_same(decoder[7], full[7])
    assert [f.index for f in decoder.iter_frames_at([20, 3, 3])] == [3, 20]
    with pytest.raises(IndexError, match="24"):
        decoder[24]


def test_two_passes_and_bytes_give_the_same_frames(clip_b: Path) -> None:
    decoder = MotionDecoder(clip_b)
    for a, b, c in zip(decoder, decoder, MotionDecoder(io.BytesIO(clip_b.read_bytes())), strict=True):
        assert_same(a, b)
        assert_same(a, c)


def test_decode_order(clip_b: Path) -> None:
    presented = list(MotionDecoder(clip_b))
    decoded = list(MotionDecoder(clip_b, order="decode"))
    assert [f.index for f in presented] == list(range(24))
    assert [f.decode_index for f in decoded] == list(range(24))
    assert sorted(f.decode_index for f in presented) == list(range(24))
    assert [f.index for f in decoded] != list(range(24))
    assert_same(MotionDecoder(clip_b, order="decode")[4], decoded[4])


def test_raw_streams_without_timestamps(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    mp4 = make_clip("a.mp4", bf="2")
    raw = annex_b(mp4)
    for a, b in zip(MotionDecoder(mp4), MotionDecoder(raw), strict=True):
        np.testing.assert_array_equal(a.mv, b.mv)
        assert (a.index, a.decode_index) == (b.index, b.decode_index)
    assert MotionDecoder(raw).metadata.num_frames == 24


def test_metadata(clip: Path, clip_b: Path, clip_mpeg4: Path) -> None:
    meta = MotionDecoder(clip).metadata
    assert (meta.codec, meta.width, meta.height) == ("h264", 96, 64)
    assert (meta.coded_width, meta.coded_height) == (96, 64)
    assert (meta.num_frames, meta.average_fps, meta.has_b_frames) == (24, 25.0, False)
    assert meta.duration_seconds == pytest.approx(0.96)
    assert meta.entropy_coding == "cabac"
    assert MotionDecoder(clip_b).metadata.has_b_frames
    mpeg4 = MotionDecoder(clip_mpeg4).metadata
    assert (mpeg4.codec, mpeg4.entropy_coding) == ("mpeg4", None)


def test_cavlc_and_odd_sizes(tmp_path: Path) -> None:
    from support.clips import H264, encode, panning

    path = encode(tmp_path / "odd.mp4", panning(width=90, height=58), **H264, coder="0")
    decoder = MotionDecoder(path)
    assert decoder.metadata.entropy_coding == "cavlc"
    assert (decoder.metadata.coded_width, decoder.metadata.coded_height) == (96, 64)
    assert decoder[3].grid_shape == (16, 24)


def test_frames_are_checked_and_read_only() -> None:
    mv = np.zeros((2, 4, 8, 2), np.int16)
    ref = np.full((2, 4, 8), -1, np.int8)
    fields = {"index": 0, "decode_index": 0, "pts_seconds": None, "pict_type": "I", "is_keyframe": True}
    frame = MotionFrame(**fields, mv=mv, ref_idx=ref)
    with pytest.raises(ValueError, match="read-only"):
        frame.mv[0] = 1
    assert "int16[2, 4, 8, 2]" in repr(frame)
    with pytest.raises(TypeError, match="int16"):
        MotionFrame(**fields, mv=mv.astype(np.int32), ref_idx=ref)
    with pytest.raises(ValueError, match="shape"):
        MotionFrame(**fields, mv=mv, ref_idx=ref[:, :2])
    with pytest.raises(ValueError, match="pict_type"):
        MotionFrame(**{**fields, "pict_type": "X"}, mv=mv, ref_idx=ref)


def test_reference_distance_from_picture_order_counts() -> None:
    mv = np.full((2, 4, 4, 2), -24, np.int16)  # 6 pixels back
    ref = np.zeros((2, 4, 4), np.int8)
    ref[1] = -1
    poc = np.full((2, 4, 4), 4, np.int32)
    poc[1] = mv_tools.UNUSED_POC
    frame = motion_frame(mv, ref, index=5, ref_poc=poc, poc=10, poc_interval=2)
    np.testing.assert_allclose(flow(frame), 2.0)  # three frames back
    np.testing.assert_allclose(flow(frame, normalize=False), 6.0)


def test_list_one_is_used_where_list_zero_is_not() -> None:
    mv = np.zeros((2, 4, 4, 2), np.int16)
    mv[1] = 8
    ref = np.full((2, 4, 4), -1, np.int8)
    ref[1, :2] = 0
    field = flow(motion_frame(mv, ref, pict_type="B"))
    np.testing.assert_allclose(field[:, :2], 2.0)  # content goes on towards the later reference
    np.testing.assert_allclose(field[:, 2:], 0.0)


def test_blocks_round_trip() -> None:
    rng = np.random.default_rng(0)
    mv = np.zeros((2, 8, 12, 2), np.int16)
    ref = np.full((2, 8, 12), -1, np.int8)
    mv[0, :4, :4], ref[0, :4, :4] = (5, -3), 0  # a macroblock
    mv[0, :2, 4:8], ref[0, :2, 4:8] = (1, 1), 0  # 16x8
    mv[0, 4:, :2], ref[0, 4:, :2] = (9, 0), 0  # 8x16
    mv[1, 4:, 8:] = rng.integers(-64, 64, (4, 4, 2))  # 4x4 blocks
    ref[1, 4:, 8:] = 0
    table = blocks_from_grid(mv, ref)
    sizes = {tuple(row) for row in table[table[:, 0] < 0][:, 1:3].tolist()}
    assert sizes == {(16, 16), (16, 8), (8, 16)}
    again = grid_from_blocks(table, (8, 12), bipredictive=False)
    np.testing.assert_array_equal(again[0], mv)
    np.testing.assert_array_equal(again[1], ref)


def test_phantom_zero_vectors_are_left_out() -> None:
    part, macroblock = [8, 8, 4, 4, 4, 4], [16, 16, 24, 8, 24, 8]
    rows = [[-1, *part, 0, 0, 4], [1, *part, 12, 0, 4], [-1, *macroblock, 0, 0, 4], [1, *macroblock, 4, 0, 4]]
    table = np.array(rows, np.int32)
    _, ref = grid_from_blocks(table, (4, 8), bipredictive=True)
    assert (ref[0, :2, :2] == -1).all()
    assert (ref[1, :2, :2] == 0).all()
    assert (ref[:, :, 4:] == 0).all()  # an unpartitioned macroblock has no phantoms


def test_errors_name_the_file_and_the_cause(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MotionDecoder(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match="backend must be one of"):
        MotionDecoder(clip, backend="cuda")
    with pytest.raises(ValueError, match="order"):
        MotionDecoder(clip, order="random")  # type: ignore[arg-type]
    empty = tmp_path / "empty.mp4"
    empty.touch()
    with pytest.raises(mv_tools.MalformedStream, match="empty"):
        MotionDecoder(empty)
    text = tmp_path / "text.mp4"
    text.write_text("hello\n" * 100)
    with pytest.raises(mv_tools.MalformedStream, match=r"text\.mp4"):
        MotionDecoder(text)


def test_truncated_file_raises_after_the_undamaged_pictures(tmp_path: Path, clip_mpeg4: Path) -> None:
    cut = tmp_path / "cut.avi"
    data = clip_mpeg4.read_bytes()
    cut.write_bytes(data[: data.rindex(b"idx1") - 40])  # the index and the end of a picture are lost
    seen = []
    with pytest.raises(mv_tools.MalformedStream, match="picture"):
        seen.extend(MotionDecoder(cut))
    assert 0 < len(seen) < 24


def test_codecs_without_vectors_are_refused(tmp_path: Path) -> None:
    from support.clips import encode, panning

    path = encode(tmp_path / "a.webm", panning(12), "libvpx-vp9")
    with pytest.raises(mv_tools.UnsupportedStream, match="transcode"):
        list(MotionDecoder(path))


def test_playlists_are_refused(tmp_path: Path, clip: Path) -> None:
    """A playlist could name files that its sender may not read."""
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n")
    with pytest.raises(mv_tools.MalformedStream):
        MotionDecoder(playlist)


@pytest.mark.shared
def test_vectors_of_a_720p_clip_are_complete_and_repeatable(shared: Path) -> None:
    """With frame threads mv-extractor returns another number in each run; one thread returns this one."""
    path = shared / "videos" / "clips" / "street_720p.mp4"
    for backend in set(BACKENDS) - {"native"}:
        frames = MotionDecoder(path, backend).iter_frames_at(range(300))
        assert sum(len(f.to_blocks()) for f in frames) == sum(
            len(f.to_blocks()) for f in MotionDecoder(path, "libav").iter_frames_at(range(300))
        )


@pytest.mark.shared
def test_reordered_pictures_in_avi(shared: Path) -> None:
    """XviD files with packed B pictures: libavformat guesses their times, and guesses wrong."""
    path = shared / "videos" / "ucf101_sample" / "ApplyEyeMakeup" / "v_ApplyEyeMakeup_g01_c01.avi"
    decoder = MotionDecoder(path)
    full = list(decoder)
    assert [f.index for f in full] == list(range(164)) == sorted(f.decode_index for f in full)
    assert [f.pict_type for f in full][:7] == ["I", "B", "B", "P", "B", "B", "P"]
    assert all(f.mv.any() for f in full if f.pict_type == "B")
    np.testing.assert_allclose([f.pts_seconds for f in full], 0.04 * np.arange(1, 165))
    indices = [6, 100, 3]
    for i, frame in zip(indices, decoder.get_frames_at(indices), strict=True):
        assert_same(frame, full[i])
    pictures = mv_tools.read_rgb_at(path, [50, 6, -1])
    assert pictures.indices.tolist() == [50, 6, 163]


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_the_last_picture_after_a_change_of_size(tmp_path: Path, codec: str) -> None:
    """It is pushed out by a picture of its own sequence."""
    suffix = {"mpeg1video": "m1v", "mpeg2video": "m2v"}[codec]
    large = encode(tmp_path / f"large.{suffix}", panning(20, 176, 144), codec, g="6", bf="2")
    small = encode(tmp_path / f"small.{suffix}", panning(20, 96, 80), codec, g="6", bf="2")
    joined = tmp_path / f"joined.{suffix}"
    joined.write_bytes(large.read_bytes() + small.read_bytes())
    decoder = MotionDecoder(joined)
    frames = list(decoder)
    assert len(frames) == len(decoder)
    assert [frames[i].grid_shape for i in (0, -1)] == [(36, 44), (20, 24)]
    assert (frames[-1].mv == decoder[-1].mv).all()
    assert frames[-1].mv.any()


def test_mv_extractor_refuses_a_change_of_size(tmp_path: Path) -> None:
    pytest.importorskip("mvextractor")
    parts = [annex_b(encode(tmp_path / f"{w}.mp4", panning(8, w, 80))) for w in (96, 128)]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert {frame.grid_shape for frame in MotionDecoder(joined)} == {(20, 24), (20, 32)}
    with pytest.raises(UnsupportedStream, match="picture 8: the picture size has changed"):
        list(MotionDecoder(joined, backend="mvextractor"))
