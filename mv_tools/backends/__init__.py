"""Backends, which read the motion of a file; :data:`BACKENDS` has their names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from ..errors import ArgumentError, BackendUnavailable
from ..pictures.scan import StreamScan
from ..source import Source
from .base import Backend, OtherBackend
from .libav import LibavBackend
from .mvextractor.backend import MvExtractorBackend
from .native.backend import NativeBackend
from .native.mpeg4 import Mpeg4Backend

__all__ = ["BACKENDS", "Backend", "available_backends", "open_backend"]

log = logging.getLogger("mv_tools")

BACKENDS: Final[dict[str, tuple[type[Backend], ...]]] = {
    "native": (NativeBackend, Mpeg4Backend),
    "libav": (LibavBackend,),
    "mvextractor": (MvExtractorBackend,),
}
"""Name -> classes, each for codecs of its own."""


def available_backends() -> list[str]:
    """Names of the backends that can be used on this machine, best first."""
    return [name for name, (cls, *_) in BACKENDS.items() if cls.why_unavailable() is None]


def open_backend(name: str, source: Source, threads: int, index: Path | None = None) -> Backend:
    """Make a backend for a file and scan the file, or read a saved scan.

    "auto" takes the first backend that supports the file. If that is not the native one although it
    reads the codec, the reason is logged.

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
    scan: StreamScan | None = None
    refusal: OtherBackend | None = None
    for candidate in (candidate for name in names for candidate in _usable_classes(name)):
        if scan is not None and not candidate.reads(scan.packets.stream.codec):
            continue
        if refusal is not None and not refusal.expected:
            log.warning("%s; using %s", refusal, candidate.name)
        backend = candidate(source, threads)
        if scan is not None:
            backend.scan = scan
        try:
            if index is not None:
                backend.load_index(index)
            backend.open()
            return backend
        except OtherBackend as error:
            refusal, scan = error, backend.scan
    raise refusal or BackendUnavailable("no backend is installed")


def _usable_classes(name: str) -> tuple[type[Backend], ...]:
    """Classes of a backend that can be used here.

    Raises:
        ArgumentError: there is no such backend.
        BackendUnavailable: it is not installed; says what to install.
    """
    if name not in BACKENDS:
        raise ArgumentError(f"backend must be one of {['auto', *BACKENDS]}, got {name!r}")
    reason = BACKENDS[name][0].why_unavailable()
    if reason is not None:
        raise BackendUnavailable(f"backend {name!r} can't be used: {reason}")
    return BACKENDS[name]
