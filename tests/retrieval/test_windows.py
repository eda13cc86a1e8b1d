"""Shot boundaries and windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.retrieval import cut_windows, find_cuts, video_windows

from support.clips import encode, panning
from support.retrieval import two_shots


def test_windows_cover_every_frame_once() -> None:
    windows = cut_windows(np.arange(251) / 25, [60, 70, 245], longest=4.0)
    assert [(w.start, w.stop) for w in windows] == [(0, 60), (60, 155), (155, 250)]
    assert windows[1].start_seconds == pytest.approx(2.4)
    assert [(w.start, w.stop) for w in cut_windows(np.arange(2) / 25, [], 10.0)] == [(0, 1)]


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


def test_continuous_shots_and_codecs_without_motion_have_no_cuts(
    make_clip: Callable[..., Path], tmp_path: Path
) -> None:
    assert find_cuts(make_clip(frames=60, g="25", sc_threshold="40")) == []
    assert find_cuts(encode(tmp_path / "v.mkv", panning(30), "ffv1")) == []
