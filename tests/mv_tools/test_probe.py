"""Summaries of streams by `mv_tools.probe`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import av
import pytest

from moclip_lite.cli.probe_tables import _gop
from mv_tools import MotionDecoder, PictureSummary, SyntaxSummary, probe
from mv_tools.source import SourceLike

from support.clips import H264, annex_b, encode, panning


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures in open GOPs of 20 with B pictures as references, two slices each, level 3."""
    options = {
        **H264,
        "g": "20",
        "bf": "3",
        "refs": "3",
        "slices": "2",
        "level": "3",
        "profile": "high",
        "x264-params": "open-gop=1:b-pyramid=normal:b-adapt=0:scenecut=0",
    }
    return encode(tmp_path_factory.mktemp("probe") / "pyramid.mp4", panning(60), **options)


def parsed(source: SourceLike, sample: int | None = 300) -> tuple[SyntaxSummary, PictureSummary]:
    """Summaries of a stream that the native backend reads."""
    summary = probe(source, sample=sample)
    assert summary.syntax is not None
    assert summary.pictures is not None
    return summary.syntax, summary.pictures


def pictures_of(source: SourceLike, backend: str = "auto", sample: int | None = 300) -> PictureSummary:
    pictures = probe(source, backend=backend, sample=sample).pictures
    assert pictures is not None
    return pictures


def test_syntax_elements(pyramid: Path, clip: Path) -> None:
    summary = probe(pyramid)
    syntax, pictures = parsed(pyramid)
    assert (syntax.profile, syntax.level, summary.metadata.entropy_coding) == ("High", "3", "cabac")
    assert syntax.reference_frames >= 3
    assert syntax.b_references > 0
    assert (syntax.scan, syntax.slices) == ("progressive", 2)
    assert summary.keyframes == 3
    assert pictures.open_gops == 2
    syntax, pictures = parsed(clip)
    assert (pictures.open_gops, syntax.reference_frames, syntax.slices) == (0, 1, 1)
    assert (pictures.first_gop, pictures.pattern) == (12, "I" + 11 * "P")


def test_bits_and_types_are_those_of_the_file(pyramid: Path) -> None:
    pictures, packets = pictures_of(pyramid), MotionDecoder(pyramid).packets
    types = [frame.pict_type for frame in MotionDecoder(pyramid)]
    assert pictures.pict_types == {kind: types.count(kind) for kind in sorted(set(types))}
    assert pictures.pattern == "".join(types[: pictures.first_gop])
    assert pictures.bits is not None
    slice_bits = sum(pictures.bits[kind].mean * count for kind, count in pictures.pict_types.items())
    packet_bits = 8 * packets.size.sum()
    # Packets also hold parameter sets and messages.
    assert 0.9 * packet_bits - 8000 < slice_bits <= packet_bits
    decoded = pictures_of(pyramid, "libav")
    assert decoded.bits is not None
    for kind, bits in decoded.bits.items():
        assert pictures.bits[kind].max <= bits.max


def test_areas_and_predictions_are_shares(pyramid: Path) -> None:
    _, pictures = parsed(pyramid)
    areas, prediction = pictures.areas, pictures.prediction
    assert areas is not None
    assert prediction is not None
    for kind in "IPB":
        assert sum(areas[kind].values()) == pytest.approx(100)
        assert sum(prediction[kind].values()) == pytest.approx(100)
        assert areas[kind]["intra"] == pytest.approx(prediction[kind]["intra"])
    assert areas["I"]["intra"] == 100
    assert prediction["P"]["list1"] == prediction["P"]["bipredicted"] == 0
    assert prediction["B"]["list1"] + prediction["B"]["bipredicted"] > 0


