"""Drawings of motion fields: colour coded, as arrows over the picture, as PNG and MP4."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

import av
import numpy as np
import numpy.typing as npt

from .atomic import atomic_write
from .decoder import MotionDecoder
from .display import Region
from .errors import ArgumentError, UnsupportedStream
from .motion import flow
from .raster import pool, to_dense
from .rgb import RgbDecoder, iter_rgb_at, read_rgb_at
from .source import SourceLike

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["STYLES", "Style", "colour_wheel", "flow_to_rgb", "render", "save_mp4", "save_png"]

Style: TypeAlias = Literal["arrows", "colour", "both"]
STYLES: Final[tuple[str, ...]] = get_args(Style)
_ARROW_CELL: Final = 24
_CLOCK: Final = 90_000  # ticks per second of a film's time stamps
_MIN_WIDTH: Final = 720  # smaller pictures are enlarged to about this width
_MIN_LENGTH: Final = 0.25  # pixels per frame: shorter arrows are dots that only hide the picture
_DEFAULT_RATE: Final = 25.0  # frames per second if unknown


def flow_to_rgb(field: npt.NDArray[np.float32], max_length: float | None = None) -> npt.NDArray[np.uint8]:
    """Colour code a field: hue is the direction, saturation the length, white no motion.

    Args:
        field: float32 [H, W, 2].
        max_length: the length shown in full colour; by default the 99th percentile.

    Returns:
        uint8 [H, W, 3].
    """
    from PIL import Image

    length = np.linalg.norm(field, axis=-1)
    top = max_length if max_length is not None else max(float(np.percentile(length, 99)), 1.0)
    hue = (np.arctan2(field[..., 1], field[..., 0]) / (2 * np.pi)) % 1.0
    saturation = np.clip(length / top, 0, 1)
    hsv = np.stack([hue, saturation, np.ones_like(hue)], axis=-1)
    image = Image.fromarray((hsv * 255).astype(np.uint8), "HSV")
    return np.asarray(image.convert("RGB"))


def colour_wheel(size: int) -> npt.NDArray[np.uint8]:
    """Legend of :func:`flow_to_rgb`: uint8 [size, size, 4], transparent outside the wheel."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
    x, y = np.meshgrid(axis, axis)
    rgb = flow_to_rgb(np.stack([x, y], axis=-1), max_length=1.0)
    alpha = np.where(x**2 + y**2 <= 1, 255, 0).astype(np.uint8)
    return np.concatenate([rgb, alpha[..., None]], axis=-1)


def render(
    picture: npt.NDArray[np.uint8],
    field: npt.NDArray[np.float32],
    style: Style = "both",
    max_length: float | None = None,
    region: Region | None = None,
) -> npt.NDArray[np.uint8]:
    """Draw a block field over a picture, with the colour wheel as a legend.

    Args:
        picture: uint8 [H, W, 3].
        field: float32 [2, H4, W4], pixels per frame.
        style: "arrows", "colour" or "both".
        max_length: pixels per frame shown in full colour; by default the 99th percentile.
        region: the part of the field's grid that the picture shows (see :func:`mv_tools.to_dense`).

    Returns:
        uint8 [k H, k W, 3]: small pictures are enlarged k times so that arrows can be distinguished.
        Arrows are drawn at three times their length.

    Raises:
        ArgumentError: an unknown style.
    """
    from PIL import Image

    if style not in STYLES:
        raise ArgumentError(f"style must be one of {STYLES}, got {style!r}")
    height, width = picture.shape[:2]
    dense = to_dense(field, width, height, region)
    length = np.linalg.norm(dense, axis=-1)
    top = max_length if max_length is not None else max(float(np.percentile(length, 99)), 1.0)
    canvas = picture.astype(np.float32)
    if style in ("colour", "both"):
        colour = flow_to_rgb(dense, top).astype(np.float32)
        weight = (0.15 + 0.55 * np.clip(length / top, 0, 1))[..., None]
        canvas = canvas * (1 - weight) + colour * weight
    scale = enlargement(width)
    image = Image.fromarray(canvas.astype(np.uint8)).resize(
        (scale * width, scale * height), Image.Resampling.BICUBIC
    )
    if style in ("arrows", "both"):
        _draw_arrows(image, dense, scale)
    _draw_legend(image, top)
    return np.asarray(image)


def enlargement(width: int) -> int:
    """How many times a picture of this width is enlarged for drawing."""
    return max(1, round(_MIN_WIDTH / width))


