"""Chosen pictures of long MP4 files: numbered by the tables, with the headers that they need alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import av
import pytest

from mv_tools import MalformedStream, MotionDecoder, MotionFrame
from mv_tools.pictures import scan as scans
from mv_tools.pictures.tables import TabledPackets, UnfitTables
from mv_tools.source import Source

from support.clips import encode, panning
from support.mp4_boxes import changed, edit_list, words
from support.mp4_files import HEVC, MUXERS, STREAMS

pytest.importorskip("mv_tools._native")
from mv_tools import _native
from mv_tools.backends.native.chosen import ChosenPictures

ROUNDS = 14  # of a clip of 48 pictures
PLACES = [0, 1, 5, 47, 48, 300, 301, 302, 400, 671]


def long_file(source: Path, target: Path, kind: str = "mp4") -> Path:
    """The packets of a clip over and over."""
    format_name, options = MUXERS[kind]
    with av.open(str(source)) as first, av.open(str(target), "w", format=format_name, options=options) as out:
        video = first.streams.video[0]
        packets = [packet for packet in first.demux(video) if packet.size]
        copy = out.add_stream_from_template(video)
        length = len(packets) * packets[0].duration
        for turn in range(ROUNDS):
            for packet in packets:
                twin = av.Packet(bytes(packet))
                twin.stream, twin.time_base, twin.is_keyframe = copy, packet.time_base, packet.is_keyframe
                twin.pts, twin.dts = packet.pts + turn * length, packet.dts + turn * length
                twin.duration = packet.duration
                out.mux(twin)
    return target


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chosen")


def encoded(folder: Path, name: str) -> Path:
    path = folder / f"{name}.mp4"
    if name == "hevc":
        closed = {"x265-params": HEVC["x265-params"] + ":open-gop=0"}
        return encode(path, panning(48), "libx265", **closed)
    options = {"temporal": {**STREAMS["b"], "direct-pred": "temporal"}, **STREAMS}
    return encode(path, panning(48), **options[name])


@pytest.fixture(scope="module")
def long(folder: Path) -> Path:
    return long_file(encoded(folder, "temporal"), folder / "long.mp4")


def opened(source: Path | bytes) -> MotionDecoder:
    return MotionDecoder(source, "native", threads=1)


def was_scanned(decoder: MotionDecoder) -> bool:
    return "scan" in vars(decoder._backend)


def values(frame: MotionFrame) -> list[object]:
    fields = (
        "index",
        "decode_index",
        "frame_index",
        "pts_seconds",
        "pict_type",
        "is_keyframe",
        "poc",
        "poc_interval",
    )
    arrays = (frame.mv, frame.ref_idx, frame.ref_poc)
    return [getattr(frame, name) for name in fields] + [
        array.tobytes() for array in arrays if array is not None
    ]


def assert_same_frames(decoder: MotionDecoder, whole: MotionDecoder, places: list[int]) -> None:
    assert len(decoder) == len(whole)
    for one, other in zip(decoder.get_frames_at(places), whole.get_frames_at(places), strict=True):
        assert values(one) == values(other)


def refused(_: Source) -> TabledPackets:
    raise UnfitTables("not in this test")


def scanned(source: Path | bytes, monkeypatch: pytest.MonkeyPatch) -> MotionDecoder:
    """A decoder that reads the whole file through libavformat."""
    with monkeypatch.context() as patch:
        patch.setattr(TabledPackets, "open", refused)
        decoder = opened(source)
        assert decoder.scan.headers is not None
        _ = decoder.pictures
    return decoder


@pytest.mark.parametrize("name", ["temporal", "no_b", "hevc"])
@pytest.mark.parametrize("kind", ["mp4", "fragments"])
def test_chosen_pictures_are_those_of_a_scan(
    folder: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = long_file(encoded(folder, name), folder / f"long_{name}.mp4", kind)
    decoder = opened(path)
    assert_same_frames(decoder, scanned(path, monkeypatch), PLACES)
    assert not was_scanned(decoder)
    for place in (670, 30, 29, 31):
        assert decoder[place].index == place
    assert not was_scanned(decoder)


@pytest.mark.parametrize("bframes", [0, 2])
def test_picture_order_counts_of_open_groups_are_those_of_a_scan(
    folder: Path, bframes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CRA picture starts no coded video sequence: its PicOrderCnt goes on from the pictures before it."""
    params = f"log-level=error:open-gop=1:keyint=40:min-keyint=40:scenecut=0:bframes={bframes}"
    path = encode(folder / f"open{bframes}.mp4", panning(600), "libx265", **{"x265-params": params})
    assert_same_frames(opened(path), scanned(path, monkeypatch), [0, 47, 130, 250, 300, 301, 400, 599])


def test_frames_wait_for_headers_that_another_thread_reads(long: Path) -> None:
    chosen = opened(long)._backend._chosen
    with ThreadPoolExecutor(1) as pool:
        with chosen.lock:
            builder = pool.submit(lambda: chosen.builder)
            assert wait([builder], timeout=0.1).not_done
        assert builder.result(timeout=10) is chosen.builder


def test_numbers_stay_when_the_file_is_scanned(long: Path) -> None:
    decoder = opened(long)
    before = values(decoder[300])
    assert decoder.times is not None
    assert was_scanned(decoder)
    assert values(decoder[300]) == before
    assert sum(1 for _ in decoder) == len(decoder) == 48 * ROUNDS


