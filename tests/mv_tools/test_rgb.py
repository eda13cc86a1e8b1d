"""RGB pictures at chosen positions: equal to a full decode, from one scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

import mv_tools
from moclip_lite.appearance.frames import read_clip_frames
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.predict.read_file import FileReader
from moclip_lite.sampling import frame_positions, reachable_positions
from mv_tools import MotionDecoder, RgbDecoder
from mv_tools.pictures import reader, segments
from mv_tools.pictures.reader import stretches
from mv_tools.source import Source

from support.clips import H264, annex_b, encode, panning


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def long_gops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 pictures, B pyramid, open GOPs of 30: seeks, joined stretches and leading pictures."""
    options = {**H264, "g": "30", "bf": "3", "refs": "3", "x264-params": "open-gop=1:b-pyramid=normal"}
    return encode(tmp_path_factory.mktemp("long") / "long.mp4", panning(90), **options)


def test_pictures_behind_several_seeks_equal_a_full_decode(long_gops: Path) -> None:
    full = decode(long_gops)
    decoder = RgbDecoder(long_gops)
    assert len(decoder) == len(full) == 90
    for indices_read in ([3, 33, 62], [29, 30, 31, 59, 60, 61], [89, 0], [28], [45, 75], list(range(90))):
        frames, indices = decoder.get_frames_at(indices_read)
        assert indices.tolist() == indices_read
        for position, picture in zip(indices_read, frames, strict=True):
            np.testing.assert_array_equal(
                picture, full[position], err_msg=f"picture {position} of {indices_read}"
            )


def test_preroll_counts_the_packets_to_decode(long_gops: Path) -> None:
    decoder = RgbDecoder(long_gops)
    entry, before = decoder.preroll()
    pictures = decoder.pictures
    np.testing.assert_array_equal(entry + before, pictures.packet)
    for position, start in enumerate(pictures.entry_of.tolist()):
        assert pictures.entry[start]
        assert start <= position
        assert pictures.packet[start] == entry[position] <= pictures.packet[position]
    keys = MotionDecoder(long_gops).keyframe_indices()
    assert len(keys) > 2
    assert np.nonzero(before == 0)[0].tolist() == keys == decoder.keyframe_indices()


def test_near_stretches_are_joined(long_gops: Path) -> None:
    decoder = RgbDecoder(long_gops)
    keys = decoder.keyframe_indices()
    apart = stretches(decoder.pictures, keys[:2])
    close = stretches(decoder.pictures, [keys[1] - 6, keys[1]])
    assert [group for _, group in apart] == [[keys[0]], [keys[1]]]
    assert [group for _, group in close] == [[keys[1] - 6, keys[1]]]


@pytest.mark.parametrize("seek", [0, 1 << 30])
def test_pictures_are_the_same_with_seeks_and_without(
    long_gops: Path, seek: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SEEK_THRESHOLD_BYTES", seek)
    full = decode(long_gops)
    for indices_read in ([70], [40, 89], [0, 35, 66]):
        for position, picture in RgbDecoder(long_gops).iter_frames_at(indices_read):
            np.testing.assert_array_equal(picture, full[position])


@pytest.mark.parametrize("positions", ["reachable", "uniform", "keyframes"])
def test_clip_frames_are_the_pictures_of_a_full_decode(long_gops: Path, positions: str) -> None:
    full, preroll = decode(long_gops), RgbDecoder(long_gops).preroll()
    expected = {
        "reachable": reachable_positions(*preroll, 4).tolist(),
        "uniform": frame_positions(90, 4).tolist(),
        "keyframes": MotionDecoder(long_gops).keyframe_indices(),
    }[positions]
    expected += [expected[-1]] * (4 - len(expected))
    spec = AppearanceSettings(model="x", pretrained="none", positions=positions)  # type: ignore[arg-type]
    for source in (long_gops, MotionDecoder(long_gops)):
        frames = read_clip_frames(source, spec)
        np.testing.assert_array_equal(frames, np.stack([full[i] for i in expected]))


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files in the order they are opened."""
    seen: list[str] = []
    opened = Source.open

    def open_and_note(self: Source, **options: bool) -> av.container.InputContainer:
        seen.append(self.name)
        return opened(self, **options)

    monkeypatch.setattr(Source, "open", open_and_note)
    return seen


def test_one_prediction_scans_a_file_once(long_gops: Path, openings: list[str]) -> None:
    motion = MotionSpec(segments=4, frames=3, grid=(8, 12))
    appearance = AppearanceSettings(model="x", pretrained="none")
    apart = read_motion_clip(long_gops, motion), read_clip_frames(long_gops, appearance)
    openings.clear()
    reading = FileReader(long_gops, motion, appearance).both()
    assert len(openings) == 1, "the decoding; sample tables give the packets"
    assert reading.motion is not None
    assert reading.notes == ()
    np.testing.assert_array_equal(reading.motion.motion, apart[0].motion)
    np.testing.assert_array_equal(reading.motion.indices, apart[0].indices)
    np.testing.assert_array_equal(reading.pictures, apart[1])
    assert FileReader(long_gops, None, None).both() == type(reading)(None, None)
    assert FileReader(long_gops, motion, None).both().pictures is None


def test_reading_notes_where_motion_comes_from(tmp_path: Path) -> None:
    motion = MotionSpec(segments=2, frames=2, grid=(8, 12))
    decoded = encode(tmp_path / "a.mpg", panning(12), "mpeg2video")
    assert "full decoding" in FileReader(decoded, motion, None).both().notes[0]
    lossless = encode(tmp_path / "a.mkv", panning(12), "ffv1")
    reading = FileReader(lossless, motion, AppearanceSettings(model="x", pretrained="none", frames=2)).both()
    assert "re-encoded" in reading.notes[0]
    assert reading.motion is not None
    assert reading.motion.motion.any()
    assert reading.pictures is not None
    assert len(reading.pictures) == 2


def test_pictures_of_raw_h264_are_counted_without_decoding(
    make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = annex_b(make_clip("a.mp4", bf="2"))

    def refuse(*_: object) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(segments, "decode_packet", refuse)
    monkeypatch.setattr(reader, "decode_packet", refuse)
    assert mv_tools.count_frames(raw) == 24
    assert MotionDecoder(raw).frame_count == 24


def test_fields_count_as_frames(shared: Path) -> None:
    streams = shared / "h264" / "streams"
    for name in (
        "jm_field_cabac0_direct1.264",
        "jm_paff_mbaff_cabac0_direct1.264",
        "openh264_CVFC1_Sony_C.jsv",
    ):
        assert mv_tools.count_frames(streams / name) == len(decode(streams / name)), name


def test_untimed_pictures_of_other_codecs_are_counted_once(tmp_path: Path) -> None:
    avi = encode(tmp_path / "b.avi", panning(20), "mpeg2video", g="12", bf="2")
    assert RgbDecoder(avi).pictures.decoded
    decoder = MotionDecoder(avi)
    assert len(RgbDecoder(decoder)) == len(RgbDecoder(avi)) == len(decode(avi))
    spec = AppearanceSettings(model="x", pretrained="none")
    np.testing.assert_array_equal(read_clip_frames(decoder, spec), read_clip_frames(avi, spec))
