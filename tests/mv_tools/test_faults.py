"""Real files of the kinds that cameras, recorders, editors and data sets produce, one test each.

Each file is checked for the same numbering (numbering_checks); further expectations stand in its test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import mv_tools
from mv_tools import MalformedStream, MotionDecoder, flow, inter_mask

from support.numbering_checks import CHECKS, Reference, Shown, check_motion, sampled
from support.numbering_matrix import run_ffmpeg

Fault = Callable[[str], Path]
EVERYTHING = tuple(CHECKS)


@pytest.fixture
def fault(shared: Path) -> Fault:
    """Path of a shared file; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = shared / "videos" / "faults" / name
        if not path.exists():
            pytest.skip(f"no {path}")
        return path

    return find


def verify(
    path: Path,
    pictures: int,
    *,
    checks: Iterable[str] = EVERYTHING,
    damaged: bool = False,
    shown: Shown = np.asarray,
) -> Reference:
    """Decode the file fully and compare everything with it.

    Args:
        path: the file.
        pictures: number of pictures that libavcodec outputs.
        checks: names in CHECKS.
        damaged: bytes of pictures are missing.
        shown: turns a coded picture into the displayed one.
    """
    reference = Reference.of(path, damaged=damaged)
    assert len(reference.shots) == pictures
    indices = sampled(reference, path.name, full=False)
    for name in checks:
        CHECKS[name](path, reference, indices, shown)
    return reference


def rate_of_rise(decoder: MotionDecoder) -> bool:
    """Whether PicOrderCnt rises from each keyframe to the next."""
    last = -(2**31)
    for frame in decoder:
        if frame.poc is None or (frame.poc <= last and not frame.is_keyframe):
            return False
        last = frame.poc
    return True


def moved(frames: Iterable[mv_tools.MotionFrame]) -> npt.NDArray[np.float32]:
    """Flow of all inter blocks, [N, 2]."""
    return np.concatenate([flow(frame).transpose(1, 2, 0)[inter_mask(frame)] for frame in frames])


@pytest.mark.parametrize(
    ("name", "pictures"),
    [("ntu_h264_bframes.avi", 16), ("cg_bframes.asf", 100), ("mp4_without_ctts.mp4", 60)],
)
def test_b_pictures_without_presentation_times(fault: Fault, name: str, pictures: int) -> None:
    path = fault(name)
    verify(path, pictures)
    assert rate_of_rise(MotionDecoder(path, backend="native"))


def test_hevc_b_pictures_in_avi(fault: Fault) -> None:
    verify(fault("x265_bframes.avi"), 75)


def test_trimmed_inside_a_gop(fault: Fault) -> None:
    path = fault("trimmed_inside_gop.mp4")
    verify(path, 52)
    mv_tools.probe(path)
    assert mv_tools.read_keyframes(path).indices.tolist() == [0], "the picture that decoding enters at"


@pytest.mark.parametrize(
    ("name", "pictures"),
    [("x264_ts_cut_in_gop.ts", 90), ("open_gop_cut_at_keyframe.ts", 120), ("midstream.264", 65)],
)
def test_recording_that_begins_inside_a_gop(fault: Fault, tmp_path: Path, name: str, pictures: int) -> None:
    path = fault(name)
    reference = verify(path, pictures)
    recoded = mv_tools.transcode(path, tmp_path / "recoded.mp4", crf=0)
    assert mv_tools.count_frames(recoded) == pictures
    first = mv_tools.read_rgb_at(recoded, [0]).frames[0].astype(int)
    assert np.abs(first - reference.shots[0].rgb).mean() < 4, "transcoding begins with another picture"


def test_one_lost_packet_damages_only_dependent_pictures(fault: Fault) -> None:
    path = fault("ts_one_packet_lost.ts")
    reference = verify(path, 149, damaged=True)
    for backend in ("native", "libav"):
        decoder = MotionDecoder(path, backend=backend, on_damage="skip")
        read = [frame.index for frame in decoder]
        assert set(range(149)) - set(read) <= reference.suspect
        assert read[-1] == 148
        assert [note for note in decoder.notes if note.startswith("data are missing at picture")]


def test_av1_from_svt(fault: Fault) -> None:
    verify(fault("svtav1.mp4"), 50)


def test_one_packet_per_field(fault: Fault) -> None:
    path = fault("paff_ts_two_packets_per_frame.ts")
    verify(path, 12)
    decoder = MotionDecoder(path, backend="native")
    assert [frame.frame_index for frame in decoder] == [i // 2 for i in range(24)]
    assert {frame.structure for frame in decoder} == {"top", "bottom"}


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "ts", "mov"])
@pytest.mark.parametrize("stream", ["paff_ts_two_packets_per_frame.ts"])
def test_field_pictures_in_other_containers(
    fault: Fault, tmp_path: Path, stream: str, container: str
) -> None:
    path = tmp_path / f"fields.{container}"
    run_ffmpeg("-i", fault(stream), "-c", "copy", path)
    verify(path, 12)


@pytest.mark.parametrize(("name", "pictures"), [("mpeg_ps.mpg", 75), ("mpeg1.mpg", 100)])
def test_program_stream(fault: Fault, name: str, pictures: int) -> None:
    verify(fault(name), pictures)


def test_every_packet_marked_as_a_keyframe(fault: Fault) -> None:
    path = fault("testASF.asf")
    verify(path, 108)
    assert mv_tools.read_keyframes(path).indices.tolist() == [0, 76, 107]


