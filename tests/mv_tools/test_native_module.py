"""Native module: framing, parameter sets from extradata, header information, both codecs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from support.clips import H264, encode, panning

pytest.importorskip("mv_tools._native")
from mv_tools._native import Decoder, Picture, PictureInfo, StreamIndex

START = b"\0\0\0\1"
PROPERTIES = [name for name in vars(PictureInfo) if not name.startswith("_")]


def units(data: bytes) -> list[bytes]:
    parts = data.replace(START, b"\0\0\1").split(b"\0\0\1")[1:]
    return [part.rstrip(b"\0") for part in parts]


def with_codes(nals: list[bytes]) -> bytes:
    return b"".join(START + nal for nal in nals)


def with_lengths(nals: list[bytes]) -> bytes:
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)


def avcc(nals: list[bytes]) -> bytes:
    """An avcC record of the parameter sets in `nals`."""
    sps, pps = ([nal for nal in nals if nal[0] & 31 == kind] for kind in (7, 8))
    out = bytes([1]) + sps[0][1:4] + bytes([0xFF, 0xE0 | len(sps)])
    out += b"".join(len(nal).to_bytes(2, "big") + nal for nal in sps)
    return out + bytes([len(pps)]) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in pps)


def motion(pictures: list[Picture]) -> list[tuple[object, ...]]:
    assert all(picture.damage is None for picture in pictures)
    return [
        (p.info.poc, p.mv.tobytes(), p.ref_idx.tobytes(), p.ref_poc.tobytes(), p.lost_reference)
        for p in pictures
    ]


def properties(infos: list[PictureInfo]) -> list[list[object]]:
    return [[getattr(info, name) for name in PROPERTIES] for info in infos]


def parse_all_ways(
    packets: list[bytes], *, length_size: int = 0, extradata: bytes | None = None
) -> list[tuple[object, ...]]:
    """Motion from the decoder; an index, a rebuilt index and single pictures must agree."""
    decoder = Decoder(length_size=length_size, extradata=extradata)
    pictures = decoder.push_many(packets, 0) + decoder.finish()
    index = StreamIndex(length_size=length_size, extradata=extradata)
    index.push_many(packets, 0)
    rebuilt = StreamIndex.from_log(index.log(), length_size=length_size)
    assert properties([p.info for p in pictures]) == properties(index.infos()) == properties(rebuilt.infos())
    samples = dict(enumerate(packets))
    for position in range(len(pictures)):
        single = rebuilt.parse([position], samples)
        assert motion(single) == motion(pictures[position : position + 1])
    return motion(pictures)


@pytest.fixture
def packets(make_clip: Callable[..., Path]) -> list[list[bytes]]:
    """NAL units of each access unit; the first one starts with the parameter sets."""
    path = make_clip("a.h264", frames=9, bf="2")
    with av.open(str(path)) as container:
        return [units(bytes(packet)) for packet in container.demux(video=0) if packet.size]


def test_samples_with_undeclared_framing(packets: list[list[bytes]]) -> None:
    expected = parse_all_ways([with_codes(nals) for nals in packets])
    record = avcc(packets[0])
    for extradata in (None, record, with_codes(packets[0][:2])):
        for write in (with_codes, with_lengths):
            assert parse_all_ways([write(nals) for nals in packets], extradata=extradata) == expected
    mixed = [(with_codes, with_lengths)[n % 2](nals) for n, nals in enumerate(packets)]
    assert parse_all_ways(mixed, length_size=4, extradata=record) == expected


@pytest.mark.parametrize("form", ["start codes", "avcC"])
def test_parameter_sets_in_extradata(packets: list[list[bytes]], form: str) -> None:
    """Parameter sets after the first picture, or not in the stream."""
    expected = parse_all_ways([with_codes(nals) for nals in packets])
    sets = [nal for nal in packets[0] if nal[0] & 31 in (7, 8)]
    bare = [[nal for nal in nals if nal[0] & 31 not in (7, 8)] for nals in packets]
    extradata = with_codes(sets) if form == "start codes" else avcc(sets)
    write = with_codes if form == "start codes" else with_lengths
    size = 0 if form == "start codes" else 4
    late = [bare[0] + sets, *bare[1:]]
    for nals in (bare, late):
        assert parse_all_ways([write(n) for n in nals], length_size=size, extradata=extradata) == expected


def test_damaged_parameter_sets_in_extradata(packets: list[list[bytes]]) -> None:
    expected = parse_all_ways([with_codes(nals) for nals in packets])
    broken = with_codes([b"\x67\0\0\0\0\x04", b"\x68\0\0\0\0\x04"])
    assert parse_all_ways([with_codes(nals) for nals in packets], extradata=broken) == expected
    assert Decoder(extradata=broken).first_error is not None
    assert StreamIndex(extradata=broken).first_error is not None


def test_header_information(make_clip: Callable[..., Path]) -> None:
    path = make_clip("a.h264", frames=20, **{"x264-params": "bframes=2:sar=5/4:open-gop=1:keyint=5"})
    index = StreamIndex()
    index.push_many([path.read_bytes()], 0)
    assert index.frame_cropping == (0, 0, 96, 64)
    assert index.sar == (5, 4)
    assert index.num_reorder_frames is not None
    assert index.max_dec_frame_buffering is not None
    assert index.num_reorder_frames <= index.max_dec_frame_buffering
    assert (index.frame_mbs_only, index.gaps_allowed) == (True, False)
    for info in index.infos():
        assert info.x264_build is not None
        assert not info.gap
        assert info.recovery_frame_cnt == (0 if info.keyframe else None)
        assert info.field_poc[0] is not None
        assert info.poc == min(poc for poc in info.field_poc if poc is not None)
    with pytest.raises(ValueError, match="no picture"):
        _ = StreamIndex().sar


def test_field_macroblocks(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    fields = panning(16, step=(6, 0))
    woven = fields[::2].copy()
    woven[:, 1::2] = fields[1::2, 1::2]
    interlaced = encode(tmp_path / "a.h264", woven, **H264, **{"x264-params": "tff=1"})
    decoder = Decoder()
    pictures = decoder.push(interlaced.read_bytes(), 0) + decoder.finish()
    masks = [picture.field_mask for picture in pictures]
    assert any(mask is not None for mask in masks)
    for picture, mask in zip(pictures, masks, strict=True):
        assert picture.info.mbaff
        if mask is not None:
            rows, columns = picture.mv.shape[1] // 4, picture.mv.shape[2] // 4
            assert (mask.shape, mask.dtype) == ((rows, columns), np.bool_)
            assert mask.any()
            np.testing.assert_array_equal(mask[::2], mask[1::2])
            assert not mask.flags.writeable
    progressive = make_clip("b.h264", frames=4)
    assert all(p.field_mask is None for p in Decoder().push(progressive.read_bytes(), 0))


HEVC = {"x265-params": "log-level=none:keyint=6:bframes=2:b-adapt=0:open-gop=1", "preset": "fast"}


def hvcc(nals: list[bytes]) -> bytes:
    """An hvcC record of the parameter sets in `nals`."""
    out = bytes([1]) + bytes(20) + bytes([0xFC | 3, 3])
    for kind in (32, 33, 34):
        sets = [nal for nal in nals if nal[0] >> 1 == kind]
        out += bytes([kind]) + len(sets).to_bytes(2, "big")
        out += b"".join(len(nal).to_bytes(2, "big") + nal for nal in sets)
    return out


def test_hevc(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.hevc", panning(14), "libx265", **HEVC)
    with av.open(str(path)) as container:
        packets = [units(bytes(packet)) for packet in container.demux(video=0) if packet.size]
    decoder = Decoder(codec="hevc")
    expected = decoder.push_many([with_codes(nals) for nals in packets], 0) + decoder.finish()
    assert len(expected) == 14
    assert {picture.info.pict_type for picture in expected} == {"I", "P", "B"}
    assert sum(picture.statistics()["skipped"] for picture in expected) > 0

    sets = [nal for nal in packets[0] if nal[0] >> 1 in (32, 33, 34)]
    bare = [[nal for nal in nals if nal[0] >> 1 < 32] for nals in packets]
    samples = {n: with_lengths(nals) for n, nals in enumerate(bare)}
    index = StreamIndex(codec="hevc", extradata=hvcc(sets))
    index.push_many(list(samples.values()), 0)
    index = StreamIndex.from_log(index.log(), codec="hevc", length_size=4)
    assert (index.skipped_leading(), index.has_layers) == ([], False)
    assert index.frame_cropping == (0, 0, expected[0].info.coded_width, expected[0].info.coded_height)
    for position in (13, 0, 5):
        assert motion(index.parse([position], samples)) == motion(expected[position : position + 1])


def test_hevc_pictures_that_are_left_out(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.hevc", panning(14), "libx265", **HEVC)
    with av.open(str(path)) as container:
        packets = [units(bytes(packet)) for packet in container.demux(video=0) if packet.size]
    start = next(n for n, nals in enumerate(packets) if any(nal[0] >> 1 == 21 for nal in nals))
    sets = [nal for nal in packets[0] if nal[0] >> 1 in (32, 33, 34)]
    layer = bytes([packets[0][-1][0], packets[0][-1][1] | 8]) + packets[0][-1][2:]
    index = StreamIndex(codec="hevc", extradata=with_codes(sets))
    index.push_many([with_codes([*nals, layer]) for nals in packets[start:]], 0)
    leading = [n for n, nals in enumerate(packets[start:]) if any(nal[0] >> 1 in (8, 9) for nal in nals)]
    # Those of the next CRA picture have their references.
    assert len(leading) == 4
    del leading[2:]
    assert index.skipped_leading() == leading
    assert len(index) == len(packets) - start - len(leading)
    assert index.has_layers


def test_codecs_have_names() -> None:
    with pytest.raises(ValueError, match='"h264" or "hevc"'):
        Decoder(codec="vp9")  # type: ignore[arg-type]
