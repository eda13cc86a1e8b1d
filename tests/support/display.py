"""Videos with a display matrix or non-square pixels, and their pictures as ffmpeg displays them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from mv_tools import Orientation

ORIENTATIONS = [Orientation(rotation, mirror) for rotation in (0, 90, 180, 270) for mirror in (False, True)]


def ffmpeg(*arguments: object) -> bytes:
    """Run the bundled ffmpeg; returns its standard output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def turned(src: Path, dst: Path, orientation: Orientation, *options: object) -> Path:
    """Copy a stream into a container that asks for an orientation.

    ffmpeg mirrors after rotating, and counts degrees anticlockwise; mirrored first and turned
    clockwise by r is the same as turned anticlockwise by r and then mirrored.
    """
    angle = orientation.rotation if orientation.mirror else -orientation.rotation % 360
    flip = ["-display_hflip"] if orientation.mirror else []
    ffmpeg("-display_rotation", angle, *flip, "-i", src, "-c", "copy", *options, dst)
    return dst


def shown_by_ffmpeg(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """All pictures as ffmpeg displays them: upright, in square pixels; `size` is (width, height)."""
    filters = "scale=w=round(iw*sar):h=ih:flags=bicubic,setsar=1"
    data = ffmpeg(
        "-i", path, "-vf", filters, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"
    )
    return np.frombuffer(data, np.uint8).reshape(-1, size[1], size[0], 3)
