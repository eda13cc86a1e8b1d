"""Pictures whose size changes within a file: the motion of each is scaled by its own size, and a note says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moclip_lite.motion.read import FieldReader, read_motion_clip
from moclip_lite.motion.settings import FieldKind, MotionSpec
from mv_tools import MotionDecoder, probe

from support.clips import encode, panning

FRAMES = 24


def stream(path: Path, width: int, height: int) -> Path:
    """A texture that moves by a sixteenth of the picture's width."""
    return encode(path, panning(FRAMES, width, height, (width // 16, 0)), bf="0")


@pytest.mark.parametrize("field", ["raw", "compensated", "accumulated"])
@pytest.mark.parametrize("size", [(192, 128), (128, 192), (320, 240)])
def test_motion_is_that_of_the_same_pictures_alone(
    size: tuple[int, int], field: FieldKind, tmp_path: Path
) -> None:
    spec = MotionSpec(field=field, segments=4, frames=3, grid=(6, 8))
    first = stream(tmp_path / "first.h264", 96, 64)
    alone = stream(tmp_path / "alone.h264", *size)
    joined = tmp_path / "joined.h264"
    joined.write_bytes(first.read_bytes() + alone.read_bytes())
    expected, found = (
        fields(path, spec, first_frame) for path, first_frame in ((alone, 0), (joined, FRAMES))
    )
    assert len(expected) == FRAMES
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert any("change their size" in note for note in read_motion_clip(joined, spec).notes)
    assert not any("size" in note for note in read_motion_clip(alone, spec).notes)
    (note,) = [note for note in probe(joined).notes if "size" in note]
    assert note.startswith(f"the picture size changes at picture {FRAMES} (decoding order), to ")
    assert not [note for note in probe(alone).notes if "size" in note]


def fields(path: Path, spec: MotionSpec, first: int) -> np.ndarray:  # type: ignore[type-arg]
    """Fields of the pictures from one on."""
    decoder = MotionDecoder(path)
    reader = FieldReader(spec, decoder.metadata)
    return np.stack([field for frame in decoder for field in [reader.read(frame)] if frame.index >= first])
