"""Numbering of pictures: from headers and partial decoding it equals that of a full decode."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import av
import ffmpeg as ffmpeg_python
import imageio_ffmpeg
import numpy as np
import pytest

import mv_tools
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.motion.settings import MotionSpec
from mv_tools.pictures import header_numbering, numbering
from mv_tools.pictures.index import picture_index
from mv_tools.pictures.packets import NO_PACKET
from mv_tools.pictures.scan import scan_stream
from mv_tools.source import Source

from support.clips import H264, encode, panning

PACKET = 188  # bytes of a transport stream packet


@pytest.fixture(scope="module", params=["open-gop=1:b-pyramid=normal", "open-gop=0"])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """240 pictures in a transport stream, a keyframe every 12."""
    options = {**H264, "g": "12", "bf": "3", "refs": "2", "x264-params": request.param}
    return encode(tmp_path_factory.mktemp("ts") / "a.ts", panning(240), **options).read_bytes()


def ffmpeg(*arguments: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *(str(argument) for argument in arguments)]
    subprocess.run(command, check=True)


def lose(data: bytes, seed: int) -> bytes:
    """Drop packets, and the beginning of the recording for odd seeds."""
    rng = random.Random(seed)
    packets = [data[i : i + PACKET] for i in range(0, len(data), PACKET)]
    if seed % 2:
        packets = packets[rng.randrange(10, len(packets) // 4) :]
    for _ in range(rng.choice([1, 2])):
        at = rng.randrange(len(packets))
        del packets[at : at + rng.choice([1, 1, 3])]
    return b"".join(packets)


@pytest.mark.parametrize("seed", range(5))
def test_decoding_around_uncertain_packets_equals_decoding_all(recording: bytes, seed: int) -> None:
    source = Source.of(lose(recording, seed))
    scan = scan_stream(source)
    segments = header_numbering.number_from_headers(source, scan)
    assert segments is not None, "most of the file is uncertain"
    decoded = numbering.number_by_decoding(source, scan)
    np.testing.assert_array_equal(segments.packet, decoded.packet)
    np.testing.assert_array_equal(segments.entry, decoded.entry)
    np.testing.assert_array_equal(segments.corrupt, decoded.corrupt)


def test_undamaged_recording_is_numbered_without_decoding(
    recording: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source.of(recording)
    scan = scan_stream(source)
    decoded = numbering.number_by_decoding(source, scan)
    for module in (numbering, header_numbering):
        monkeypatch.setattr(module, "decode_segments", lambda *_: pytest.fail("something was decoded"))
    pictures = numbering.index_pictures(source, scan)
    assert not pictures.decoded
    np.testing.assert_array_equal(pictures.packet, decoded.packet)
    np.testing.assert_array_equal(pictures.entry, decoded.entry)


@pytest.mark.parametrize("seed", [1, 2])
def test_copy_has_the_pictures_that_decoding_outputs(recording: bytes, seed: int, tmp_path: Path) -> None:
    """A recording begun inside a group of pictures, and one with data missing."""
    damaged = tmp_path / "a.ts"
    damaged.write_bytes(lose(recording, seed))
    copy = mv_tools.transcode(damaged, tmp_path / "copy.mp4", preset="ultrafast")
    assert mv_tools.count_frames(copy) == mv_tools.count_frames(damaged)


@pytest.mark.parametrize("seed", [None, 2])
def test_what_follows_damage_is_decoded_on_one_thread(
    seed: int | None, recording: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several threads decode it otherwise each time, so that the motion of a copy would be another one."""
    asked: list[dict[str, object]] = []
    opened = ffmpeg_python.input

    def recorded(path: str, **options: object) -> object:
        asked.append(options)
        return opened(path, **options)

    monkeypatch.setattr(ffmpeg_python, "input", recorded)
    original = tmp_path / "a.ts"
    original.write_bytes(recording if seed is None else lose(recording, seed))
    mv_tools.transcode(original, tmp_path / "copy.mp4", preset="ultrafast")
    (options,) = asked
    assert ("xerror" in options, options.get("threads")) == ((True, None) if seed is None else (False, 1))


