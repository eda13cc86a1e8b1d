"""MotionStream: the frames of MotionDecoder, packet by packet; lost, reordered and damaged packets."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mv_tools import ArgumentError, FlowPooler, MalformedStream, MotionDecoder, MotionStream, flow, transcode
from mv_tools.decoder import Order
from mv_tools.live.coded_frame import ParsedFrame, ParsedPicture
from mv_tools.live.output_order import OutputOrder
from mv_tools.live.stream import Codec

from support.clips import encode, panning
from support.stream import Packets, differences, read_stream, same_motion

H264_KINDS: dict[str, dict[str, str]] = {
    "ip": {},
    "b_pyramid": {"bf": "3", "b-pyramid": "normal", "refs": "3", "g": "12"},
    "open_gop": {"x264-params": "bframes=3:open-gop=1:keyint=6"},
    "mbaff": {"flags": "+ildct+ilme", "bf": "2"},
    "intra_only": {"g": "1"},
    "slices": {"x264-params": "slices=3:bframes=2:keyint=8"},
}
LOST_P = "openh264_BA_MW_D_P_LOST.264"


@pytest.fixture(scope="module")
def hevc_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hevc")
    source = encode(folder / "lossless.mkv", panning(24, 128, 96), "ffv1")
    return transcode(source, folder / "pan.mp4", "hevc", gop=8, bframes=2, refs=2, threads=1)


def assert_same_as_decoder(path: Path) -> None:
    decoder = MotionDecoder(path, "native", on_damage="skip", threads=1)
    expected = list(decoder)
    packets = Packets.of(path)
    stream = packets.stream()
    frames, _ = read_stream(stream, packets.packets)
    assert len(frames) == len(expected)
    for a, b in zip(expected, frames, strict=True):
        assert differences(a, b) == [], (path.name, a.index)
    if all(seconds is not None for _, seconds in packets.packets):
        seconds = [[f.pts_seconds or 0.0 for f in both] for both in (frames, expected)]
        np.testing.assert_allclose(seconds[0], seconds[1], atol=1e-6)
    by_decoding, _ = read_stream(packets.stream("decode"), packets.packets)
    assert [f.decode_index for f in by_decoding] == list(range(len(frames)))
    in_order = sorted(frames, key=lambda frame: frame.decode_index)
    assert all(same_motion(a, b) for a, b in zip(in_order, by_decoding, strict=True))


@pytest.mark.parametrize("kind", H264_KINDS)
@pytest.mark.parametrize("suffix", ["mp4", "h264"])
def test_h264_frames_are_those_of_the_decoder(make_clip: Callable[..., Path], kind: str, suffix: str) -> None:
    """Lengths before NAL units (mp4) and start codes (h264)."""
    assert_same_as_decoder(make_clip(f"a.{suffix}", **H264_KINDS[kind]))


def test_hevc_frames_are_those_of_the_decoder(hevc_clip: Path) -> None:
    assert_same_as_decoder(hevc_clip)


@pytest.mark.parametrize("kind", [*H264_KINDS, "hevc"])
def test_deferred_frames_are_the_same(make_clip: Callable[..., Path], hevc_clip: Path, kind: str) -> None:
    path = hevc_clip if kind == "hevc" else make_clip("deferred.mp4", **H264_KINDS[kind])
    packets = Packets.of(path)
    frames, _ = read_stream(packets.stream(), packets.packets)
    deferred, _ = read_stream(packets.stream(deferred=True), packets.packets)
    later = [frame.deferred for frame in sorted(deferred, key=lambda frame: frame.decode_index)]
    types = [frame.pict_type for frame in sorted(deferred, key=lambda frame: frame.decode_index)]
    until = 0 if kind == "hevc" else types.index("B") if "B" in types else len(types)
    assert later == [position < until for position in range(len(types))]
    assert not any(frame.deferred for frame in frames)
    for one, other in reversed(list(zip(frames, deferred, strict=True))):
        assert one.grid_shape == other.grid_shape
        assert differences(one, other) == []


def test_damage_of_deferred_frames_is_told_with_their_motion(make_clip: Callable[..., Path]) -> None:
    packets = Packets.of(make_clip("deferred.mp4"))
    data, seconds = packets.packets[5]
    damaged = list(packets.packets)
    damaged[5] = data[: len(data) // 2] + b"\xff" * (len(data) - len(data) // 2), seconds
    stream = packets.stream()
    whole, _ = read_stream(packets.stream(), packets.packets)
    sound, _ = read_stream(stream, damaged)
    assert stream.statistics.losses == 1
    assert len(sound) < len(whole)
    frames, _ = read_stream(packets.stream(deferred=True), damaged)
    assert len(frames) == len(whole)
    pooler = FlowPooler((4, 6))
    for number, (one, other) in enumerate(zip(whole, frames, strict=True)):
        if number == 5:
            for ask in (lambda frame: frame.mv, pooler.flow, pooler.inter, pickle.dumps):
                with pytest.raises(MalformedStream, match=r"frame 5: .* of picture 5"):
                    ask(other)
        else:
            assert same_motion(one, other)
            np.testing.assert_array_equal(pooler.flow(one), pooler.flow(other))


def test_frames_behind_a_loss_are_not_deferred(make_clip: Callable[..., Path]) -> None:
    packets = Packets.of(make_clip("lossy.mp4", g="24"))
    lossy = packets.packets[:6] + packets.packets[7:]
    eager, deferred = packets.stream(), packets.stream(deferred=True)
    frames, _ = read_stream(eager, lossy)
    others, _ = read_stream(deferred, lossy)
    assert eager.statistics == deferred.statistics
    assert all(same_motion(one, other) for one, other in zip(frames, others, strict=True))


@pytest.mark.parametrize("b_pictures", ["0", "2"])
def test_pictures_are_deferred_again_behind_a_loss(make_clip: Callable[..., Path], b_pictures: str) -> None:
    """A camera that is joined inside of a group of pictures, and loses one later on."""
    packets = Packets.of(make_clip("joined.mp4", frames=40, g="8", bf=b_pictures))
    joined = packets.packets[3:18] + packets.packets[19:]
    frames, _ = read_stream(packets.stream(), joined)
    others, _ = read_stream(packets.stream(deferred=True), joined)
    assert len(frames) == len(others) > 20
    assert [differences(one, other) for one, other in zip(frames, others, strict=True)] == [[]] * len(frames)
    assert others[-1].deferred == (b_pictures == "0")


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_all_shared_streams(shared: Path, codec: str) -> None:
    """A stream in which a picture was lost before it was recorded, and one that is cut short, lose pictures."""
    paths = sorted((shared / codec / "streams").iterdir())
    assert len(paths) == {"h264": 105, "hevc": 75}[codec]
    for path in paths:
        if path.name == LOST_P:
            frames, _ = read_stream((packets := Packets.of(path)).stream(), packets.packets)
            expected = list(MotionDecoder(path))
            matching = {frame.decode_index for frame in expected}
            assert 0 < len(frames) < len(matching)
        else:
            assert_same_as_decoder(path)


@pytest.mark.parametrize(
    "name", ["jm_field_cabac1_direct0.264", "jm_paff_mbaff_cabac0_direct1.264", "jm_prog_poc1.264"]
)
def test_fields_and_poc_types(shared: Path, name: str) -> None:
    assert_same_as_decoder(shared / "h264" / "streams" / name)


def test_frames_come_out_as_soon_as_they_are_known(make_clip: Callable[..., Path]) -> None:
    """Without B pictures, each frame with its packet; with them, as many later as are reordered."""
    ahead = {}
    for b_frames in (0, 2):
        packets = Packets.of(
            make_clip(f"{b_frames}.mp4", frames=40, bf=str(b_frames), **{"b-pyramid": "none"})
        )
        stream = packets.stream()
        waiting = []
        for number, (packet, seconds) in enumerate(packets.packets):
            stream.push(packet, seconds)
            waiting.append(number + 1 - stream.statistics.frames)
        ahead[b_frames] = max(waiting[12:])
        in_decoding_order = packets.stream("decode")
        counts = [len(in_decoding_order.push(*packet)) for packet in packets.packets]
        assert set(counts[12:]) == {1}
    assert ahead == {0: 0, 2: 1}


def coded_frame(decode_index: int, order: int) -> ParsedFrame:
    info: Any = SimpleNamespace(order_poc=order, structure="frame")
    picture: Any = None
    return ParsedFrame(decode_index, None, [ParsedPicture(picture, info, decode_index)])


def test_the_reordering_is_learned_where_it_is_not_coded() -> None:
    """The level's buffer bounds it until 64 frames were seen; a frame that comes too late is left out."""
    order, waiting = OutputOrder(2), []
    given: list[int] = []
    for number in range(100):
        given += [frame.order for frame in order.add(coded_frame(number, 2 * number), limit=4, coded=False)]
        waiting.append(number + 1 - len(given))
    assert (waiting[60], waiting[99]) == (4, 0)
    for number, place in ((100, 104), (101, 102), (102, 106), (103, 108), (104, 110), (105, 112), (106, 114)):
        given += [f.order for f in order.add(coded_frame(number, 2 * place), limit=4, coded=False)]
    assert order.late == 1
    assert given == sorted(given)
    assert given[-1] == 2 * 106  # four frames wait again
    assert order.interval.value == 2


