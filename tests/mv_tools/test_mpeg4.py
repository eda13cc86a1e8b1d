"""MPEG-4 Part 2: vectors of B pictures and of last pictures, which libavcodec does not export."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from mv_tools import MalformedStream, MotionDecoder, UnsupportedStream, flow, probe
from mv_tools._native import Mpeg4Reader, NativeError

from support.clips import encode, panning

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
    decoder = MotionDecoder(path, backend="libav")
    frames = sorted(decoder, key=lambda frame: frame.decode_index)
    assert [picture.pict_type for picture in pictures] == [frame.pict_type for frame in frames]
    compared = 0
    for picture, frame in zip(pictures, frames, strict=True):
        if picture.pict_type == "I":
            with pytest.raises(ValueError, match="I picture"):
                picture.motion()
            continue
        if frame.exported is None:  # not by libavcodec
            continue
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
    assert reader.push(picture("01", 1, 1, "0")) == []
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
    """P and B pictures in one packet, and a picture without data in the place of the B picture."""
    number = 0
    while number < len(packets):
        if kinds[number] == "P" and kinds[number + 1 : number + 2] == ["B"]:
            yield PACKED + packets[number] + packets[number + 1]
            yield without_data(25)
            number += 2
        else:
            yield packets[number]
            number += 1


def test_packed_pictures_have_their_own_vectors(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.avi", panning(21), "mpeg4", **{**WITH_B, "bf": "1"})
    expected = list(MotionDecoder(plain))
    extradata, packets = coded(plain)
    reader = Mpeg4Reader(extradata)
    kinds = [picture.pict_type for packet in packets for picture in reader.push(packet)]
    path = tmp_path / "packed.avi"
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for number, data in enumerate(packed(packets, kinds)):
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts = stream, number, number
            packet.time_base = source.streams.video[0].time_base
            out.mux(packet)
    summary = probe(path).pictures
    assert summary is not None
    assert summary.bits is None  # a packet does not tell how large each of its pictures is
    found = list(MotionDecoder(path))
    assert [frame.pict_type for frame in found] == [frame.pict_type for frame in expected]
    assert any(frame.pict_type == "B" and frame.mv.any() for frame in found)
    for frame, other in zip(found, expected, strict=True):
        assert (frame.mv == other.mv).all()
        assert (frame.ref_idx == other.ref_idx).all()


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
def test_what_is_not_parsed_is_refused_and_left_out(
    tmp_path: Path, options: dict[str, str], feature: str
) -> None:
    path = encode(tmp_path / "x.avi", panning(20), "mpeg4", **WITH_B, **options)
    with pytest.raises(UnsupportedStream, match=rf"x\.avi: picture 1: .*{feature}.*moclip mv transcode"):
        list(MotionDecoder(path))
    decoder = MotionDecoder(path, on_damage="skip")
    assert {frame.pict_type for frame in decoder} == {"I", "P"}
    assert all(feature in damage.message for damage in decoder.damaged)


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


def test_without_the_native_module_p_pictures_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = encode(tmp_path / "plain.avi", panning(8), "mpeg4", g="12", bf="0")
    other = encode(tmp_path / "b.avi", panning(8), "mpeg4", **WITH_B)
    monkeypatch.setattr("mv_tools.backends.mpeg4.native_problem", lambda: "it is not built")
    assert [frame.pict_type for frame in MotionDecoder(plain, "libav")] == [*"IPPPPPPP"]
    with pytest.raises(UnsupportedStream, match=r"b\.avi: picture 1: .*native module: it is not built"):
        list(MotionDecoder(other, "libav"))
