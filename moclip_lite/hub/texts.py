"""The text parts of files that are published: numbers in binary spell short paths by chance."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["text_parts"]

_LENGTH: Final = struct.Struct("<Q")  # of the header of a safetensors file, which it begins with
_NUMBERS: Final = "raw_data"  # of a tensor in an ONNX file


def text_parts(name: str, content: bytes) -> bytes:
    """The header of a safetensors file, all texts of an ONNX file, one a line, any other file as it is.

    Raises:
        ImportError: an ONNX file, and onnx is not installed.
    """
    if name.endswith(".safetensors") and len(content) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(content)
        return content[_LENGTH.size :][:length]
    return _onnx_texts(content) if name.endswith(".onnx") else content


def _onnx_texts(content: bytes) -> bytes:
    """The texts of an ONNX file; a damaged one as it is."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return b"\n".join(_texts(onnx.load_model_from_string(content)))
    except DecodeError:
        return content


def _texts(message: Any) -> Iterator[bytes]:
    """The texts of a protobuf message and of all messages in it."""
    for field, value in message.ListFields():
        if field.cpp_type not in (field.CPPTYPE_STRING, field.CPPTYPE_MESSAGE) or field.name == _NUMBERS:
            continue
        single = isinstance(value, str | bytes) or hasattr(value, "DESCRIPTOR")
        for part in [value] if single else value:
            if isinstance(part, str | bytes):
                yield part.encode() if isinstance(part, str) else part
            else:
                yield from _texts(part)