def kept_frames_are_right(packets: Packets, kept: list[tuple[int, bytes]], stream: MotionStream) -> int:
    """Push numbered packets; every frame given out equals that of the whole stream with the same time, and every
    packet of a picture is counted once."""
    whole, _ = read_stream(packets.stream(), [(p, float(n)) for n, (p, _) in enumerate(packets.packets)])
    reference = {frame.pts_seconds: frame for frame in whole}
    frames, _ = read_stream(stream, [(packet, float(number)) for number, packet in kept])
    for frame in frames:
        expected = reference[frame.pts_seconds]
        assert same_motion(frame, expected), frame.pts_seconds
        np.testing.assert_array_equal(flow(frame), flow(expected))
    order = [reference[frame.pts_seconds].index for frame in frames]
    assert all(a < b for a, b in pairwise(order))
    assert counted(stream) == sum(stream._parser.holds_picture(packet) for _, packet in kept)
    return len(frames)


def counted(stream: MotionStream) -> int:
    counts = stream.statistics
    return counts.frames + counts.skipped + counts.before_first + counts.late + counts.hidden


def numbered(packets: Packets) -> list[tuple[int, bytes]]:
    return [(number, packet) for number, (packet, _) in enumerate(packets.packets)]


@pytest.mark.parametrize("kind", ["ip", "b_pyramid", "open_gop", "mbaff", "slices", "hevc"])
def test_dropped_packets_never_give_a_wrong_vector(
    make_clip: Callable[..., Path], hevc_clip: Path, kind: str
) -> None:
    """Frames from a loss to the next entry picture are left out, counted and told."""
    path = hevc_clip if kind == "hevc" else make_clip("a.mp4", frames=36, **{"g": "8", **H264_KINDS[kind]})
    packets, rng = Packets.of(path), random.Random(kind)
    losses = given = 0
    for trial in range(12):
        kept = numbered(packets)
        for _ in range(1 + trial % 3):
            del kept[rng.randrange(1, len(kept))]
        stream = packets.stream()
        given += kept_frames_are_right(packets, kept, stream)
        counts = stream.statistics
        losses += counts.losses
        assert counts.skipped == 0 or any("left out" in note for note in stream.notes)
        assert counted(stream) == len(kept)
    assert losses > 0
    assert given > 3 * len(packets.packets)


