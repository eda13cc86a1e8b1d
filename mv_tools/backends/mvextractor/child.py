"""Child process of the mv-extractor backend: writes the pictures of a file to standard output.

mv-extractor starts as many frame threads as ``std::thread::hardware_concurrency()`` returns and has no
option for their number. With frame threads libavcodec exports vectors of pictures that are still being
decoded, and the vectors of B pictures vary from run to run. This process therefore binds the extension
module's import of that function to one that returns 1.

Each picture is written as :data:`PICTURE` and its int32 [N, 10] table. The script runs by its path and
imports nothing from mv_tools.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Any, Final

import numpy as np

__all__ = ["NOT_OPENED", "PICTURE", "THREADS_NOT_SET", "main"]

PICTURE: Final = struct.Struct("<cI")  # picture type, rows of the table
THREADS_NOT_SET: Final = 3  # exit status: the extension can't be held to one thread
NOT_OPENED: Final = 4  # exit status: mv-extractor can't open the file

_SYMBOL: Final = b"_ZNSt6thread20hardware_concurrencyEv"
_RELOCATION: Final = struct.Struct("<QQq")  # Elf64_Rela: offset, info, addend
_SYMBOL_SIZE: Final = 24  # Elf64_Sym; its name's offset comes first
_STRTAB, _SYMTAB, _JMPREL, _PLTRELSZ = 5, 6, 23, 2  # tags of the dynamic section (System V ABI, ELF64)

_return_one = ctypes.CFUNCTYPE(ctypes.c_uint)(lambda: 1)  # native code keeps a pointer to it


def _dynamic_section(link_map: int) -> tuple[int, dict[int, int]]:
    """Load address and dynamic section of a loaded library, from glibc's struct link_map."""
    base, _, section = (ctypes.c_uint64 * 3).from_address(link_map)
    entries: dict[int, int] = {}
    while tag := ctypes.c_int64.from_address(section).value:
        entries[tag] = ctypes.c_uint64.from_address(section + 8).value
        section += 16
    return base, entries


def _import_slots(module_file: str) -> list[int]:
    """Addresses in the module's global offset table that hold the function's address."""
    base, entries = _dynamic_section(ctypes.CDLL(module_file)._handle)
    strings, symbols, relocations = (
        address if address >= base else base + address  # glibc has relocated them, other libcs have not
        for address in (entries[_STRTAB], entries[_SYMTAB], entries[_JMPREL])
    )
    table = ctypes.string_at(relocations, entries[_PLTRELSZ])
    slots = []
    for offset, info, _ in _RELOCATION.iter_unpack(table):
        name = ctypes.c_uint32.from_address(symbols + _SYMBOL_SIZE * (info >> 32)).value
        if ctypes.string_at(strings + name) == _SYMBOL:
            slots.append(base + offset)
    return slots


def _use_one_thread(module_file: str) -> bool:
    """Bind the import; returns whether the module has it."""
    slots = _import_slots(module_file)
    for slot in slots:  # .got.plt is writable: the wheel is linked for lazy binding
        ctypes.c_void_p.from_address(slot).value = ctypes.cast(_return_one, ctypes.c_void_p).value
    return bool(slots)


def _write_pictures(reader: Any, output: Any) -> None:
    while True:
        success, _frame, vectors, pict_type, *_ = reader.read()
        if not success:
            return
        table = np.ascontiguousarray(vectors, np.int32).reshape(-1, 10)
        output.write(PICTURE.pack(pict_type.encode()[:1] or b"?", len(table)))
        output.write(table.data)


def main(path: str) -> int:
    """Write all pictures of a file; returns the exit status."""
    from mvextractor import videocap

    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(2, 1)  # what mv-extractor prints must not get between the pictures
        if not _use_one_thread(videocap.__file__):
            return THREADS_NOT_SET
        reader = videocap.VideoCap()
        if not reader.open(path):
            return NOT_OPENED
        reader.set_decode_frames(False)
        _write_pictures(reader, output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
