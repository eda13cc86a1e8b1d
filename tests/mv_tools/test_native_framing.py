"""The native backend on framings and syntax that available encoders do not write: rewritten streams."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

import mv_tools
from mv_tools import MalformedStream, MotionDecoder, UnsupportedStream

from support.clips import annex_b

pytestmark = pytest.mark.skipif(
    "native" not in mv_tools.available_backends(), reason="the native module is not built"
)
START = b"\0\0\0\1"


def units(data: bytes) -> list[bytes]:
    """NAL units of an Annex B stream."""
    return [unit.rstrip(b"\0") for unit in re.split(rb"\x00\x00\x00?\x01", data) if unit]


def same_motion(one: Path | bytes, other: Path | bytes) -> None:
    pairs = zip(MotionDecoder(one, "native"), MotionDecoder(other, "native"), strict=True)
    for a, b in pairs:
        np.testing.assert_array_equal(a.mv, b.mv)
        np.testing.assert_array_equal(a.ref_idx, b.ref_idx)
        np.testing.assert_array_equal(a.ref_poc, b.ref_poc)


def reframed(source: Path, target: Path, length_size: int, *, in_band: bool = False) -> Path:
    """An MP4 with NAL unit lengths of `length_size` bytes; `in_band`: avc3, parameter sets in the stream."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        record = bytearray(stream.codec_context.extradata or b"")
        assert record[4] & 3 == 3, "x264's files have lengths of 4 bytes"
        record[4] = 0xFC | (length_size - 1)
        first = record[8 : 8 + int.from_bytes(record[6:8], "big")]
        at = 9 + len(first)
        second = record[at + 2 : at + 2 + int.from_bytes(record[at : at + 2], "big")]
        sets = [bytes(first), bytes(second)] if in_band else []
        copy = new.add_stream_from_template(stream)
        if in_band:
            record = record[:5] + b"\xe0\0" + record[at + 2 + len(second) :]  # no parameter sets
            copy.codec_context.codec_tag = "avc3"
        copy.codec_context.extradata = bytes(record)
        for packet in old.demux(stream):
            if not packet.size:
                continue
            rewritten = av.Packet(
                b"".join(len(u).to_bytes(length_size, "big") + u for u in [*sets, *samples(packet)])
            )
            rewritten.pts, rewritten.dts, rewritten.duration = packet.pts, packet.dts, packet.duration
            rewritten.stream = copy
            rewritten.is_keyframe = packet.is_keyframe
            sets = []
            new.mux(rewritten)
    return target


def samples(packet: av.Packet) -> Iterator[bytes]:
    data, at = bytes(packet), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        unit = data[at + 4 : at + 4 + size]
        at += 4 + size
        if unit[0] & 31 != 6:  # the length of x264's message does not fit in a byte
            yield unit


@pytest.mark.parametrize("length_size", [1, 2, 4])
def test_lengths_of_nal_units(make_clip: Callable[..., Path], tmp_path: Path, length_size: int) -> None:
    source = make_clip(frames=12, crf="51", bf="2")
    rewritten = reframed(source, tmp_path / "rewritten.mp4", length_size)
    with av.open(str(rewritten)) as container:
        assert (container.streams.video[0].codec_context.extradata or b"")[4] & 3 == length_size - 1
    same_motion(source, rewritten)
    decoder = MotionDecoder(rewritten, "native")
    np.testing.assert_array_equal(decoder[7].mv, list(decoder)[7].mv)


