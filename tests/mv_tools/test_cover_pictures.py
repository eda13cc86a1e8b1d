"""Files that hold a cover picture beside the film: the film is read, wherever the cover stands."""

from __future__ import annotations

import warnings
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mv_tools import MotionDecoder, iter_rgb_at, transcode
from mv_tools.errors import UnsupportedStream

from support.clips import H264, encode, panning
from support.display import ffmpeg
from support.mp4_boxes import join, split

CODECS = {"libx264": H264, "mpeg4": {"g": "12"}}
SHOWN = (0, 7, 20)


@pytest.fixture
def cover(tmp_path: Path) -> Path:
    path = tmp_path / "cover.jpg"
    Image.new("RGB", (64, 64), "red").save(path)
    return path


def with_cover(film: Path, cover: Path, out: Path) -> Path:
    """The film with the cover as its last stream."""
    if out.suffix == ".mkv":
        ffmpeg("-i", film, "-attach", cover, "-metadata:s:t", "mimetype=image/jpeg", "-c", "copy", out)
    else:
        maps = ("-map", 0, "-map", 1, "-c", "copy", "-disposition:v:1", "attached_pic")
        ffmpeg("-i", film, "-i", cover, *maps, out)
    return out


def cover_first(file: Path) -> Path:
    """The same MP4 file with the cover's box before the tracks; libavformat lists it as the first stream."""
    out = file.with_name(f"first_{file.name}")
    boxes = split(file.read_bytes())
    for number, (kind, inner) in enumerate(boxes):
        if kind == "moov" and isinstance(inner, list):
            after = sum(name == "mdat" for name, _ in boxes[number:]) == 0
            assert after  # the tables' offsets hold
            moved = [box for box in inner if box[0] == "udta"] + [box for box in inner if box[0] != "udta"]
            boxes[number] = (kind, moved)
    out.write_bytes(join(boxes))
    return out


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.codec_context.name for stream in container.streams.video]


@pytest.mark.parametrize(("container", "first"), [("mp4", False), ("mp4", True), ("mkv", False)])
@pytest.mark.parametrize("codec", CODECS)
def test_the_film_is_read(codec: str, container: str, first: bool, cover: Path, tmp_path: Path) -> None:
    film = encode(tmp_path / f"film.{container}", panning(24), codec, **CODECS[codec])
    file = with_cover(film, cover, tmp_path / f"both.{container}")
    if first:
        file = cover_first(file)
    listed = streams(file)
    assert len(listed) == 2
    assert (listed[0] == "mjpeg") == first
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected, found = MotionDecoder(film), MotionDecoder(file)
    assert len(found) == 24
    assert not any("video tracks" in note for note in found.notes)
    for number in SHOWN:
        np.testing.assert_array_equal(found[number].mv, expected[number].mv)
    pictures = zip(iter_rgb_at(film, SHOWN), iter_rgb_at(file, SHOWN), strict=True)
    for (_, one), (_, other) in pictures:
        np.testing.assert_array_equal(one, other)


def test_the_film_is_re_encoded(cover: Path, tmp_path: Path) -> None:
    film = encode(tmp_path / "film.mp4", panning(24), "mpeg4", g="12")
    file = cover_first(with_cover(film, cover, tmp_path / "both.mp4"))
    copy, expected = transcode(file, tmp_path / "copy.mp4"), transcode(film, tmp_path / "expected.mp4")
    assert copy.read_bytes() == expected.read_bytes()


def test_sound_with_a_cover_is_no_video(cover: Path, tmp_path: Path) -> None:
    out = tmp_path / "song.m4a"
    sound = ("-f", "lavfi", "-i", "sine=duration=1")
    ffmpeg(
        *sound,
        "-i",
        cover,
        "-map",
        0,
        "-map",
        1,
        "-c:a",
        "aac",
        "-c:v",
        "copy",
        "-disposition:v",
        "attached_pic",
        out,
    )
    assert streams(out) == ["mjpeg"]
    with pytest.raises(UnsupportedStream, match=r"no video stream .the file holds: audio, cover picture"):
        MotionDecoder(out)