@pytest.mark.slow
def test_copy_of_a_container_without_presentation_times_is_in_order(tmp_path: Path) -> None:
    original = encode(tmp_path / "b.avi", panning(24), **{**H264, "bf": "3"})
    assert mv_tools.RgbDecoder(original).pictures.reordered
    copy = mv_tools.transcode(original, tmp_path / "copy.mp4", preset="ultrafast", crf=10)
    times = mv_tools.RgbDecoder(copy).times
    assert times is not None
    np.testing.assert_allclose(np.diff(times), times[1] - times[0], atol=1e-3)
    for index, picture in mv_tools.iter_rgb_at(copy, range(24)):
        others = [picture.astype(int) - other for _, other in mv_tools.iter_rgb_at(original, range(24))]
        assert np.argmin([np.abs(difference).sum() for difference in others]) == index


def test_encrypted_samples_are_refused(tmp_path: Path) -> None:
    plain = encode(tmp_path / "plain.mp4", panning(12), **H264)
    locked = tmp_path / "locked.mp4"
    scheme = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"]
    scheme += ["-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"]
    ffmpeg("-i", plain, "-c", "copy", *scheme, locked)
    with pytest.raises(mv_tools.UnsupportedStream, match="encrypted"):
        mv_tools.MotionDecoder(locked)
    with pytest.raises(mv_tools.UnsupportedStream, match="encrypted"):
        mv_tools.count_frames(locked)


def test_recording_without_a_keyframe_is_refused(tmp_path: Path) -> None:
    options = {**H264, "g": "200", "bf": "0", "refs": "1", "x264-params": "open-gop=0"}
    data = encode(tmp_path / "a.ts", panning(40), **options).read_bytes()
    packets = mv_tools.RgbDecoder(data).packets
    assert packets.keyframe.sum() == 1
    behind = data[PACKET * (4 + int(packets.size[0]) // (PACKET - 4)) :]
    with pytest.raises(mv_tools.MotionError, match="begins inside a group of pictures"):
        mv_tools.MotionDecoder(behind)


def test_motion_clip_notes_where_data_are_missing(recording: bytes, tmp_path: Path) -> None:
    damaged = tmp_path / "a.ts"
    damaged.write_bytes(lose(recording, 2))
    clip = read_motion_clip(damaged, MotionSpec(segments=8, frames=4, grid=(8, 12)))
    assert clip.motion.any()
    assert [note for note in clip.notes if "data are missing" in note]


@pytest.mark.parametrize("codec", ["vc2", "ffv1", "huffyuv", "libtheora", "snow", "wmv2", "h261"])
def test_single_pictures_of_rare_codecs_equal_a_full_decode(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    source = ("-f", "lavfi", "-i", "testsrc2=s=352x288:r=25:d=0.6", "-g", "5")
    ffmpeg(*source, "-c:v", codec, "-strict", "-2", path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count, stream.codec_context.thread_type = 1, "NONE"
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    decoder = mv_tools.RgbDecoder(path)
    assert len(decoder) == len(whole)
    for i in (1, 6, 14):
        np.testing.assert_array_equal(decoder.get_frames_at([i]).frames[0], whole[i])


@pytest.mark.parametrize("seed", range(5))
def test_reorder_depth_equals_its_definition(seed: int) -> None:
    packet = np.random.default_rng(seed).permutation(40)
    preceding = [
        sum(packet[later] < packet[i] for later in range(i + 1, len(packet))) for i in range(len(packet))
    ]
    assert header_numbering.reorder_depth(packet) == max(preceding)
    assert header_numbering.reorder_depth(np.arange(40)) == 0


def test_pictures_without_a_packet_follow_their_predecessor_in_decoding_order(clip_mpeg4: Path) -> None:
    packets = mv_tools.RgbDecoder(clip_mpeg4).packets
    packet = np.array([0, 2, NO_PACKET, 1, 3], np.int64)
    pictures = picture_index(packets, packet, packet == 0)
    assert pictures.decode_rank.tolist() == [0, 2, 3, 1, 4]
    assert not picture_index(packets, np.array([0, NO_PACKET, 1], np.int64), np.zeros(3, bool)).reordered
