"""Sample aspect ratios: pictures and motion are in square pixels, as ffmpeg shows them."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import mv_tools
from moclip_lite.appearance.frames import read_clip_frames
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.results.report.pictures import draw_clip
from mv_tools import Accumulator, Display, MotionDecoder, Orientation, flow, inter_mask, visualize

from support.cli import assert_ok, moclip
from support.clips import H264, annex_b, encode, panning
from support.display import ORIENTATIONS, ffmpeg, shown_by_ffmpeg, turned

RATIOS = ["5/4", "8/9", "64/45", "10/11", "2/1", "1/1"]
WIDTH, HEIGHT, STEP = 96, 80, (4, 2)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey: how colours are scaled depends on libswscale's flags."""
    pictures = panning(14, width=WIDTH, height=HEIGHT, step=STEP)
    pictures[:] = pictures.mean(axis=-1, keepdims=True)
    return encode(tmp_path_factory.mktemp("plain") / "plain.mp4", pictures, **H264)


def stretched(src: Path, dst: Path, ratio: str, *, codec: bool = True, container: str | None = None) -> Path:
    """A copy of H.264 with a sample aspect ratio in its parameter sets, its container, or both."""
    raw = src.with_name(f"{ratio.replace('/', ' to ') if codec else 'unmarked'}.h264")
    if not raw.exists():  # tests of the same ratio share it
        marked = raw.with_suffix(".mp4")
        filters = ["-bsf:v", f"h264_metadata=sample_aspect_ratio={ratio}"] if codec else []
        ffmpeg("-i", src, "-c", "copy", *filters, marked)
        ffmpeg("-i", marked, "-c", "copy", raw)
    shape = ["-aspect", Fraction(container) * Fraction(WIDTH, HEIGHT)] if container else []
    ffmpeg("-framerate", 25, "-i", raw, "-c", "copy", *shape, dst)
    return dst


def without_container_ratio(path: Path) -> Path:
    """An MP4 file as other programs write it: no "pasp" box, and the track header says the coded size."""
    data = bytearray(path.read_bytes())
    place = data.index(b"pasp")
    data[place : place + 4] = b"free"
    end = data.index(b"tkhd") + 4 + 84
    data[end - 8 : end] = (WIDTH << 16).to_bytes(4, "big") + (HEIGHT << 16).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def check(path: Path, ratio: Fraction, orientation: Orientation | None = None) -> None:
    """Pictures, motion and metadata of a film of `plain` that is shown with a ratio."""
    display = Display(orientation or Orientation(), ratio)
    size = display.size(WIDTH, HEIGHT)
    pictures = mv_tools.read_rgb_at(path, [0, 5]).frames
    truth = shown_by_ffmpeg(path, size)[[0, 5]]
    assert pictures.shape == truth.shape
    assert np.abs(pictures.astype(int) - truth).mean() < 4
    upright = display.orientation.field(np.array(STEP, np.float32)[:, None, None])[:, 0, 0]
    expected = upright * (float(display.upright_aspect), 1)
    for backend in ("auto", "libav"):
        decoder = MotionDecoder(path, backend=backend)
        meta = decoder.metadata
        assert meta.sample_aspect_ratio == ratio
        assert (meta.display_width, meta.display_height) == size
        frame = decoder[5]
        assert frame.sample_aspect_ratio == ratio
        assert flow(frame).shape[1:] == display.orientation.picture(frame.mv[0, ..., 0]).shape
        np.testing.assert_allclose(np.median(flow(frame)[:, inter_mask(frame)], axis=1), expected, rtol=1e-5)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".h264", ".avi"])
def test_ratio_of_the_codec(tmp_path: Path, plain: Path, ratio: str, suffix: str) -> None:
    check(stretched(plain, tmp_path / f"clip{suffix}", ratio), Fraction(ratio))


