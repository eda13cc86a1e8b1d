"""Fields: vertical motion in lines of the frame for each coding of interlaced content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mv_tools import UNUSED_POC, Accumulator, MotionDecoder, MotionFrame, Orientation, flow, inter_mask
from mv_tools.display.fields import rows_in_frame_order

from support.clips import encode, panning
from support.frames import motion_frame

STEP = (4, 2)  # pixels a frame


def interlaced(frames: int, *, bottom_first: bool = False) -> npt.NDArray[np.uint8]:
    """Frames of two fields, half a frame interval apart, of a texture that moves by STEP a frame."""
    moments = panning(2 * frames, width=192, height=160, step=(STEP[0] // 2, STEP[1] // 2))
    out = moments[0::2].copy()
    out[:, bottom_first::2] = moments[0::2, bottom_first::2]
    out[:, 1 - bottom_first :: 2] = moments[1::2, 1 - bottom_first :: 2]
    return out


def agreement(path: Path) -> float:
    """Share of the inter blocks of P and B pictures that tell STEP; also checks the median."""
    vectors = [flow(f)[:, inter_mask(f)] for f in MotionDecoder(path, backend="native") if f.pict_type != "I"]
    together = np.concatenate(vectors, axis=1)
    np.testing.assert_allclose(np.median(together, axis=1), STEP)
    return float((np.abs(together - np.array(STEP)[:, None]) < 0.3).all(axis=0).mean())


@pytest.mark.parametrize("first", ["tff", "bff"])
@pytest.mark.parametrize(
    "structure", [{"bf": "0", "refs": "1"}, {"bf": "0", "refs": "3"}, {"bf": "2", "refs": "3"}], ids=str
)
def test_field_macroblocks(tmp_path: Path, first: str, structure: dict[str, str]) -> None:
    options = {"g": "30", "crf": "12", "x264-params": f"{first}=1", **structure}
    path = encode(tmp_path / "mbaff.mp4", interlaced(12, bottom_first=first == "bff"), **options)
    frames = list(MotionDecoder(path))
    masks = [frame.field_blocks for frame in frames if frame.field_blocks is not None]
    assert masks, "x264 codes field macroblocks"
    assert max(mask.mean() for mask in masks) > 0.5
    assert agreement(path) > 0.65


def test_the_same_motion_progressive_and_interlaced(shared: Path) -> None:
    medians = []
    for name in ("mbaff_field_motion.mp4", "progressive_same_motion.mp4"):
        decoder = MotionDecoder(shared / "videos" / "faults" / name)
        vectors = [flow(f)[:, inter_mask(f)] for f in decoder if f.pict_type != "I"]
        together = np.concatenate(vectors, axis=1)
        medians.append(np.median(together, axis=1))
        right = (np.abs(together - np.array([[-4], [-2]])) < 0.3).all(axis=0)
        assert right.mean() > 0.7
        half = (np.abs(together - np.array([[-4], [-1]])) < 0.3).all(axis=0)
        assert half.mean() < 0.02, "vertical motion in lines of a field"
    np.testing.assert_allclose(medians, [(-4, -2), (-4, -2)])


def test_field_blocks_agree_as_often_as_frame_blocks(shared: Path) -> None:
    """More than 90 % of the field macroblocks have the motion of the progressive copy."""
    folder = shared / "videos" / "faults"
    agrees = total = 0
    pairs = zip(
        MotionDecoder(folder / "mbaff_field_motion.mp4"),
        MotionDecoder(folder / "progressive_same_motion.mp4"),
        strict=True,
    )
    for frame, progressive in pairs:
        if frame.field_blocks is None:
            continue
        known = (np.abs(flow(progressive) - np.array([-4, -2])[:, None, None]) < 0.3).all(axis=0)
        known &= rows_in_frame_order(frame.field_blocks, frame.field_blocks)
        agrees += int(
            (np.abs(flow(frame) - np.array([-4, -2])[:, None, None]) < 0.3).all(axis=0)[known].sum()
        )
        total += int(known.sum())
    assert total > 10_000
    assert agrees / total > 0.9


def field_picture(parity: str, crosses: bool, vector: tuple[int, int], distance: int) -> MotionFrame:
    """A P field whose blocks all have one vector; `distance` in fields."""
    mv = np.zeros((2, 4, 8, 2), np.int16)
    mv[0] = vector
    used = np.zeros((2, 4, 8), np.int8)
    used[1] = -1
    poc = np.full((2, 4, 8), 10 - distance, np.int32)
    poc[1] = UNUSED_POC
    other = np.zeros((2, 4, 8), bool)
    other[0] = crosses
    return motion_frame(mv, used, ref_poc=poc, structure=parity, poc=10, poc_interval=2, other_parity=other)


@pytest.mark.parametrize("parity", ["top", "bottom"])
@pytest.mark.parametrize("crosses", [False, True])
@pytest.mark.parametrize("speed", [-4, 0, 2, 6])
def test_field_pictures(parity: str, crosses: bool, speed: int) -> None:
    """Content moves by `speed` lines per frame; the reference has it in another line of a field."""
    fields = 1 if crosses else 2
    line = 21 if parity == "bottom" else 20
    source = line - speed * fields / 2  # where it was, in lines of the frame
    reference_parity = 1 - line % 2 if crosses else line % 2
    vertical = (source - reference_parity) / 2 - line // 2  # in lines of the fields
    frame = field_picture(parity, crosses, (-4 * fields, round(4 * vertical)), fields)
    np.testing.assert_allclose(flow(frame)[0], 2)
    np.testing.assert_allclose(flow(frame)[1], speed)
    raw = flow(frame, normalize=False)
    np.testing.assert_allclose(raw[1], speed * fields / 2)


def test_unknown_parity_counts_lines_twice() -> None:
    frame = field_picture("top", False, (4, 8), 2)
    object.__setattr__(frame, "other_parity", None)
    np.testing.assert_allclose(flow(frame)[:, 0, 0], (-1, -4))


def test_rows_of_a_pair_interleave() -> None:
    rows = np.arange(8)[:, None].repeat(8, axis=1)
    mask = np.zeros((8, 8), bool)
    mask[:, :4] = True
    ordered = rows_in_frame_order(rows, mask)
    assert ordered[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert ordered[:, 7].tolist() == list(range(8))


def test_intra_blocks_of_fields_stay_without_motion() -> None:
    frame = field_picture("top", True, (0, 0), 1)
    mixed = frame.ref_idx.copy()
    mixed[0, 0] = -1
    object.__setattr__(frame, "ref_idx", mixed)
    assert not flow(frame)[:, 0].any()
    assert flow(frame)[1, 1:].all()


def test_rotated_field_picture() -> None:
    frame = field_picture("top", False, (-8, -8), 2)
    object.__setattr__(frame, "orientation", Orientation(90))
    assert flow(frame).shape == (2, 8, 4)
    np.testing.assert_allclose(flow(frame)[:, 0, 0], (-4, 2))
    total = Accumulator()
    total.push(frame)
    np.testing.assert_allclose(total.push(frame)[:, 7, 0], (-6, 3))  # a field is half a frame later


@pytest.mark.parametrize("stream", ["jm_field_cabac1_direct0.264", "jm_paff_cabac1_direct0.264"])
def test_fields_of_real_streams(shared: Path, stream: str) -> None:
    """The parser reports the parity of each reference; field pictures refer to both."""
    seen = set()
    for frame in MotionDecoder(shared / "h264" / "streams" / stream):
        if frame.structure == "frame":
            assert frame.other_parity is None
            continue
        assert frame.other_parity is not None
        assert frame.other_parity.shape == frame.ref_idx.shape
        assert not frame.other_parity[frame.ref_idx < 0].any()
        seen |= set(frame.other_parity[frame.ref_idx >= 0].tolist())
        assert np.isfinite(flow(frame)).all()
    assert seen == {False, True}


def test_backends_without_field_information_note_it(shared: Path) -> None:
    path = shared / "videos" / "faults" / "mbaff_field_motion.mp4"
    assert any("vertical motion" in note for note in MotionDecoder(path, backend="libav").notes)
    assert MotionDecoder(path).notes == []
    assert MotionDecoder(path.with_name("progressive_same_motion.mp4"), backend="libav").notes == []
