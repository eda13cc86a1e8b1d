"""Display matrix: motion, pictures and drawings are upright for file container and codec."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import mv_tools
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import MotionSpec
from mv_tools import MotionDecoder, Orientation, flow, inter_mask, visualize
from mv_tools.display import Display, read_display
from mv_tools.source import Source, open_video

from support.clips import H264, encode, panning
from support.display import ORIENTATIONS, ffmpeg, shown_by_ffmpeg, turned

STEP = (3, 2)


def names(orientation: Orientation) -> str:
    return str(orientation)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A width that is cropped (88 of 96) and a height that is too (60 of 64): both edges must move along."""
    pictures = panning(14, width=88, height=60, step=STEP)
    pictures[:, :20, :30] = (255, 0, 0)  # tells the upper left corner
    return encode(tmp_path_factory.mktemp("coded") / "coded.mp4", pictures, **H264)


def test_matrix_and_back() -> None:
    for orientation in ORIENTATIONS:
        assert Orientation.from_matrix(orientation.matrix) == orientation
        picture = np.arange(24).reshape(4, 6)
        np.testing.assert_array_equal(orientation.inverse.picture(orientation.picture(picture)), picture)
        field = np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32)
        np.testing.assert_array_equal(orientation.inverse.field(orientation.field(field)), field)


def test_fields_turn_as_pictures_do() -> None:
    """Content that moves from one picture to the next moves along the turned vector."""
    before, after = np.zeros((2, 8, 10), int)
    before[2, 3] = after[2 + 1, 3 + 2] = 1  # 2 to the right, 1 down
    field = np.zeros((2, 8, 10), np.float32)
    field[:, 3, 5] = (2, 1)
    for orientation in ORIENTATIONS:
        (y, x), (v, u) = (np.argwhere(orientation.picture(file))[0] for file in (before, after))
        np.testing.assert_array_equal(
            orientation.field(field)[:, v, u], (u - x, v - y), err_msg=str(orientation)
        )


@pytest.mark.parametrize(
    "matrix",
    [
        [46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30],  # 45 degrees
        [65536, 0, 0, 65536, 0, 0, 0, 0, 1 << 30],  # a plane folded to a line
        [65536, 30000, 0, 0, 65536, 0, 0, 0, 1 << 30],  # sheared
        [0] * 9,
        [1] * 9,
        [1, 2, 3],
    ],
)
def test_other_matrices_are_refused(matrix: list[int]) -> None:
    with pytest.raises(ValueError, match="matrix"):
        Orientation.from_matrix(matrix)


