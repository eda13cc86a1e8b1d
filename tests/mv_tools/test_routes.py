"""What one route tells, another may not hide: fields and frames, masks, tables, backends, copies, indexes, films."""

from __future__ import annotations

import csv
import itertools
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

import mv_tools
from mv_tools import (
    ArgumentError,
    MalformedStream,
    MotionDecoder,
    SourceChanged,
    UnsupportedStream,
    accumulate,
    fit_affine,
    remove_camera_motion,
    visualize,
)

from support.clips import H264, annex_b, encode, panning
from support.display import ffmpeg
from support.frames import motion_frame
from support.paths import SHARED

SPEED = 8  # pixels to the right in a frame


def picture(structure: str, kind: str = "P", rows: int = 8) -> mv_tools.MotionFrame:
    """Everything moves by SPEED, from the picture of the frame before."""
    shape = (rows if structure == "frame" else rows // 2, 64)
    mv = np.zeros((2, *shape, 2), np.int16)
    mv[0, ..., 0] = -4 * SPEED
    used = 0 if kind == "P" else -1
    ref_idx = np.stack([np.full(shape, used, np.int8), np.full(shape, -1, np.int8)])
    distances: dict[str, Any] = {} if structure == "frame" else {"structure": structure}
    return motion_frame(mv, ref_idx, pict_type=kind, **distances)


@pytest.mark.parametrize("parts", list(itertools.product(("frame", "fields"), repeat=3)), ids="-".join)
def test_accumulated_motion_is_that_of_the_time(parts: tuple[str, ...]) -> None:
    """The first frame is an I picture; each frame, or pair of fields, is one frame interval long."""
    frames, times = [picture("frame", "I")], [0.0]
    for number, part in enumerate(parts, start=1):
        structures = ["frame"] if part == "frame" else ["top", "bottom"]
        frames += [picture(structure) for structure in structures]
        times += [float(number), number + 0.5][: len(structures)]
    middle = slice(40, 44)  # content that was in the picture from the beginning
    sums = [float(np.median(total[0, :, middle])) for total in accumulate(frames)]
    unit = float(mv_tools.flow(frames[-1])[0].max()) if parts[-1] == "frame" else SPEED
    assert unit == pytest.approx(SPEED)
    assert sums == pytest.approx([SPEED * time for time in times])


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, list])
def test_a_mask_of_numbers_is_refused(kind: Any) -> None:
    """Zeros and ones would be taken for the numbers of rows."""
    field = np.random.default_rng(0).normal(size=(2, 12, 16)).astype(np.float32)
    mask = np.arange(12 * 16).reshape(12, 16) % 3 > 0
    given = mask.tolist() if kind is list else mask.astype(kind)
    for call in (fit_affine, remove_camera_motion):
        call(field, mask)
        with pytest.raises(ArgumentError, match="mask must be an array of booleans"):
            call(field, given)


def test_tables_of_statistics_hold_the_same_times(clip: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mkv"
    ffmpeg("-i", clip, "-c", "copy", "-output_ts_offset", 20000, "-avoid_negative_ts", 0, late)
    for name in ("s.csv", "s.parquet"):
        mv_tools.write_statistics(MotionDecoder(late), tmp_path / name)
    with (tmp_path / "s.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "s.parquet").to_pydict()
    assert [float(row["seconds"]) for row in rows] == table["seconds"]
    assert len(set(table["seconds"])) == len(rows)


@pytest.mark.parametrize("backend", [*mv_tools.available_backends()])
def test_damage_is_told_by_every_backend(backend: str) -> None:
    path = SHARED / "videos" / "faults" / "Error_I_P.264"
    if not path.is_file():
        pytest.skip("no shared files")
    with pytest.raises(MalformedStream):
        list(MotionDecoder(path, backend=backend))
    decoder = MotionDecoder(path, backend=backend, on_damage="skip")
    seen = [frame.index for frame in decoder]
    assert sorted([*seen, *(damage.index for damage in decoder.damaged)]) == list(range(len(decoder)))
    assert decoder.damaged


@pytest.mark.parametrize("name", ["a.mp4", "a.MP4", "a.MKV", "a.ts", "a.avi", "m.mp4"])
def test_a_copy_keeps_all_pictures_or_says_so(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = encode(tmp_path / "film.mkv", panning(40), **H264)
    uneven = tmp_path / "uneven.mkv"  # every fourth picture comes 60 ms late
    ffmpeg("-i", film, "-c", "copy", "-bsf:v", "setts=ts=PTS+gt(mod(N\\,4)\\,2)*9", uneven)
    codec = {"codec": "mpeg4", "crf": 4} if name.startswith("m") else {}
    with caplog.at_level(logging.WARNING, logger="mv_tools"):
        copy = mv_tools.transcode(uneven, tmp_path / name, **codec)
    kept = mv_tools.count_frames(copy)
    told = "the copy has one picture rate" in caplog.text
    assert (kept == 40) or told
    if name in ("a.mp4", "a.MP4", "a.MKV", "a.ts"):
        assert kept == 40


def test_a_file_without_times_is_not_said_to_lose_pictures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw = annex_b(encode(tmp_path / "film.mp4", panning(24), **H264))
    with caplog.at_level(logging.WARNING, logger="mv_tools"):
        mv_tools.transcode(raw, tmp_path / "copy.mp4", fps=25)
    assert "were expected" not in caplog.text


def test_an_index_is_of_the_file_that_was_scanned(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    shutil.copy(encode(tmp_path / "one.mp4", panning(24), **H264), path)
    decoder = MotionDecoder(path)
    assert len(decoder) == 24
    shutil.copy(encode(tmp_path / "other.mp4", panning(36), **H264), path)
    with pytest.raises(SourceChanged, match="changed after it was scanned"):
        decoder.save_index(tmp_path / "i.idx")


@pytest.mark.parametrize("word", ["rtsp://user:secret@host/live", Path("udp://host:1234"), "file:///x.mp4"])
def test_sources_that_are_no_files_are_named(word: str | Path) -> None:
    for open_ in (MotionDecoder, mv_tools.RgbDecoder, mv_tools.probe):
        with pytest.raises(ArgumentError, match=r"not read from \w+://: .* mv_tools.open_live") as caught:
            open_(word)  # type: ignore[operator]
        assert "secret" not in str(caught.value)


def test_the_numbers_of_a_decoder_are_read_only(clip: Path) -> None:
    decoder = MotionDecoder(clip)
    for numbers in (decoder.decode_rank, decoder.frame_of):
        with pytest.raises(ValueError, match="read-only"):
            numbers[0] = 5
    assert decoder[5].decode_index == decoder.decode_rank[5]


@pytest.mark.parametrize("name", ["gop", "bframes", "refs", "crf", "threads", "side", "fps"])
def test_recipes_take_whole_numbers(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number, got 12.5"):
        mv_tools.Recipe(**{name: 12.5})
    for side in ("width", "height"):
        with pytest.raises(ArgumentError, match="at least 1"):
            mv_tools.pool(np.zeros((2, 4, 4), np.float32), (2, 2), **{side: 0})


def test_a_film_of_two_sizes_is_refused(tmp_path: Path) -> None:
    parts = [encode(tmp_path / f"{width}.ts", panning(8, width, 64), **H264) for width in (96, 128)]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises((UnsupportedStream, MalformedStream)):
        visualize.save_mp4(both, tmp_path / "m.mp4")
    with pytest.raises(ArgumentError, match="at least one picture"):
        visualize.save_mp4(both, tmp_path / "m.mp4", [])
    assert not (tmp_path / "m.mp4").exists()
