"""MPEG-4 Part 2 by the native parser: its vectors are those of libavcodec, which exports none of B pictures."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from mv_tools import (
    MalformedStream,
    MotionDecoder,
    MotionFrame,
    UnsupportedStream,
    flow,
    inter_mask,
    probe,
    read_rgb_at,
)
from mv_tools._native import Mpeg4Reader, NativeError
from mv_tools.backends.native.packet_reader import PacketReader
from mv_tools.pictures.index import PictureIndex
from mv_tools.pictures.numbering import index_pictures, number_by_decoding
from mv_tools.pictures.scan import scan_stream
from mv_tools.source import Source

from support.clips import encode, encode_at, panning

WITH_B = {"g": "12", "bf": "2", "qscale": "3"}
VARIANTS: dict[str, dict[str, str]] = {
    "plain": {},
    "quarter samples": {"flags": "+qpel"},
    "four vectors": {"flags": "+mv4", "mbd": "rd"},
    "video packets": {"ps": "60"},
    "quantiser matrices": {"mpeg_quant": "1"},
    "changing quantisers": {"qscale": "6", "lumi_mask": "0.3", "mbd": "rd"},
    "long vectors": {"me_range": "60", "qscale": "2"},
}


def coded(path: Path) -> tuple[bytes, list[bytes]]:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        return bytes(video.codec_context.extradata or b""), [
            bytes(p) for p in container.demux(video) if p.size
        ]


def muxed(like: Path, path: Path, packets: Iterable[bytes]) -> Path:
    """A file with these packets and the stream parameters of another."""
    with av.open(str(like)) as container, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = container.streams.video[0].time_base
            out.mux(packet)
    return path


def moving(width: int = 100, height: int = 70) -> npt.NDArray[np.uint8]:
    """Smooth parts that move in other directions, so that all kinds of macroblocks occur."""
    pictures = panning(20, width, height, (3, 2)).astype(int)
    pictures[:, height // 2 :] = panning(20, width, height, (-6, 1))[:, height // 2 :]
    pictures[9:, :, : width // 4] = 90  # covered at once
    return ((pictures + np.roll(pictures, 1, 2) + np.roll(pictures, 1, 1)) // 3).astype(np.uint8)


@pytest.mark.parametrize("name", VARIANTS)
def test_vectors_of_p_pictures_are_those_of_libavcodec(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / "x.mp4", moving(), "mpeg4", **{**WITH_B, **VARIANTS[name]})
    extradata, packets = coded(path)
    reader = Mpeg4Reader(extradata)
    pictures = [picture for packet in packets for picture in reader.push(packet)]
    exported = {frame.decode_index: frame for frame in MotionDecoder(path, "libav", on_damage="skip")}
    compared = 0
    for number, picture in enumerate(pictures):
        frame = exported.get(number)
        if frame is None:  # a B picture, or the last one
            assert picture.pict_type == "B" or number > len(pictures) - 4
            continue
        assert picture.pict_type == frame.pict_type
        mv, ref_idx = picture.motion()
        rows, columns = frame.grid_shape
        assert (mv[:, :rows, :columns] == frame.mv).all()
        assert (ref_idx[:, :rows, :columns] == frame.ref_idx).all()
        compared += 1
    assert compared >= 4
    assert {picture.pict_type for picture in pictures} == {"I", "P", "B"}


def compensated(frame: npt.NDArray[np.int16], reference: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """A picture predicted from another by vectors of 4x4 blocks in quarter samples, to the nearest sample."""
    height, width = reference.shape
    y, x = np.mgrid[:height, :width]
    vectors = np.rint(frame[y // 4, x // 4] / 4).astype(int)
    return reference[
        np.clip(y + vectors[..., 1], 0, height - 1), np.clip(x + vectors[..., 0], 0, width - 1)
    ].astype(float)


@pytest.mark.parametrize("name", VARIANTS)
def test_vectors_of_b_pictures_predict_their_samples(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / "x.mp4", panning(20, 96, 64, (3, 2)), "mpeg4", **{**WITH_B, **VARIANTS[name]})
    with av.open(str(path)) as container:
        grey = [picture.to_ndarray(format="gray") for picture in container.decode(video=0)]
    frames = list(MotionDecoder(path))
    anchors = [frame.index for frame in frames if frame.pict_type != "B"]
    checked = 0
    for frame in frames:
        if frame.pict_type != "B":
            continue
        before = max(index for index in anchors if index < frame.index)
        after = min(index for index in anchors if index > frame.index)
        still = np.abs(grey[before].astype(float) - grey[frame.index]).mean()
        for used, vectors, reference in zip(frame.ref_idx >= 0, frame.mv, (before, after), strict=True):
            where = np.kron(used, np.ones((4, 4), bool))
            if where.mean() < 0.2:
                continue
            error = np.abs(compensated(vectors, grey[reference]) - grey[frame.index])[where].mean()
            assert error < 0.35 * still
            checked += 1
    assert checked >= 10


def test_empty_video_packets(tmp_path: Path) -> None:
    """A packet may begin where no macroblock has data up to the end of the picture, or to the next packet."""
    for size in ("100", "200", "300", "500"):
        pictures = panning(24, 320, 240, (2, 1))
        pictures[:, 120:] = pictures[0, 120:]  # still
        path = encode(tmp_path / f"{size}.mp4", pictures, "mpeg4", **{**WITH_B, "g": "24", "ps": size})
        frames = list(MotionDecoder(path))
        assert len(frames) == 24
        for frame in frames:
            if frame.pict_type == "B":
                x, y = flow(frame)
                assert (float(np.median(x[:28])), float(np.median(y[:28]))) == (2, 1)
                assert not np.median(np.abs(x[32:]))


def test_time_goes_on_with_pictures_without_data() -> None:
    """vop_coded 0 with modulo_time_base: what follows is timed from the next second on."""

    def picture(kind: str, seconds: int, tick: int, rest: str) -> bytes:
        bits = f"{kind}{'1' * seconds}01{tick:05b}1{rest}"
        bits += "0" + "1" * (-(len(bits) + 1) % 8)
        return b"\0\0\1\xb6" + int(bits, 2).to_bytes(len(bits) // 8, "big")

    layer = "0" + "00000001" + "0" + "0001" + "0" + "00" + "1" + f"{25:016b}" + "1" + "0"
    layer += (
        "1"
        + f"{16:013b}"
        + "1"
        + f"{16:013b}"
        + "1"
        + "0"
        + "1"
        + "0"
        + "0"
        + "0"
        + "1"
        + "1"
        + "0"
        + "0"
        + "1"
    )
    layer += "0" * (-len(layer) % 8)
    reader = Mpeg4Reader(b"\0\0\1\x20" + int(layer, 2).to_bytes(len(layer) // 8, "big"))
    reader.push(picture("00", 0, 20, "1" + "000" + "00100"))
    (repeated,) = reader.push(picture("01", 1, 1, "0"))
    assert repeated.repeats
    assert not repeated.motion()[0].any()
    (after,) = reader.push(picture("01", 0, 3, "1" + "0" + "000" + "00100" + "001" + "1"))
    assert not after.motion()[0].any()
    (between,) = reader.push(picture("10", 0, 2, "1" + "000" + "00100" + "001" + "001"))
    assert (between.motion()[1][0] == 0).all()


@pytest.mark.parametrize(("suffix", "step"), [(".mp4", (3, 2)), (".avi", (-4, 1)), (".mkv", (2, -3))])
def test_pictures_between_move_like_others(tmp_path: Path, suffix: str, step: tuple[int, int]) -> None:
    path = encode(tmp_path / f"x{suffix}", panning(20, 96, 64, step), "mpeg4", **WITH_B)
    for frame in MotionDecoder(path):
        if frame.pict_type == "B":
            assert tuple(np.median(flow(frame), axis=(1, 2))) == step


@pytest.mark.parametrize("kind", ["B", "P"])
def test_pictures_that_are_left_out_count_in_distances(tmp_path: Path, kind: str) -> None:
    """Motion is that of a frame interval, however many pictures lie between a picture and its reference."""
    plain = encode(tmp_path / "plain.avi", panning(36, 96, 64, (3, 2)), "mpeg4", **{**WITH_B, "g": "36"})
    packets = coded(plain)[1]
    reader = Mpeg4Reader(coded(plain)[0])
    kinds = [picture.pict_type for packet in packets for picture in reader.push(packet)]
    if kind == "B":  # the decoder holds no picture for them
        kept = [packet for n, packet in enumerate(packets) if n < 18 or kinds[n] != "B"]
    else:  # a picture without data in the place of some
        kept = [
            without_data(25) if n > 18 and kinds[n] == "B" else packet for n, packet in enumerate(packets)
        ]
    frames = list(MotionDecoder(muxed(plain, tmp_path / "fewer.avi", kept)))
    assert 20 < len(frames) < 30
    moving = [frame for frame in frames if frame.pict_type != "I"]
    assert {tuple(np.median(flow(frame), axis=(1, 2))) for frame in moving} == {(3, 2)}
    assert {frame.assumed_distance for frame in moving} == {(1, 2), (2, 1), (3, 1)}
    for frame in moving[::4]:
        assert MotionDecoder(tmp_path / "fewer.avi")[frame.index].assumed_distance == frame.assumed_distance


def test_chosen_pictures_are_those_of_iteration(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.avi", panning(60), "mpeg4", **{**WITH_B, "g": "9"})
    every = list(MotionDecoder(path))
    for index in random.Random(1).sample(range(60), 20):
        chosen = MotionDecoder(path)[index]
        assert (chosen.mv == every[index].mv).all()
        assert (chosen.ref_idx == every[index].ref_idx).all()


PACKED = b"\0\0\1\xb2DivX503b1393p"


def without_data(resolution: int) -> bytes:
    """A P picture with vop_coded 0."""
    bits = "01" + "0" + "1" + "0" * max((resolution - 1).bit_length(), 1) + "1" + "0"
    bits += "0" + "1" * (-(len(bits) + 1) % 8)
    return b"\0\0\1\xb6" + int(bits, 2).to_bytes(len(bits) // 8, "big")


def packed(packets: list[bytes], kinds: list[str]) -> Iterator[bytes]:
    """P and B pictures in one packet, and a picture without data in the place of the last B picture."""
    number = 0
    while number < len(packets):
        end = number + 1
        while end < len(packets) and kinds[end] == "B":
            end += 1
        if end > number + 1:
            yield PACKED + packets[number] + packets[number + 1]
            yield from packets[number + 2 : end]
            yield without_data(25)
        else:
            yield packets[number]
        number = end


@pytest.fixture(params=["1", "2", "3", "4"])
def plain_and_packed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """The same pictures, each in a packet of its own, and packed."""
    options = {**WITH_B, "bf": request.param}
    plain = encode(tmp_path / "plain.avi", panning(36), "mpeg4", **options)
    extradata, packets = coded(plain)
    reader = Mpeg4Reader(extradata)
    kinds = [picture.pict_type for packet in packets for picture in reader.push(packet)]
    return plain, muxed(plain, tmp_path / "packed.avi", packed(packets, kinds))


def test_packed_pictures_have_their_own_vectors(plain_and_packed: tuple[Path, Path]) -> None:
    plain, path = plain_and_packed
    expected = list(MotionDecoder(plain))
    summary = probe(path).pictures
    assert summary is not None
    assert summary.bits is None  # a packet does not tell how large each of its pictures is
    found = list(MotionDecoder(path))
    assert [frame.pict_type for frame in found] == [frame.pict_type for frame in expected]
    assert any(frame.pict_type == "B" and frame.mv.any() for frame in found)
    for frame, other in zip(found, expected, strict=True):
        assert (frame.mv == other.mv).all()
        assert (frame.ref_idx == other.ref_idx).all()
    for index in random.Random(2).sample(range(36), 12):
        chosen = MotionDecoder(path)[index]
        assert (chosen.mv == expected[index].mv).all()
        assert chosen.assumed_distance == expected[index].assumed_distance


def test_packed_pictures_without_the_native_module(
    plain_and_packed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, path = plain_and_packed
    every = read_rgb_at(plain, range(36)).frames
    monkeypatch.setattr("mv_tools.pictures.scan.native_available", lambda: False)
    for index in range(36):
        assert (read_rgb_at(path, [index]).frames[0] == every[index]).all()


def numbered_as_decoded(path: Path) -> PictureIndex:
    """The numbering of a file, which must be that of a full decode."""
    source = Source.of(path)
    scan = scan_stream(source)
    found, decoded = index_pictures(source, scan), number_by_decoding(source, scan)
    assert found.packet.tolist() == decoded.packet.tolist()
    assert found.entry.tolist() == decoded.entry.tolist()
    return found


def test_packed_pictures_are_numbered_without_decoding(plain_and_packed: tuple[Path, Path]) -> None:
    for path in plain_and_packed:
        assert not numbered_as_decoded(path).decoded


@pytest.mark.parametrize("bf", ["1", "2", "3"])
@pytest.mark.parametrize("fault", ["a place is missing", "sequence headers", "short", "no marker", "lost"])
def test_unusual_packing_is_numbered_as_decoded(tmp_path: Path, bf: str, fault: str) -> None:
    plain = encode(tmp_path / "plain.avi", panning(36), "mpeg4", **{**WITH_B, "bf": bf})
    headers, packets = coded(plain)
    reader = Mpeg4Reader(headers)
    kinds = [picture.pict_type for packet in packets for picture in reader.push(packet)]
    unusual = list(packed(packets, kinds))
    first = next(n for n, packet in enumerate(unusual) if n > 6 and packet == without_data(25))
    if fault == "a place is missing":
        del unusual[first]
    elif fault == "sequence headers":
        del unusual[first]
        unusual[first] = b"\0\0\1\xb0\xf5" + unusual[first]
    elif fault == "short":
        unusual[first] = b"\x7f"
    elif fault == "no marker":
        unusual = [packet.replace(PACKED, b"") for packet in unusual]
    else:
        del unusual[first - 1]
    path = muxed(plain, tmp_path / "unusual.avi", unusual)
    found = numbered_as_decoded(path)
    decoder = MotionDecoder(path, on_damage="skip")
    for frame in decoder:  # each with the vectors of a picture of its own
        assert frame.pict_type in "IPB"
    assert len(decoder) == len(found)


def test_packed_pictures_are_decoded_as_themselves(plain_and_packed: tuple[Path, Path]) -> None:
    """libavcodec keeps pictures for later packets; none of those packets may be skipped."""
    plain, path = plain_and_packed
    every = read_rgb_at(plain, range(36)).frames
    for chosen in [*(list(range(0, 36, step)) for step in range(1, 9)), *([index] for index in range(36))]:
        assert (read_rgb_at(path, chosen).frames == every[chosen]).all()


@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video", "mpeg4"])
@pytest.mark.parametrize("b_pictures", ["0", "2"])
def test_the_last_picture_has_its_vectors(tmp_path: Path, codec: str, b_pictures: str) -> None:
    """libavcodec holds it back until it is flushed, and exports nothing with it then."""
    path = encode(tmp_path / "x.mkv", panning(14), codec, g="30", bf=b_pictures)
    for last in (list(MotionDecoder(path))[-1], MotionDecoder(path)[13]):
        assert last.pict_type == "P"
        assert tuple(np.median(flow(last), axis=(1, 2))) == (3, 0)


@pytest.mark.parametrize(
    ("options", "feature"),
    [({"flags": "+ildct+ilme"}, "interlaced"), ({"data_partitioning": "1"}, "data partitioning")],
)
def test_what_is_not_parsed_is_left_to_libavcodec(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, str], feature: str
) -> None:
    path = encode(tmp_path / "x.avi", panning(20), "mpeg4", **WITH_B, **options)
    with pytest.raises(UnsupportedStream, match=r"x\.avi: picture 1: .* B pictures .*moclip mv transcode"):
        list(MotionDecoder(path))
    assert re.search(rf"x\.avi: .*{feature}.*; using libav", caplog.text)
    decoder = MotionDecoder(path, on_damage="skip")
    assert {frame.pict_type for frame in decoder} == {"I", "P"}
    assert all(re.search("of B pictures|of the last picture", damage.message) for damage in decoder.damaged)
    plain = encode(tmp_path / "p.avi", panning(20), "mpeg4", g="12", **options)
    assert len(list(MotionDecoder(plain))) == 20
    with pytest.raises(UnsupportedStream, match=rf"p\.avi: .*{feature}"):
        MotionDecoder(plain, backend="native")


def shown_again(source: Path, path: Path) -> Path:
    """A copy whose last packet is a picture without data."""
    return muxed(source, path, [*coded(source)[1], without_data(25)])


def test_a_picture_that_is_shown_again_at_the_end(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.avi", panning(9), "mpeg4", g="12", bf="0")
    *frames, last = MotionDecoder(shown_again(plain, tmp_path / "again.avi"))
    assert len(frames) == 9
    assert frames[-1].mv.any()
    assert last.pict_type == "P"
    assert not last.mv.any()
    assert (last.ref_idx[0] == 0).all()


def test_the_last_picture_keeps_its_vectors_before_a_packet_without_a_picture(tmp_path: Path) -> None:
    """libavcodec then gives out the picture that it held back with the number of that packet."""
    plain = encode(tmp_path / "plain.avi", panning(10), "mpeg4", **WITH_B)
    expected = list(MotionDecoder(plain))
    found = list(MotionDecoder(shown_again(plain, tmp_path / "again.avi")))
    assert [frame.pict_type for frame in found] == [frame.pict_type for frame in expected]
    for frame, other in zip(found, expected, strict=True):
        assert (frame.mv == other.mv).all()
        assert (frame.ref_idx == other.ref_idx).all()


@pytest.mark.parametrize(
    "folder", ["ucf101_sample/ApplyEyeMakeup", "ucf101_sample/Diving", "ut_interaction/kick"]
)
def test_real_files_are_read_like_libavcodec_does(shared: Path, folder: str) -> None:
    compared = 0
    for path in sorted((shared / "videos" / folder).glob("*.avi"))[:4]:
        decoder = MotionDecoder(path)
        assert decoder.backend == "native"
        frames = list(decoder)
        assert len(frames) == len(decoder)
        exported = MotionDecoder(path, backend="libav", on_damage="skip")
        for frame in exported:
            mine = frames[frame.index]
            assert mine.pict_type == frame.pict_type
            assert mine.is_keyframe == frame.is_keyframe
            assert mine.pts_seconds == frame.pts_seconds
            assert (mine.mv == frame.mv).all()
            assert (mine.ref_idx == frame.ref_idx).all()
            compared += 1
        assert {frames[damage.index].pict_type for damage in exported.damaged[:-1]} <= {"B"}
    assert compared > 100


def test_mv_extractor_gives_no_vectors_of_b_pictures(tmp_path: Path) -> None:
    pytest.importorskip("mvextractor")
    path = encode(tmp_path / "x.avi", panning(14), "mpeg4", **WITH_B)
    with pytest.raises(
        UnsupportedStream, match=r"x\.avi: picture 1: mv-extractor gives no vectors of B pictures"
    ):
        list(MotionDecoder(path, backend="mvextractor"))


def test_damaged_packets_raise_errors_and_nothing_else(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.avi", moving(), "mpeg4", **{**WITH_B, "ps": "60"})
    extradata, packets = coded(path)
    rng, problems = random.Random(3), 0
    for _ in range(150):
        headers, damaged = bytearray(extradata), [bytearray(packet) for packet in packets]
        for _ in range(rng.randrange(1, 20)):
            data = rng.choice([headers, *damaged])
            data[rng.randrange(len(data))] = rng.randrange(256)
        reader = Mpeg4Reader(bytes(headers))
        for packet in damaged:
            for picture in reader.push(
                bytes(packet[: rng.randrange(len(packet) + 1)] if rng.random() < 0.1 else packet)
            ):
                try:
                    picture.motion()
                except NativeError:
                    problems += 1
                except ValueError:
                    assert picture.pict_type == "I"
    assert problems


def test_a_cut_b_picture_is_damaged(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.avi", moving(), "mpeg4", **WITH_B)
    extradata, packets = coded(path)
    reader = Mpeg4Reader(extradata)
    for packet in packets:
        whole = reader.push(packet)
        if whole[0].pict_type == "B" and len(packet) > 200:
            other = Mpeg4Reader(extradata)
            for before in packets[: packets.index(packet)]:
                other.push(before)
            (picture,) = other.push(packet[:-60])
            with pytest.raises(NativeError, match="macroblock"):
                picture.motion()
            return
    raise AssertionError("no B picture is long enough")


def test_damage_of_a_b_picture_is_reported(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.avi", moving(), "mpeg4", **WITH_B)
    data = bytearray(path.read_bytes())
    _, packets = coded(path)
    reader = Mpeg4Reader(coded(path)[0])
    largest = max((p for p in packets if reader.push(p)[0].pict_type == "B"), key=len)
    at = data.find(largest) + len(largest) // 2
    data[at : at + 12] = bytes(range(240, 252))
    (tmp_path / "y.avi").write_bytes(data)
    with pytest.raises(MalformedStream, match=r"y\.avi"):
        list(MotionDecoder(tmp_path / "y.avi"))


def test_without_the_native_module_p_pictures_are_read(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.avi", panning(8), "mpeg4", g="12", bf="0")
    other = encode(tmp_path / "b.avi", panning(8), "mpeg4", **WITH_B)
    assert [frame.pict_type for frame in MotionDecoder(plain, "libav")] == [*"IPPPPPPP"]
    with pytest.raises(UnsupportedStream, match=r"b\.avi: picture 1: .*no vectors of B pictures of 'mpeg4'"):
        list(MotionDecoder(other, "libav"))


def test_an_index_is_not_saved(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.avi", panning(8), "mpeg4")
    with pytest.raises(UnsupportedStream, match=r"x\.avi: only an H\.264 or HEVC stream has an index"):
        MotionDecoder(path).save_index(tmp_path / "x.idx")


def moving_past(width: int, height: int) -> npt.NDArray[np.uint8]:
    return panning(14, width, height, (1, 2))


@pytest.mark.parametrize("size", [(16, 160), (10, 160), (160, 16), (16, 16), (8, 8), (34, 70)])
@pytest.mark.parametrize("options", [{}, {"ps": "40"}, {"flags": "+mv4", "mbd": "rd"}])
def test_vectors_in_pictures_of_any_size(
    tmp_path: Path, size: tuple[int, int], options: dict[str, str]
) -> None:
    path = encode(tmp_path / "x.avi", moving_past(*size), "mpeg4", g="7", bf="0", qscale="3", **options)
    exported = list(MotionDecoder(path, "libav"))
    decoder = MotionDecoder(path, "native")
    for frame, other in zip(decoder, exported, strict=True):
        assert (frame.mv == other.mv).all()
        assert (frame.ref_idx == other.ref_idx).all()


def step(frame: MotionFrame) -> tuple[float, ...]:
    """Median flow of the blocks that are inter predicted."""
    return tuple(np.median(flow(frame)[:, inter_mask(frame)], axis=1).tolist())


def joined(tmp_path: Path, *parts: tuple[int, dict[str, str]], headers: bool) -> tuple[Path, list[int]]:
    """Recordings of so many pictures a second, one behind the other; `headers`: each I picture brings its own."""
    packets: list[bytes] = []
    lengths = []
    for number, (rate, options) in enumerate(parts):
        path = encode(
            tmp_path / f"{number}.m4v", panning(30, 96, 64, (3, 2)), "mpeg4", rate, **{**WITH_B, **options}
        )
        extradata, own = coded(path)
        layer = extradata or own[0][: own[0].find(b"\0\0\1\xb6")]
        own = [packet[max(packet.find(b"\0\0\1\xb6"), 0) :] for packet in own]
        for count, packet in enumerate(own):
            intra = packet[4] >> 6 == 0
            packets.append(layer + packet if intra and (headers or count == 0) else packet)
        lengths.append(len(own))
    path = tmp_path / "joined.m4v"
    path.write_bytes(b"".join(packets))
    return path, lengths


@pytest.mark.parametrize("headers", [True, False])
@pytest.mark.parametrize("other", [(30, {}), (1000, {}), (25, {"flags": "+qpel"}), (25, {"bf": "0"})])
def test_joined_recordings(tmp_path: Path, other: tuple[int, dict[str, str]], headers: bool) -> None:
    for parts in ([(25, {}), other], [other, (25, {})]):
        path, lengths = joined(tmp_path, *parts, headers=headers)
        decoder = MotionDecoder(path, on_damage="skip")
        assert decoder.backend == "native"
        frames = list(decoder)
        # libavcodec may lose a picture where they join, or output it twice.
        assert abs(len(decoder) - sum(lengths)) <= 1
        assert len(decoder) - len(frames) == len(decoder.damaged) <= 2
        steps = [step(frame) for frame in frames if frame.pict_type != "I"]
        assert steps.count((3, 2)) >= 0.95 * len(steps)  # few P pictures are almost all intra
        every = read_rgb_at(path, range(len(decoder))).frames
        for frame in frames[::7]:
            alone = MotionDecoder(path)[frame.index]
            assert (alone.mv == frame.mv).all()
            assert alone.assumed_distance == frame.assumed_distance
            assert (read_rgb_at(path, [frame.index]).frames[0] == every[frame.index]).all()


@pytest.mark.parametrize("b_pictures", ["0", "2"])
def test_distances_where_times_are_irregular(tmp_path: Path, b_pictures: str) -> None:
    """Motion is that between pictures: a pause is none, nor are two pictures at almost one time."""
    steps = [0.04] * 10 + [0.002, 0.04, 1.0, 0.04] + [0.04] * 6 + [0.5] * 8 + [0.01] * 8
    times = np.concatenate([[0.0], np.cumsum(steps)])
    pictures = panning(len(times), 96, 64, (3, 2))
    path = encode_at(tmp_path / "x.mkv", pictures, list(times), "mpeg4", g="99", bf=b_pictures, qscale="3")
    frames = list(MotionDecoder(path))
    assert len(frames) == len(times)
    for frame in frames:
        assert frame.pict_type == "I" or step(frame) == (3, 2)


def test_a_recording_that_begins_inside_a_group_of_pictures(tmp_path: Path) -> None:
    packets = coded(encode(tmp_path / "x.avi", panning(40, 96, 64, (3, 2)), "mpeg4", **WITH_B))
    layer, own = packets
    path = tmp_path / "late.m4v"
    path.write_bytes(b"".join(layer + p if p[4] >> 6 == 0 else p for p in own[5:]))
    decoder = MotionDecoder(path, on_damage="skip")
    assert decoder.backend == "native"
    frames = list(decoder)
    assert {frame.pict_type for frame in frames} == {"I", "P", "B"}
    assert len(frames) >= len(decoder) - 4
    assert all(damage.index < 4 for damage in decoder.damaged)
    assert {step(frame) for frame in frames if frame.pict_type != "I"} == {(3, 2)}


def test_choosing_pictures_of_packed_streams_reads_packets_once(
    plain_and_packed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, read = MotionDecoder(plain_and_packed[1]), []
    take = PacketReader.read

    def counted(self: PacketReader, numbers: Sequence[int]) -> dict[int, bytes]:
        read.extend(numbers)
        return take(self, numbers)

    monkeypatch.setattr(PacketReader, "read", counted)
    assert len(decoder.get_frames_at([1, 20, 35])) == 3
    assert len(read) == len(set(read))


@pytest.mark.parametrize("bf", ["1", "2"])
@pytest.mark.parametrize("behind", [b"\0\0", b"\x7f\x7f", b"\0\0\1\xb1"])
def test_longer_places_of_packed_pictures(tmp_path: Path, bf: str, behind: bytes) -> None:
    plain = encode(tmp_path / "plain.avi", panning(28), "mpeg4", **{**WITH_B, "bf": bf})
    headers, packets = coded(plain)
    reader = Mpeg4Reader(headers)
    kinds = [picture.pict_type for packet in packets for picture in reader.push(packet)]
    longer = [p + behind if p == without_data(25) else p for p in packed(packets, kinds)]
    numbered_as_decoded(muxed(plain, tmp_path / "longer.avi", longer))


def test_distances_around_a_lost_picture(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.avi", panning(48, 96, 64, (3, 2)), "mpeg4", **{**WITH_B, "g": "99"})
    headers, packets = coded(plain)
    reader = Mpeg4Reader(headers)
    kinds = [picture.pict_type for packet in packets for picture in reader.push(packet)]
    anchors = [number for number, kind in enumerate(kinds) if kind == "P"]
    lost = anchors[len(anchors) // 2]
    path = muxed(plain, tmp_path / "lost.avi", packets[:lost] + packets[lost + 1 :])
    frames = list(MotionDecoder(path, on_damage="skip"))
    distances = {frame.assumed_distance for frame in frames[:-2] if frame.pict_type != "I"}
    assert distances == {(1, 2), (2, 1), (3, 1)}
    unreadable = bytearray(packets[lost + 2])
    unreadable[4:] = b"\xff" * (len(unreadable) - 4)  # the second B picture behind it
    unreadable[4] = packets[lost + 2][4] | 0x3F
    path = muxed(
        plain, tmp_path / "header.avi", [*packets[: lost + 2], bytes(unreadable), *packets[lost + 3 :]]
    )
    for frame in list(MotionDecoder(path, on_damage="skip"))[:-3]:
        if frame.pict_type == "B":
            assert frame.assumed_distance in {(1, 2), (2, 1)}
            assert step(frame) == (3, 2)


def test_low_delay_with_b_pictures(tmp_path: Path) -> None:
    """An entry that is output before B pictures that refer to those before it."""
    plain = encode(tmp_path / "plain.avi", panning(30, 96, 64, (3, 2)), "mpeg4", **WITH_B)
    headers, packets = coded(plain)
    assert Mpeg4Reader(headers).low_delay is False
    layer = headers[headers.index(b"\0\0\1\x20") :]
    bits = int.from_bytes(layer[4:], "big")
    size = 8 * len(layer[4:])
    text = f"{bits:0{size}b}"
    at = 1 + 8 + 1 + (7 if text[9] == "1" else 0)
    at += 4 + (16 if text[at : at + 4] == "1111" else 0) + 1 + 2
    flipped = text[:at] + "1" + text[at + 1 :]
    changed = layer[:4] + int(flipped, 2).to_bytes(size // 8, "big")
    assert Mpeg4Reader(changed).low_delay is True
    path = tmp_path / "x.m4v"
    path.write_bytes(b"".join([changed, *packets]))
    frames = list(MotionDecoder(path, on_damage="skip"))
    for frame in frames[::3]:
        alone = MotionDecoder(path)[frame.index]
        assert (alone.mv == frame.mv).all()


def test_another_encoder_in_the_middle(tmp_path: Path) -> None:
    """Decoders go on working around the faults of an encoder that was named once."""
    packets = coded(encode(tmp_path / "plain.avi", panning(60), "mpeg4", **{**WITH_B, "qscale": "8"}))[1]
    named = [b"\0\0\1\xb2XviD0046" + p if n == 24 else p for n, p in enumerate(packets)]
    path = muxed(tmp_path / "plain.avi", tmp_path / "named.avi", named)
    every = read_rgb_at(path, range(60)).frames
    for index in range(0, 60, 7):
        assert (read_rgb_at(path, [index]).frames[0] == every[index]).all()