def test_small_deviations_count_as_right_angles() -> None:
    assert Orientation.from_matrix([300, 65000, 0, -66000, -500, 0, 0, 0, 1]) == Orientation(90)
    assert Orientation.from_matrix([131072, 0, 0, 0, 131072, 0, 0, 0, 1]) == Orientation()


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=names)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_container_gives_the_orientation(
    tmp_path: Path, coded: Path, orientation: Orientation, suffix: str
) -> None:
    """What is read without decoding equals what libavcodec hands out with file picture."""
    path = turned(coded, tmp_path / f"turned{suffix}", orientation)
    with open_video(path, packets_only=True) as (_, stream):
        assert read_display(Source.of(path), stream) == Display(orientation)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        matrix = frame.side_data.get("DISPLAYMATRIX")
        told = (
            Orientation()
            if matrix is None
            else Orientation.from_matrix(np.frombuffer(bytes(matrix)[:36], "=i4"))
        )
        assert told == orientation


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=names)
def test_motion_and_pictures_are_upright(tmp_path: Path, coded: Path, orientation: Orientation) -> None:
    path = turned(coded, tmp_path / "turned.mp4", orientation)
    decoder, plain = MotionDecoder(path), MotionDecoder(coded)
    width, height = orientation.size(88, 60)
    meta = decoder.metadata
    assert (meta.width, meta.height, meta.display_width, meta.display_height) == (88, 60, width, height)

    pictures = mv_tools.read_rgb_at(path, range(14)).frames
    truth = shown_by_ffmpeg(path, (width, height))
    assert pictures.shape == truth.shape
    assert np.abs(pictures.astype(int) - truth).mean() < 3, "ffmpeg shows another picture"

    expected = orientation.field(np.array(STEP, np.float32)[:, None, None])[:, 0, 0]
    for frame, same in zip(decoder, plain, strict=True):
        np.testing.assert_array_equal(frame.mv, same.mv, err_msg="MotionFrame is as coded")
        assert frame.orientation == orientation
        np.testing.assert_array_equal(flow(frame), orientation.field(flow(same)))
        np.testing.assert_array_equal(inter_mask(frame), orientation.picture(inter_mask(same)))
        if frame.pict_type == "P":
            np.testing.assert_allclose(np.median(flow(frame)[:, inter_mask(frame)], axis=1), expected)
    libav = MotionDecoder(path, backend="libav")[5]
    np.testing.assert_array_equal(
        flow(libav), orientation.field(flow(MotionDecoder(coded, backend="libav")[5]))
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=names)
def test_cropping_follows_the_orientation(tmp_path: Path, coded: Path, orientation: Orientation) -> None:
    """Drawn and pooled fields show what the upright picture shows, not the coded rows below it."""
    path = turned(coded, tmp_path / "turned.mp4", orientation)
    meta = MotionDecoder(path).metadata
    rows, columns = orientation.picture(np.zeros((16, 24))).shape
    grid = np.mgrid[0:rows, 0:columns].astype(np.float32)
    region = meta.region((rows, columns))
    dense = mv_tools.to_dense(grid, meta.display_width, meta.display_height, region)
    marks = orientation.inverse.picture(dense)  # rows and columns of the upright grid, as coded
    plain = orientation.inverse.picture(np.moveaxis(grid, 0, -1)).repeat(4, 0).repeat(4, 1)[:60, :88]
    np.testing.assert_array_equal(marks, plain)
    mean = mv_tools.pool(grid, (1, 1), region=region)[:, 0, 0]
    np.testing.assert_allclose(mean, plain.mean(axis=(0, 1)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=names)
def test_drawings_are_upright(tmp_path: Path, coded: Path, orientation: Orientation) -> None:
    path = turned(coded, tmp_path / "turned.mp4", orientation)
    with Image.open(visualize.save_png(path, tmp_path / "motion.png", 5, style="arrows")) as drawing:
        image = np.asarray(drawing)
    width, height = orientation.size(88, 60)
    scale = visualize.enlargement(width)
    assert image.shape == (scale * height, scale * width, 3)
    red = (image[..., 0] > 180) & (image[..., 1] < 80) & (image[..., 2] < 80)
    y, x = np.argwhere(red).mean(axis=0) / image.shape[:2]
    corner = orientation.picture(np.array([[1, 0], [0, 0]]))
    assert (int(y > 0.5), int(x > 0.5)) == tuple(np.argwhere(corner)[0])
    film = visualize.save_mp4(path, tmp_path / "motion.mp4", range(3))
    assert mv_tools.read_rgb_at(film, [0]).frames.shape[1:3] == image.shape[:2]


@pytest.mark.parametrize("field", ["raw", "accumulated"])
@pytest.mark.parametrize("orientation", ORIENTATIONS[1:], ids=names)
def test_prepared_and_raw_copies_give_the_same_motion(
    tmp_path: Path, coded: Path, orientation: Orientation, field: str
) -> None:
    path = turned(coded, tmp_path / "turned.mp4", orientation)
    prepared = mv_tools.transcode(path, tmp_path / "prepared.mp4", crf=4)
    assert MotionDecoder(prepared).metadata.display.plain
    spec = MotionSpec(segments=2, frames=3, grid=(4, 4), field=field)  # type: ignore[arg-type]
    # Of the first window: later on, what came in at the edges has an accumulated motion of its own.
    raw, upright = (read_motion_clip(file, spec).motion[0].astype(float) for file in (path, prepared))
    np.testing.assert_allclose(np.median(raw, axis=(2, 3)), np.median(upright, axis=(2, 3)), rtol=0.3, atol=1)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("mpeg4", ".mp4"), ("mpeg4", ".mkv"), ("libvpx", ".mkv"), ("libx265", ".mp4")]
)
def test_other_codecs(tmp_path: Path, codec: str, suffix: str) -> None:
    """Also where the copy's header can't be written and one picture has to be decoded."""
    plain = encode(tmp_path / f"plain{suffix}", panning(4, step=STEP), codec)
    path = turned(plain, tmp_path / f"turned{suffix}", Orientation(90))
    picture = mv_tools.read_rgb_at(path, [1]).frames[0]
    np.testing.assert_array_equal(
        picture, Orientation(90).picture(mv_tools.read_rgb_at(plain, [1]).frames[0])
    )
    if codec == "mpeg4":
        frame = MotionDecoder(path)[2]
        np.testing.assert_allclose(np.median(flow(frame)[:, inter_mask(frame)], axis=1), (-STEP[1], STEP[0]))


