"""Encode the small test streams of this folder: make_streams.py [NAME...] (needs PyAV with libx264, NumPy).

Textured squares move over noise: the streams contain all kinds of partitions, several references and direct
modes. `cargo test -- --ignored write_digests` writes the digests of their motion; the stored ones are of a
parser that matched a full decoder on its reference streams.
"""

import sys
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, FRAMES = 64, 48, 12
# Frame macroblocks beside field macroblocks of every kind are rare in small pictures (table 6-4).
LARGE = {
    "open_gop": (64, 48, 24),
    "high444_8x8": (128, 96, 8),
    "mbaff_tff": (128, 96, 20),
    "mbaff_bff": (128, 96, 20),
}
BASE = {"preset": "slow", "g": "8", "threads": "1", "qp": "30"}
STREAMS = {
    "cabac_spatial": (
        "yuv420p",
        {"x264-params": "bframes=3:b-pyramid=normal:direct=spatial:ref=4:partitions=all"},
    ),
    "cabac_temporal": ("yuv420p", {"x264-params": "bframes=3:direct=temporal:ref=3:weightp=2:slices=3"}),
    "cavlc_b": ("yuv420p", {"x264-params": "cabac=0:bframes=2:direct=temporal:ref=2:partitions=all"}),
    "open_gop": ("yuv420p", {"x264-params": "bframes=3:open-gop=1:keyint=6:b-pyramid=normal:ref=4"}),
    "baseline": ("yuv420p", {"profile": "baseline", "x264-params": "ref=3:partitions=all:8x8dct=0"}),
    "mbaff_cabac": ("yuv420p", {"x264-params": "tff=1:bframes=2:ref=3:partitions=all"}),
    "mbaff_cavlc": ("yuv420p", {"x264-params": "bff=1:cabac=0:bframes=2:direct=temporal:ref=3"}),
    "mbaff_422_10": ("yuv422p10le", {"x264-params": "tff=1:bframes=2:ref=2"}),
    "mbaff_tff": ("yuv420p", {"x264-params": "tff=1:bframes=3:direct=spatial:ref=4:weightp=2"}),
    "mbaff_bff": ("yuv420p", {"x264-params": "bff=1:bframes=3:direct=temporal:ref=4:b-pyramid=normal"}),
    "high422": ("yuv422p", {"x264-params": "cabac=0:bframes=2"}),
    "high444": ("yuv444p", {"x264-params": "bframes=2:ref=2"}),
    "high444_8x8": ("yuv444p", {"qp": "18", "x264-params": "bframes=2:ref=2"}),
    "high444_cavlc": ("yuv444p", {"x264-params": "cabac=0:bframes=2:ref=2"}),
    "hi10": ("yuv420p10le", {"x264-params": "bframes=2:ref=2"}),
    "gray": ("gray", {"x264-params": "bframes=2"}),
    "lossless": ("yuv420p", {"qp": "0", "x264-params": "qp=0:bframes=1:keyint=4"}),
    "pcm": ("yuv420p", {"x264-params": "qp=1:bframes=0:keyint=6:no-psy=1"}),
}


def picture(index: int, noise: bool, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(7 + (index if noise else 0))
    image = rng.integers(0, 256 if noise else 50, (height, width, 3)).astype(np.uint8)
    texture = np.random.default_rng(1).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    for k in range(3):
        y, x = (5 + 9 * k + index * (k + 1)) % (height - 20), (3 + 13 * k + index * (3 - k)) % (width - 20)
        image[y : y + 20, x : x + 20] = np.roll(texture, 3 * k, axis=k % 2)
    return image


def waves(index: int, width: int, height: int) -> np.ndarray:
    """Smooth content in motion: blocks with the 8x8 transform beside others."""
    y, x = np.mgrid[:height, :width].astype(float)
    x, y = x + 1.5 * index, y + 0.5 * index
    grain = np.random.default_rng(index).normal(0, 3, (height, width))
    gray = 127 + 60 * np.sin(x / 7) + 50 * np.sin(y / 5 + x / 11) + grain
    return np.repeat(gray[..., None], 3, -1).clip(0, 255).astype(np.uint8)


def encode(name: str, pix_fmt: str, options: dict[str, str], folder: Path) -> None:
    path = folder / f"{name}.264"
    width, height, frames = LARGE.get(name, (WIDTH, HEIGHT, FRAMES))
    with av.open(str(path), "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.options = {**BASE, **options}
        for index in range(4 if name in ("pcm", "lossless") else frames):
            smooth = name == "high444_8x8"
            image = waves(index, width, height) if smooth else picture(index, name == "pcm", width, height)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    print(name, path.stat().st_size)


if __name__ == "__main__":
    for name in sys.argv[1:] or STREAMS:
        encode(name, *STREAMS[name], Path(__file__).parent)
