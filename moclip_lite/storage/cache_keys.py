"""Keys of cache entries: a digest of everything that changes a result, made here for all stages.

A key covers the stage, the digest of the content it is computed from, the settings, and the versions of the
code: the program's, a number for our own code of that stage, and those of the packages and libraries it
calls. Stages that build on others (``motion_tokens`` on ``motion``) take the other's key as their content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import av

import mv_tools

from ..versions import ABSENT, package_version
from .digest import digest_bytes, digest_file
from .upkeep import ENCODERS, HUB

__all__ = ["NOTES", "STAGES", "StageCode", "cache_key", "cached_stages", "stage_versions"]

_ENCODERS: Final = ("open_clip_torch", "timm", "torch")
_PICTURES: Final = ("av", "pillow", "torchvision")


@dataclass(frozen=True)
class StageCode:
    """Versions of the code that computes a stage.

    Attributes:
        version: of our own code; raise it with every change of the stage's results.
        packages: distributions whose version may change the result.
        reads_video: whether libav and the native parser take part.
        cached: whether the cache holds entries of the stage; if not, its versions only enter other digests.
    """

    version: int
    packages: tuple[str, ...] = ()
    reads_video: bool = False
    cached: bool = True


STAGES: dict[str, StageCode] = {
    "folds": StageCode(3, ("numpy", "scikit-learn")),
    "motion": StageCode(6, ("av", "motion-vector-extractor"), reads_video=True),
    "clip": StageCode(7, (*_ENCODERS, *_PICTURES), reads_video=True),
    "text": StageCode(2, (*_ENCODERS, "transformers")),
    "encoder": StageCode(3, (*_ENCODERS, "torchvision"), cached=False),
    "motion_tokens": StageCode(4, ("timm", "torch")),
    "trained": StageCode(7, ("numpy", "scikit-learn", "timm", "torch")),
    "results": StageCode(2, cached=False),
    "video": StageCode(6, (*_ENCODERS, *_PICTURES), reads_video=True),
    "window": StageCode(8, (*_ENCODERS, *_PICTURES), reads_video=True),
}
"""The cache's stages, ``encoder`` (remembered digests of an encoder's weights) and ``results`` (metrics and
report of a run folder)."""

NOTES: Final = "notes"
"""Entries that hold the notes of a clip, under the key of its features."""


def cached_stages() -> list[str]:
    """Names of the stages that the cache may hold entries of; so are notes, encoders and runs of the hub."""
    return [*(name for name, code in STAGES.items() if code.cached), NOTES, ENCODERS, HUB]


def cache_key(stage: str, content: str, settings: Mapping[str, Any]) -> str:
    """Key of an entry: 32 hex digits.

    Args:
        stage: one of :data:`STAGES`.
        content: digest of what the entry is computed from.
        settings: plain values; every one that changes the result.

    Raises:
        KeyError: an unknown stage.
    """
    text = json.dumps(
        [stage, stage_versions(stage), content, settings], sort_keys=True, separators=(",", ":")
    )
    return digest_bytes([text.encode()])


def stage_versions(stage: str) -> dict[str, str]:
    """Versions of the code of a stage: program, stage, packages, and libraries where videos are read."""
    return dict(_versions(STAGES[stage]))


@lru_cache(maxsize=64)
def _versions(code: StageCode) -> tuple[tuple[str, str], ...]:
    versions = {"code": str(code.version), "moclip-lite": package_version()}
    versions |= {name: package_version(name) for name in code.packages}
    if code.reads_video:
        versions |= {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
        versions["native parser"] = _native_parser_digest()
        versions["pictures"] = str(mv_tools.PICTURES_VERSION)
    return tuple(sorted(versions.items()))


def _native_parser_digest() -> str:
    """Digest of the extension module: a changed build is another parser, whatever its version."""
    spec = find_spec("mv_tools._native")
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return ABSENT
    return digest_file(Path(spec.origin))