def test_sample_is_spread_and_reported(pyramid: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    probe(pyramid, sample=10, progress=lambda *call: calls.append(call))
    assert calls == [("pictures", done, 10) for done in range(1, 11)]
    (part_syntax, part), (syntax, pictures) = parsed(pyramid, sample=10), parsed(pyramid, sample=None)
    assert (part.sample, pictures.sample) == (10, 60)
    for name in ("pict_types", "pattern", "bits", "open_gops"):
        assert getattr(part, name) == getattr(pictures, name), name
    assert part_syntax.b_references == syntax.b_references
    sampled, complete = probe(pyramid, sample=10), probe(pyramid, sample=None)
    assert (sampled.gop, sampled.bits_per_picture) == (complete.gop, complete.bits_per_picture)
    assert part.areas != pictures.areas
    with pytest.raises(ValueError, match="at least 1, got 0"):
        probe(pyramid, sample=0)


def test_libav_leaves_parsed_figures_out(pyramid: Path, clip_mpeg4: Path) -> None:
    summary = probe(pyramid, backend="libav")
    assert summary.to_json().keys() == probe(pyramid).to_json().keys()
    assert summary.syntax is summary.to_json()["level"] is None
    assert summary.pictures is not None
    assert summary.pictures.areas is summary.pictures.prediction is None
    assert summary.pictures.open_gops == 2
    assert summary.pictures.pattern == pictures_of(pyramid).pattern
    for backend in ("native", "libav"):
        for sample in range(1, 24):
            runs = pictures_of(clip_mpeg4, backend, sample=sample)
            assert runs.backend == backend
            assert 0 < runs.sample <= sample
            assert runs.mean_motion
            assert sample == 1 or runs.pattern.startswith("I")


def test_streams_without_times_or_vectors(clip_b: Path, tmp_path: Path) -> None:
    timed, raw = probe(clip_b).to_json(), probe(annex_b(clip_b)).to_json()
    assert not raw["timestamps"]
    for name in ("num_frames", "pict_types", "pattern", "bits", "areas", "level", "gop"):
        assert raw[name] == timed[name], name
    lossless = probe(encode(tmp_path / "a.mkv", panning(6), "ffv1"))
    assert lossless.no_motion is not None
    assert "no motion vectors" in lossless.no_motion
    assert lossless.pictures is None
    document = lossless.to_json()
    assert document["note"] == lossless.no_motion
    assert {document[field.name] for field in fields(PictureSummary)} == {None}
    assert lossless.bits_per_picture > 0


def test_damage_at_the_end_of_a_recording_is_a_note(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.h264"
    cut.write_bytes(annex_b(clip).read_bytes()[:-200])
    summary = probe(cut)
    assert summary.metadata.num_frames == len(MotionDecoder(clip))
    assert [note for note in summary.notes if f"picture {len(MotionDecoder(clip)) - 1}" in note]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts", "nut"])
def test_a_second_video_track_is_a_note(clip: Path, clip_b: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"two.{suffix}"
    with av.open(str(path), "w") as both, av.open(str(clip)) as first, av.open(str(clip_b)) as second:
        tracks = [both.add_stream_from_template(source.streams.video[0]) for source in (first, second)]
        for packets in zip(first.demux(video=0), second.demux(video=0), strict=False):
            for packet, track in zip(packets, tracks, strict=True):
                if packet.size:
                    copy = av.Packet(bytes(packet))
                    copy.stream, copy.time_base, copy.is_keyframe = (
                        track,
                        packet.time_base,
                        packet.is_keyframe,
                    )
                    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                    both.mux(copy)
        size = f"{first.streams.video[0].width}x{first.streams.video[0].height}"
    note = f"the file holds 2 video tracks; the first one ({size}) is read"
    assert note in probe(path).notes
    decoder = MotionDecoder(path)
    assert note in decoder.notes
    assert len(decoder) == len(MotionDecoder(clip))
    assert not any("tracks" in text for text in probe(clip).notes)


@pytest.mark.parametrize(
    ("pattern", "length", "words"),
    [
        ("I" + 249 * "P", 250, "I 249 x P (250 pictures)"),
        ("I" + 83 * "BBP", 250, "I 83 x BBP (250 pictures)"),
        ("I" + 3 * "BBP" + "BB", 12, "I 3 x BBP BB (12 pictures)"),
        ("I" + 299 * "P", 600, "I 599 x P (600 pictures)"),
        ("IPBPBB", 6, "IPBPBB (6 pictures)"),
        ("I", 1, "I (1 picture)"),
        ("IPB", 40, "IPB... (40 pictures)"),
    ],
)
def test_repeated_patterns_are_written_once(pattern: str, length: int, words: str) -> None:
    assert _gop(pattern, length) == words


def test_pictures_that_cannot_be_read_are_counted(clip: Path, tmp_path: Path) -> None:
    """They are no reason to ask for all pictures, which were asked for."""
    from moclip_lite.cli.probe_tables import _reader

    content = annex_b(clip).read_bytes()
    cut = tmp_path / "cut.h264"
    cut.write_bytes(content[:-200])
    summary = probe(cut, sample=None)
    assert summary.pictures is not None
    total = len(MotionDecoder(clip))
    assert (summary.pictures.sample, summary.pictures.unread) == (total - 1, 1)
    assert _reader(summary) == f"native, {total - 1} of {total} pictures, 1 could not be read"
