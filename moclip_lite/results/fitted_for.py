"""Which weights thresholds and temperatures were fitted for: beside other weights they mean nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from ..errors import CheckpointError
from ..storage.files import read_metadata, read_tensors
from ..training.weights_file import CONTENT, content_digest
from .fold_folder import STAGES, FoldFolder

__all__ = ["FittedFor", "digest_of_weights", "digests_of_weights", "noted_weights", "refuse_other_weights"]

FittedFor: TypeAlias = Mapping[str, str]
"""Stream -> digest of the numbers of its weights; empty in files of earlier versions."""


def digests_of_weights(folder: FoldFolder, streams: Iterable[str]) -> dict[str, str]:
    """What is noted of the weights of a folder; streams without weights are left out.

    Raises:
        CheckpointError: weights are damaged.
    """
    paths = {str(stream): folder.weights(stream) for stream in streams if folder.has(stream)}
    return {stream: digest_of_weights(path) for stream, path in paths.items()}


def noted_weights(values: Mapping[str, object]) -> dict[str, str]:
    """The note in the content of a file.

    Raises:
        TypeError, ValueError: it is none.
    """
    noted = values.get("weights", {})
    if not isinstance(noted, dict) or not all(isinstance(digest, str) for digest in noted.values()):
        raise TypeError("weights must be digests by stream")
    if unknown := noted.keys() - set(map(str, STAGES)):
        raise ValueError(f"no such stream: {unknown}")
    return dict(noted)


def refuse_other_weights(path: Path, noted: FittedFor) -> None:
    """Refuse a file of a fold's folder that was fitted for other weights than lie beside it.

    Weights that are missing are missed where they are used.

    Args:
        path: of the file.
        noted: what it says.

    Raises:
        CheckpointError: it was, or the weights are damaged.
    """
    folder = FoldFolder(path.parent)
    for stream, digest in digests_of_weights(folder, noted).items():
        if digest != noted[stream]:
            raise CheckpointError(
                f"{path} was fitted for other weights than {folder.weights(stream)}; put the file of these "
                f"weights there, or remove it, or train again: moclip run {folder.run_path}"
            )


def digest_of_weights(path: Path) -> str:
    """Digest of the numbers of a weights file, as the file says; files of older versions are read for it.

    Raises:
        CheckpointError: missing or damaged.
    """
    return read_metadata(path).get(CONTENT) or content_digest(read_tensors(path)[0])