@pytest.mark.parametrize("kind", ["ip", "b_pyramid", "open_gop", "hevc"])
def test_reordered_packets(make_clip: Callable[..., Path], hevc_clip: Path, kind: str) -> None:
    path = hevc_clip if kind == "hevc" else make_clip("a.mp4", frames=36, **{"g": "8", **H264_KINDS[kind]})
    packets, rng = Packets.of(path), random.Random(kind)
    for _ in range(12):
        swapped = numbered(packets)
        i = rng.randrange(1, len(swapped) - 2)
        swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
        kept_frames_are_right(packets, swapped, packets.stream())


@pytest.mark.parametrize("kind", ["b_pyramid", "slices", "hevc"])
def test_damaged_packets(make_clip: Callable[..., Path], hevc_clip: Path, kind: str) -> None:
    """Packets that are cut, emptied or overwritten."""
    path = hevc_clip if kind == "hevc" else make_clip("a.mp4", frames=36, **{"g": "8", **H264_KINDS[kind]})
    packets, rng = Packets.of(path), random.Random(kind)
    losses = 0
    for _ in range(12):
        damaged = numbered(packets)
        number, packet = damaged[i := rng.randrange(1, len(damaged))]
        damaged[i] = (number, packet[: rng.randrange(len(packet))])
        stream = packets.stream()
        kept_frames_are_right(packets, damaged, stream)
        losses += stream.statistics.losses
    assert losses > 0