def _draw_arrows(image: Image.Image, dense: npt.NDArray[np.float32], scale: int) -> None:
    """Draw the mean motion of each cell, three times its length."""
    from PIL import ImageDraw

    height, width = dense.shape[:2]
    cell = max(8, _ARROW_CELL // scale)
    rows, columns = max(1, height // cell), max(1, width // cell)
    mean = np.nan_to_num(pool(np.moveaxis(dense, -1, 0), (rows, columns)), posinf=0.0, neginf=0.0)
    draw = ImageDraw.Draw(image)
    for row, column in zip(*np.nonzero(np.linalg.norm(mean, axis=0) >= _MIN_LENGTH), strict=True):
        dx, dy = (3 * scale * mean[:, row, column]).tolist()
        x, y = (column + 0.5) * image.width / columns, (row + 0.5) * image.height / rows
        draw.line([(x + 1, y + 1), (x + dx + 1, y + dy + 1)], fill=(0, 0, 0), width=1)
        draw.line([(x, y), (x + dx, y + dy)], fill=(255, 255, 255), width=1)
        angle, size = np.arctan2(dy, dx), min(7.0, 3.0 + 0.15 * float(np.hypot(dx, dy)))
        wings = [
            (x + dx - size * np.cos(angle + side), y + dy - size * np.sin(angle + side))
            for side in (0.45, -0.45)
        ]
        draw.polygon([(x + dx, y + dy), *wings], fill=(255, 255, 255), outline=(0, 0, 0))


def _draw_legend(image: Image.Image, top: float) -> None:
    from PIL import Image, ImageDraw

    size = max(24, min(image.size) // 7)
    wheel = Image.fromarray(colour_wheel(size), "RGBA")
    left, upper = image.width - size - 6, 6
    image.paste(wheel, (left, upper), wheel)
    text = f"{top:.1f} px"
    draw = ImageDraw.Draw(image)
    x = image.width - 6 - draw.textlength(text)
    draw.text((x, upper + size + 2), text, fill=(255, 255, 255), stroke_width=2, stroke_fill=(0, 0, 0))


def save_png(
    source: SourceLike,
    dst: str | os.PathLike[str],
    index: int,
    *,
    style: Style = "both",
    backend: str = "auto",
) -> Path:
    """Draw the motion of one picture of a video.

    Raises:
        IndexError: there is no such picture.
        ArgumentError: `dst` is the video itself, or does not end in .png.
        MotionError: the file can't be read.
    """
    from PIL import Image

    decoder, target = MotionDecoder(source, backend=backend), Path(dst)
    decoder.source.refuse_overwriting(target)
    _require_ending(target, ".png")
    frame = decoder.get_frames_at([index])[0]
    picture = read_rgb_at(decoder, [frame.frame_index]).frames[0]
    field = flow(frame)
    image = Image.fromarray(render(picture, field, style, region=decoder.metadata.region(field.shape[1:])))
    with atomic_write(target) as draft:
        image.save(draft, format="PNG")
    return target


def _require_ending(target: Path, ending: str) -> None:
    if target.suffix.lower() != ending:
        raise ArgumentError(f"{target}: the file name must end in {ending}")


def save_mp4(
    source: SourceLike,
    dst: str | os.PathLike[str],
    indices: Sequence[int] | None = None,
    *,
    style: Style = "both",
    backend: str = "auto",
) -> Path:
    """Draw the motion of each picture of a video (or of chosen ones) as an H.264 film.

    Pictures keep their times. The film has one colour scale: the largest 99th percentile of its pictures.

    Raises:
        ArgumentError: `dst` is the video itself or does not end in .mp4, or no picture is chosen.
        UnsupportedStream: the size of the pictures changes.
        MotionError: the file can't be read.
    """
    decoder, target = MotionDecoder(source, backend=backend), Path(dst)
    decoder.source.refuse_overwriting(target)
    _require_ending(target, ".mp4")
    if indices is not None and not len(indices):
        raise ArgumentError("indices must name at least one picture")
    decoder.packets.require_whole(decoder.source.name)
    chosen = sorted(set(range(len(decoder)) if indices is None else indices))
    _, first = np.unique(decoder.frame_of[chosen], return_index=True)  # one of two fields is drawn
    chosen = [chosen[i] for i in first]
    max_length = 1.0
    for frame in decoder.iter_frames_at(chosen):
        max_length = max(max_length, float(np.percentile(np.linalg.norm(flow(frame), axis=0), 99)))
    with atomic_write(target) as draft:
        _write_film(draft, decoder, chosen, style, max_length)
    return target


def _write_film(
    path: Path, decoder: MotionDecoder, chosen: list[int], style: Style, max_length: float
) -> None:
    """Encode the drawings of the chosen pictures."""
    metadata, numbers = decoder.metadata, decoder.frame_of[chosen]
    edges = RgbDecoder(decoder).edges()
    start, tick = edges[numbers[0]], -1
    scale = enlargement(metadata.display_width)
    rate = Fraction(metadata.average_fps or _DEFAULT_RATE).limit_denominator(1001)
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        stream.width = metadata.display_width * scale // 2 * 2
        stream.height = metadata.display_height * scale // 2 * 2
        pictures, size = iter_rgb_at(decoder, numbers.tolist()), ()
        for frame, (number, picture) in zip(decoder.iter_frames_at(chosen), pictures, strict=True):
            field = flow(frame)
            drawing = render(picture, field, style, max_length, metadata.region(field.shape[1:]))
            size = size or drawing.shape
            if drawing.shape != size:
                raise UnsupportedStream(
                    f"{decoder.source.name}: the picture size changes within the video at picture {number}; "
                    "draw the parts one by one"
                )
            drawing = np.ascontiguousarray(drawing[: stream.height, : stream.width])
            encoded = av.VideoFrame.from_ndarray(drawing, format="rgb24")
            tick = max(tick + 1, round((edges[number] - start) * _CLOCK))
            encoded.pts, encoded.time_base = tick, Fraction(1, _CLOCK)
            container.mux(stream.encode(encoded))
        container.mux(stream.encode(None))
