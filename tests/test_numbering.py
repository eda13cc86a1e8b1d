"""Numbering of pictures around what is in doubt: the same as decoding everything."""

from __future__ import annotations

import random

import numpy as np
import pytest
from conftest import H264, encode, panning

from mv_tools import numbering
from mv_tools.scan import scan_stream
from mv_tools.source import Source

PACKET = 188  # bytes of a transport stream packet


@pytest.fixture(scope="module", params=["open-gop=1:b-pyramid=normal", "open-gop=0"])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """240 pictures in a transport stream, a keyframe every 12."""
    options = {**H264, "g": "12", "bf": "3", "refs": "2", "x264-params": request.param}
    return encode(tmp_path_factory.mktemp("ts") / "a.ts", panning(240), **options).read_bytes()


def lose(data: bytes, seed: int) -> bytes:
    """Packets lost in reception, and a begin inside a group of pictures for odd seeds."""
    rng = random.Random(seed)
    packets = [data[i : i + PACKET] for i in range(0, len(data), PACKET)]
    if seed % 2:
        packets = packets[rng.randrange(10, len(packets) // 4) :]
    for _ in range(rng.choice([1, 2])):
        at = rng.randrange(len(packets))
        del packets[at : at + rng.choice([1, 1, 3])]
    return b"".join(packets)


@pytest.mark.parametrize("seed", range(5))
def test_decoding_around_doubts_equals_decoding_all(recording: bytes, seed: int) -> None:
    source = Source.of(lose(recording, seed))
    scan = scan_stream(source)
    segments = numbering._from_headers(source, scan)
    assert segments is not None, "most of the file is in doubt"
    whole = numbering._from_decoding(source, scan)
    np.testing.assert_array_equal(segments.packet, whole.packet)
    np.testing.assert_array_equal(segments.entry, whole.entry)
    np.testing.assert_array_equal(segments.corrupt, whole.corrupt)


def test_a_whole_recording_is_numbered_without_decoding(
    recording: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source.of(recording)
    scan = scan_stream(source)
    whole = numbering._from_decoding(source, scan)
    monkeypatch.setattr(numbering, "decode_segments", lambda *_: pytest.fail("something was decoded"))
    pictures = numbering.index_pictures(source, scan)
    assert not pictures.decoded
    np.testing.assert_array_equal(pictures.packet, whole.packet)
    np.testing.assert_array_equal(pictures.entry, whole.entry)
