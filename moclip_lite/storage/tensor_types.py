"""Types of numbers in safetensors files that NumPy lacks, or has only while another package is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["unread_type"]

_UNREAD: Final = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8",
    "F8_E5M2": "float8",
    "F8_E8M0": "float8",
    "F6_E2M3": "float6",
    "F6_E3M2": "float6",
    "F4": "float4",
}


def unread_type(types: Mapping[str, str]) -> str:
    """The tensor that holds numbers of such a type, in words; empty if there is none.

    Args:
        types: name of each tensor -> its type, as the file's header names it.
    """
    for name, kind in types.items():
        if kind in _UNREAD:
            return f"{name!r} holds {_UNREAD[kind]}, which is not read here; store it as float32"
    return ""
