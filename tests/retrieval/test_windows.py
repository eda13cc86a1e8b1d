"""Shot boundaries and windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.retrieval import cut_windows, find_cuts, video_windows
from mv_tools import ArgumentError, MalformedStream, MotionDecoder, RgbDecoder
from mv_tools.pictures.reader import DecodedPicture, PictureReader

from support.clips import behind_sound, encode, panning
from support.retrieval import two_shots


def test_windows_cover_every_frame_once() -> None:
    windows = cut_windows(np.arange(251) / 25, [60, 70, 245], longest=4.0)
    assert [(w.start, w.stop) for w in windows] == [(0, 60), (60, 155), (155, 250)]
    assert windows[1].start_seconds == pytest.approx(2.4)
    assert [(w.start, w.stop) for w in cut_windows(np.arange(2) / 25, [], 10.0)] == [(0, 1)]


def test_times_are_those_of_a_player(tmp_path: Path) -> None:
    """Its clock starts with the sound where that begins first."""
    video = encode(tmp_path / "a.mp4", panning(48))
    late = behind_sound(video, tmp_path / "late.mkv", Fraction(1, 2))
    times = [(window.start_seconds, window.stop_seconds) for window in video_windows(video, 1.0)]
    assert times[0][0] == 0.0
    shifted = [(window.start_seconds - 0.5, window.stop_seconds - 0.5) for window in video_windows(late, 1.0)]
    np.testing.assert_allclose(shifted, times, atol=2e-3)


def test_a_picture_is_in_one_window_however_long_it_is_shown() -> None:
    """A file of some kilobytes can claim to last for years."""
    for duration in (1e6, 1e11, 1e300):
        windows = cut_windows(np.linspace(0, duration, 5), [], longest=4.0)
        assert [(w.start, w.stop) for w in windows] == [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.mark.parametrize("scenecut", ["40", "0"])
def test_cuts_are_detected_from_motion(tmp_path: Path, scenecut: str) -> None:
    """Cuts coded as an irregular I picture, or as a P picture of intra blocks."""
    path = two_shots(tmp_path / "scenes.mp4", sc_threshold=scenecut, g="25", keyint_min="1")
    assert find_cuts(path) == [30]
    assert [(w.start, w.stop) for w in video_windows(path, 10.0)] == [(0, 30), (30, 60)]
    assert len(video_windows(path, 10.0, shots=False)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"g": "250", "sc_threshold": "40"},  # the only I picture but the first
        {"g": "30", "keyint_min": "30", "sc_threshold": "0"},  # an I picture at its regular place
        {"g": "250", "bf": "3", "b_strategy": "0", "sc_threshold": "0"},  # the cut is at a B picture
        {"g": "32", "keyint_min": "32", "bf": "3", "b_strategy": "0", "sc_threshold": "0", "flags": "-cgop"}
        | {"x264-params": "open-gop=1"},  # at a B picture before an I picture
    ],
    ids=["only", "regular", "bidirectional", "leading"],
)
def test_a_cut_is_found_wherever_pictures_of_each_type_are(tmp_path: Path, options: dict[str, str]) -> None:
    assert find_cuts(two_shots(tmp_path / "scenes.mp4", **options)) == [30]


def test_shots_of_a_damaged_video_are_found(tmp_path: Path) -> None:
    """A packet is lost: pictures that decode are compared, and the video keeps its windows."""
    whole = two_shots(tmp_path / "scenes.ts", g="15", keyint_min="15").read_bytes()
    lost = tmp_path / "lost.ts"
    lost.write_bytes(whole[: 54 * 188] + whole[55 * 188 :])
    with pytest.raises(MalformedStream):
        list(MotionDecoder(lost))
    with pytest.raises(MalformedStream):
        list(RgbDecoder(lost).iter_frames_at(range(60)))
    readable = [i for i, _ in RgbDecoder(lost).iter_frames_at(range(60), on_damage="skip")]
    assert 50 < len(readable) < 60
    with pytest.raises(ArgumentError, match="on_damage"):
        RgbDecoder(lost).iter_frames_at([0], on_damage="ignore")  # type: ignore[arg-type]
    assert find_cuts(lost) == [30]
    assert [window.start for window in video_windows(lost, 10.0)] == [0, 30]


def test_a_file_is_read_once_for_all_its_shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = two_shots(tmp_path / "scenes.mp4", g="5", keyint_min="5", sc_threshold="0")
    opened = []

    def read(self: PictureReader, positions: Sequence[int]) -> Iterator[DecodedPicture]:
        opened.append(len(positions))
        return whole(self, positions)

    whole = PictureReader.read
    monkeypatch.setattr(PictureReader, "read", read)
    assert find_cuts(path) == [30]
    assert len(opened) == 1
    assert opened[0] >= 22  # eleven I pictures and those before them


def test_continuous_shots_and_codecs_without_motion_have_no_cuts(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    assert find_cuts(make_clip(frames=60, g="25", sc_threshold="40")) == []
    assert find_cuts(encode(tmp_path / "v.mkv", panning(30), "ffv1")) == []


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("options", [{"g": "250"}, {"g": "12", "bf": "0"}, {"g": "12", "bf": "2"}])
def test_a_flash_is_no_cut(tmp_path: Path, length: int, options: dict[str, str]) -> None:
    pictures = np.repeat(panning(1) // 2, 60, axis=0)
    for number, picture in enumerate(pictures):
        picture[20:40, number : number + 20] = 100
    pictures[30 : 30 + length] += 90
    assert find_cuts(encode(tmp_path / "flash.mp4", pictures, **options)) == []
    dark = np.concatenate([pictures[:30], pictures[30 + length :] // 3])
    assert find_cuts(encode(tmp_path / "dark.mp4", dark, **options)) == []
