"""The ways to get motion out of a file. See :data:`BACKENDS` for their names."""

from __future__ import annotations

from typing import Final

from ..errors import BackendUnavailable
from .base import Backend
from .libav import LibavBackend
from .mvextractor import MvExtractorBackend

__all__ = ["BACKENDS", "Backend", "available_backends", "backend_class"]

BACKENDS: Final[dict[str, type[Backend]]] = {
    "libav": LibavBackend,
    "mvextractor": MvExtractorBackend,
}


def available_backends() -> list[str]:
    """Names of the backends that can be used on this machine, best first."""
    return [name for name, cls in BACKENDS.items() if cls.why_unavailable() is None]


def backend_class(name: str) -> type[Backend]:
    """Look a backend up by name; "auto" is the best one installed.

    Raises:
        ValueError: there is no such backend.
        BackendUnavailable: it is not installed; says what to install.
    """
    if name == "auto":
        name = available_backends()[0]
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {['auto', *BACKENDS]}, got {name!r}")
    reason = BACKENDS[name].why_unavailable()
    if reason is not None:
        raise BackendUnavailable(f"backend {name!r} can't be used: {reason}")
    return BACKENDS[name]
