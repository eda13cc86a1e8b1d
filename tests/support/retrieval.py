"""Videos and indexes for retrieval tests.

PYTEST_DONT_REWRITE: helpers that test modules import by name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moclip_lite.mobileviclip.encoder import VideoTextEncoder
from moclip_lite.progress import Silent
from moclip_lite.retrieval import VideoIndex, WindowSpec, build_index
from moclip_lite.storage.cache import FeatureCache

from support.clips import H264, encode, panning


def two_shots(path: Path, **options: str) -> Path:
    """Encode a video of two shots of 30 frames."""
    first, second = panning(30), 255 - np.rot90(panning(30, 64, 96), axes=(1, 2))
    second[..., 1:] //= 4
    return encode(path, np.concatenate([first, second]), **{**H264, **options})


def index_of(folder: Path, encoder: VideoTextEncoder, cache: Path) -> VideoIndex:
    """Index a folder with default windows."""
    return build_index(folder, encoder, WindowSpec(), FeatureCache(cache), Silent())
