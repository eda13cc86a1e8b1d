"""Pictures of keyframe packets, of two fields too, and pictures that an edit list leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from mv_tools import LivePicture, MotionDecoder, MotionFrame, open_live
from mv_tools.live.items import LiveOptions

from support.clips import WITH_B
from support.live import ScriptedSource
from support.mp4_boxes import changed, edit_list
from support.stream import same_motion


@pytest.mark.parametrize("name", ["jm_field_cabac0_direct1", "jm_paff_cabac1_direct0"])
def test_keyframes_of_two_fields(shared: Path, name: str) -> None:
    """Each field is a packet of its own; the second one refers to the first."""
    path = shared / "h264" / "streams" / f"{name}.264"
    with open_live(str(path), timeout=0.1, pictures=True) as source:
        pictures = [item for item in source if isinstance(item, LivePicture)]
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert pictures
    assert np.array_equal(pictures[0].rgb, first)


def test_fields_without_time_stamps_have_those_of_their_frames(shared: Path) -> None:
    with open_live(str(shared / "h264" / "streams" / "jm_field_cabac0_direct1.264"), timeout=0.1) as source:
        frames = [item for item in source if isinstance(item, MotionFrame)]
    assert len(frames) == 24
    assert [frame.pts_seconds for frame in frames] == pytest.approx(
        [frame.frame_index / 25 for frame in frames]
    )


def test_keyframes_that_give_no_picture_are_told_once(
    make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ScriptedSource(make_clip("a.mp4", frames=50, g="5", bf="0"))
    packets = [
        packet._replace(data=packet.data[:30]) if packet.keyframe else packet for packet in source.packets
    ]
    reader = source.reader([[(0.04, packet) for packet in packets]], monkeypatch, LiveOptions(pictures=True))
    assert not any(isinstance(item, LivePicture) for item in reader.items())
    assert sum("give no pictures" in text for text in source.said) == 1


def test_pictures_that_an_edit_list_leaves_out(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    """They serve others, and times begin where the list begins."""
    content = make_clip("a.mp4", frames=50, **WITH_B | {"g": "50"}).read_bytes()
    header = content.index(b"mvhd")
    second = int.from_bytes(content[header + 16 : header + 20], "big")  # the movie's time scale
    trimmed = edit_list((2 * second, 1024 + 17 * 512))
    path = tmp_path / "trimmed.mp4"
    path.write_bytes(changed(content, "elst", lambda _: trimmed))
    expected = list(MotionDecoder(path))
    assert len(expected) < 40
    with open_live(str(path), timeout=0.1) as source:
        frames = [item for item in source if isinstance(item, MotionFrame)]
    assert len(frames) == len(expected)
    for frame, other in zip(frames, expected, strict=True):
        assert same_motion(frame, other)
        assert (frame.index, frame.decode_index) == (other.index, other.decode_index)
        assert frame.pts_seconds == pytest.approx(other.pts_seconds)
    with open_live(str(path), timeout=0.1, order="decode") as source:
        assert sum(1 for _ in source) == len(expected)
