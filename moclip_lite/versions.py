"""Versions of installed packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["ABSENT", "package_version"]

ABSENT = "absent"


def package_version(name: str = "moclip-lite") -> str:
    """Version of a package, or :data:`ABSENT` if it is not installed, as where a checkout runs in place."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ABSENT
