"""Motion vectors and previews for the page: format, orientation, time axis."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from moclip_lite.serve.child.preview import make_preview, player_start, plays_in_browsers
from moclip_lite.serve.child.vectors import CHUNK_PICTURES, VectorSummary, grid_of, pack_chunk, write_vectors
from mv_tools import MotionDecoder, Orientation
from mv_tools.source import Source

from support.broken_files import variable_rate
from support.clips import H264, WITH_B, encode, panning
from support.display import turned


@dataclass
class Chunk:
    """A chunk as the page reads it."""

    first: int
    times: npt.NDArray[np.float64]
    kinds: list[int]
    fields: npt.NDArray[np.float32]

    @classmethod
    def parse(cls, data: bytes) -> Chunk:
        """Read the format that the module describes."""
        raw = gzip.decompress(data)
        assert raw[:4] == b"MCV1"
        columns, rows, first, count, unit = struct.unpack("<HHIIf", raw[4:20])
        times = np.frombuffer(raw, "<f8", count, 20)
        kinds = list(raw[20 + 8 * count : 20 + 9 * count])
        steps = np.frombuffer(raw, np.int8, offset=20 + 9 * count).reshape(count, rows, columns, 2)
        return cls(first, times, kinds, steps.astype(np.float32) * unit)


def written(
    path: Path, folder: Path, shown: tuple[int, int] | None = None
) -> tuple[VectorSummary, list[Chunk]]:
    """The chunks of a file."""
    decoder = MotionDecoder(path, on_damage="skip")
    times = decoder.pictures.times
    assert times is not None
    folder.mkdir()
    steps: list[tuple[int, int]] = []
    summary = write_vectors(decoder, times, folder, lambda *step: steps.append(step), shown)
    assert (steps[0], steps[-1]) == ((0, len(times)), (len(times), len(times)))
    return summary, [Chunk.parse((folder / f"vectors-{i}.gz").read_bytes()) for i in range(summary.chunks)]


def test_a_pan_is_seen_as_it_is(clip_b: Path, tmp_path: Path) -> None:
    summary, (chunk,) = written(clip_b, tmp_path / "out")
    assert (summary.columns, summary.rows, summary.pictures) == (12, 8, 24)
    assert (summary.has_motion, summary.chunk_starts) == (True, [0.0])
    assert np.allclose(chunk.times, np.arange(24) / 25)
    assert set(chunk.kinds) == {0, 1, 2}
    assert chunk.kinds[0] == 0
    assert not chunk.fields[0].any()
    moving = [i for i, kind in enumerate(chunk.kinds) if kind]
    middle = np.median(chunk.fields[moving].reshape(-1, 2), axis=0)
    assert middle == pytest.approx([3, 0], abs=0.3)
    assert np.mean([energy for _, energy in summary.energy]) == pytest.approx(3, abs=0.5)
    assert all(0 <= seconds <= 1 for seconds, _ in summary.energy)


@pytest.mark.parametrize(("rotation", "direction"), [(90, (0, 3)), (180, (-3, 0)), (270, (0, -3))])
def test_vectors_turn_with_the_picture(
    rotation: int, direction: tuple[int, int], clip: Path, tmp_path: Path
) -> None:
    path = turned(clip, tmp_path / "turned.mp4", Orientation(rotation, False))
    summary, (chunk,) = written(path, tmp_path / "out")
    assert (summary.columns > summary.rows) == (rotation == 180)
    moving = [i for i, kind in enumerate(chunk.kinds) if kind]
    assert np.median(chunk.fields[moving].reshape(-1, 2), axis=0) == pytest.approx(direction, abs=0.3)


@pytest.mark.parametrize(
    ("shown", "direction"), [((144, 64), (4.5, 0)), ((96, 64), (3, 0)), ((95, 63), (3, 0))]
)
def test_vectors_of_a_copy_are_in_pixels_of_the_original(
    shown: tuple[int, int], direction: tuple[float, float], clip: Path, tmp_path: Path
) -> None:
    """Copies for browsers are scaled; one pixel more, of an odd size, is none that moves anything."""
    summary, (chunk,) = written(clip, tmp_path / "out", shown)
    moving = [i for i, kind in enumerate(chunk.kinds) if kind]
    assert np.median(chunk.fields[moving].reshape(-1, 2), axis=0) == pytest.approx(direction, abs=0.3)
    assert np.mean([energy for _, energy in summary.energy]) == pytest.approx(direction[0], abs=0.7)
    assert (summary.rows, summary.columns) == grid_of(*shown)


def test_chunks_cover_a_long_video(tmp_path: Path) -> None:
    count = CHUNK_PICTURES + 5
    path = encode(tmp_path / "long.mp4", panning(count, 64, 48), **H264)
    summary, chunks = written(path, tmp_path / "out")
    assert [(c.first, len(c.times)) for c in chunks] == [(0, CHUNK_PICTURES), (CHUNK_PICTURES, 5)]
    assert summary.chunk_starts == [0.0, pytest.approx(CHUNK_PICTURES / 25)]
    assert summary.pictures == count


def test_a_video_of_keyframes_has_no_motion(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    summary, (chunk,) = written(make_clip(g="1"), tmp_path / "out")
    assert not summary.has_motion
    assert summary.energy == []
    assert not chunk.fields.any()


@pytest.mark.parametrize("peak", [0.0, 0.25, 31.75, 40.0, 4000.0, 1e30])
def test_any_length_is_kept_within_a_step(peak: float) -> None:
    field = np.zeros((2, 3, 4), np.float32)
    field[0, 1, 2], field[1, 0, 0] = peak, -peak
    chunk = Chunk.parse(pack_chunk(7, np.array([1.5]), [1], [field]))
    assert (chunk.first, chunk.times.tolist()) == (7, [1.5])
    assert np.allclose(np.moveaxis(chunk.fields[0], -1, 0), field, atol=max(peak / 127, 0.125))


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (16, 16), (1, 1), (8192, 32), (640, 480)])
def test_grids_have_nearly_square_cells(size: tuple[int, int]) -> None:
    rows, columns = grid_of(*size)
    assert 1 <= rows <= 48
    assert 1 <= columns <= 48
    if min(size) >= 480:
        assert size[0] / columns == pytest.approx(size[1] / rows, rel=0.05)


FILES: dict[str, tuple[str, dict[str, str], bool]] = {
    "a.mp4": ("libx264", H264, True),
    "a.mov": ("libx264", WITH_B, True),
    "a.webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, True),
    "a.mkv": ("libx264", H264, False),
    "b.mkv": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, False),
    "a.avi": ("mpeg4", {}, False),
    "b.mp4": ("mpeg4", {}, False),
    "c.mp4": ("libx265", {"preset": "ultrafast"}, False),
    "a.ts": ("libx264", H264, False),
    "a.h264": ("libx264", H264, False),
    "a.mpg": ("mpeg2video", {}, False),
}


@pytest.mark.parametrize("name", FILES)
def test_previews_of_what_browsers_do_not_play(name: str, tmp_path: Path) -> None:
    codec, options, plays = FILES[name]
    path = encode(tmp_path / name, panning(12, 64, 48), codec, **options)
    assert plays_in_browsers(Source.of(path)) == plays
    if not plays:
        _assert_same_times(path, tmp_path)


def test_a_preview_of_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    path, _ = variable_rate(tmp_path)
    _assert_same_times(path, tmp_path)


def _assert_same_times(path: Path, folder: Path) -> None:
    """The preview has the pictures of the original, at its times moved by the offset, and browsers play it."""
    original = MotionDecoder(path)
    times = original.pictures.times
    if times is not None:
        times = times - player_start(Source.of(path))
    target = folder / "preview.mp4"
    offset = make_preview(path, target, (64, 48), times)
    copy = MotionDecoder(target)
    assert plays_in_browsers(Source.of(target))
    assert len(copy) == len(original)
    copied: Any = copy.pictures.times
    if times is not None:
        assert np.allclose(copied - player_start(Source.of(target)), times + offset, atol=0.002)
        assert copy.metadata.duration_seconds == pytest.approx(
            times[-1] - times[0] + times[-1] - times[-2], abs=0.05
        )


def test_high_bit_depth_needs_a_preview(shared: Path, tmp_path: Path) -> None:
    path = shared / "videos" / "faults" / "x264_148_yuv444p_8x8dct.mp4"
    assert not plays_in_browsers(Source.of(path))


@pytest.mark.parametrize(
    "name", ["cat_two.ts", "joined_discontinuity.ts", "x265_bframes.avi", "cg_bframes.asf"]
)
def test_previews_of_odd_times(name: str, shared: Path, tmp_path: Path) -> None:
    _assert_same_times(shared / "videos" / "faults" / name, tmp_path)
