"""Backends, which read the motion of a file; :data:`BACKENDS` has their names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from ..errors import ArgumentError, BackendUnavailable
from ..source import Source
from .base import Backend, OtherBackend
from .libav import LibavBackend
from .mvextractor.backend import MvExtractorBackend
from .native.backend import NativeBackend

__all__ = ["BACKENDS", "Backend", "available_backends", "backend_class", "open_backend"]

log = logging.getLogger("mv_tools")

BACKENDS: Final[dict[str, type[Backend]]] = {
    "native": NativeBackend,
    "libav": LibavBackend,
    "mvextractor": MvExtractorBackend,
}


def available_backends() -> list[str]:
    """Names of the backends that can be used on this machine, best first."""
    return [name for name, cls in BACKENDS.items() if cls.why_unavailable() is None]


def open_backend(name: str, source: Source, threads: int, index: Path | None = None) -> Backend:
    """Make a backend for a file and scan the file, or read a saved scan.

    "auto" takes the first backend that supports the file. If that is not the native one although the
    file is H.264, the reason is logged.

    Args:
        name: "auto" or one of :data:`BACKENDS`.
        source: the file.
        threads: for parsing, at least 1.
        index: a file that :meth:`Backend.save_index` wrote.

    Raises:
        ArgumentError: there is no such backend.
        BackendUnavailable: it is not installed.
        MotionError: the file can't be read.
    """
    names = available_backends() if name == "auto" else [name]
    if index is not None and name == "auto":
        names = ["native"]  # no other reads an index
    scan = None
    for number, candidate in enumerate(names, start=1):
        backend = backend_class(candidate)(source, threads)
        if scan is not None:
            backend.scan = scan
        try:
            if index is not None:
                backend.load_index(index)
            backend.open()
            return backend
        except OtherBackend as error:
            if number == len(names):
                raise
            if not error.expected:
                log.warning("%s; using %s", error, names[number])
            scan = backend.scan
    raise BackendUnavailable("no backend is installed")


def backend_class(name: str) -> type[Backend]:
    """Look a backend up by name.

    Raises:
        ArgumentError: there is no such backend.
        BackendUnavailable: it is not installed; says what to install.
    """
    if name not in BACKENDS:
        raise ArgumentError(f"backend must be one of {['auto', *BACKENDS]}, got {name!r}")
    reason = BACKENDS[name].why_unavailable()
    if reason is not None:
        raise BackendUnavailable(f"backend {name!r} can't be used: {reason}")
    return BACKENDS[name]
