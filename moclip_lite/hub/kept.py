"""Fetched run folders in the cache: whether they are as they were fetched."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from ..engine.model_json import MODEL_JSON, read_model_json
from ..errors import CheckpointError, MoclipError
from ..results.fold_folder import ONNX_FOLDER, FoldFolder
from ..storage.digest import digest_file
from ..storage.files import read_json, write_json
from .check import check_networks, check_run
from .portable import RUN_FILES

__all__ = ["check_kept", "is_whole", "write_digests"]

_DIGESTS: Final = ".files.json"  # name -> digest of the fetched file


def write_digests(folder: Path) -> None:
    """Write what :func:`check_kept` and :func:`is_whole` read."""
    names = (name for name in RUN_FILES if (folder / name).is_file())
    write_json(folder / _DIGESTS, {name: digest_file(folder / name) for name in names})


def check_kept(folder: Path) -> None:
    """Check all files of a folder.

    Raises:
        MoclipError, OSError, ValueError: one is missing or damaged.
    """
    if not (folder / _DIGESTS).exists():
        check_run(FoldFolder(folder))
        return
    _check_files(folder)
    check_networks(FoldFolder(folder))


def is_whole(folder: Path) -> bool:
    """Whether a folder holds all files that were fetched, as they were. ONNX files must only be there: their
    engine checks them.

    Folders that an older version wrote, or that were put there, have no digests: each must pass
    :func:`~moclip_lite.hub.check.check_run`, and gets them where the cache can be written.
    """
    try:
        if not folder.is_dir() or (folder / _DIGESTS).exists():
            _check_files(folder)
            return True
        check_run(FoldFolder(folder))
    except (MoclipError, OSError, ValueError):
        return False
    with suppress(OSError, MoclipError):
        write_digests(folder)
    return True


def _check_files(folder: Path) -> None:
    """Check that files are as they were fetched, and that ONNX files are there: ``moclip export --engine``
    writes these anew.

    Raises:
        CheckpointError, OSError: they are not.
    """
    listed = read_json(folder / _DIGESTS)
    if not isinstance(listed, dict) or not listed:
        raise CheckpointError(f"{folder / _DIGESTS} is damaged")
    networks = {name for name in listed if name.startswith(f"{ONNX_FOLDER}/")}
    for name in listed.keys() - networks:
        if not (folder / name).is_file():
            raise CheckpointError(f"{name} is missing")
        if digest_file(folder / name) != listed[name]:
            raise CheckpointError(f"{name} is not as it was fetched")
    place = folder / ONNX_FOLDER
    for name in read_model_json(place / MODEL_JSON).get("files", {}) if networks else ():
        if not (place / name).is_file():
            raise CheckpointError(f"{ONNX_FOLDER}/{name} is missing")
