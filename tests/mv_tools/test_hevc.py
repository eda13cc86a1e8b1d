"""HEVC through the native backend: exact against golden digests, random access, damage, and what is left out."""

from __future__ import annotations

import csv
import hashlib
import random
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest

from mv_tools import HevcPictureStatistics, MotionDecoder, MotionError, MotionFrame, probe, transcode
from mv_tools.pictures.numbering import index_pictures, number_by_decoding
from mv_tools.pictures.scan import scan_stream
from mv_tools.source import Source

from support.clips import encode, panning

NO_POC = -(2**31)


@pytest.fixture(scope="module")
def hevc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures in groups of 8 with B pictures, content moving right by 3 pixels per picture."""
    folder = tmp_path_factory.mktemp("hevc")
    source = encode(folder / "lossless.mkv", panning(24, 128, 96), "ffv1")
    return transcode(source, folder / "pan.mp4", "hevc", gop=8, bframes=2, refs=2, threads=1)


def digest(array: npt.NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def golden_row(frame: MotionFrame) -> tuple[str, str, str, str, str]:
    """The columns of a golden file that a frame gives."""
    assert frame.ref_poc is not None
    assert frame.poc is not None
    delta = np.where(frame.ref_poc == NO_POC, NO_POC, frame.poc - frame.ref_poc.astype(np.int64))
    arrays = frame.mv, frame.ref_idx, delta.astype(np.int32)
    mv, ref_idx, ref_poc_delta = (digest(array) for array in arrays)
    return frame.pict_type, str(frame.poc), mv, ref_idx, ref_poc_delta


def same(a: MotionFrame, b: MotionFrame) -> bool:
    return golden_row(a) == golden_row(b) and a.index == b.index


@pytest.mark.parametrize("threads", [1, 2])
def test_golden_digests(shared: Path, threads: int) -> None:
    """All shared streams: every picture, in whatever container; pictures of a file that is cut are reported."""
    folder = shared / "hevc"
    if not folder.is_dir():
        pytest.skip(f"no HEVC streams at {folder}")
    streams = sorted((folder / "streams").iterdir())
    assert streams
    for path in streams:
        with (folder / "golden" / f"{path.name}.csv").open(encoding="utf-8") as file:
            columns = ("type", "poc", "mv_sha", "ref_idx_sha", "ref_poc_delta_sha")
            golden = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
        decoder = MotionDecoder(path, threads=threads, on_damage="skip")
        assert decoder.backend == "native", path.name
        frames = sorted(decoder, key=lambda frame: frame.decode_index)
        assert [golden_row(frame) for frame in frames] == golden, path.name


def test_numbering_from_headers_equals_decoding(shared: Path) -> None:
    for path in sorted((shared / "hevc" / "streams").glob("*")):
        source = Source.of(path)
        scan = scan_stream(source)
        from_headers, decoded = index_pictures(source, scan), number_by_decoding(source, scan)
        assert from_headers.packet.tolist() == decoded.packet.tolist(), path.name
        assert from_headers.entry.tolist() == decoded.entry.tolist(), path.name


def test_motion_of_a_pan(hevc: Path) -> None:
    decoder = MotionDecoder(hevc)
    assert decoder.backend == "native"
    assert (decoder.metadata.codec, decoder.metadata.entropy_coding) == ("hevc", "cabac")
    assert [frame.is_keyframe for frame in decoder].count(True) == 3
    p = next(frame for frame in decoder if frame.pict_type == "P")
    vectors = p.mv[0][p.ref_idx[0] >= 0]
    assert p.poc is not None
    assert p.ref_poc is not None
    distance = p.poc - int(p.ref_poc[0].max())
    assert (np.median(vectors, axis=0) == (-12 * distance, 0)).all()


def test_chosen_pictures_are_those_of_a_pass(hevc: Path) -> None:
    frames = list(MotionDecoder(hevc))
    decoder = MotionDecoder(hevc)
    chosen = random.Random(0).choices(range(len(decoder)), k=6)
    assert all(same(frame, frames[i]) for i, frame in zip(chosen, decoder.get_frames_at(chosen), strict=True))
    assert same(MotionDecoder(hevc)[5], frames[5])


def test_a_saved_index_gives_the_same(hevc: Path, tmp_path: Path) -> None:
    decoder = MotionDecoder(hevc)
    decoder.save_index(tmp_path / "clip.index")
    indexed = MotionDecoder(hevc, index=tmp_path / "clip.index")
    assert indexed.metadata == decoder.metadata
    assert all(same(a, b) for a, b in zip(indexed, decoder, strict=True))


def test_statistics_cover_the_picture(hevc: Path) -> None:
    decoder = MotionDecoder(hevc)
    blocks = decoder.metadata.coded_width * decoder.metadata.coded_height // 16
    for frame, counts in decoder.described():
        assert isinstance(counts, HevcPictureStatistics)
        assert counts.blocks == blocks
        assert counts.intra + counts.skipped + counts.merged + counts.predicted == blocks
        assert counts.blocks_without_motion == counts.intra
        assert frame.pict_type != "I" or counts.intra == blocks


def test_probe_describes_prediction(hevc: Path) -> None:
    summary = probe(hevc)
    assert summary.metadata.codec == "hevc"
    assert summary.gop.max == 8


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_stream_is_reported_and_the_rest_is_exact(hevc: Path, tmp_path: Path, share: float) -> None:
    raw = tmp_path / "whole.hevc"
    with raw.open("wb") as file:
        file.write(_annex_b(hevc))
    frames = {frame.decode_index: golden_row(frame) for frame in MotionDecoder(raw)}
    data = raw.read_bytes()
    cut = tmp_path / "cut.hevc"
    cut.write_bytes(data[: int(share * len(data))])
    decoder = MotionDecoder(cut, on_damage="skip")
    left = list(decoder)
    assert left
    assert all(frames[frame.decode_index] == golden_row(frame) for frame in left)
    assert len(left) < len(frames)


def test_parameter_sets_that_are_missing_are_a_motion_error(hevc: Path, tmp_path: Path) -> None:
    data = _annex_b(hevc)
    units = data.split(b"\0\0\0\1")[1:]
    slices = [unit for unit in units if unit[0] >> 1 & 63 < 32]
    path = tmp_path / "slices.hevc"
    path.write_bytes(b"".join(b"\0\0\0\1" + unit for unit in slices))
    with pytest.raises(MotionError):
        list(MotionDecoder(path))


def test_leading_pictures_without_references_are_left_out_and_noted(tmp_path: Path) -> None:
    """A recording that begins at the second random access point of open groups of pictures."""
    source = encode(tmp_path / "lossless.mkv", panning(32, 128, 96), "ffv1")
    options = (
        "keyint=8:min-keyint=8:open-gop=1:bframes=3:b-adapt=0:scenecut=0:log-level=none:repeat-headers=1"
    )
    whole = tmp_path / "open.hevc"
    _x265(source, whole, options)
    data = whole.read_bytes()
    cra = 21 << 1
    starts = [i for i in range(len(data) - 6) if data[i : i + 3] == b"\0\0\1" and data[i + 3] == cra]
    sets = data.rindex(b"\0\0\1\x40\1", 0, starts[0])
    cut = tmp_path / "begins_inside.hevc"
    cut.write_bytes(data[sets:])
    decoder = MotionDecoder(cut)
    assert any("refer to are missing" in note for note in decoder.notes)
    by_poc = {frame.poc: golden_row(frame) for frame in MotionDecoder(whole)}
    offset = {golden_row(frame)[2:] for frame in decoder}
    assert offset <= {row[2:] for row in by_poc.values()}
    source_index = Source.of(cut)
    scan = scan_stream(source_index)
    assert len(decoder) == len(number_by_decoding(source_index, scan))


def test_field_pictures_are_noted(shared: Path) -> None:
    assert any(
        "pictures are fields" in n for n in MotionDecoder(shared / "hevc/streams/x265_field.mp4").notes
    )


def test_a_picture_that_is_cropped_at_the_left_is_noted(hevc: Path, tmp_path: Path) -> None:
    """The conformance window as hevc_metadata sets it."""
    path = tmp_path / "cropped.hevc"
    filters = "hevc_mp4toannexb,hevc_metadata=crop_left=8:crop_top=4"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(hevc),
        "-c",
        "copy",
        "-bsf:v",
        filters,
    ]
    subprocess.run([*command, str(path)], check=True)
    assert any("8 columns at the left and 4 rows at the top" in note for note in MotionDecoder(path).notes)
    assert not any("cropped" in note for note in MotionDecoder(hevc).notes)


def test_discarded_pictures_are_numbered_as_the_decoder_does(hevc: Path, tmp_path: Path) -> None:
    """no_output_of_prior_pics_flag of the second IDR picture: the decoder discards what it has not output."""
    data = bytearray(_annex_b(hevc))
    idr = [i for i in range(len(data) - 6) if data[i : i + 3] == b"\0\0\1" and data[i + 3] >> 1 in (19, 20)]
    data[idr[1] + 5] |= 0x40  # behind start code, NAL unit header and first_slice_segment_in_pic_flag
    path = tmp_path / "discards.hevc"
    path.write_bytes(data)
    source = Source.of(path)
    scan = scan_stream(source)
    assert [info.no_output_of_prior_pics for info in scan.infos].count(True) == 1
    numbered, decoded = index_pictures(source, scan), number_by_decoding(source, scan)
    assert numbered.packet.tolist() == decoded.packet.tolist()
    assert len(MotionDecoder(path)) == len(decoded)


def _annex_b(path: Path) -> bytes:
    """The video stream of a file as a byte stream."""
    import av
    import av.bitstream

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        unwrap = av.bitstream.BitStreamFilterContext("hevc_mp4toannexb", stream)
        packets = [unwrap.filter(packet if packet.size else None) for packet in container.demux(stream)]
    return b"".join(bytes(packet) for group in packets for packet in group)


def _x265(source: Path, target: Path, options: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source), "-c:v", "libx265"]
    command += ["-preset", "medium", "-x265-params", options, "-pix_fmt", "yuv420p", str(target)]
    subprocess.run(command, check=True)