def test_parameter_sets_within_the_stream(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    source = make_clip(frames=12)
    rewritten = reframed(source, tmp_path / "rewritten.mp4", 4, in_band=True)
    assert b"avc3" in rewritten.read_bytes()
    same_motion(source, rewritten)


class Bits:
    """An RBSP as a string of bits, read from its front."""

    def __init__(self, unit: bytes) -> None:
        self.head = unit[:1]
        self.left = "".join(f"{byte:08b}" for byte in unit[1:].replace(b"\0\0\3", b"\0\0"))
        self.done = ""

    def take(self, count: int) -> str:
        taken, self.left = self.left[:count], self.left[count:]
        self.done += taken
        return taken

    def ue(self) -> None:
        self.take(2 * self.left.index("1") + 1)

    def unit(self) -> bytes:
        """The NAL unit with new trailing bits."""
        bits = (self.done + self.left).rstrip("0")
        bits += "0" * (-len(bits) % 8)
        payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
        return self.head + re.sub(rb"\0\0(?=[\0-\3])", lambda _: b"\0\0\3", payload)


def separate_planes(data: bytes) -> bytes:
    """A monochrome CAVLC stream as 4:4:4 whose colour planes are coded apart, all three alike."""
    out = []
    for unit in units(data):
        kind, bits = unit[0] & 31, Bits(unit)
        if kind == 7:
            bits.take(8)
            bits.done = f"{244:08b}"
            bits.take(16)
            bits.ue()
            assert bits.take(1) == "1", "chroma_format_idc 0"
            bits.done = bits.done[:-1] + "00100" + "1"  # chroma_format_idc 3, separate_colour_plane_flag
            out.append(bits.unit())
        elif kind in (1, 5):
            for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
                bits.ue()
            front, rest = bits.done, bits.left
            for plane in ("00", "01", "10"):
                bits.done, bits.left = front + plane, rest
                out.append(bits.unit())
        else:
            out.append(unit)
    return b"".join(START + unit for unit in out)


@pytest.mark.parametrize("options", [{}, {"bf": "2"}], ids=["P", "B"])
def test_separate_colour_planes_share_motion(make_clip: Callable[..., Path], options: dict[str, str]) -> None:
    """The vectors are those of the first plane."""
    colour = make_clip("a.h264", frames=12, **options)
    gray = colour.with_name("gray.h264")
    with av.open(str(colour)) as source, av.open(str(gray), "w") as target:
        stream = target.add_stream(
            "libx264", rate=25, options={"threads": "1", "x264-params": "cabac=0", **options}
        )
        stream.width, stream.height, stream.pix_fmt = 96, 64, "gray"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="gray")))
        target.mux(stream.encode(None))
    data = gray.read_bytes()
    rewritten = separate_planes(data)
    assert len(rewritten) > 2 * len(data)
    same_motion(data, rewritten)
    assert any(frame.mv.any() for frame in MotionDecoder(rewritten, "native"))


def test_further_views_are_refused_and_auto_reads_the_base_view(
    make_clip: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    data = make_clip("a.h264", frames=6).read_bytes()
    view = START + bytes([0x74, 0x40, 0, 0x07]) + units(data)[-1][1:]  # nal_unit_type 20 with MVC's header
    with pytest.raises(UnsupportedStream, match="MVC views beyond the base view"):
        MotionDecoder(data + view, "native")
    with caplog.at_level("WARNING", logger="mv_tools"):
        decoder = MotionDecoder(data + view)
        assert (decoder.backend, len(list(decoder))) == ("libav", 6)
    assert [r for r in caplog.records if "MVC" in r.message]
    layer = START + bytes([0x74, 0xC0, 0, 0x07]) + units(data)[-1][1:]  # one of scalable coding: ignored
    same_motion(data, data + layer)


def test_slice_data_without_motion_are_not_read(make_clip: Callable[..., Path]) -> None:
    """Invalid data inside an I slice change no vector; reading counts reports them."""
    path = make_clip("a.h264", frames=24)
    data = path.read_bytes()
    keys = [m.start() + 4 for m in re.finditer(rb"\x00\x00\x01\x65", data)]
    assert len(keys) == 2
    broken = bytearray(data)
    broken[keys[1] + 60 : keys[1] + 200] = b"\x55" * 140
    same_motion(data, bytes(broken))
    decoder = MotionDecoder(bytes(broken), "native")
    np.testing.assert_array_equal(decoder[14].mv, MotionDecoder(data, "native")[14].mv)
    with pytest.raises(MalformedStream, match="picture 12"):
        list(decoder.described())


def test_truncated_last_picture_of_i_slices_is_reported(make_clip: Callable[..., Path]) -> None:
    data = annex_b(make_clip("a.mp4", frames=13)).read_bytes()
    assert len(list(MotionDecoder(data, "native"))) == 13
    with pytest.raises(MalformedStream):
        list(MotionDecoder(data[:-100], "native"))
