"""Clips that the tests make, and the place of the shared real videos."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from pathlib import Path

import av
import av.bitstream
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings

settings.register_profile("moclip", deadline=None)  # machines differ in speed
settings.load_profile("moclip")

Pictures = npt.NDArray[np.uint8]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's cache."""
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path_factory.mktemp("cache")))


def panning(frames: int = 24, width: int = 96, height: int = 64, step: tuple[int, int] = (3, 0)) -> Pictures:
    """A random texture whose content moves by `step` pixels (x, y) per frame."""
    rng = np.random.default_rng(7)
    dx, dy = step
    canvas = rng.integers(0, 255, (height + abs(dy) * frames, width + abs(dx) * frames, 3), dtype=np.uint8)
    canvas = np.kron(canvas[::4, ::4], np.ones((4, 4, 1), np.uint8))
    out = []
    for i in range(frames):
        x = (frames - 1 - i) * dx if dx > 0 else -i * dx
        y = (frames - 1 - i) * dy if dy > 0 else -i * dy
        out.append(canvas[y : y + height, x : x + width])
    return np.stack(out)


def encode(path: Path, pictures: Pictures, codec: str = "libx264", rate: int = 25, **options: str) -> Path:
    """Write pictures with one encoder thread."""
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream(codec, rate=rate, options={"threads": "1", **options})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def annex_b(path: Path) -> Path:
    """The same H.264 stream without a container (x264 does not always encode twice the same)."""
    raw = path.with_suffix(".h264")
    with av.open(str(path)) as source, raw.open("wb") as out:
        stream = source.streams.video[0]
        unwrap = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)
        for packet in source.demux(stream):
            for unwrapped in unwrap.filter(packet if packet.size else None):
                out.write(bytes(unwrapped))
    return raw


H264 = {"g": "12", "bf": "0", "refs": "1", "sc_threshold": "0", "crf": "20"}
WITH_B = {"g": "12", "bf": "2", "refs": "2", "sc_threshold": "0", "crf": "20"}


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264, no B pictures, content moving right by 3 pixels per frame."""
    return encode(tmp_path_factory.mktemp("clips") / "pan.mp4", panning(), **H264)


@pytest.fixture(scope="session")
def clip_b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two B pictures."""
    return encode(tmp_path_factory.mktemp("clips") / "pan_b.mp4", panning(), **WITH_B)


@pytest.fixture(scope="session")
def clip_mpeg4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as MPEG-4 Part 2 in .avi."""
    return encode(tmp_path_factory.mktemp("clips") / "pan.avi", panning(), "mpeg4", g="12")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real videos; tests that need them are skipped where there are none."""
    folder = Path(os.environ.get("MOCLIP_SHARED", Path(__file__).parents[1].parent / "shared"))
    if not (folder / "videos").is_dir():
        pytest.skip(f"no real videos at {folder}; set MOCLIP_SHARED")
    return folder


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Encode a panning clip under tmp_path."""

    def make(
        name: str = "clip.mp4", frames: int = 24, step: tuple[int, int] = (3, 0), **options: str
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return encode(path, panning(frames, step=step), **{**H264, **options})

    return make


@pytest.fixture
def hide_package(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Importing the named package fails, as if it were not installed."""

    def hide(package: str) -> None:
        real = builtins.__import__

        def without(name: str, *rest: object, **more: object) -> object:
            if name == package:
                raise ImportError(name)
            return real(name, *rest, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(builtins, "__import__", without)

    return hide
