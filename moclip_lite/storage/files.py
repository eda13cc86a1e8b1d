"""Atomic writing of text, JSON, CSV and safetensors files, and reading them back."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

from mv_tools.urls import url_of

from ..errors import CacheUnavailable, CheckpointError, ConfigError
from .local_file import local_path
from .tensor_types import unread_type

__all__ = [
    "atomic_path",
    "cache_access",
    "check_output",
    "check_output_folder",
    "parse_tensors",
    "read_description",
    "read_json",
    "read_metadata",
    "read_tensors",
    "tensor_slices",
    "write_json",
    "write_rows",
    "write_tensors",
    "write_text",
]


def _is_at_url(target: Path) -> bool:
    """Whether a file to be written goes to a URL: there is no local folder for it."""
    return url_of(target) is not None and not target.parent.exists()


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary file beside `target`, renamed to it when the block ends without error, or written to a URL.

    Raises:
        MoclipError: the disk is full (no partial file is left).
    """
    if not _is_at_url(target):
        with local_path(target) as draft:
            yield draft
        return
    from .url_files import sent_to

    with sent_to(target) as draft:
        yield draft


def check_output(target: Path, named: Path | None = None) -> None:
    """Refuse a file that can't be written, before the work whose result it would hold; a URL is not tried.

    Args:
        target: the file.
        named: the path that the user gave, for the message, where it is not `target`:
            a folder that gets files.

    Raises:
        ConfigError: a folder or a device, a file where a folder should be, or no permission.
    """
    if _is_at_url(target):
        return
    shown = named or target
    try:
        if target.is_dir():
            raise ConfigError(f"{shown} is a folder; name a file in it")
        if target.exists() and not target.is_file():
            raise ConfigError(f"{shown} is not a regular file; name a file to write")
        with suppress(FileNotFoundError, NotADirectoryError):
            target.lstat()  # raises for a name that no file can have; exists() says only that there is none
        folder = next(parent for parent in target.absolute().parents if os.path.lexists(parent))
        if not folder.is_dir():
            raise ConfigError(f"{shown} can't be written: {folder} is not a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"{shown} can't be written: no permission to write in the folder {folder}")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{shown} can't be written: {getattr(error, 'strerror', None) or error}") from error


def check_output_folder(folder: Path) -> None:
    """Refuse a folder that can't get files, before the work; see :func:`check_output`.

    Raises:
        ConfigError: it is a file, lies in one, or there is no permission.
    """
    check_output(folder / uuid4().hex, named=folder)


@contextmanager
def cache_access(root: Path) -> Iterator[None]:
    """Report errors of the operating system as those of the cache folder.

    Raises:
        CacheUnavailable: read-only, no permission, a file where the folder should be, and so on.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise CacheUnavailable(
            f"the cache folder {root} can't be used ({reason.lower()}); choose another with --cache"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV atomically; no file, not even an earlier one, if there are no rows."""
    table = list(rows)
    if not table:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *table])
    write_text(path, text.getvalue())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, keys in their order."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, *, infinite: bool = False) -> Any:
    """Read JSON.

    Args:
        path: of the file.
        infinite: take the word Infinity for a number; otherwise each number is finite, or NaN, and each whole
            one has at most 64 bits.

    Raises:
        CheckpointError: missing or damaged.
    """
    try:
        return json.loads(
            path.read_text(encoding="utf-8"),
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=float if infinite else _finite,
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"a number is too large: {text[:20]}")
    return number


def _whole(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= 2**63:
        raise ValueError(f"a number is too large: {text[:20]}")
    return int(text)


def write_tensors(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file atomically; equal content gives equal bytes."""
    # Not ascontiguousarray: that turns scalars into vectors.
    contiguous = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    data = save(contiguous, dict(metadata or {}))
    begin = 8 + int.from_bytes(data[:8], "little")
    with atomic_path(path) as draft, draft.open("wb") as file:
        file.write(_with_sorted_metadata(data[8:begin]))
        file.write(memoryview(data)[begin:])


def _with_sorted_metadata(header: bytes) -> bytes:
    """Length and header of a safetensors file; safetensors writes the metadata in an order that changes."""
    entries = json.loads(header)
    if "__metadata__" in entries:
        entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read_tensors(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Read a safetensors file: (tensors, metadata).

    Raises:
        CheckpointError: missing, cut short or not a safetensors file.
    """
    with _open_tensors(path) as file:
        _refuse_unread(path, file)
        metadata = dict(file.metadata() or {})
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


@contextmanager
def tensor_slices(path: Path) -> Iterator[Callable[[str], Any]]:
    """Access to parts of the tensors of a safetensors file: name -> an object that is sliced.

    Raises:
        CheckpointError: missing, cut short or not a safetensors file.
    """
    with _open_tensors(path) as file:
        _refuse_unread(path, file)
        yield file.get_slice


def parse_tensors(data: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """The content of a safetensors file: (tensors, metadata).

    Raises:
        CheckpointError: cut short or not a safetensors file.
    """
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = dict(header.pop("__metadata__", {}))
        if unread := unread_type({name: entry["dtype"] for name, entry in header.items()}):
            raise CheckpointError(unread)
        return load(data), metadata
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"damaged or not a safetensors file: {error}") from error


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file, and no tensor.

    Raises:
        CheckpointError: missing, or not a safetensors file.
    """
    with _open_tensors(path) as file:
        return dict(file.metadata() or {})


def read_description(path: Path) -> dict[str, Any] | None:
    """The description in the metadata of a weights file; None if the file is missing, damaged or has none."""
    try:
        value = json.loads(read_metadata(path)["description"])
    except (CheckpointError, KeyError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_unread(path: Path, file: Any) -> None:
    """Refuse a file with numbers of a type that NumPy lacks.

    Raises:
        CheckpointError: it has such numbers.
    """
    if unread := unread_type({name: file.get_slice(name).get_dtype() for name in file.keys()}):  # noqa: SIM118
        raise CheckpointError(f"{path}: {unread}")


@contextmanager
def _open_tensors(path: Path) -> Iterator[Any]:
    try:
        with safe_open(str(path), framework="numpy") as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing") from error
    except OSError as error:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder, not a safetensors file") from error
        raise
    except (SafetensorError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error
