"""What probe tells of a stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.cli.probe_tables import _gop
from mv_tools import MotionDecoder, probe

from support.clips import H264, annex_b, encode, panning


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures in open GOPs of 20 with B pictures as references, two slices each, level 3."""
    options = {
        **H264, "g": "20", "bf": "3", "refs": "3", "slices": "2", "level": "3", "profile": "high",
        "x264-params": "open-gop=1:b-pyramid=normal:b-adapt=0:scenecut=0",
    }  # fmt: skip
    return encode(tmp_path_factory.mktemp("probe") / "pyramid.mp4", panning(60), **options)


def test_syntax_elements(pyramid: Path, clip: Path) -> None:
    found = probe(pyramid)
    assert (found["profile"], found["level"], found["entropy_coding"]) == ("High", "3", "cabac")
    assert found["reference_frames"] >= 3
    assert found["b_references"] > 0
    assert (found["scan"], found["slices"]) == ("progressive", 2)
    assert found["keyframes"] == 3
    assert found["open_gops"] == 2
    plain = probe(clip)
    assert (plain["open_gops"], plain["reference_frames"], plain["slices"]) == (0, 1, 1)
    assert (plain["first_gop"], plain["pattern"]) == (12, "I" + 11 * "P")


def test_bits_and_types_are_those_of_the_file(pyramid: Path) -> None:
    found, packets = probe(pyramid), MotionDecoder(pyramid).packets
    types = [frame.pict_type for frame in MotionDecoder(pyramid)]
    assert found["pict_types"] == {kind: types.count(kind) for kind in sorted(set(types))}
    assert found["pattern"] == "".join(types[: found["first_gop"]])
    parsed = sum(found["bits"][kind]["mean"] * count for kind, count in found["pict_types"].items())
    whole = 8 * packets.size.sum()
    assert 0.9 * whole - 8000 < parsed <= whole  # packets also hold parameter sets and messages
    decoded = probe(pyramid, backend="libav")
    for kind, bits in decoded["bits"].items():
        assert found["bits"][kind]["max"] <= bits["max"]


def test_areas_and_predictions_are_shares(pyramid: Path) -> None:
    found = probe(pyramid)
    for kind in "IPB":
        assert sum(found["areas"][kind].values()) == pytest.approx(100)
        assert sum(found["prediction"][kind].values()) == pytest.approx(100)
        assert found["areas"][kind]["intra"] == pytest.approx(found["prediction"][kind]["intra"])
    assert found["areas"]["I"]["intra"] == 100
    assert found["prediction"]["P"]["list1"] == found["prediction"]["P"]["bipredicted"] == 0
    assert found["prediction"]["B"]["list1"] + found["prediction"]["B"]["bipredicted"] > 0


def test_a_sample_is_spread_and_said(pyramid: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found, whole = (
        probe(pyramid, sample=10, progress=lambda *each: told.append(each)),
        probe(pyramid, sample=None),
    )
    assert (found["sample"], whole["sample"]) == (10, 60)
    assert told == [("pictures", done, 10) for done in range(1, 11)]
    for name in ("pict_types", "pattern", "bits", "gop", "open_gops", "b_references", "bits_per_picture"):
        assert found[name] == whole[name], name
    assert found["areas"] != whole["areas"]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        probe(pyramid, sample=0)


def test_libav_shows_what_it_can(pyramid: Path, clip_mpeg4: Path) -> None:
    found = probe(pyramid, backend="libav")
    assert found.keys() == probe(pyramid).keys()
    assert found["areas"] is found["prediction"] is found["level"] is None
    assert found["open_gops"] == 2
    assert found["pattern"] == probe(pyramid)["pattern"]
    runs = probe(clip_mpeg4, sample=10)
    assert runs["backend"] == "libav"
    assert 0 < runs["sample"] <= 10
    assert runs["pattern"].startswith("I")


def test_streams_without_times_or_vectors(clip_b: Path, tmp_path: Path) -> None:
    timed, raw = probe(clip_b), probe(annex_b(clip_b))
    assert not raw["timestamps"]
    for name in ("num_frames", "pict_types", "pattern", "bits", "areas", "level", "gop"):
        assert raw[name] == timed[name], name
    lossless = probe(encode(tmp_path / "a.mkv", panning(6), "ffv1"))
    assert "no motion vectors" in lossless["note"]
    assert lossless["areas"] is lossless["pict_types"] is lossless["pattern"] is None
    assert lossless["bits_per_picture"] > 0


def test_damage_at_the_end_of_a_recording_is_a_note(clip: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.h264"
    cut.write_bytes(annex_b(clip).read_bytes()[:-200])
    facts = probe(cut)
    assert facts["num_frames"] == len(MotionDecoder(clip))
    assert [note for note in facts["notes"] if f"picture {len(MotionDecoder(clip)) - 1}" in note]


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
def test_patterns_in_words(pattern: str, length: int, words: str) -> None:
    assert _gop(pattern, length) == words
