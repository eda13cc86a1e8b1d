"""Pictures of generated clips: periodic textures, seen by a moving camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...storage.files import atomic_path

__all__ = ["encode_clip", "render_clip"]

Image = npt.NDArray[np.float32]
_SIDE: Final = 256  # of a texture, which is periodic


def _noise(rng: np.random.Generator, cells: int) -> Image:
    """Smooth periodic noise in 0..1, [_SIDE, _SIDE], of `cells` x `cells` random values."""
    grid = rng.random((cells, cells)).astype(np.float32)
    field = ndimage.zoom(grid, _SIDE / cells, order=2, mode="grid-wrap", grid_mode=True)
    return np.asarray(np.clip(field, 0, 1), np.float32)


def _colours(low: Sequence[float], high: Sequence[float], mix: Image) -> Image:
    """Mix two RGB colours by a map in 0..1."""
    mix = mix[..., None]
    return np.asarray(np.array(low, np.float32) * (1 - mix) + np.array(high, np.float32) * mix, np.float32)


def _bricks(rng: np.random.Generator) -> Image:
    y, x = np.mgrid[0:_SIDE, 0:_SIDE]
    row = y // 16
    joint = (y % 16 < 2) | ((x + 16 * (row % 2)) % 32 < 2)
    shade = rng.random((17, 17))[row, ((x + 16 * (row % 2)) // 32) % 16]  # of each brick
    mix = (0.7 * shade + 0.3 * _noise(rng, 32)).astype(np.float32)
    wall = _colours((0.45, 0.15, 0.1), (0.8, 0.35, 0.25), mix)
    wall[joint] = (0.75, 0.72, 0.68)
    return wall


def _foliage(rng: np.random.Generator) -> Image:
    leaves = np.abs(_noise(rng, 16) - _noise(rng, 32)) * 1.6
    return _colours((0.02, 0.18, 0.03), (0.45, 0.8, 0.2), np.clip(leaves, 0, 1))


def _pebbles(rng: np.random.Generator) -> Image:
    stones = rng.integers(0, _SIDE, (220, 2))
    mark = np.full((_SIDE, _SIDE), True)
    mark[stones[:, 0], stones[:, 1]] = False
    tiled = np.tile(mark, (3, 3))
    distance = ndimage.distance_transform_edt(tiled)[_SIDE : 2 * _SIDE, _SIDE : 2 * _SIDE]
    shade = np.clip(1 - distance / 14, 0, 1).astype(np.float32)
    return _colours((0.2, 0.19, 0.18), (0.95, 0.92, 0.85), shade * (0.6 + 0.4 * _noise(rng, 16)))


def _water(rng: np.random.Generator) -> Image:
    waves = 0.5 + 0.5 * np.sin(12 * _noise(rng, 8) + 6 * _noise(rng, 16))
    return _colours((0.0, 0.12, 0.4), (0.55, 0.85, 1.0), waves.astype(np.float32))


_PAINTERS: Final[dict[str, Callable[[np.random.Generator], Image]]] = {
    "bricks": _bricks,
    "foliage": _foliage,
    "pebbles": _pebbles,
    "water": _water,
}


@dataclass
class _Camera:
    """Centre, angle and magnification of the view on a texture."""

    x: float
    y: float
    angle: float
    zoom: float


def _move(camera: _Camera, motion: str, speed: float, rng: np.random.Generator) -> None:
    """Move the camera by one frame; `speed` is in pixels per frame at the picture's edge."""
    if motion in ("pan_left", "pan_right"):  # direction of the content
        sign = 1 if motion == "pan_left" else -1
        camera.x += sign * speed / camera.zoom * np.cos(camera.angle)
        camera.y += sign * speed / camera.zoom * np.sin(camera.angle)
    elif motion == "rotate":
        camera.angle += speed / 50
    elif motion == "zoom_in":
        camera.zoom *= 1 + speed / 80
    elif motion == "shake":
        step = rng.normal(0, speed, 2) / camera.zoom
        camera.x, camera.y = camera.x + float(step[0]), camera.y + float(step[1])


def _view(texture: Image, camera: _Camera, width: int, height: int) -> Image:
    """The picture that the camera sees, [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (x - width / 2) / camera.zoom, (y - height / 2) / camera.zoom
    cos, sin = np.cos(camera.angle), np.sin(camera.angle)
    positions = np.stack([camera.y + sin * x + cos * y, camera.x + cos * x - sin * y])
    channels = [
        ndimage.map_coordinates(texture[..., c], positions, order=1, mode="grid-wrap") for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def render_clip(
    texture: str, motion: str, frames: int, seed: Sequence[int], size: tuple[int, int] | None = None
) -> tuple[npt.NDArray[np.uint8], dict[str, str]]:
    """Draw one clip.

    Speed, size, start, magnification, light, noise, GOP, B pictures and quality vary with the seed; a motion
    of "still" has none.

    Args:
        texture, motion: what is seen.
        frames: length.
        seed: of all random choices.
        size: (width, height) in place of a random one.

    Returns:
        uint8 [frames, H, W, 3] and the x264 options to encode it with.
    """
    rng = np.random.default_rng(list(seed))
    drawn_size = ((128, 96), (144, 112), (160, 120))[rng.integers(3)]
    width, height = size or drawn_size
    pattern = _PAINTERS[texture](rng)
    # Pans go left or right on the screen, whatever the texture's tilt.
    x, y = rng.uniform(0, _SIDE, 2).tolist()
    camera = _Camera(x, y, angle=rng.uniform(-0.4, 0.4), zoom=rng.uniform(0.7, 1.1))
    speed, grain = rng.uniform(1.5, 4.0), rng.uniform(0.0, 0.02)
    light, contrast = rng.uniform(-0.08, 0.08), rng.uniform(0.8, 1.1)
    pictures = np.empty((frames, height, width, 3), np.uint8)
    for index in range(frames):
        view = _view(pattern, camera, width, height)
        lit = (view - 0.5) * contrast + 0.5 + light + rng.normal(0, grain, view.shape)
        pictures[index] = np.clip(255 * lit, 0, 255).astype(np.uint8)
        _move(camera, motion, speed, rng)
    drawn = {"crf": rng.integers(18, 27), "g": rng.integers(8, 25), "bf": rng.integers(0, 3)}
    fixed = {"refs": "1", "preset": "fast", "sc_threshold": "0", "threads": "1"}
    # x264's macroblock tree reads memory that it never wrote: in a process that encoded before, a clip of the
    # same seed is another one now and then.
    fixed["x264-params"] = "mbtree=0"
    return pictures, {name: str(value) for name, value in drawn.items()} | fixed


def encode_clip(path: Path, pictures: npt.NDArray[np.uint8], options: dict[str, str]) -> None:
    """Write pictures, uint8 [N, H, W, 3], as H.264 at 25 frames per second."""
    with atomic_path(path) as draft, av.open(str(draft), mode="w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
