"""What a weights file says of itself, and whether it is true; PyTorch is not needed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from ..storage.digest import digest_bytes

__all__ = ["CONTENT", "check_content", "check_labels", "content_digest", "labels_digest"]

CONTENT: Final = "content"
"""Entry of the metadata: digest of the numbers; files of older versions have none."""


_NAMED: Final = 5  # labels in a message


def labels_digest(labels: Sequence[str]) -> str:
    """Digest of a label list and its order."""
    return digest_bytes([json.dumps(list(labels)).encode()])


def content_digest(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Digest of names and numbers."""
    return digest_bytes(
        part
        for name, value in sorted(arrays.items())
        for part in (f"{name} {value.dtype} {value.shape}".encode(), np.ascontiguousarray(value).tobytes())
    )


def check_labels(path: Path, metadata: Mapping[str, str], labels: Sequence[str]) -> None:
    """Refuse weights of other labels.

    Raises:
        CheckpointError: they are.
    """
    if metadata.get("labels") != labels_digest(labels):
        names = ", ".join(labels[:_NAMED]) + (", ..." if len(labels) > _NAMED else "")
        raise CheckpointError(
            f"{path} was made for other labels than the {len(labels)} in use here ({names})"
        )


def check_content(path: Path, arrays: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Refuse numbers that are not those that were written.

    Raises:
        CheckpointError: they are not.
    """
    if metadata.get(CONTENT, content := content_digest(arrays)) != content:
        raise CheckpointError(
            f"{path} is damaged: its numbers are not those that were written; copy it again, or train again"
        )
