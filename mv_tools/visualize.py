"""Pictures of motion: colour coded, as arrows over the frame, as PNG and MP4."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import av
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .atomic import atomic_write
from .decoder import MotionDecoder
from .display import Region
from .errors import ArgumentError
from .motion import flow
from .raster import pool, to_dense
from .rgb import RgbDecoder, iter_rgb_at, read_rgb_at
from .source import SourceLike

__all__ = ["STYLES", "Style", "colour_wheel", "flow_to_rgb", "render", "save_mp4", "save_png"]

Style: TypeAlias = Literal["arrows", "colour", "both"]
STYLES: Final[tuple[str, ...]] = get_args(Style)
_ARROW_CELL: Final = 24
_CLOCK: Final = 90_000  # ticks a second of a film's own times
_SHOWN_WIDTH: Final = 720
_MIN_SHOWN: Final = 0.25  # pixels per frame: shorter arrows are dots that only hide the picture


def flow_to_rgb(field: npt.NDArray[np.float32], max_length: float | None = None) -> npt.NDArray[np.uint8]:
    """Colour code a field: hue is the direction, saturation the length, white is still.

    Args:
        field: float32 [H, W, 2].
        max_length: the length shown in full colour; by default the 99th percentile.

    Returns:
        uint8 [H, W, 3].
    """
    length = np.linalg.norm(field, axis=-1)
    top = max_length if max_length is not None else max(float(np.percentile(length, 99)), 1.0)
    hue = (np.arctan2(field[..., 1], field[..., 0]) / (2 * np.pi)) % 1.0
    saturation = np.clip(length / top, 0, 1)
    hsv = np.stack([hue, saturation, np.ones_like(hue)], axis=-1)
    image = Image.fromarray((hsv * 255).astype(np.uint8), "HSV")
    return np.asarray(image.convert("RGB"))


def colour_wheel(size: int) -> npt.NDArray[np.uint8]:
    """The key to :func:`flow_to_rgb`: uint8 [size, size, 4], transparent outside the wheel."""
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
    """Draw a block field over a picture, with the colour wheel as a key.

    Args:
        picture: uint8 [H, W, 3].
        field: float32 [2, H4, W4], pixels per frame.
        style: "arrows", "colour" or "both".
        max_length: pixels per frame shown in full colour; by default the 99th percentile.
        region: the part of the field's grid that the picture shows (see :func:`mv_tools.to_dense`).

    Returns:
        uint8 [k H, k W, 3]: small pictures are enlarged k times so that arrows can be told apart.
        Arrows are drawn at three times their length.

    Raises:
        ArgumentError: an unknown style.
    """
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
    _draw_key(image, top)
    return np.asarray(image)


def enlargement(width: int) -> int:
    """How many times a picture of this width is enlarged for drawing."""
    return max(1, round(_SHOWN_WIDTH / width))


def _draw_arrows(image: Image.Image, dense: npt.NDArray[np.float32], scale: int) -> None:
    height, width = dense.shape[:2]
    cell = max(8, _ARROW_CELL // scale)
    rows, columns = max(1, height // cell), max(1, width // cell)
    mean = pool(np.moveaxis(dense, -1, 0), (rows, columns))
    draw = ImageDraw.Draw(image)
    for row, column in zip(*np.nonzero(np.linalg.norm(mean, axis=0) >= _MIN_SHOWN), strict=True):
        dx, dy = (3 * scale * mean[:, row, column]).tolist()
        x, y = (column + 0.5) * image.width / columns, (row + 0.5) * image.height / rows
        draw.line([(x + 1, y + 1), (x + dx + 1, y + dy + 1)], fill=(0, 0, 0), width=1)
        draw.line([(x, y), (x + dx, y + dy)], fill=(255, 255, 255), width=1)
        angle, head = np.arctan2(dy, dx), min(7.0, 3.0 + 0.15 * float(np.hypot(dx, dy)))
        wings = [
            (x + dx - head * np.cos(angle + s), y + dy - head * np.sin(angle + s)) for s in (0.45, -0.45)
        ]
        draw.polygon([(x + dx, y + dy), *wings], fill=(255, 255, 255), outline=(0, 0, 0))


def _draw_key(image: Image.Image, top: float) -> None:
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
        MotionError: the file can't be read.
    """
    decoder = MotionDecoder(source, backend=backend)
    frame = decoder.get_frames_at([index])[0]
    picture = read_rgb_at(decoder, [frame.frame_index]).frames[0]
    field = flow(frame)
    image = Image.fromarray(render(picture, field, style, region=decoder.metadata.region(field.shape[1:])))
    target = Path(dst)
    with atomic_write(target) as draft:
        image.save(draft, format="PNG")
    return target


def save_mp4(
    source: SourceLike,
    dst: str | os.PathLike[str],
    indices: Sequence[int] | None = None,
    *,
    style: Style = "both",
    backend: str = "auto",
) -> Path:
    """Draw the motion of each picture of a video (or of chosen ones) as an H.264 film.

    Pictures keep their own times. One scale of colours for the whole film: the largest 99th percentile
    of its pictures.

    Raises:
        MotionError: the file can't be read.
    """
    decoder = MotionDecoder(source, backend=backend)
    decoder.packets.require_whole(decoder.source.name)
    chosen = sorted(set(range(len(decoder)) if indices is None else indices))
    _, first = np.unique(decoder.frame_of[chosen], return_index=True)  # of two fields one is drawn
    chosen = [chosen[i] for i in first]
    top = 1.0
    for frame in decoder.iter_frames_at(chosen):
        top = max(top, float(np.percentile(np.linalg.norm(flow(frame), axis=0), 99)))
    target = Path(dst)
    rate = Fraction(decoder.metadata.average_fps or 25.0).limit_denominator(1001)
    edges = RgbDecoder(decoder).edges()
    tick, start = -1, edges[decoder.frame_of[chosen[0]]]
    with atomic_write(target) as draft, av.open(str(draft), mode="w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        scale = enlargement(decoder.metadata.display_width)
        stream.width = decoder.metadata.display_width * scale // 2 * 2
        stream.height = decoder.metadata.display_height * scale // 2 * 2
        pictures = iter_rgb_at(decoder, decoder.frame_of[chosen].tolist())
        for frame, (number, picture) in zip(decoder.iter_frames_at(chosen), pictures, strict=True):
            field = flow(frame)
            drawn = render(picture, field, style, top, decoder.metadata.region(field.shape[1:]))
            drawn = np.ascontiguousarray(drawn[: stream.height, : stream.width])
            shown = av.VideoFrame.from_ndarray(drawn, format="rgb24")
            tick = max(tick + 1, round((edges[number] - start) * _CLOCK))
            shown.pts, shown.time_base = tick, Fraction(1, _CLOCK)
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return target
