"""Precomputed appearance features: a file of arrays by clip, of any backbone (``data.appearance``).

| ending | content |
|---|---|
| .npz | an array for each clip, under its name; ``__model__`` (a string) names the backbone |
| .safetensors | a tensor for each clip, under its name; ``model`` in the metadata names the backbone |
| .parquet | a row for each frame, in order: ``clip`` and ``feature`` (numbers); ``model`` in its metadata |

An array is [length], or [frames, length] with the same number of frames for all clips. A name is that of the
clip, with or without the ending, or its last parts: ``hug/a.avi``, ``hug/a``, ``a``. Behind that of a segment
stand its times: ``hug/a.avi@0.5-1.04``, ``a@0.5-1.04``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..datasets import Clip
from ..datasets.clip import shorten
from ..datasets.extraction import ExtractReport, Failure
from ..errors import CheckpointError, DataError
from ..storage.digest import digest_bytes
from ..storage.files import read_tensors

__all__ = ["ClipArrays", "read_clip_arrays"]

Floats = npt.NDArray[np.float32]
_MODEL: Final = "__model__"
_MAX_BYTES: Final = 32 << 30  # of an unpacked .npz


class ClipArrays:
    """Features by clip.

    Args:
        path: of the file.
        arrays: name -> [frames, length] or [length].
        model: what the file says its backbone is; "" if nothing.

    Raises:
        CheckpointError: no arrays, or not all of one shape, or not finite numbers.
    """

    def __init__(self, path: Path, arrays: Mapping[str, npt.NDArray[Any]], model: str = "") -> None:
        if not arrays:
            raise CheckpointError(f"{path} holds no arrays (data.appearance)")
        self.path, self.model = path, model
        self._arrays = {name: _checked(path, name, array) for name, array in arrays.items()}
        first, self.shape = next((name, array.shape) for name, array in self._arrays.items())
        for name, array in self._arrays.items():
            if array.shape != self.shape:
                raise CheckpointError(
                    f"{path}: {name!r} is {list(array.shape)} and {first!r} {list(self.shape)}; "
                    "all clips need as many frames and as long features "
                    "(average them over the frames if their number differs)"
                )

    @property
    def identity(self) -> dict[str, str]:
        """Where the features come from: a backbone's name as far as given, and the length of its features."""
        model, length = self.model or "unnamed", self.shape[1]
        return {
            "model": f"features of one's own ({model})",
            "pretrained": "",
            "digest": digest_bytes([f"own {self.model} {length}".encode()]),
            "frames": str(self.shape[0]),
        }

    def find(self, clip: Clip | PurePath) -> str | None:
        """Name of the array of a clip or of a file, the longest that fits; None if there is none."""
        video, times = clip.as_posix() if isinstance(clip, PurePath) else clip.video, ""
        if isinstance(clip, Clip):
            times = clip.name[len(video) :]
        parts = PurePosixPath(video).parts
        for start in range(len(parts)):
            tail = PurePosixPath(*parts[start:])
            for candidate in (f"{tail}{times}", f"{tail.with_suffix('')}{times}"):
                if candidate in self._arrays:
                    return candidate
        return None

    def features(self, clip: Clip | PurePath) -> Floats:
        """Features of a clip or file, float32 [frames, length].

        Raises:
            DataError: there are none.
        """
        entry = self.find(clip)
        if entry is None:
            raise DataError(
                f"{self.path} holds no features of {clip.name} (data.appearance); "
                f"its {len(self._arrays)} arrays are called {shorten(list(self._arrays), 3)}"
            )
        return self._arrays[entry]

    def report(self, clips: Sequence[Clip], warn: Callable[[str], None]) -> ExtractReport:
        """What there is for clips: digests of their arrays as keys, the others as failures.

        Args:
            clips: the clips.
            warn: told of arrays that belong to no clip.

        Raises:
            DataError: no clip has an array, or one array is that of two clips.
        """
        report, used = ExtractReport("clip"), dict[str, str]()
        for clip in clips:
            entry = self.find(clip)
            if entry is None:
                report.failures.append(
                    Failure(clip.name, "clip", f"no array of this name in {self.path.name}")
                )
                continue
            if entry in used:
                raise DataError(
                    f"{self.path}: {entry!r} fits {used[entry]} and {clip.name}; "
                    "name arrays by class folder and file"
                )
            used[entry] = clip.name
            report.keys[clip.name] = digest_bytes([np.ascontiguousarray(self._arrays[entry]).tobytes()])
            report.reused += 1
        unused = [name for name in self._arrays if name not in used]
        if not used:
            raise DataError(
                f"{self.path}: none of its arrays ({shorten(unused, 3)}) is called like a clip "
                f"({shorten([clip.name for clip in clips], 3)})"
            )
        if unused:
            warn(
                f"{self.path}: {len(unused)} of {len(self._arrays)} arrays belong to no clip "
                f"({shorten(unused, 3)})"
            )
        return report


