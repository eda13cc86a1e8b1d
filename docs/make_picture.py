"""Make docs/images/motion.png from a generated clip: python docs/make_picture.py

A background that pans, a disc that rotates and a box that moves on its own. No video is needed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from mv_tools import visualize

_WIDTH, _HEIGHT, _FRAMES, _SHOWN = 360, 216, 16, 10


def _texture(seed: int, low: tuple[int, int, int], high: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    """Smooth noise between two colours that wraps around, [512, 512, 3]."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((512, 512)), 3, mode="wrap")
    mix = (noise - noise.min()) / np.ptp(noise)
    return np.asarray(low) + mix[..., None] * (np.asarray(high) - np.asarray(low))


def _draw(index: int, textures: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.uint8]:
    """One picture, [_HEIGHT, _WIDTH, 3]."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    angle, dx, dy = 0.06 * index, x - 110, y - 108
    turned = (np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx)
    box_x, box_y = x - 310 + 4 * index, y - 60 - 2 * index
    layers = [
        (x >= 0, x + 1.5 * index, y),
        ((abs(box_x) < 44) & (abs(box_y) < 30), box_x, box_y),
        (dx**2 + dy**2 < 74**2, *turned),
    ]
    picture = np.zeros((_HEIGHT, _WIDTH, 3))
    for texture, (mask, u, v) in zip(textures, layers, strict=True):
        for channel in range(3):
            drawn = ndimage.map_coordinates(texture[..., channel], [v, u], order=1, mode="grid-wrap")
            picture[mask, channel] = drawn[mask]
    return picture.astype(np.uint8)


def main() -> None:
    textures = [
        _texture(0, (70, 75, 80), (190, 190, 185)),
        _texture(1, (120, 60, 40), (240, 200, 150)),
        _texture(2, (60, 60, 60), (240, 240, 230)),
    ]
    target = Path(__file__).parent / "images" / "motion.png"
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        with av.open(str(clip), mode="w") as container:
            stream = container.add_stream("libx264", rate=25, options={"bf": "0", "refs": "1"})
            stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
            for index in range(_FRAMES):
                frame = av.VideoFrame.from_ndarray(_draw(index, textures), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        drawn = Image.open(visualize.save_png(clip, Path(folder) / "motion.png", _SHOWN))
        drawn.quantize(224, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main()
