"""Re-encoding: which containers hold which codec, and limits of the encoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from mv_tools import ArgumentError, MotionDecoder, transcode
from mv_tools.recipe import _CONTAINERS, Recipe

from support.clips import H264, encode, panning

pytest.importorskip("ffmpeg")
CODECS = ("h264", "hevc", "mpeg4")
PAIRS = [(ending, codec) for ending in _CONTAINERS for codec in CODECS]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("transcode") / "small.mp4", panning(9, 64, 48), **H264)


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "codec"), [pair for pair in PAIRS if pair[1] in _CONTAINERS[pair[0]]])
def test_containers_hold_their_codecs(small: Path, tmp_path: Path, ending: str, codec: str) -> None:
    copy = transcode(small, tmp_path / f"copy{ending}", codec, gop=6, threads=1)
    assert len(MotionDecoder(copy)) == 9


@pytest.mark.parametrize(
    ("name", "codec", "says"),
    [
        *((f"x{e}", c, f"{e} files hold no {c}") for e, c in PAIRS if c not in _CONTAINERS[e]),
        *((f"x{e}", "h264", "names no container") for e in (".webm", ".png", ".GIF", ".yuv", ".xyz")),
        ("x", "h264", "needs an ending such as .mp4"),
    ],
)
def test_files_that_hold_no_such_video_are_refused(
    small: Path, tmp_path: Path, name: str, codec: str, says: str
) -> None:
    """The target is named, not the video."""
    with pytest.raises(ArgumentError, match=says) as caught:
        transcode(small, tmp_path / name, codec)
    assert str(small) not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_long_side_that_is_too_large_is_refused(tmp_path: Path) -> None:
    wide = encode(tmp_path / "wide.mp4", panning(2, 96, 32), **H264)
    with pytest.raises(
        ArgumentError, match=r"pictures of 49152x16384 pixels are too large; choose a smaller"
    ):
        transcode(wide, tmp_path / "copy.mp4", side=16_384)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["ultrafast", "superfast", "veryfast", "faster", "medium"])
@pytest.mark.parametrize(("bframes", "refs"), [(0, 10), (2, 8), (16, 1)])
def test_x265_takes_what_recipes_allow(
    small: Path, tmp_path: Path, preset: str, bframes: int, refs: int
) -> None:
    options = {"bframes": bframes, "refs": refs, "preset": preset, "gop": 18, "threads": 1}
    copy = transcode(small, tmp_path / "copy.mp4", "hevc", **options)  # type: ignore[arg-type]
    assert len(MotionDecoder(copy)) == 9


@pytest.mark.parametrize("values", [{"refs": 2}, {"preset": "fast"}])
def test_settings_of_other_encoders_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match="is for h264 and hevc"):
        Recipe(codec="mpeg4", **values)  # type: ignore[arg-type]
