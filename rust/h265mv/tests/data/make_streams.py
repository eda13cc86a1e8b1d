"""Encode the small test streams of this folder: make_streams.py [NAME...] (needs PyAV with libx265, NumPy).

Textured squares move over a dark background: the streams contain all kinds of partitions, several references
and merge candidates. `cargo test -- --ignored write_digests` writes the digests of their motion; the stored
ones are of a parser that matched a full decoder on its reference streams.
"""

import sys
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, FRAMES = 128, 96, 10
BASE = "log-level=none:pools=none:frame-threads=1:no-info=1:min-keyint=1:scenecut=0:repeat-headers=1"
# Pixel format and x265 parameters.
STREAMS = {
    "b_pyramid": ("yuv420p", "keyint=8:bframes=4:b-pyramid=1:b-adapt=0:ref=4:open-gop=0"),
    "open_gop": ("yuv420p", "keyint=5:bframes=3:b-adapt=0:ref=3:open-gop=1"),
    "weighted": ("yuv420p", "keyint=10:bframes=2:b-adapt=0:weightp=1:weightb=1"),
    "rect_amp": ("yuv420p", "keyint=10:rect=1:amp=1:limit-modes=0:rd=4:bframes=2:b-adapt=0"),
    "transform_skip": ("yuv420p", "keyint=10:tskip=1:tu-intra-depth=3:tu-inter-depth=3:bframes=2:b-adapt=0"),
    "lossless": ("yuv420p", "keyint=4:lossless=1:bframes=1:b-adapt=0"),
    "cu_lossless": ("yuv420p", "keyint=4:cu-lossless=1:rd=4:qp=30:bframes=1:b-adapt=0"),
    "high422_10": ("yuv422p10le", "keyint=10:bframes=2:b-adapt=0"),
    "high444": ("yuv444p", "keyint=10:bframes=2:b-adapt=0"),
    "gray": ("gray", "keyint=10:bframes=2:b-adapt=0"),
    "main10": ("yuv420p10le", "keyint=10:bframes=2:b-adapt=0"),
    "main12": ("yuv420p12le", "keyint=10:bframes=2:b-adapt=0"),
    "slices": ("yuv420p", "keyint=10:slices=2:pools=2:ctu=16:max-tu-size=16:bframes=2:b-adapt=0"),
    "no_wavefront": ("yuv420p", "keyint=10:wpp=0:ctu=32:bframes=2:b-adapt=0"),
    "wavefront": ("yuv420p", "keyint=10:wpp=1:ctu=16:max-tu-size=16:bframes=2:b-adapt=0"),
    "constrained_intra": ("yuv420p", "keyint=10:constrained-intra=1:intra-refresh=1:bframes=0"),
    "scaling_list": ("yuv420p", "keyint=10:scaling-list=default:bframes=2:b-adapt=0"),
    "quantiser_groups": ("yuv420p", "keyint=10:crf=32:aq-mode=2:qg-size=8:bframes=1:cbqpoffs=2"),
    "large_blocks": ("yuv420p", "keyint=10:ctu=64:min-cu-size=32:max-merge=1:bframes=2:b-adapt=0"),
    "no_temporal": ("yuv420p", "keyint=10:no-temporal-mvp=1:no-signhide=1:sao=0:bframes=3:b-adapt=0"),
}
SIZES = {"lossless": (64, 48), "cu_lossless": (64, 48), "slices": (128, 320)}


def picture(index: int, width: int, height: int) -> np.ndarray:
    image = np.full((height, width, 3), 40, np.uint8)
    image += np.random.default_rng(7).integers(0, 12, image.shape).astype(np.uint8)
    texture = np.random.default_rng(1).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    for k in range(3):
        y, x = (5 + 19 * k + index * (k + 1)) % (height - 24), (3 + 33 * k + index * (4 - k)) % (width - 24)
        image[y : y + 24, x : x + 24] = np.roll(texture, 3 * k, axis=k % 2)
    return image


def encode(name: str, pix_fmt: str, parameters: str, folder: Path) -> None:
    path = folder / f"{name}.hevc"
    width, height = SIZES.get(name, (WIDTH, HEIGHT))
    quality = "" if "crf=" in parameters else ":qp=34"
    with av.open(str(path), "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.options = {"preset": "medium", "x265-params": f"{BASE}{quality}:{parameters}"}
        for index in range(4 if "lossless" in name else FRAMES):
            frame = av.VideoFrame.from_ndarray(picture(index, width, height), format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    print(name, path.stat().st_size)


if __name__ == "__main__":
    for name in sys.argv[1:] or STREAMS:
        encode(name, *STREAMS[name], Path(__file__).parent)
