"""Packets by the sample tables of MP4 files: the same scan as through libavformat, or libavformat."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mv_tools import MotionDecoder, MotionError, probe
from mv_tools.pictures import tables as table_files
from mv_tools.pictures.index import PictureIndex
from mv_tools.pictures.numbering import index_pictures
from mv_tools.pictures.scan import StreamScan, scan_demuxed, scan_stream, scan_tables
from mv_tools.pictures.tables import TabledPackets, UnfitTables
from mv_tools.source import Source

from support import mp4_files
from support.mp4_boxes import changed, damaged, edit_list, words
from support.paths import SHARED

native = pytest.importorskip("mv_tools._native")

STREAMS = [*mp4_files.STREAMS, "hevc"]
REFUSED = (
    "backwards",
    "behind_the_end",
    "empty_inside",
    "no_duration",
    "repeated",
    "two_edits",
    "two_edits_inside",
)
"""Edit lists that are left to libavformat."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest, folder: Path) -> Path:
    return mp4_files.stream(folder, request.param)


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return mp4_files.stream(folder, "b")


def equal(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return one == other


def differences(one: Any, other: Any, ignored: tuple[str, ...] = ()) -> list[str]:
    """Names of the fields of two dataclasses that differ."""
    names = [field.name for field in dataclasses.fields(one) if field.name not in ignored]
    return [name for name in names if not equal(getattr(one, name), getattr(other, name))]


def numbering(source: Source, scan: StreamScan) -> PictureIndex | str:
    try:
        return index_pictures(source, scan)
    except MotionError as error:
        return str(error)


def assert_same_scan(source: Source, one: StreamScan, other: StreamScan) -> None:
    """All fields of two scans, the headers of all pictures, and the numbering."""
    assert differences(one, other, ("packets", "headers", "unfit")) == []
    assert differences(one.packets, other.packets) == []
    if one.headers is None or other.headers is None:
        assert one.headers is other.headers
    elif one.cached is not None:
        assert one.headers.log() == other.headers.log()
    pictures, others = numbering(source, one), numbering(source, other)
    if isinstance(pictures, str) or isinstance(others, str):
        assert pictures == others
    else:
        assert differences(pictures, others) == []


def by_tables(path: Path) -> bool:
    """Whether the tables of a file are used; the scan is the same as through libavformat."""
    source = Source.of(path)
    scan = scan_stream(source)
    assert_same_scan(source, scan, scan_demuxed(source))
    return scan.unfit is None


@pytest.mark.parametrize("kind", mp4_files.MUXERS)
def test_each_muxer(stream: Path, kind: str, tmp_path: Path) -> None:
    if "hevc" in stream.name and kind in ("m4v", "3gp"):
        pytest.skip("the muxer takes no HEVC")
    assert by_tables(mp4_files.remux(stream, tmp_path / "file.mp4", kind))


@pytest.mark.parametrize("kind", mp4_files.SURGERY)
def test_each_kind_of_tables(stream: Path, kind: str, tmp_path: Path) -> None:
    used = by_tables(mp4_files.surgery(stream, tmp_path / "file.mp4", kind))
    assert used or kind in REFUSED


@pytest.mark.parametrize("options", [{"late": 5}, {"audio": True}])
@pytest.mark.parametrize("kind", ["mp4", "fragments"])
def test_other_tracks_and_late_starts(
    stream: Path, kind: str, options: dict[str, Any], tmp_path: Path
) -> None:
    assert by_tables(mp4_files.remux(stream, tmp_path / "file.mp4", kind, **options))


@pytest.mark.parametrize("kind", ["mp4", "fragments"])
def test_several_video_tracks_are_left_to_libavformat(clip: Path, kind: str, tmp_path: Path) -> None:
    source = Source.of(mp4_files.remux(clip, tmp_path / "file.mp4", kind, tracks=2))
    scan = scan_stream(source)
    assert scan.unfit == "several video tracks"
    assert any("2 video tracks" in note for note in scan.display.notes)


def shared_files() -> Iterator[Path]:
    for part in ("h264/streams", "hevc/streams", "videos/clips", "videos/faults"):
        for pattern in ("*.mp4", "*.mov", "*.m4v", "*.3gp"):
            yield from sorted((SHARED / part).glob(pattern))
    yield from sorted((SHARED / "videos/hockey").glob("*/*.mp4"))[::100]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared videos are not here")
def test_shared_files() -> None:
    used = {path.name: by_tables(path) for path in shared_files()}
    refused = {name for name, by_table in used.items() if not by_table}
    assert refused == {"vid_mpeg4_part2.mp4", "truncated_annexb.mp4", "svtav1.mp4"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared videos are not here")
@pytest.mark.parametrize("name", ["trimmed_inside_gop", "sar_5_4", "rot90_h264", "mp4_without_ctts"])
def test_probe_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = SHARED / f"videos/faults/{name}.mp4"
    summary = probe(path)

    def refused(_: Source) -> TabledPackets:
        raise UnfitTables("not in this test")

    monkeypatch.setattr(TabledPackets, "open", refused)
    assert probe(path) == summary


def test_starts_of_units_are_enough(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source.of(stream)
    whole = scan_demuxed(source)
    monkeypatch.setattr(table_files, "_MAX_WHOLE_BYTES", 0)
    scan = scan_tables(source, TabledPackets.open(source))
    assert scan.cached is None
    assert_same_scan(source, dataclasses.replace(scan, cached=whole.cached), whole)


def test_bytes_and_paths_of_any_name(clip: Path, tmp_path: Path) -> None:
    odd = tmp_path / "caf\udce9 \u2603.mp4"
    odd.write_bytes(clip.read_bytes())
    assert scan_stream(Source.of(odd)).unfit is None
    scan = scan_stream(Source.of(clip.read_bytes()))
    assert scan.unfit is None
    assert len(scan.packets) == 40


class Recorded:
    """A file object elsewhere, which counts what is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.read = 0

    def read_at(self, offset: int, size: int) -> bytes:
        self.read += size
        return self.data[offset : offset + size]


def test_an_object_gives_the_bytes(clip: Path) -> None:
    data = clip.read_bytes()
    remote = Recorded(data)
    track = native.Mp4Track(native.ByteSource(remote))
    local = native.Mp4Track(native.ByteSource(data))
    assert {name: column.tolist() for name, column in track.columns().items()} == {
        name: column.tolist() for name, column in local.columns().items()
    }
    assert remote.read < len(data) / 2
    remote.data = data[:-100]
    with pytest.raises(OSError, match="unexpected end of file"):
        native.Mp4Track(native.ByteSource(remote))


def test_an_object_that_fails(clip: Path) -> None:
    class Refusing(Recorded):
        def read_at(self, offset: int, size: int) -> bytes:
            raise PermissionError("no such right")

    with pytest.raises(PermissionError, match="no such right"):
        native.Mp4Track(native.ByteSource(Refusing(clip.read_bytes())))


def offsets_beyond(body: bytes) -> bytes:
    return body[:-4] + words(0x7FFFFFFF)


UNFIT = {
    "stco": (offsets_beyond, "beyond the end of the file"),
    "stsz": (lambda body: body[:8] + words(39) + body[12:], "counts of samples differ"),
    "stts": (lambda body: words(0, 1, 39, 512), "counts of durations differ"),
    "ctts": (lambda body: words(0, 1, 41, 0), "counts of offsets differ"),
    "stss": (lambda body: words(0, 2, 9, 3), "sync samples out of order"),
    "stsc": (lambda body: words(0, 1, 2, 1, 1), "begin with another than the first"),
    "elst": (lambda body: edit_list((400, 1024))[:-2] + b"\1\0", "changes the rate"),
    "mdhd": (lambda body: body[:12] + words(0) + body[16:], "no time scale"),
    "hdlr": (lambda body: body[:8] + b"soun" + body[12:], "no video track"),
    "stsd": (lambda body: body.replace(b"avcC\1\x64", b"avcC\0\x64"), "an unusual configuration record"),
    "tkhd": (lambda body: body[:40] + words(1 << 15) + body[44:], "scaled or skewed"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_contradictions_are_left_to_libavformat(clip: Path, kind: str) -> None:
    change, reason = UNFIT[kind]
    source = Source.of(changed(clip.read_bytes(), kind, change))
    with pytest.raises(UnfitTables, match=reason):
        TabledPackets.open(source)


def test_an_unknown_duration_is_left_to_libavformat(clip: Path) -> None:
    data = changed(clip.read_bytes(), "mdhd", lambda body: body[:16] + b"\xff" * 4 + body[20:])
    with pytest.raises(UnfitTables, match="the track has no duration"):
        TabledPackets.open(Source.of(data))


def test_start_codes_where_lengths_are_declared(clip: Path) -> None:
    data, packets = bytearray(clip.read_bytes()), TabledPackets.open(Source.of(clip)).index
    data[packets.position[3] : packets.position[3] + 4] = b"\0\0\0\1"
    source = Source.of(bytes(data))
    with pytest.raises(UnfitTables, match="a sample begins with a start code"):
        scan_tables(source, TabledPackets.open(source))


OTHER_TRACK: dict[str, tuple[str, str, Any, str]] = {
    "stts": ("mp4", "stts", lambda body: words(0, 99, 8, 1024), "a table is cut short"),
    "stco": ("mp4", "stco", lambda body: body[:-4] + words(1 << 30), "beyond the end of the file"),
    "dref": ("mp4", "dref", lambda body: body[:-1] + b"\0", "the data are in another file"),
    "mdhd": ("mp4", "mdhd", lambda body: b"\x40" + body[1:], "an unknown version of a media header"),
    "hdlr": ("mp4", "hdlr", lambda body: body[:8] + bytes(4) + body[12:], "a track of unknown kind"),
    "stsd": ("mp4", "stsd", lambda body: words(0, 2) + body[8:], "counts of sample entries differ"),
    "trex": ("fragments", "trex", lambda body: words(0, 7) + body[8:], "a fragment of an unknown track"),
    "trun": ("fragments", "trun", lambda body: body[:-4] + words(1 << 29), "beyond the end of the file"),
}
"""Damage to the audio track, at which libavformat stops reading the file or takes it for video."""


@pytest.mark.parametrize("kind", OTHER_TRACK)
def test_damage_to_another_track_is_left_to_libavformat(clip: Path, kind: str, tmp_path: Path) -> None:
    muxer, box, change, reason = OTHER_TRACK[kind]
    path = mp4_files.remux(clip, tmp_path / "audio.mp4", muxer, audio=True)
    assert by_tables(path)
    with pytest.raises(UnfitTables, match=reason):
        TabledPackets.open(Source.of(changed(path.read_bytes(), box, change, place=0)))


def test_encrypted_samples_are_left_to_libavformat(clip: Path) -> None:
    data = changed(clip.read_bytes(), "stsd", lambda body: body.replace(b"avc1", b"encv"))
    with pytest.raises(UnfitTables, match=r"no sample entry of H\.264 or HEVC"):
        TabledPackets.open(Source.of(data))


def test_other_files_are_left_to_libavformat(clip: Path, tmp_path: Path) -> None:
    for content in (b"", b"RIFF1234AVI ", clip.read_bytes()[:-1], clip.read_bytes() + b"more than that"):
        with pytest.raises(UnfitTables):
            TabledPackets.open(Source.of(content))
    with pytest.raises(UnfitTables, match="not a file"):
        TabledPackets.open(Source(name="null", path=Path("/dev/null")))


def test_a_file_that_changes_while_it_is_read(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing.mp4"
    path.write_bytes(clip.read_bytes())
    source = Source.of(path)
    tables = TabledPackets.open(source)
    with path.open("ab") as file:
        file.write(bytes(100))
    with pytest.raises(UnfitTables, match="changed while it was read"):
        scan_tables(source, tables)


@pytest.mark.parametrize("kind", ["mp4", "negative_offsets", "fragments"])
@pytest.mark.parametrize("audio", [False, True])
def test_damaged_tables_give_the_same_pictures_or_an_error(
    clip: Path, kind: str, audio: bool, tmp_path: Path
) -> None:
    """Numbers of the tables replaced: what the tables give is what libavformat gives."""
    data = mp4_files.remux(clip, tmp_path / "file.mp4", kind, audio=audio).read_bytes()
    rng = np.random.default_rng(5)
    used = 0
    for _ in range(60):
        source = Source.of(damaged(data, rng))
        try:
            tables = scan_tables(source, TabledPackets.open(source))
        except UnfitTables:
            continue
        except MotionError as error:  # what libavformat says of fragments
            with pytest.raises(type(error)):
                scan_demuxed(source)
            continue
        used += 1
        assert_same_scan(source, tables, scan_demuxed(source))
    assert used > 5


def test_metadata_that_are_not_utf8(clip: Path) -> None:
    data = clip.read_bytes()
    assert b"Lavf" in data
    assert len(scan_demuxed(Source.of(data.replace(b"Lavf", b"\xecavf"))).packets) == 40


def test_decoder_of_bytes_is_that_of_the_file(clip: Path) -> None:
    frames = list(MotionDecoder(clip, "native"))
    for one, other in zip(frames, MotionDecoder(clip.read_bytes(), "native"), strict=True):
        np.testing.assert_array_equal(one.mv, other.mv)
        assert one.pts_seconds == other.pts_seconds
