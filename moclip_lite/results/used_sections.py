"""Which sections of a configuration the tested streams use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["used_sections"]

_MOTION: Final = {"motion", "train_motion", "test"}
_APPEARANCE: Final = {"clip"}
_HEAD: Final = {"fusion", "train_head"}
_USED: Final = {
    "motion": _MOTION,
    "motion_head": _MOTION | _HEAD,
    "appearance": _APPEARANCE | _HEAD,
    "appearance_frame": _APPEARANCE | _HEAD,
    "zero_shot": _APPEARANCE,
    "fusion": _MOTION | _APPEARANCE | _HEAD,
}
_ALWAYS: Final[set[str]] = {"run", "data", "cache"}


def used_sections(streams: Iterable[str]) -> set[str]:
    """Names of the configuration's sections that any of the streams depends on."""
    return _ALWAYS.union(*(_USED[stream] for stream in streams))
