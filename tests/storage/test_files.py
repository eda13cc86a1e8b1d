"""Files are written completely or not at all; a file that is wrong in any way is refused by name."""

from __future__ import annotations

import errno
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from moclip_lite.errors import CacheUnavailable, CheckpointError, ConfigError, MoclipError
from moclip_lite.storage.files import (
    atomic_path,
    cache_access,
    check_output_folder,
    parse_tensors,
    read_json,
    read_metadata,
    read_tensors,
    tensor_slices,
    write_json,
    write_rows,
    write_tensors,
    write_text,
)

ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(2, np.float32)}


def hidden_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def test_a_folder_may_hold_folders_of_any_name(tmp_path: Path) -> None:
    for name in ("any", "x"):
        (tmp_path / name).mkdir()
    check_output_folder(tmp_path)
    write_text(tmp_path / "file", "")
    with pytest.raises(ConfigError, match="is not a folder"):
        check_output_folder(tmp_path / "file")


# Atomic writes


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "new" / "x.bin"

    def fail() -> None:
        with atomic_path(target) as draft:
            draft.write_bytes(b"half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert list(target.parent.iterdir()) == []


def test_a_failed_write_keeps_the_earlier_file(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    write_text(target, "first")

    def fail() -> None:
        with atomic_path(target) as draft:
            draft.write_text("second")
            assert target.read_text() == "first"  # readers see the complete earlier file
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "first"
    assert hidden_files(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: object, target: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(MoclipError, match=r"disk is full: .*x\.txt"):
        write_text(tmp_path / "x.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_other_system_errors_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        write_text(tmp_path / "file" / "x.txt", "text")


def test_a_refused_cache_folder_is_named_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(CacheUnavailable, match=r"cache.*permission denied.*--cache"), cache_access(tmp_path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


# Text, rows, JSON


def test_text_json_and_rows_keep_unicode(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": "été", "a": [1, None]})
    assert (tmp_path / "x.json").read_text(encoding="utf-8").startswith('{\n  "b": "été"')
    assert list(read_json(tmp_path / "x.json")) == ["b", "a"]  # in the order given
    write_rows(tmp_path / "x.csv", ("clip", "why"), [("a,b.mp4", "été")])
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == 'clip,why\n"a,b.mp4",été\n'


def test_no_rows_remove_an_earlier_table(tmp_path: Path) -> None:
    path = tmp_path / "failures.csv"
    write_rows(path, ("clip",), [("a",)])
    write_rows(path, ("clip",), [])
    assert not path.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "is missing"),
        (b"", "is damaged"),
        (b'{"a": 1', "is damaged"),
        (b'{"a": 1} {}', "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[" * 100_000, "is damaged"),
    ],
    ids=["missing", "empty", "cut", "two values", "not UTF-8", "too deep"],
)
def test_wrong_json_is_refused(content: bytes | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"x\.json {problem}"):
        read_json(path)


# Tensors


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    """Whatever the order; digests of files are compared among machines."""
    metadata = {name: f'"{name}" \u00e9' for name in "abcdefgh"}
    written = set()
    for order in (1, -1, 1):
        path = tmp_path / "x.safetensors"
        write_tensors(path, dict(list(ARRAYS.items())[::order]), dict(list(metadata.items())[::order]))
        written.add(path.read_bytes())
        assert read_tensors(path)[1] == metadata
    assert len(written) == 1


def test_tensors_keep_values_types_shapes_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    arrays: dict[str, Any] = {
        **ARRAYS,
        "scalar": np.array(3, np.int64),
        "none": np.zeros((0, 4), np.float16),
        "strided": np.arange(12, dtype=np.int16).reshape(3, 4)[:, ::2],
    }
    write_tensors(path, arrays, {"key": "value"})
    tensors, metadata = read_tensors(path)
    assert metadata == read_metadata(path) == {"key": "value"}
    assert tensors.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(tensors[name], array)
        assert (tensors[name].dtype, tensors[name].shape) == (array.dtype, array.shape)


def with_header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """A damage: the file with another header."""

    def damage(data: bytes) -> bytes:
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + size])
        change(header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + size :]

    return damage


def without_header(data: bytes) -> bytes:
    return data[8 + struct.unpack("<Q", data[:8])[0] :]


HEADER_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "shorter than its length field": lambda data: data[:5],
    "cut inside the header": lambda data: data[:40],
    "header longer than the file": lambda data: struct.pack("<Q", len(data)) + data[8:],
    "header of absurd length": lambda data: struct.pack("<Q", 2**63) + data[8:],
    "header not JSON": lambda data: data[:8] + b"x" + data[9:],
    "header not UTF-8": lambda data: data[:8] + b"\xff" + data[9:],
    "no header": without_header,
    "pickle": lambda data: pickle.dumps({"weight": 1}),
    "unknown type": with_header(lambda header: header["weight"].update(dtype="F33")),
    "no shape": with_header(lambda header: header["weight"].pop("shape")),
    "negative shape": with_header(lambda header: header["weight"].update(shape=[-2, 3])),
    "shape and bytes differ": with_header(lambda header: header["weight"].update(shape=[2, 4])),
    "offsets overlap": with_header(lambda header: header["weight"].update(data_offsets=[0, 24])),
    "metadata not text": with_header(lambda header: header.update(__metadata__={"key": 1})),
    "cut inside the tensors": lambda data: data[:-1],
    "bytes behind the tensors": lambda data: data + b"\0",
}


@pytest.mark.parametrize("damage", HEADER_DAMAGE)
@pytest.mark.parametrize("read", [read_tensors, read_metadata])
def test_a_damaged_tensor_file_is_refused(
    read: Callable[[Path], object], damage: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, ARRAYS, {"key": "value"})
    path.write_bytes(HEADER_DAMAGE[damage](path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"x\.safetensors is damaged or not a safetensors file"):
        read(path)


@pytest.mark.parametrize("registered", [False, True])
@pytest.mark.parametrize(
    ("kind", "words"), [(torch.bfloat16, "bfloat16"), (torch.float8_e4m3fn, "float8")], ids=["16", "8"]
)
def test_a_type_that_numpy_lacks_is_named(
    kind: torch.dtype, words: str, registered: bool, tmp_path: Path
) -> None:
    """Also where another package makes it known to NumPy."""
    if registered:
        pytest.importorskip("ml_dtypes")
    path = tmp_path / "x.safetensors"
    save_file({"first": torch.zeros(2), "second": torch.zeros(3).to(kind)}, path)
    message = f"'second' holds {words}, which is not read here; store it as float32"
    with pytest.raises(CheckpointError, match=rf"x\.safetensors: {message}"):
        read_tensors(path)
    with pytest.raises(CheckpointError, match=message):
        parse_tensors(path.read_bytes())
    with pytest.raises(CheckpointError, match=message), tensor_slices(path) as slices:
        slices("second")[:]
    assert read_metadata(path) == {}


@pytest.mark.parametrize("read", [read_tensors, read_metadata])
def test_a_missing_tensor_file_is_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"x\.safetensors is missing"):
        read(tmp_path / "x.safetensors")
