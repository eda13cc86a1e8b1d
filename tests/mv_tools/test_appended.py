"""Files at whose end another one was appended: read on, or refused with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mv_tools import MalformedStream, MotionDecoder
from mv_tools.pictures.appended import appended_flv, appended_mp4
from mv_tools.source import Source

from support.clips import H264, encode, panning, remuxed
from support.mp4_boxes import Box, join

READ_ON = ("ts", "mpg", "avi", "mkv", "h264")
REFUSED = ("mp4", "mov", "m4v", "3gp", "flv")


@pytest.mark.parametrize("ending", READ_ON + REFUSED)
def test_no_appended_file_is_left_out_without_a_word(ending: str, tmp_path: Path) -> None:
    first = encode(tmp_path / f"a.{ending}", panning(13), **H264)
    data = first.read_bytes()
    assert len(list(MotionDecoder(first))) == 13
    both = tmp_path / f"b.{ending}"
    both.write_bytes(data * 2)
    if ending in READ_ON:
        assert len(list(MotionDecoder(both))) == 26
        return
    said = rf"from byte {len(data):,} of {2 * len(data):,} on it is another file, which is not read"
    with pytest.raises(MalformedStream, match=said):
        list(MotionDecoder(both))
    decoder = MotionDecoder(both, on_damage="skip")
    assert (len(list(decoder)), len(decoder.damaged)) == (13, 1)


def test_fragments_behind_their_movie_box_again_are_read_on(tmp_path: Path) -> None:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    first = encode(tmp_path / "a.ts", panning(24), **H264)
    data = remuxed(first, tmp_path / "a.mp4", flags).read_bytes()
    assert appended_mp4(Source.of(data * 2), len(data) + 1000) is None
    decoder = MotionDecoder(data * 2, on_damage="skip")
    list(decoder)
    assert decoder.damaged == []  # libavformat gives all packets; it does not show all of them


FTYP: Box = ("ftyp", b"isom")
MOOV: Box = ("moov", [("mvhd", bytes(20))])
DATA: Box = ("mdat", bytes(100))


@pytest.mark.parametrize(
    ("boxes", "number"),
    [
        ([FTYP, MOOV, DATA, FTYP, MOOV, DATA], 3),
        ([FTYP, DATA, MOOV, ("free", b""), FTYP, DATA, MOOV], 4),
        ([FTYP, MOOV, DATA, MOOV], None),  # a copy of the tables
        ([FTYP, MOOV, DATA, FTYP], None),
        ([FTYP, MOOV], None),
    ],
)
def test_where_a_second_mp4_file_begins(boxes: list[Box], number: int | None) -> None:
    data = join(boxes)
    expected = None if number is None else len(join(boxes[:number]))
    assert appended_mp4(Source.of(data), 20) == expected
    assert appended_mp4(Source.of(data + b"\0\0\0\2ftyp"), 20) == expected  # damaged from there on
    assert appended_mp4(Source.of(data), len(data) - 20) is None  # its packets were read


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (b"\0\0\0\x0bFLV\x01\x05\0\0\0\x09tags", 14),
        (b"FLV\x01FLV\x01\x01\0\0\0\x09", 14),
        (b"FLV\x01\x05\0\0\0\x0a", None),
        (b"FLV\x01\x05\0\0", None),
        (b"", None),
    ],
)
def test_where_a_second_flv_file_begins(behind: bytes, expected: int | None) -> None:
    assert appended_flv(Source.of(b"FLV\x01 first" + behind), 10) == expected
