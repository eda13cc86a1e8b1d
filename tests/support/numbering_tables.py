"""Files whose tables contradict their pictures: edits, keyframes, chunks, times of packets."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import av

from support.numbering_matrix import ClipMaker
from support.numbering_variants import Variant, write_matroska

__all__ = ["TABLES"]

Boxes = list[list[Any]]
_NESTED: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")


def _parse(data: bytes) -> Boxes:
    """Boxes of an MP4 file, [type, bytes or boxes] each."""
    boxes: Boxes = []
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + size]
        boxes.append([kind, _parse(body) if kind in _NESTED else body])
        position += size
    return boxes


def _bytes(boxes: Boxes) -> bytes:
    out = b""
    for kind, content in boxes:
        body = _bytes(content) if isinstance(content, list) else content
        out += struct.pack(">I4s", len(body) + 8, kind) + body
    return out


def _box(boxes: Boxes, *path: bytes) -> list[Any]:
    for kind in path:
        match = next(box for box in boxes if box[0] == kind)
        boxes = match[1]
    return match


def _rewritten(maker: ClipMaker, path: Path, coding: str, *, change: Callable[[Boxes], None]) -> None:
    """Rewrite the tables of an MP4 file; they follow the pictures, whose offsets stay."""
    boxes = _parse(maker.in_container("mp4", coding).read_bytes())
    change(boxes)
    path.write_bytes(_bytes(boxes))


def _edits(boxes: Boxes, *, entries: Sequence[tuple[float, float]]) -> None:
    """Replace the edit list by (seconds, media time in seconds behind the first picture; -1 for a gap)."""
    movie = struct.unpack_from(">I", _box(boxes, b"moov", b"mvhd")[1], 12)[0]
    media = struct.unpack_from(">I", _box(boxes, b"moov", b"trak", b"mdia", b"mdhd")[1], 12)[0]
    table = _box(boxes, b"moov", b"trak", b"edts", b"elst")
    first = struct.unpack_from(">i", table[1], 12)[0]
    rows = [
        (round(length * movie), round(start * media) + first if start >= 0 else -1)
        for length, start in entries
    ]
    table[1] = struct.pack(">II", 0, len(rows)) + b"".join(struct.pack(">IiHH", *row, 1, 0) for row in rows)


def _marks(boxes: Boxes, *, keys: Sequence[int] | None) -> None:
    """Replace the table of keyframes (sample numbers from 0), or remove it, which marks all samples."""
    tables = _box(boxes, b"moov", b"trak", b"mdia", b"minf", b"stbl")[1]
    tables[:] = [box for box in tables if box[0] != b"stss"]
    if keys is not None:
        rows = b"".join(struct.pack(">I", key + 1) for key in keys)
        tables.append([b"stss", struct.pack(">II", 0, len(keys)) + rows])


def _long_times(boxes: Boxes) -> None:
    """Write a table of times for twice as many samples as there are."""
    _box(boxes, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts")[1] = struct.pack(">IIII", 0, 1, 80, 512)


Chunk = tuple[bytes, bytes, int]


def _chunks(
    maker: ClipMaker,
    path: Path,
    coding: str,
    *,
    change: Callable[[list[Chunk]], list[Chunk]],
    index: bool = True,
) -> None:
    """Rewrite the chunks (type, data, index flags) of an AVI file, with or without an index."""
    data = maker.in_container("avi", coding).read_bytes()
    movi, idx1 = data.index(b"movi"), data.rindex(b"idx1")
    rows = struct.unpack_from("<I", data, idx1 + 4)[0] // 16
    chunks: list[Chunk] = []
    for row in range(rows):
        kind, flags, offset, size = struct.unpack_from("<4sIII", data, idx1 + 8 + 16 * row)
        start = movi + offset + 8
        chunks.append((kind, data[start : start + size], flags))
    body, table = b"movi", b""
    for kind, content, flags in change(chunks):
        table += struct.pack("<4sIII", kind, flags, len(body), len(content))
        body += struct.pack("<4sI", kind, len(content)) + content + b"\0" * (len(content) % 2)
    out = data[: movi - 8] + struct.pack("<4sI", b"LIST", len(body)) + body
    out += struct.pack("<4sI", b"idx1", len(table)) + table if index else b""
    out = out[:4] + struct.pack("<I", len(out) - 8) + out[8:]
    path.write_bytes(out.replace(b"indx", b"JUNK"))  # the OpenDML index has other offsets


def _with_empty(chunks: list[Chunk], *, every: int) -> list[Chunk]:
    """Add a chunk of 0 bytes, which repeats the picture, behind every n-th chunk."""
    out: list[Chunk] = []
    for number, chunk in enumerate(chunks, 1):
        out += [chunk, (chunk[0], b"", 0)] if number % every == 0 else [chunk]
    return out


def _marked(chunks: list[Chunk], *, flags: int) -> list[Chunk]:
    return [(kind, content, flags) for kind, content, _ in chunks]


Block = tuple[int, bool, bytes]


def _blocks(
    maker: ClipMaker,
    path: Path,
    coding: str,
    *,
    change: Callable[[list[Block]], list[Block]],
    default: int = 0,
) -> None:
    """Write a Matroska file of the coding's packets with changed (milliseconds, keyframe, data)."""
    with av.open(str(maker.in_container("mkv", coding))) as container:
        stream = container.streams.video[0]
        context, ticks = stream.codec_context, float(stream.time_base or 0) * 1000
        blocks = [
            (round((packet.pts or 0) * ticks), bool(packet.is_keyframe), bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]
        name = {"h264": b"V_MPEG4/ISO/AVC", "hevc": b"V_MPEGH/ISO/HEVC", "vp9": b"V_VP9"}[context.name]
        private, size = bytes(context.extradata or b""), (context.width, context.height)
    write_matroska(path, name, private, size, change(blocks), default=default)


def _early(blocks: list[Block]) -> list[Block]:
    """Let the second half begin 0.7 s earlier."""
    return [(time - 700 if time > 800 else time, key, data) for time, key, data in blocks]


TABLES: Final[dict[str, Variant]] = {
    **{
        f"mp4 with edits, {name}, {coding}": Variant(
            ".mp4", partial(_rewritten, coding=coding, change=partial(_edits, entries=entries))
        )
        for name, entries in {
            "ends early": [(0.9, 0)],
            "begins later": [(1.0, 0.5)],
            "two parts": [(0.4, 0), (0.5, 0.9)],
            "two parts turned around": [(0.5, 0.9), (0.4, 0)],
            "hole between": [(0.4, 0), (0.3, -1), (0.4, 0.8)],
        }.items()
        for coding in ("h264_open", "hevc_open", "h264_ip")
    },
    **{
        f"mp4 with {name} marked, {coding}": Variant(
            ".mp4", partial(_rewritten, coding=coding, change=partial(_marks, keys=keys))
        )
        for name, keys in {"all": None, "wrong ones": [0, 5, 10, 17, 25], "none": [0]}.items()
        for coding in ("h264_open", "hevc_open", "mpeg4_b", "vp9")
    },
    "mp4 with too long a table of times": Variant(
        ".mp4", partial(_rewritten, coding="h264_b", change=_long_times)
    ),
    **{
        f"avi with empty chunks{'' if index else ' and no index'}, {coding}": Variant(
            ".avi", partial(_chunks, coding=coding, change=partial(_with_empty, every=7), index=index)
        )
        for coding in ("mjpeg", "h264_b", "mpeg4_b", "xvid_packed")
        for index in (True, False)
    },
    **{
        f"avi with {name} marked, {coding}": Variant(
            ".avi", partial(_chunks, coding=coding, change=partial(_marked, flags=flags))
        )
        for coding in ("mpeg4", "h264_open", "msmpeg4v3")
        for name, flags in {"all": 16, "none": 0}.items()
    },
    "avi begins inside a gop": Variant(
        ".avi", partial(_chunks, coding="h264_b", change=lambda chunks: chunks[7:])
    ),
    "mkv with a wrong default duration": Variant(
        ".mkv", partial(_blocks, coding="h264_b", change=list, default=1_000_000_000)
    ),
    "mkv with times that fall back": Variant(".mkv", partial(_blocks, coding="h264_b", change=_early)),
    "mkv begins inside a gop": Variant(
        ".mkv", partial(_blocks, coding="hevc_open", change=lambda blocks: blocks[7:])
    ),
    "mkv with coarse times": Variant(
        ".mkv",
        partial(
            _blocks,
            coding="h264_open",
            change=lambda b: [(time // 100 * 100, key, data) for time, key, data in b],
        ),
    ),
    "mkv with all marked": Variant(
        ".mkv", partial(_blocks, coding="vp9", change=lambda b: [(time, True, data) for time, _, data in b])
    ),
}
