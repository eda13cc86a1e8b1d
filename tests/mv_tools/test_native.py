"""The native backend: golden digests, independence of the thread count, damage."""

from __future__ import annotations

import csv
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mv_tools
from mv_tools import MotionDecoder, MotionFrame, flow

from support.clips import encode, panning

pytestmark = pytest.mark.skipif(
    "native" not in mv_tools.available_backends(), reason="the native module is not built"
)


def digests(frame: MotionFrame) -> tuple[str, str, str]:
    """mv, ref_idx and POC distance: first 16 hex digits of SHA-256."""
    assert frame.ref_poc is not None
    assert frame.poc is not None
    unused = frame.ref_poc == mv_tools.UNUSED_POC
    delta = np.where(unused, mv_tools.UNUSED_POC, frame.poc - frame.ref_poc.astype(np.int64)).astype(np.int32)
    arrays = frame.mv, frame.ref_idx, delta
    one, two, three = (hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()[:16] for a in arrays)
    return one, two, three


@pytest.mark.shared
def test_all_golden_streams(shared: Path) -> None:
    """Every picture of every stream, in all columns."""
    streams = sorted((shared / "h264" / "streams").iterdir())
    assert len(streams) > 100
    wrong = []
    for path in streams:
        with (shared / "h264" / "golden" / f"{path.name}.csv").open() as file:
            golden = list(csv.DictReader(file))
        frames = list(MotionDecoder(path, "native", order="decode", threads=2))
        if len(frames) != len(golden):
            wrong.append(f"{path.name}: {len(frames)} pictures, golden has {len(golden)}")
            continue
        for frame, row in zip(frames, golden, strict=True):
            rows, columns = frame.grid_shape
            values = (
                str(frame.poc),
                frame.pict_type,
                frame.structure,
                str(4 * columns),
                str(4 * rows),
                *digests(frame),
            )
            keys = (
                "poc",
                "type",
                "structure",
                "coded_width",
                "coded_height",
                "mv_sha",
                "ref_idx_sha",
                "ref_poc_delta_sha",
            )
            if values != tuple(row[key] for key in keys):
                wrong.append(f"{path.name}, picture {frame.decode_index}: {values}")
                break
    assert wrong == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bf": "2", "refs": "3"},
        {"bf": "3", "b_strategy": "2", "coder": "0"},
        {"x264-params": "bframes=5:b-pyramid=strict:ref=4:weightp=2:direct=temporal"},
        {"x264-params": "bframes=3:open-gop=1:keyint=6:aud=1:ref=16"},
        {"x264-params": "bframes=2:constrained-intra=1:slices=3:direct=none:cqm=jvt"},
        {"x264-params": "bframes=2:intra-refresh=1:slice-max-mbs=7:fake-interlaced=1"},
        {"x264-params": "nal-hrd=cbr:filler=1:bitrate=800:vbv-maxrate=800:vbv-bufsize=800", "crf": "-1"},
    ],
)
def test_vectors_equal_those_of_a_full_decoder(
    make_clip: Callable[..., Path], options: dict[str, str]
) -> None:
    """Where libavcodec can tell: it exports no sub-8x8 vectors, and zeros for unused lists."""
    path = make_clip("a.mp4", partitions="none", **options)
    for a, b in zip(MotionDecoder(path, "native"), MotionDecoder(path, "libav"), strict=True):
        assert (a.index, a.decode_index, a.pict_type, a.pts_seconds) == (
            b.index,
            b.decode_index,
            b.pict_type,
            b.pts_seconds,
        )
        used = (a.ref_idx >= 0) & (b.ref_idx >= 0)
        assert used.sum() >= 0.95 * (a.ref_idx >= 0).sum()
        np.testing.assert_array_equal(a.mv[used], b.mv[used])