def test_other_angles_are_noted_and_not_followed(tmp_path: Path, coded: Path) -> None:
    path = tmp_path / "odd.mp4"
    ffmpeg("-display_rotation", 30, "-i", coded, "-c", "copy", path)
    assert mv_tools.read_rgb_at(path, [0]).frames.shape == (1, 60, 88, 3)
    assert any("multiple of 90 degrees" in note for note in mv_tools.probe(path).notes)
    prepared = mv_tools.transcode(path, tmp_path / "prepared.mp4", crf=4)
    one, other = (mv_tools.read_rgb_at(file, [3]).frames[0].astype(int) for file in (path, prepared))
    assert np.abs(one - other).mean() < 4, "prepared clips are turned and raw ones are not"


def test_index_keeps_the_orientation(tmp_path: Path, coded: Path) -> None:
    path = turned(coded, tmp_path / "turned.mp4", Orientation(270, True))
    MotionDecoder(path).save_index(tmp_path / "index")
    again = MotionDecoder(path, index=tmp_path / "index")
    assert again[3].orientation == Orientation(270, True)
    assert again.metadata == MotionDecoder(path).metadata


def test_portrait_phone_video(shared: Path) -> None:
    path = shared / "videos" / "faults" / "rot90_h264.mp4"
    frame = MotionDecoder(path)[4]
    assert flow(frame).shape == (2, 80, 60)
    median: npt.NDArray[np.float32] = np.median(flow(frame)[:, inter_mask(frame)], axis=1)
    np.testing.assert_allclose(median, (0, -2), atol=0.1)
    assert mv_tools.read_rgb_at(path, [4]).frames.shape == (1, 320, 240, 3)


def test_written_vectors_include_their_orientation(tmp_path: Path, coded: Path) -> None:
    path = turned(coded, tmp_path / "turned.mp4", Orientation(90, True))
    decoder = MotionDecoder(path)
    mv_tools.write_motion(decoder, tmp_path / "vectors.npz")
    mv_tools.write_motion(decoder, tmp_path / "flow.npz", kind="flow")
    with np.load(tmp_path / "vectors.npz") as vectors, np.load(tmp_path / "flow.npz") as fields:
        assert (vectors["rotation"] == 90).all()
        assert (vectors["mirror"] == 1).all()
        assert (vectors["sample_aspect_ratio"] == 1).all()
        assert vectors["mv"].shape[2:4] == (16, 24)
        assert vectors["frame_index"].tolist() == list(range(14))
        np.testing.assert_array_equal(fields["flow"][5], flow(decoder[5]))
        assert fields["flow"].shape[2:] == (24, 16)


def test_arbitrary_matrices_never_crash(tmp_path: Path, coded: Path) -> None:
    data = bytearray(coded.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    rng = np.random.default_rng(0)
    for number in range(12):
        data[place : place + 36] = rng.integers(0, 256, 36, np.uint8).tobytes() if number else bytes(36)
        assert mv_tools.read_rgb_at(bytes(data), [1]).frames.size
        assert MotionDecoder(bytes(data))[1].mv.size