def test_random_bytes_never_crash(make_clip: Callable[..., Path]) -> None:
    packets, rng = Packets.of(make_clip("a.mp4", bf="2")), np.random.default_rng(0)
    for _ in range(50):
        stream = packets.stream()
        for packet, seconds in packets.packets:
            mutated = bytearray(packet)
            for position in rng.integers(0, len(packet), 2):
                mutated[position] = rng.integers(256)
            stream.push(bytes(mutated), seconds)
        stream.flush()


def test_a_loss_that_the_transport_knows(make_clip: Callable[..., Path]) -> None:
    """mark_loss: frames are left out up to the next entry picture, those that waited are given out."""
    packets = Packets.of(make_clip("a.mp4", frames=24, g="8", bf="2"))
    stream = packets.stream()
    before = [frame for packet in packets.packets[:10] for frame in stream.push(*packet)]
    waiting = stream.mark_loss("3 packets are missing")
    after = [frame for packet in packets.packets[13:] for frame in stream.push(*packet)] + stream.flush()
    assert len(before + waiting) == 10
    assert after[0].is_keyframe
    assert stream.statistics.losses == 1
    assert stream.statistics.skipped > 0
    assert "3 packets are missing" in stream.notes[0]


def test_a_stream_that_begins_inside_a_group_of_pictures(make_clip: Callable[..., Path]) -> None:
    packets = Packets.of(make_clip("a.mp4", g="8", bf="2"))
    stream = packets.stream()
    frames, _ = read_stream(stream, packets.packets[3:])
    assert frames[0].is_keyframe
    assert (frames[0].index, frames[0].decode_index) == (0, 0)
    assert stream.statistics.before_first == 5
    assert "begins inside a group of pictures" in stream.notes[0]


@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_pictures_before_the_parameter_sets_are_counted(make_clip: Callable[..., Path], kind: Codec) -> None:
    """With start codes, they come with the first entry picture unless `extradata` holds them."""
    packets = Packets.of(make_clip("a.h264", frames=35) if kind == "h264" else open_gop(make_clip))
    first = entry_behind(5, kind, packets)
    for extradata in (packets.extradata, None):
        stream = MotionStream(kind, extradata)
        read_stream(stream, packets.packets[5:])
        assert stream.statistics.before_first == first - 5
        assert f"{first - 5} pictures before the first entry picture" in stream.notes[0]
        assert counted(stream) == 30


def entry_behind(number: int, kind: Codec, packets: Packets) -> int:
    """The first packet behind one at which decoding can start."""
    for later in range(number + 1, len(packets.packets)):
        stream = MotionStream(kind)
        stream.push(packets.packets[later][0])
        if not stream.statistics.waiting:
            return later
    raise AssertionError("there is none")


