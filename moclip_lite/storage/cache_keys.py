"""Names of cache entries: a digest of everything that changes a result, made in one place for all stages.

A key holds the stage, the digest of the content it is computed from, the settings, and what computes it: the
program's version, a number for our own code of that stage, and the versions of the packages and libraries it
calls. Stages that build on others (``motion_tokens`` on ``motion``) take the other's key as their content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import av

import mv_tools

from .digest import digest_bytes, digest_file

__all__ = ["STAGES", "StageCode", "cache_key", "stage_versions"]

_ENCODERS: Final = ("open_clip_torch", "timm", "torch")
_PICTURES: Final = ("av", "pillow", "torchvision")


@dataclass(frozen=True)
class StageCode:
    """What computes the entries of a stage.

    Attributes:
        version: of our own code; raise it with every change of what the stage computes.
        packages: distributions whose version may change the result.
        reads_video: libav and the native parser have a part in it.
    """

    version: int
    packages: tuple[str, ...] = ()
    reads_video: bool = False


STAGES: dict[str, StageCode] = {
    "folds": StageCode(1, ("numpy", "scikit-learn")),
    "motion": StageCode(2, ("av", "motion-vector-extractor"), reads_video=True),
    "clip": StageCode(3, (*_ENCODERS, *_PICTURES), reads_video=True),
    "text": StageCode(2, (*_ENCODERS, "transformers")),
    "encoder": StageCode(2, _ENCODERS),
    "motion_tokens": StageCode(2, ("timm", "torch")),
    "trained": StageCode(2, ("numpy", "timm", "torch")),
    "results": StageCode(1),
    "video": StageCode(3, (*_ENCODERS, *_PICTURES), reads_video=True),
    "window": StageCode(3, (*_ENCODERS, *_PICTURES), reads_video=True),
}
"""Stages of the cache, and two that only take part in other digests: ``encoder`` (remembered digests of an
encoder's weights) and ``results`` (what becomes of the scores in a run folder)."""


def cache_key(stage: str, content: str, settings: Mapping[str, Any]) -> str:
    """Name of an entry: 32 hex digits.

    Args:
        stage: one of :data:`STAGES`.
        content: digest of what the entry is computed from.
        settings: plain values; every one that changes the result.

    Raises:
        KeyError: a stage that is not listed, so that nothing is known of its code.
    """
    text = json.dumps(
        [stage, stage_versions(stage), content, settings], sort_keys=True, separators=(",", ":")
    )
    return digest_bytes([text.encode()])


def stage_versions(stage: str) -> dict[str, str]:
    """What computes a stage: the program, our code's number, packages, and libraries where videos are read."""
    return dict(_versions(STAGES[stage]))


@lru_cache(maxsize=64)
def _versions(code: StageCode) -> tuple[tuple[str, str], ...]:
    found = {"code": str(code.version), "moclip-lite": _package("moclip-lite")}
    found |= {name: _package(name) for name in code.packages}
    if code.reads_video:
        found |= {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}
        found["native parser"] = _native_parser()
        found["pictures"] = str(mv_tools.PICTURES_VERSION)
    return tuple(sorted(found.items()))


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _native_parser() -> str:
    """Digest of the extension module: a build that was changed is another parser, whatever its version says."""
    found = find_spec("mv_tools._h264mv")
    if found is None or found.origin is None or not Path(found.origin).is_file():
        return "absent"
    return digest_file(Path(found.origin))