@pytest.mark.parametrize("ratio", RATIOS[:3])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_container_overrides_the_codec(tmp_path: Path, plain: Path, ratio: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    check(stretched(plain, path, "4/3", container=ratio), Fraction(ratio))
    check(stretched(plain, path, "", codec=False, container=ratio), Fraction(ratio))


def test_mp4_without_a_ratio_uses_that_of_the_codec(tmp_path: Path, plain: Path) -> None:
    check(without_container_ratio(stretched(plain, tmp_path / "clip.mp4", "5/4")), Fraction(5, 4))
    mpeg4 = tmp_path / "mpeg4.mp4"
    ffmpeg("-i", plain, "-vf", "setsar=5/4", "-c:v", "mpeg4", "-q:v", 2, mpeg4)
    check(without_container_ratio(mpeg4), Fraction(5, 4))


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video"])
def test_other_codecs(tmp_path: Path, plain: Path, codec: str) -> None:
    path = tmp_path / ("clip.avi" if codec == "mpeg4" else "clip.ts")
    ffmpeg("-i", plain, "-vf", "scale=96:80,setsar=10/9", "-c:v", codec, "-q:v", 2, path)
    ratio = MotionDecoder(path).metadata.sample_aspect_ratio
    assert abs(float(ratio) - 10 / 9) < 0.01
    check(path, ratio)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_rotation_and_ratio_together(tmp_path: Path, plain: Path, orientation: Orientation) -> None:
    wide = stretched(plain, tmp_path / "wide.mp4", "5/4")
    check(turned(wide, tmp_path / "turned.mp4", orientation), Fraction(5, 4), orientation)


def test_unspecified_is_square(plain: Path, tmp_path: Path) -> None:
    assert MotionDecoder(plain).metadata.display == Display()
    assert mv_tools.probe(plain).to_json()["sample_aspect_ratio"] is None
    check(annex_b(plain), Fraction(1))
    full = stretched(plain, tmp_path / "one.mp4", "1/1")
    np.testing.assert_array_equal(
        mv_tools.read_rgb_at(full, [3]).frames,
        mv_tools.read_rgb_at(plain, [3]).frames,
        err_msg="scaled for nothing",
    )


@pytest.mark.parametrize("ratio", ["11/1", "1/11"])
def test_implausible_ratio_is_noted(tmp_path: Path, plain: Path, ratio: str) -> None:
    path = stretched(plain, tmp_path / "clip.h264", ratio)
    assert mv_tools.read_rgb_at(path, [0]).frames.shape == (1, HEIGHT, WIDTH, 3)
    assert any("aspect ratio" in note for note in mv_tools.probe(path).notes)
    prepared = mv_tools.transcode(path, tmp_path / "prepared.mp4")
    assert mv_tools.read_rgb_at(prepared, [0]).frames.shape == (1, HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("orientation", [Orientation(), Orientation(90), Orientation(180, True)], ids=str)
@pytest.mark.parametrize("side", [None, 48])
def test_prepared_and_raw_copies_agree(
    tmp_path: Path, plain: Path, orientation: Orientation, side: int | None
) -> None:
    wide = stretched(plain, tmp_path / "wide.mp4", "5/4")
    raw = turned(wide, tmp_path / "raw.mp4", orientation)
    prepared = mv_tools.transcode(raw, tmp_path / "prepared.mp4", crf=4, side=side)
    shown, meta = MotionDecoder(raw).metadata, MotionDecoder(prepared).metadata
    assert meta.display.plain
    if side is None:
        assert abs(meta.width - shown.display_width) <= 1
        assert meta.height == shown.display_height
    else:
        assert min(meta.width, meta.height) == side
        assert meta.width / meta.height == pytest.approx(shown.display_width / shown.display_height, abs=0.03)
    spec = MotionSpec(segments=2, frames=3, grid=(4, 4))
    one, other = (
        np.median(read_motion_clip(path, spec).motion.astype(float), axis=(3, 4)) for path in (raw, prepared)
    )
    np.testing.assert_allclose(one, other, rtol=0.1, atol=0.5)
    looks = AppearanceSettings(frames=2, positions="uniform")
    first, second = (
        np.stack(
            [Image.fromarray(picture).resize((64, 64)) for picture in read_clip_frames(path, looks)]
        ).astype(int)
        for path in (raw, prepared)
    )
    assert np.abs(first - second).mean() < 12, "the frames that CLIP sees differ"


def test_accumulated_motion_follows_square_pixels(tmp_path: Path, plain: Path) -> None:
    """Every block is looked up where its content was: on stretched pixels the same block as on square ones."""
    wide = stretched(plain, tmp_path / "wide.mp4", "2/1")
    one, other = Accumulator(), Accumulator()
    for square, double in zip(MotionDecoder(plain), MotionDecoder(wide), strict=True):
        field = one.push(square)
        np.testing.assert_allclose(other.push(double), field * np.array([2, 1], np.float32)[:, None, None])


def test_drawings_have_the_displayed_size(tmp_path: Path, plain: Path) -> None:
    path = turned(stretched(plain, tmp_path / "w.mp4", "5/4"), tmp_path / "turned.mp4", Orientation(90))
    width, height = Display(Orientation(90), Fraction(5, 4)).size(WIDTH, HEIGHT)
    with Image.open(visualize.save_png(path, tmp_path / "motion.png", 5)) as image:
        assert image.width / image.height == pytest.approx(width / height, abs=0.01)
    sheet = Image.open(io.BytesIO(draw_clip(path)))
    assert (sheet.width - 4) / 2 / sheet.height == pytest.approx(width / height, abs=0.02)


def test_probe_reports_the_display(tmp_path: Path, plain: Path) -> None:
    path = turned(stretched(plain, tmp_path / "w.mp4", "5/4"), tmp_path / "turned.mp4", Orientation(90, True))
    probed = assert_ok(moclip("mv", "probe", path, "--json")).json
    display = {
        name: probed[name] for name in ("rotation", "mirror", "sample_aspect_ratio", "width", "height")
    }
    assert display == {
        "rotation": 90,
        "mirror": True,
        "sample_aspect_ratio": "5:4",
        "width": WIDTH,
        "height": HEIGHT,
    }
    assert (probed["display_width"], probed["display_height"]) == (64, 96)
    text = assert_ok(moclip("mv", "probe", path)).out
    for words in ("mirrored", "turned 90 degrees clockwise", "5:4", "64x96"):
        assert words in " ".join(text.split())


def test_non_square_film(shared: Path) -> None:
    path = shared / "videos" / "faults" / "sar_5_4.mp4"
    assert mv_tools.read_rgb_at(path, [3]).frames.shape == (1, 480, 600, 3)
    square, frame = flow(MotionDecoder(path)[3]), MotionDecoder(path)[3]
    coded = np.where(frame.ref_idx[0] >= 0, frame.mv[0, ..., 0], 0) / -4
    assert np.median(square[0]) == pytest.approx(1.25 * np.median(coded))


def test_changing_ratio_is_noted(tmp_path: Path, plain: Path) -> None:
    parts = [stretched(plain, tmp_path / f"part{i}.h264", ratio) for i, ratio in enumerate(("5/4", "1/1"))]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    decoder = MotionDecoder(path)
    assert any("sample aspect ratio changes at picture 14" in note for note in decoder.notes)
    assert {frame.sample_aspect_ratio for frame in decoder} == {Fraction(5, 4)}
    assert mv_tools.read_rgb_at(path, [3, 20]).frames.shape == (2, HEIGHT, 120, 3)


@pytest.mark.parametrize("orientation", [Orientation(90), Orientation(270, True)], ids=str)
def test_actor_crop_is_square_in_the_displayed_picture(
    tmp_path: Path, plain: Path, orientation: Orientation
) -> None:
    wide = stretched(plain, tmp_path / "wide.mp4", "5/4")
    raw = turned(wide, tmp_path / "raw.mp4", orientation)
    prepared = mv_tools.transcode(raw, tmp_path / "prepared.mp4", crf=4)
    spec = MotionSpec(segments=2, frames=3, grid=(4, 4), crop="actor")
    one, other = (
        np.median(read_motion_clip(path, spec).motion.astype(float), axis=(3, 4)) for path in (raw, prepared)
    )
    np.testing.assert_allclose(one, other, rtol=0.1, atol=0.5)


@pytest.mark.parametrize("form", ["yuv422p10le", "yuv420p10le", "yuv420p"])
def test_a_picture_is_the_same_each_time(form: str) -> None:
    """Scaled by several threads, samples at the seams of their slices would vary."""
    noise = np.random.default_rng(0).integers(0, 256, (576, 720, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format=form, threads=1)
    display = Display(sample_aspect_ratio=Fraction(40, 33))
    first = display.picture(frame)
    assert first.shape == (576, 873, 3)
    assert all((display.picture(frame) == first).all() for _ in range(20))
