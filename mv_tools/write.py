"""Writing motion fields to .npz or .safetensors, one picture at a time."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from .atomic import atomic_write
from .errors import ArgumentError
from .motion import MotionFrame, flow

__all__ = ["Kind", "write_motion"]

Kind: TypeAlias = Literal["vectors", "flow"]
_COPY_BYTES: Final = 1 << 20
_SAFETENSORS_DTYPES: Final = {
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float32": "F32",
    "float64": "F64",
}


class _Spool:
    """An array that grows by rows on disk, so that memory use stays constant."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.rows = 0
        self.dtype: np.dtype[Any] | None = None
        self.shape: tuple[int, ...] = ()
        self.path = folder / f"{name}.raw"
        self._file: IO[bytes] = self.path.open("wb")

    def append(self, row: npt.NDArray[Any]) -> None:
        if self.dtype is None:
            self.dtype, self.shape = row.dtype, row.shape
        if row.shape != self.shape:
            raise ArgumentError(
                f"the picture size changes within the video, or frames and single fields alternate (blocks "
                f"{self.shape} to {row.shape}); "
                "extract the parts one by one with --start and --stop"
            )
        self._file.write(np.ascontiguousarray(row).tobytes())
        self.rows += 1

    def chunks(self) -> Iterator[bytes]:
        self._file.close()
        with self.path.open("rb") as file:
            while chunk := file.read(_COPY_BYTES):
                yield chunk

    def close(self) -> None:
        self._file.close()

    @property
    def full_shape(self) -> list[int]:
        return [self.rows, *self.shape]


def write_motion(
    frames: Iterable[MotionFrame], dst: str | os.PathLike[str], *, kind: Kind = "vectors"
) -> int:
    """Write motion fields; memory use does not grow with their number.

    Arrays for N pictures: ``index``, ``decode_index``, ``frame_index`` int64 [N]; ``pts_seconds`` float64 [N]
    (as stored; NaN if unknown); ``pict_type`` int8 [N] (0 I, 1 P, 2 B). With kind "vectors" also, as coded,
    ``mv`` int16 [N, 2, H4, W4, 2] and ``ref_idx`` int8 [N, 2, H4, W4], and how the picture is shown:
    ``rotation`` int16 [N] (degrees clockwise, after mirroring), ``mirror`` int8 [N], ``sample_aspect_ratio``
    float64 [N].
    With kind "flow" also ``flow`` float32 [N, 2, H4, W4], upright and in square pixels.

    Args:
        frames: pictures of one size.
        dst: a file name that ends in .npz (compressed) or .safetensors; the file appears when it is complete.
        kind: "vectors" as coded, or "flow": motion in pixels per frame interval.

    Returns:
        The number of pictures written.

    Raises:
        ArgumentError: another file ending, an unknown kind, no pictures, or their size changes.
        OSError: the file can't be written.
    """
    target = Path(dst)
    if target.suffix.lower() not in (".npz", ".safetensors"):
        raise ArgumentError(f"{target}: the file must end in .npz or .safetensors")
    if kind not in get_args(Kind):
        raise ArgumentError(f"kind must be one of {get_args(Kind)}, got {kind!r}")
    with (
        atomic_write(target) as draft,
        tempfile.TemporaryDirectory(prefix=".moclip-", dir=target.parent) as name,
        _spooled(frames, Path(name), kind) as spools,
    ):
        if not spools[0].rows:
            raise ArgumentError("there are no pictures to write")
        (_write_npz if target.suffix.lower() == ".npz" else _write_safetensors)(draft, spools)
        return spools[0].rows


@contextmanager
def _spooled(frames: Iterable[MotionFrame], folder: Path, kind: Kind) -> Iterator[list[_Spool]]:
    names = ["index", "decode_index", "frame_index", "pts_seconds", "pict_type"]
    names += ["mv", "ref_idx", "rotation", "mirror", "sample_aspect_ratio"] if kind == "vectors" else ["flow"]
    with ExitStack() as stack:
        spools = [stack.enter_context(closing(_Spool(folder, name))) for name in names]
        for frame in frames:
            seconds = np.nan if frame.pts_seconds is None else frame.pts_seconds
            row: list[npt.NDArray[Any]] = [
                np.array(frame.index, np.int64),
                np.array(frame.decode_index, np.int64),
                np.array(frame.frame_index, np.int64),
                np.array(seconds, np.float64),
                np.array("IPB".index(frame.pict_type), np.int8),
            ]
            row += [frame.mv, frame.ref_idx, *_display(frame)] if kind == "vectors" else [flow(frame)]
            for spool, value in zip(spools, row, strict=True):
                spool.append(value)
        yield spools


def _display(frame: MotionFrame) -> list[npt.NDArray[Any]]:
    """How a player shows the picture."""
    orientation = frame.orientation
    return [
        np.array(orientation.rotation, np.int16),
        np.array(orientation.mirror, np.int8),
        np.array(float(frame.sample_aspect_ratio), np.float64),
    ]


def _write_npz(path: Path, spools: list[_Spool]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for spool in spools:
            with archive.open(f"{spool.name}.npy", "w", force_zip64=True) as member:
                header = {
                    "descr": np.lib.format.dtype_to_descr(np.dtype(spool.dtype)),
                    "fortran_order": False,
                    "shape": tuple(spool.full_shape),
                }
                np.lib.format.write_array_header_2_0(member, header)
                for chunk in spool.chunks():
                    member.write(chunk)


def _write_safetensors(path: Path, spools: list[_Spool]) -> None:
    header: dict[str, Any] = {}
    position = 0
    for spool in sorted(spools, key=lambda s: -np.dtype(s.dtype).itemsize):  # keeps data aligned
        size = int(np.prod(spool.full_shape)) * np.dtype(spool.dtype).itemsize
        header[spool.name] = {
            "dtype": _SAFETENSORS_DTYPES[str(spool.dtype)],
            "shape": spool.full_shape,
            "data_offsets": [position, position + size],
        }
        position += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    by_name = {spool.name: spool for spool in spools}
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in header:
            for chunk in by_name[name].chunks():
                file.write(chunk)
