"""What an ONNX file says beside its network.

The exporter of PyTorch writes the stack trace of each operation into it, with paths of the machine; they are
removed here, and notes for the file's user take their place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import CheckpointError
from ..versions import package_version

__all__ = ["described_network"]

_REMARKS: Final = ("metadata_props", "doc_string")
"""Fields of an ONNX model and its parts that no computation reads."""


def described_network(path: Path, notes: Mapping[str, Any]) -> bytes:
    """The content of an ONNX file with these notes, each as JSON in its metadata, and no other remarks.

    Raises:
        ImportError: onnx is not installed.
        CheckpointError: it is no ONNX file.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path))
    except DecodeError as error:
        raise CheckpointError(f"{path} is damaged or not an ONNX file") from error
    _remove_remarks(model)
    versions = {"moclip_lite": package_version()}
    onnx.helper.set_model_props(model, versions | {key: json.dumps(value) for key, value in notes.items()})
    return bytes(model.SerializeToString(deterministic=True))


def _remove_remarks(message: Any) -> None:
    """Clear the remarks of a protobuf message and of all messages in it."""
    for name in _REMARKS:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "DESCRIPTOR") else value:
                _remove_remarks(part)