def test_size_changes_within_a_stream(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    """With a second sequence parameter set, each part equals the part read alone."""
    small = encode(tmp_path / "b.h264", panning(8, width=48, height=32), bf="2")
    parts = [make_clip("a.h264", frames=8, bf="2").read_bytes(), small.read_bytes()]
    alone = [digests(f) for part in parts for f in MotionDecoder(part, "native", threads=1)]
    joined = MotionDecoder(b"".join(parts), "native", threads=2)
    assert [digests(f) for f in joined] == alone
    assert [f.grid_shape for f in joined.get_frames_at([0, 15])] == [(16, 24), (8, 12)]


def test_result_does_not_depend_on_threads(clip_b: Path) -> None:
    one, four = MotionDecoder(clip_b, "native", threads=1), MotionDecoder(clip_b, "native", threads=4)
    for a, b in zip(one, four, strict=True):
        assert digests(a) == digests(b)
    chosen = [20, 3, 11]
    for a, b in zip(one.get_frames_at(chosen), four.get_frames_at(chosen), strict=True):
        assert digests(a) == digests(b)


def test_references_are_known_for_each_block(clip_b: Path) -> None:
    """Pictures two and three frames from their reference give the same motion per frame."""
    for frame in MotionDecoder(clip_b, "native"):
        if frame.pict_type == "I":
            continue
        assert frame.poc_interval == 2
        assert np.median(flow(frame)[0, 2:-2, 8:-8]) == pytest.approx(3.0, abs=0.3)


def test_auto_uses_native_where_it_reads_the_codec(clip: Path, clip_mpeg4: Path, tmp_path: Path) -> None:
    assert MotionDecoder(clip).backend == MotionDecoder(clip_mpeg4).backend == "native"
    other = encode(tmp_path / "a.mpg", panning(6), "mpeg2video")
    assert MotionDecoder(other).backend == "libav"
    with pytest.raises(
        mv_tools.UnsupportedStream, match=r"reads H\.264, HEVC and MPEG-4 Part 2, this is 'mpeg2"
    ):
        MotionDecoder(other, "native")


@pytest.mark.slow
def test_truncated_streams_raise_or_give_the_pictures_before(
    make_clip: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    raw = make_clip("a.h264", frames=6, bf="1")
    data = raw.read_bytes()
    complete = {f.decode_index: digests(f) for f in MotionDecoder(data, "native")}
    full = failed = 0
    with caplog.at_level(logging.ERROR):
        for end in range(1, len(data), max(1, len(data) // 300)):
            seen: list[MotionFrame] = []
            try:
                seen.extend(MotionDecoder(data[:end], "native"))
            except mv_tools.MotionError:
                failed += 1
            for frame in seen:
                assert digests(frame) == complete[frame.decode_index], end
            full += bool(seen)
    assert min(full, failed) > 50


@pytest.mark.slow
def test_random_bytes_never_crash(make_clip: Callable[..., Path]) -> None:
    data = make_clip("a.h264", frames=6, bf="1").read_bytes()
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(300):
        mutated = bytearray(data)
        for position in rng.integers(0, len(data), rng.integers(1, 8)):
            mutated[position] = rng.integers(256)
        try:
            list(MotionDecoder(bytes(mutated), "native"))
        except mv_tools.MotionError:
            failed += 1
    assert failed > 50


def test_parameters_and_counts(make_clip: Callable[..., Path]) -> None:
    path = make_clip("a.mp4", bf="2", refs="3", profile="high", level="31", **{"b-pyramid": "none"})
    decoder = MotionDecoder(path, "native")
    parameters = decoder.parameters
    assert parameters is not None
    assert (parameters.profile, parameters.level, parameters.num_ref_frames) == ("High", "3.1", 3)
    assert parameters.entropy_coding == "cabac"
    for frame, counts in decoder.described():
        assert counts is not None
        assert counts.intra + counts.skipped + counts.inter == counts.macroblocks == 6 * 4
        one, two = frame.ref_idx >= 0
        assert counts.blocks_without_motion == (~one & ~two).sum()
        assert counts.blocks_list0 == (one & ~two).sum()
        assert counts.blocks_list1 == (two & ~one).sum()
        assert counts.blocks_bipredicted == (one & two).sum()
        if frame.pict_type == "I":
            assert counts.intra == counts.macroblocks
    assert MotionDecoder(path, "libav").parameters is None
    assert all(counts is None for _, counts in MotionDecoder(path, "libav").described())
