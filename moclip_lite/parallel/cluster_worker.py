"""What runs on the nodes of a cluster: a process that does jobs one after the other."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from mv_tools import ArgumentError
from mv_tools.urls import url_of

from ..errors import MoclipError
from ..versions import package_version
from .threads import set_thread_policy

__all__ = ["PACKAGES", "ClusterWorker", "Greeting", "Outcome", "code_versions"]

PACKAGES: Final = (
    *("av", "pillow", "motion-vector-extractor", "torchvision"),
    *("torch", "timm", "open_clip_torch", "transformers", "numpy", "scikit-learn"),
)
"""Distributions whose version may change results."""

Outcome: TypeAlias = tuple[Literal["done", "unseen", "stops all", "bug"], object]
"""What became of a job: its result; the file this node does not see; an error of all jobs; a traceback."""


@dataclass(frozen=True)
class Greeting:
    """What a worker says of its node before it gets jobs.

    Attributes:
        host: its name.
        versions: of the code that computes results.
        sees_folder: whether it sees the folder that jobs write into.
    """

    host: str
    versions: dict[str, str]
    sees_folder: bool


class ClusterWorker:
    """A process on a node."""

    def __init__(self) -> None:
        set_thread_policy()

    def greet(self, token: Path | None) -> Greeting:
        """Describe this node; `token` is a file in the folder that jobs write into, if they do."""
        import socket

        return Greeting(socket.gethostname(), code_versions(), token is not None and token.is_file())

    def run(self, work: Callable[[Any], object], jobs: Sequence[Any]) -> tuple[list[Outcome], float]:
        """Do jobs one after the other; returns their outcomes and the seconds they took."""
        began = time.perf_counter()
        return [_outcome(work, job) for job in jobs], time.perf_counter() - began


def _outcome(work: Callable[[Any], object], job: Any) -> Outcome:
    path = getattr(job, "path", None)
    if isinstance(path, Path) and url_of(path) is None and not path.exists():
        return "unseen", str(path)
    try:
        return "done", work(job)
    except (MoclipError, ArgumentError, OSError) as error:
        return "stops all", str(error)
    except Exception:
        return "bug", traceback.format_exc()


@lru_cache(maxsize=1)
def code_versions() -> dict[str, str]:
    """Versions of Python, of the packages that results depend on, and the digest of our own code."""
    versions = {"python": ".".join(map(str, sys.version_info[:2]))}
    versions |= {name: package_version(name) for name in PACKAGES}
    return versions | {"moclip-lite": _code_digest()}


def _code_digest() -> str:
    """Digest of the files of both packages, compiled ones included."""
    import hashlib

    digest = hashlib.blake2b(digest_size=8)
    for package in ("moclip_lite", "mv_tools"):
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            root = Path(folder)
            for file in sorted([*root.rglob("*.py"), *root.rglob("*.so"), *root.rglob("*.pyd")]):
                digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
