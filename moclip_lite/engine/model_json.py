"""``onnx/model.json``: what the ONNX files of a run's networks are, and a digest of what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import CheckpointError
from ..storage.digest import digest_bytes
from ..storage.files import read_json, write_json

__all__ = ["INT8", "MODEL_JSON", "NOT_OF_NETWORKS", "read_model_json", "sealed", "write_model_json"]

MODEL_JSON: Final = "model.json"
INT8: Final = "encoder_int8"
"""Entry of model.json for the image encoder in 8-bit integers: its file, where it may be used, and the
figures of its comparison with float32; or, under "refused", why there is none."""
_SEAL: Final = "digest"
"""Entry of model.json: the digest of all others; files of older versions have none."""

NOT_OF_NETWORKS: Final = (
    *("opset", "difference_from_predict", "made_from", "encoder", "files"),
    *(INT8, _SEAL),
)
"""Entries of model.json that stand in no ONNX file."""

_FIELDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "made_from": lambda value: isinstance(value, dict),
    "files": lambda value: isinstance(value, dict) and all(isinstance(file, dict) for file in value.values()),
    "warnings": lambda value: isinstance(value, list) and all(isinstance(text, str) for text in value),
    "preprocessing": lambda value: isinstance(value, dict),
    "encoder": lambda value: value is None or isinstance(value, dict),
}
"""Entries of model.json that are read -> what they must be, where they are there."""


def read_model_json(path: Path) -> dict[str, Any]:
    """The content of a model.json, as it was written, whose entries are of the right kinds.

    Raises:
        CheckpointError: missing, damaged or changed.
    """
    description = read_json(path)
    if not isinstance(description, dict):
        raise CheckpointError(f"{path} is damaged: it describes no networks")
    if _SEAL in description and description[_SEAL] != _seal(description):
        raise CheckpointError(f"{path} is damaged: it was changed after it was written")
    wrong = [name for name, fits in _FIELDS.items() if name in description and not fits(description[name])]
    if wrong:
        raise CheckpointError(f"{path} is damaged: its entry {wrong[0]!r} is of another kind")
    return description


def write_model_json(path: Path, description: Mapping[str, Any]) -> None:
    """Write a model.json with a digest of its content, which :func:`read_model_json` checks."""
    write_json(path, sealed(description))


def sealed(description: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a model.json with its digest."""
    return {**description, _SEAL: _seal(description)}


def _seal(description: Mapping[str, Any]) -> str:
    content = {name: value for name, value in description.items() if name != _SEAL}
    return digest_bytes([json.dumps(content, sort_keys=True).encode()])
