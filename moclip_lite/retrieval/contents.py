"""Digests of many files, and reasons for those that can't be read: one bad file never ends a batch."""

from __future__ import annotations

from collections.abc import Sequence

from ..cache import FeatureCache
from ..datasets import Clip
from ..digest import digest_file
from ..extract import content_digests

__all__ = ["digest_of", "known_digests"]


def known_digests(clips: Sequence[Clip], cache: FeatureCache) -> dict[str, str]:
    """Clip name -> digest of its file, for the files that can be read."""
    try:
        return content_digests(clips, cache)
    except (OSError, UnicodeError):  # of one file: all the others are read one by one
        digests: dict[str, str] = {}
        for clip in clips:
            try:
                digests |= content_digests([clip], cache)
            except (OSError, UnicodeError):
                continue  # digest_of says why
        return digests


def digest_of(clip: Clip, digests: dict[str, str]) -> str:
    """A clip's digest, computed if :func:`known_digests` has none.

    Raises:
        OSError: its file can't be read.
    """
    return digests.get(clip.name) or digest_file(clip.path)