def test_few_bytes_are_read(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        def __init__(self, data: bytes) -> None:
            self.data, self.size, self.places = data, len(data), set[int]()

        def read_at(self, offset: int, size: int) -> bytes:
            self.places.update(range(offset, offset + size))
            return self.data[offset : offset + size]

    data = long.read_bytes()
    counted = Counted(data)
    source_of = _native.ByteSource
    monkeypatch.setattr(_native, "ByteSource", lambda _: source_of(counted))
    decoder = opened(long)
    _ = decoder[400]
    movie = len(data) - data.index(b"moov")
    assert not was_scanned(decoder)
    assert len(counted.places) - movie < 0.25 * len(data)


def test_short_files_are_scanned(folder: Path) -> None:
    source = Source.of(encoded(folder, "b"))
    with pytest.raises(UnfitTables, match="short file"):
        ChosenPictures.open(source, TabledPackets.open(source))


def test_hidden_pictures_are_not_counted(long: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = long.read_bytes()
    header = content.index(b"mvhd")
    # The movie's time scale: versions of FFmpeg differ.
    second = int.from_bytes(content[header + 16 : header + 20], "big")
    trimmed = edit_list((24 * second, 1024 + 17 * 512))
    data = changed(content, "elst", lambda _: trimmed)
    decoder = opened(data)
    assert_same_frames(decoder, scanned(data, monkeypatch), [0, 1, 7, 300, 599])
    assert not was_scanned(decoder)


def ticks_exchanged(ctts: bytes) -> bytes:
    """Times of two pictures in the middle exchanged."""
    entries = [ctts[i : i + 8] for i in range(8, len(ctts), 8)]
    middle = len(entries) // 2
    entry = next(i for i in range(middle, len(entries)) if entries[i][4:] != entries[i + 1][4:])
    entries[entry], entries[entry + 1] = entries[entry + 1], entries[entry]
    return ctts[:8] + b"".join(entries)


def early_key(stss: bytes) -> bytes:
    """A P picture named as sync sample."""
    numbers = [int.from_bytes(stss[i : i + 4], "big") for i in range(8, len(stss), 4)]
    return words(0, len(numbers), *(number + (number > 300) for number in numbers))


@pytest.mark.parametrize(("kind", "change"), [("ctts", ticks_exchanged), ("stss", early_key)])
def test_contradictions_lead_to_a_scan(
    long: Path, kind: str, change: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = changed(long.read_bytes(), kind, change)
    decoder = opened(data)
    whole = scanned(data, monkeypatch)
    places = list(range(0, 672, 7))
    assert_same_frames(decoder, whole, places)
    assert was_scanned(decoder)


@pytest.fixture(scope="module")
def broken(long: Path) -> bytes:
    """The long file with a picture that libavcodec does not output."""
    data = bytearray(long.read_bytes())
    packets = TabledPackets.open(Source.of(bytes(data))).index
    position, size = int(packets.position[577]), int(packets.size[577])
    data[position : position + size] = (size - 4).to_bytes(4, "big") + bytes([0x0C]) + b"\xff" * (size - 5)
    return bytes(data)


def test_damage_elsewhere_is_told_when_it_is_found(broken: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage far from the pictures that were read: numbers behind it differ."""
    decoder = opened(broken)
    before = values(decoder[100])
    assert len(decoder) == 672
    with pytest.raises(MalformedStream, match=r"numbers them otherwise \(671 pictures, not 672\)"):
        _ = decoder.times
    assert len(decoder) == len(scanned(broken, monkeypatch)) == 671
    assert values(decoder[100]) == before


def test_numbers_are_those_of_a_scan_that_was_made(broken: bytes) -> None:
    decoder = opened(broken)
    assert len(decoder) == 672
    assert len(decoder.packets) == 672
    assert len(decoder) == 671
    assert decoder[670].index == 670
    assert decoder.times is not None


def test_a_saved_index_waits_until_all_headers_are_needed(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "long.index"
    whole = scanned(long, monkeypatch)
    whole.save_index(index)
    decoder = MotionDecoder(long, "native", threads=1, index=index)
    assert_same_frames(decoder, whole, PLACES)
    assert not was_scanned(decoder)
    monkeypatch.setattr(scans, "DemuxedPackets", refused)
    monkeypatch.setattr(scans.TabledPackets, "scan", refused)
    assert decoder.keyframe_indices() == whole.keyframe_indices()
    assert was_scanned(decoder)


def test_a_saved_index_corrects_the_tables(
    broken: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables announce a picture that the scan did not find."""
    index = tmp_path / "broken.index"
    whole = scanned(broken, monkeypatch)
    whole.save_index(index)
    decoder = MotionDecoder(broken, "native", threads=1, index=index)
    assert len(decoder) == 671
    assert_same_frames(decoder, whole, [0, 300, 600, 670])


def test_a_file_that_changes_is_refused(long: Path, tmp_path: Path) -> None:
    path = tmp_path / "changing.mp4"
    path.write_bytes(long.read_bytes())
    decoder = opened(path)
    assert decoder[3].index == 3
    with path.open("ab") as file:
        file.write(bytes(8))
    with pytest.raises(MalformedStream, match="the file has changed, open it again"):
        _ = decoder[400]


def test_why_a_file_is_scanned_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = long_file(encoded(folder, "open_gop"), folder / "open.mp4")
    with caplog.at_level(logging.DEBUG, "mv_tools"):
        decoder = opened(path)
        assert decoder[400].index == 400
    assert was_scanned(decoder)
    assert "the whole file is scanned: pictures refer to others than the tables say" in caplog.text


def test_most_headers_lead_to_a_scan(long: Path) -> None:
    decoder = opened(long)
    for place in [*range(660, 20, -48), *range(659, 20, -48), *range(658, 20, -48)]:
        assert decoder[place].index == place
    assert not was_scanned(decoder)
    for place in reversed(range(0, len(decoder), 3)):
        assert decoder[place].index == place
    assert was_scanned(decoder)