def test_444_from_old_x264(fault: Fault) -> None:
    path = fault("x264_148_yuv444p_8x8dct.mp4")
    reference = verify(path, 40)
    decoder = MotionDecoder(path, backend="native")
    exported = MotionDecoder(path, backend="libav")
    assert len(list(decoder)) == 40
    for index in (1, 7, 20, 39):
        used = decoder[index].ref_idx >= 0
        np.testing.assert_array_equal(used.any(0), (exported[index].ref_idx >= 0).any(0))
    check_motion(path, reference, [1, 39], np.asarray, backend="native")


def test_parameter_sets_behind_the_first_picture(fault: Fault) -> None:
    path = fault("input-idr-sps-pps-non-idr.h264")
    reference = verify(path, 10)
    check_motion(path, reference, range(10), np.asarray, backend="native")


def test_damaged_slices_are_refused_with_their_picture(fault: Fault) -> None:
    path = fault("Error_I_P.264")
    reference = Reference.of(path)
    assert [shot.corrupt for shot in reference.shots] == [True, True, False, True, True, True]
    assert mv_tools.count_frames(path) == 6
    for index, shot in enumerate(reference.shots):
        if shot.corrupt:
            with pytest.raises(MalformedStream, match=rf"picture {index}\b"):
                mv_tools.read_rgb_at(path, [index])
        else:
            np.testing.assert_array_equal(mv_tools.read_rgb_at(path, [index]).frames[0], shot.rgb)
    decoder = MotionDecoder(path, on_damage="skip")
    read = {frame.index for frame in decoder}
    assert read | {damage.index for damage in decoder.damaged} == set(range(6))


def test_garbage_unit_types_are_damage_of_one_picture(fault: Fault) -> None:
    path = fault("truncated_annexb.mp4")
    reference = Reference.of(path, damaged=True)
    assert [shot.corrupt for shot in reference.shots] == [False] * 5 + [True]
    decoder = MotionDecoder(path, backend="native", on_damage="skip")
    assert [frame.index for frame in decoder] == [0, 1, 2, 3, 4]
    assert len(decoder) == 6
    assert 5 in {damage.index for damage in decoder.damaged}
    for index in range(5):
        np.testing.assert_array_equal(
            mv_tools.read_rgb_at(path, [index]).frames[0], reference.shots[index].rgb
        )
    with pytest.raises(MalformedStream, match=r"picture 5\b"):
        mv_tools.read_rgb_at(path, [5])


def test_phone_held_upright(fault: Fault) -> None:
    path = fault("rot90_h264.mp4")
    verify(path, 30, shown=np.rot90)
    assert mv_tools.read_rgb_at(path, [3]).frames.shape == (1, 320, 240, 3)
    decoder = MotionDecoder(path)
    assert flow(decoder[3]).shape == (2, 80, 60)
    np.testing.assert_allclose(np.median(flow(decoder[3]), (1, 2)), (0, -2))
    assert decoder[3].mv.shape == (2, 60, 80, 2), "as coded"


@pytest.mark.parametrize("name", ["packed_bframes.avi", "not_coded_vops.avi"])
def test_packets_are_not_pictures(fault: Fault, name: str) -> None:
    verify(fault(name), 24)


@pytest.mark.parametrize("name", ["joined_discontinuity.ts", "cat_two.ts"])
def test_two_recordings_joined(fault: Fault, name: str) -> None:
    verify(fault(name), 60)


@pytest.mark.parametrize("name", ["joined_discontinuity.ts", "cat_two.ts"])
def test_the_note_on_joined_recordings_tells_both_clocks(fault: Fault, name: str) -> None:
    """What continues and what is stored, as they are."""
    decoder = MotionDecoder(fault(name))
    stored = [decoder[i].pts_seconds or 0.0 for i in (29, 30)]
    assert stored[1] < stored[0]
    assert decoder.times is not None
    assert (np.diff(decoder.times) > 0).all()
    (note,) = [note for note in decoder.notes if "recordings were joined" in note]
    assert "time stamps decrease at picture 30" in note
    assert "windows and segments continue from there" in note
    assert "pts_seconds of a picture is as stored" in note


def test_field_macroblocks_in_frame_lines(fault: Fault) -> None:
    plain, fields = fault("progressive_same_motion.mp4"), fault("mbaff_field_motion.mp4")
    for path in (plain, fields):
        verify(path, 30)
    expected = np.median(moved(MotionDecoder(plain)), 0)
    vectors = moved(MotionDecoder(fields))
    alike = vectors[np.abs(vectors[:, 0] - expected[0]) < 0.3]
    assert len(alike) > 0.3 * len(vectors)
    np.testing.assert_allclose(np.median(alike, 0), expected, atol=0.01)
    assert (np.abs(alike[:, 1] - expected[1] / 2) < 0.3).mean() < 0.05


def test_variable_rate_keeps_the_times_of_the_file(fault: Fault) -> None:
    path = fault("vfr.mkv")
    reference = verify(path, 270)
    decoder = MotionDecoder(path)
    assert decoder[-1].pts_seconds == reference.shots[-1].seconds == 37.0
    assert decoder.metadata.duration_seconds == pytest.approx(37.0, abs=1.0)


def test_non_square_pixels(fault: Fault) -> None:
    path = fault("sar_5_4.mp4")
    verify(path, 20, checks=("count", "motion", "libav motion", "metadata"))
    frames, _ = mv_tools.read_rgb_at(path, [0, 19, 7])
    assert frames.shape == (3, 480, 600, 3)
    for position, index in enumerate((0, 19, 7)):
        np.testing.assert_array_equal(mv_tools.read_rgb_at(path, [index]).frames[0], frames[position])
    coded = moved(MotionDecoder(path))
    assert np.median(coded[:, 0]) == pytest.approx(-5.0), "pixels of the picture as shown"