def _checked(path: Path, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array as float32 [frames, length]."""
    if array.dtype.kind != "f" or array.ndim not in (1, 2) or not array.size:
        raise CheckpointError(
            f"{path}: {name!r} is {array.dtype} {list(array.shape)}; "
            "expected floating-point [length] or [frames, length]"
        )
    with np.errstate(over="ignore"):
        array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise CheckpointError(f"{path}: {name!r} holds numbers that are not finite in float32")
    return array[None] if array.ndim == 1 else array


def read_clip_arrays(path: Path) -> ClipArrays:
    """Read a file of features by clip.

    Raises:
        DataError: there is no such file, or its ending is another one.
        CheckpointError: damaged, or its arrays can't be used.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file of features (data.appearance)")
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    if path.suffix.lower() == ".safetensors":
        tensors, metadata = read_tensors(path)
        if "features" in metadata and "appearance" in tensors:
            raise DataError(
                f"{path} is a file of features with its own clips: "
                "give it as data.root with data.kind=features"
            )
        return ClipArrays(path, tensors, metadata.get("model", ""))
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path)
    raise DataError(f"{path}: data.appearance must end in .npz, .safetensors or .parquet")


def _read_npz(path: Path) -> ClipArrays:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise CheckpointError(
                    f"{path} unpacks to more than {_MAX_BYTES >> 30} GiB; save it as .safetensors"
                )
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it holds something else than arrays")
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        zipfile.BadZipFile,
        MemoryError,
        NotImplementedError,
    ) as error:
        raise CheckpointError(f"{path} is damaged or not a .npz file of arrays: {error}") from error
    model = arrays.pop(_MODEL, np.array(""))
    if model.dtype.kind != "U" or model.ndim:
        raise CheckpointError(f"{path}: {_MODEL} must be a string")
    return ClipArrays(path, arrays, str(model))


def _read_parquet(path: Path) -> ClipArrays:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
        metadata = table.schema.metadata or {}
        names, rows = table["clip"].to_pylist(), table["feature"]
        lists = rows.combine_chunks() if rows.num_chunks != 1 else rows.chunk(0)
        lengths = set(pyarrow.compute.list_value_length(lists).to_pylist())
        if len(lengths) != 1 or None in lengths or not all(isinstance(name, str) for name in names):
            raise ValueError("a row has no clip, or its feature is not as long as the others")
        values = np.asarray(lists.flatten().to_numpy(zero_copy_only=False))
        model = metadata.get(b"model", b"").decode()
    except (KeyError, ValueError, TypeError, AttributeError, OSError, pyarrow.ArrowException) as error:
        raise CheckpointError(
            f"{path} is damaged, or not a table with the columns clip and feature "
            f"(lists of one length): {error}"
        ) from error
    matrix = values.reshape(len(names), -1)
    return ClipArrays(path, _by_name(names, matrix), model)


def _by_name(names: Iterable[str], matrix: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Rows of a table by the clip they are of."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return {name: matrix[rows] for name, rows in places.items()}
