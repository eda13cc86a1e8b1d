"""Image encoders as ONNX files in the cache, named after what they were made from and what they hold."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import CacheUnavailable
from ..experiment.config import Experiment
from ..storage.cache import local_cache_dir
from ..storage.content_digests import ContentDigests
from ..storage.digest import digest_file
from ..storage.files import atomic_path, cache_access
from ..storage.upkeep import ENCODERS

__all__ = ["encoder_file", "file_digest", "keep_encoder", "kept_encoder"]


def encoder_file(experiment: Experiment, key: str) -> Path:
    """Where the image encoder of a key lies in the local cache folder, whether or not it is there."""
    return local_cache_dir(experiment.cache.dir) / ENCODERS / key[:2] / f"{key}.onnx"


def kept_encoder(experiment: Experiment, origin: str) -> str | None:
    """The key of a whole image encoder in the cache that was made from this; None if there is none.

    Args:
        experiment: names the cache.
        origin: digest of all that decides what the encoder computes.
    """
    for path in sorted(encoder_file(experiment, origin).parent.glob(f"{origin}*.onnx")):
        if path.stem == origin + file_digest(path):
            return path.stem
    return None


def keep_encoder(experiment: Experiment, origin: str, source: Path) -> str:
    """Copy an image encoder into the cache.

    Returns:
        Its key: `origin` and the digest of its content.

    Raises:
        CacheUnavailable: the cache can't be written.
    """
    key = origin + digest_file(source)
    path = encoder_file(experiment, key)
    with cache_access(path.parents[2]):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as draft:
            shutil.copyfile(source, draft)
    return key


def file_digest(path: Path) -> str:
    """Digest of an image encoder's file, remembered in the cache: hashing takes as long as loading."""
    try:
        known = ContentDigests(path.parents[2] / "digests.sqlite").of([path])
    except CacheUnavailable:  # read-only
        known = {}
    return known.get(path) or digest_file(path)