def open_gop(make_clip: Callable[..., Path]) -> Path:
    """HEVC whose groups of pictures begin with CRA pictures, with start codes."""
    params = "log-level=none:keyint=6:bframes=2:b-adapt=0:open-gop=1:repeat-headers=1"
    folder = make_clip("a.mp4", frames=1).parent
    return encode(folder / "open.hevc", panning(35), "libx265", **{"x265-params": params})


def test_leading_pictures_whose_references_are_missing_are_counted_and_told(
    make_clip: Callable[..., Path],
) -> None:
    whole = Packets.of(open_gop(make_clip))
    first, packets = entry_behind(0, "hevc", whole), whole.packets
    stream = MotionStream("hevc")
    read_stream(stream, packets[first:])
    assert (stream.statistics.skipped, stream.statistics.losses) == (2, 0)
    assert stream.notes == ["2 pictures left out because the pictures that they refer to are missing"]
    stream = MotionStream("hevc")
    read_stream(stream, packets[first + 1 :])  # the leading pictures without their entry picture
    assert stream.statistics.skipped == 2
    assert stream.statistics.before_first > 2
    assert counted(stream) == len(packets) - first - 1


@pytest.mark.parametrize("order", ["presentation", "decode"])
@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_every_picture_is_counted_once(make_clip: Callable[..., Path], kind: Codec, order: Order) -> None:
    """Whatever packets are lost, reordered or not shown, and where an end of sequence discards what waits."""
    path = make_clip("a.h264", frames=35, **H264_KINDS["open_gop"]) if kind == "h264" else open_gop(make_clip)
    packets, rng = Packets.of(path), random.Random(kind)
    end_of_sequence = b"\0\0\0\1\x0a" if kind == "h264" else b"\0\0\0\1\x48\1"
    for _ in range(40):
        kept = [packet for packet, _ in packets.packets[rng.randrange(10) :]]
        for _ in range(3):
            packet = kept.pop(rng.randrange(len(kept)))
            if rng.random() < 0.7:
                kept.insert(rng.randrange(len(kept)), packet)
        stream = MotionStream(kind, order=order)
        for packet in kept:
            ended = packet + end_of_sequence if rng.random() < 0.2 else packet
            stream.push(ended, shown=rng.random() < 0.8)
        stream.flush()
        assert counted(stream) == len(kept)


def test_periodic_intra_refresh_recovers(make_clip: Callable[..., Path]) -> None:
    """Without entry pictures, decoding is exact recovery_frame_cnt frames behind a recovery point."""
    path = make_clip("a.mp4", frames=60, **{"x264-params": "intra-refresh=1:keyint=12:bframes=0"})
    packets = Packets.of(path)
    kept = numbered(packets)
    del kept[5]
    stream = packets.stream()
    assert 10 < kept_frames_are_right(packets, kept, stream) < 59
    assert not stream.statistics.waiting


def test_memory_is_bounded(make_clip: Callable[..., Path]) -> None:
    """No list of the stream grows with the packets pushed."""
    packets = Packets.of(make_clip("a.mp4", frames=24, g="8", bf="2"))
    stream = packets.stream()
    sizes = set()
    for _ in range(20):
        for packet in packets.packets:
            stream.push(*packet)
        sizes.add(
            (len(stream._numbered._waiting), len(stream._order._waiting), len(stream._order.interval._counts))
        )
    assert len(sizes) == 1


def test_bad_arguments(make_clip: Callable[..., Path]) -> None:
    with pytest.raises(ArgumentError, match="codec must be one of"):
        MotionStream("vp9")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="order must be one of"):
        MotionStream("h264", order="random")  # type: ignore[arg-type]
    packets = Packets.of(make_clip("a.mp4"))
    assert packets.extradata is not None
    with pytest.raises(MalformedStream, match="extradata"):
        MotionStream("h264", packets.extradata[:5])
    stream = packets.stream()
    assert stream.push(b"") == []
    stream.flush()
    with pytest.raises(ValueError, match="flushed"):
        stream.push(b"\0")
