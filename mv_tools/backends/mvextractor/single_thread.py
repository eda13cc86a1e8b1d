"""Make mv-extractor decode with one thread.

mv-extractor starts as many frame threads as ``std::thread::hardware_concurrency()`` says, up to
16, and has no switch for it. With frame threads the vectors that libavcodec exports vary from run
to run. This binds that one imported function, in that one module, to a function that answers 1:
the module's relocation entry (System V ABI, ELF64, ``Elf64_Rela``) is found by its symbol name and
its slot in the global offset table is rewritten. The package exists for x86-64 Linux only, so
this need work nowhere else.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["bind_single_thread"]

_SYMBOL: Final = b"_ZNSt6thread20hardware_concurrencyEv"
_GLOB_DAT, _JUMP_SLOT = 6, 7  # x86-64 relocation types that hold a function's address
_answer_one = ctypes.CFUNCTYPE(ctypes.c_uint)(lambda: 1)  # kept alive: native code points to it


def _sections(image: bytes) -> dict[bytes, tuple[int, int]]:
    """File offset and size of each section, by name."""
    (table,) = struct.unpack_from("<Q", image, 0x28)
    entry, count, names = struct.unpack_from("<HHH", image, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", image, table + i * entry) for i in range(count)]
    strings = headers[names][4]
    out = {}
    for name, _kind, _flags, _address, offset, size in headers:
        start = strings + name
        out[image[start : image.index(b"\0", start)]] = (offset, size)
    return out


def _slot_addresses(image: bytes) -> list[int]:
    """Virtual addresses of the table slots that are bound to the symbol."""
    sections = _sections(image)
    symbols, _ = sections[b".dynsym"]
    strings, _ = sections[b".dynstr"]
    found = []
    for name in (b".rela.plt", b".rela.dyn"):
        offset, size = sections.get(name, (0, 0))
        for position in range(offset, offset + size, 24):
            address, info, _addend = struct.unpack_from("<QQq", image, position)
            if info & 0xFFFFFFFF not in (_GLOB_DAT, _JUMP_SLOT):
                continue
            (text,) = struct.unpack_from("<I", image, symbols + 24 * (info >> 32))
            start = strings + text
            if image[start : image.index(b"\0", start)] == _SYMBOL:
                found.append(address)
    return found


def _load_address(path: Path) -> int | None:
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == str(path) and int(fields[2], 16) == 0:
            return int(fields[0].split("-")[0], 16)
    return None


@cache
def bind_single_thread(module_file: str) -> bool:
    """Rebind the import; True if the module now starts one decoding thread.

    Args:
        module_file: path of the loaded extension module.
    """
    path = Path(module_file).resolve()
    base = _load_address(path)
    try:
        slots = _slot_addresses(path.read_bytes())
    except (KeyError, ValueError, struct.error):  # not the layout of a wheel of this package
        return False
    if base is None or not slots:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    target = ctypes.cast(_answer_one, ctypes.c_void_p).value
    for slot in slots:
        page = (base + slot) & ~(mmap.PAGESIZE - 1)
        if libc.mprotect(page, 2 * mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE) != 0:
            return False
        ctypes.c_uint64.from_address(base + slot).value = target or 0
    return True
