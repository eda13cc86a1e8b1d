"""Flow pooled by the native module, against NumPy's: equal bit for bit."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mv_tools import FlowPooler, MotionDecoder, MotionFrame, Orientation, Region, flow, inter_mask, pool

from support.clips import encode, panning
from support.display import ORIENTATIONS, turned

GRIDS = [(6, 8), (24, 32), (1, 1), (5, 3)]

STREAMS = {
    "P": ("libx264", {"g": "10", "bf": "0", "refs": "3"}),
    "B": ("libx264", {"g": "10", "bf": "3", "refs": "3", "x264-params": "b-pyramid=normal:direct=temporal"}),
    "slices": ("libx264", {"g": "10", "slices": "3"}),
    "MBAFF": ("libx264", {"g": "10", "bf": "2", "refs": "3", "crf": "12", "x264-params": "tff=1"}),
    "HEVC": ("libx265", {"g": "10", "x265-params": "log-level=none:pools=none:bframes=3"}),
    "aspect": ("libx264", {"g": "10", "bf": "2", "x264-params": "sar=4/3"}),
}

REAL = (
    "mbaff_field_motion.mp4",
    "paff_ts_two_packets_per_frame.ts",
    "rot90_h264.mp4",
    "sar_5_4.mp4",
    "ntu_h264_bframes.avi",
    "x265_bframes.avi",
)


def assert_equal(frames: Iterable[MotionFrame], decoder: MotionDecoder, *, normalize: bool = True) -> int:
    """Compare with NumPy on all grids; returns the number of pictures."""
    region = decoder.metadata.region
    poolers = [FlowPooler(grid, region=region, normalize=normalize) for grid in GRIDS]
    count = 0
    for frame in frames:
        count += 1
        pooled = [(pooler.flow(frame), pooler.inter(frame)) for pooler in poolers]
        assert not {"mv", "ref_idx", "ref_poc"} & vars(frame).keys(), "no arrays are made"
        field, mask = flow(frame, normalize=normalize), inter_mask(frame)[None].astype(np.float32)
        for grid, (flows, inter) in zip(GRIDS, pooled, strict=True):
            expected = pool(field, grid, region=region(field.shape[1:]))
            shares = pool(mask, grid, region=region(mask.shape[1:]))[0]
            assert flows.dtype == inter.dtype == np.float32
            assert flows.tobytes() == np.ascontiguousarray(expected).tobytes()
            assert inter.tobytes() == np.ascontiguousarray(shares).tobytes()
    return count


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip with B pictures whose sides are no multiples of a macroblock."""
    folder = tmp_path_factory.mktemp("pooled")
    return encode(folder / "b.mp4", panning(8, 100, 72, (4, 2)), g="8", bf="2", refs="2")


@pytest.mark.parametrize("name", STREAMS)
def test_each_coding(tmp_path: Path, name: str) -> None:
    codec, options = STREAMS[name]
    moments = panning(24, 208, 160, (4, 2))
    pictures = moments[::2].copy()
    if name == "MBAFF":
        pictures[:, 1::2] = moments[1::2, 1::2]  # two fields
    path = encode(tmp_path / "clip.mp4", pictures, codec, **options)
    decoder = MotionDecoder(path, backend="native")
    assert any(frame.field_blocks is not None for frame in decoder) == (name == "MBAFF")
    assert (decoder[0].sample_aspect_ratio != 1) == (name == "aspect")
    assert assert_equal(decoder, decoder) == 12
    assert_equal(decoder.iter_frames_at(range(0, 12, 3)), decoder, normalize=False)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_each_orientation(sample: Path, tmp_path: Path, orientation: Orientation) -> None:
    decoder = MotionDecoder(turned(sample, tmp_path / "turned.mp4", orientation), backend="native")
    assert decoder[3].orientation == orientation
    assert_equal(decoder, decoder)


@pytest.mark.parametrize("name", REAL)
def test_real_streams(shared: Path, name: str) -> None:
    decoder = MotionDecoder(shared / "videos" / "faults" / name, backend="native", on_damage="skip")
    assert_equal(decoder.iter_frames_at(range(min(len(decoder), 40))), decoder)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_frames_without_counts_of_their_references(
    tmp_path: Path, codec: str, orientation: Orientation
) -> None:
    coded = encode(tmp_path / "x.mp4", panning(14, 100, 72, (4, 2)), codec, g="7", bf="2")
    path = turned(coded, tmp_path / "turned.mp4", orientation)
    decoder = MotionDecoder(path, backend="libav" if codec == "libx264" else "auto")
    region = decoder.metadata.region
    frames = list(decoder)
    assert len({frame.assumed_distance for frame in frames}) > 1
    frames.append(replace(frames[3], mv=np.full_like(frames[3].mv, 5)))  # where no list is used as well
    for normalize in (True, False):
        for grid in GRIDS:
            pooler = FlowPooler(grid, region=region, normalize=normalize)
            for frame in frames:
                assert frame.ref_poc is None
                field = flow(frame, normalize=normalize)
                expected = pool(field, grid, region=region(field.shape[1:]))
                assert pooler.flow(frame).tobytes() == np.ascontiguousarray(expected).tobytes()


def test_copies_are_pooled_by_numpy(sample: Path) -> None:
    native, libav = (MotionDecoder(sample, backend=name) for name in ("native", "libav"))
    for pooler in (FlowPooler((6, 8)), FlowPooler((6, 8), region=lambda shape: Region(1.5, 2, 10, 20.25))):
        frame = native[4]
        copies = [replace(frame, index=9), pickle.loads(pickle.dumps(frame))]
        for copy in copies:
            assert pooler.flow(copy).tobytes() == pooler.flow(frame).tobytes()
            assert pooler.inter(copy).tobytes() == pooler.inter(frame).tobytes()
        changed = replace(frame, mv=np.zeros_like(frame.mv))
        assert not pooler.flow(changed).any()
        assert pooler.flow(frame).any()
        assert pooler.flow(libav[4]).shape == (2, 6, 8)


def test_a_pooler_follows_changes_of_the_picture(sample: Path, tmp_path: Path) -> None:
    small = encode(tmp_path / "small.mp4", panning(4, 64, 48), g="4")
    pooler = FlowPooler((6, 8))
    for path in (sample, small, sample):
        frame = MotionDecoder(path, backend="native")[2]
        assert pooler.flow(frame).tobytes() == np.ascontiguousarray(pool(flow(frame), (6, 8))).tobytes()
