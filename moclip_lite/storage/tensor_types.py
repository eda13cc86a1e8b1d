"""Types of numbers in safetensors files that NumPy lacks."""

from __future__ import annotations

import json
from typing import Final

__all__ = ["MAX_HEADER", "header_size", "unread_type"]

MAX_HEADER: Final = 100_000_000
"""Largest header of a safetensors file in bytes, by the format."""

_UNREAD: Final = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8",
    "F8_E5M2": "float8",
    "F8_E8M0": "float8",
    "F6_E2M3": "float6",
    "F6_E3M2": "float6",
    "F4": "float4",
}


def header_size(data: bytes) -> int:
    """Bytes of the header of a safetensors file, of which these are the first eight or more."""
    return int.from_bytes(data[:8], "little")


def unread_type(data: bytes) -> str:
    """The tensor that holds numbers of a type that NumPy lacks, in words; empty if there is none.

    Args:
        data: of a safetensors file, from its beginning to the end of the header at least.
    """
    try:
        header = json.loads(data[8 : 8 + header_size(data)])
        types = {name: str(entry["dtype"]) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""
    for name, kind in types.items():
        if kind in _UNREAD:
            return f"{name!r} holds {_UNREAD[kind]}, which is not read here; store it as float32"
    return ""
