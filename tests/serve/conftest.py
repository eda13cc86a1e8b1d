"""A server with a real model, shared by the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moclip_lite.datasets.synthetic.pictures import render_clip
from moclip_lite.serve.worker import child_command

from support.broken_files import text_file
from support.cli import TrainedRun
from support.clips import H264, encode
from support.serving import Serving, serving

FRAMES = 36


def _pictures() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Two actions, one after the other."""
    parts = [
        render_clip("bricks", "pan_left", FRAMES, (1, 1))[0],
        render_clip("water", "rotate", FRAMES, (1, 2))[0],
    ]
    height, width = (min(part.shape[axis] for part in parts) // 2 * 2 for axis in (1, 2))
    return np.concatenate([part[:, :height, :width] for part in parts])


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 72 pictures, 2.88 s, in several formats, and of a broken file."""
    root = tmp_path_factory.mktemp("root")
    shown = _pictures()
    encode(root / "clip.mp4", shown, **H264)
    encode(root / "hevc.mkv", shown, "libx265", preset="ultrafast")
    encode(root / "old.avi", shown, "mpeg4", g="12")
    encode(root / "web.webm", shown, "libvpx-vp9", deadline="realtime", **{"cpu-used": "8"})
    text_file(root).rename(root / "broken.mp4")
    return root


@pytest.fixture(scope="session")
def real_server(
    trained: TrainedRun, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """With a trained model; its root is the folder of clips."""
    command = child_command(str(trained.folder), "cpu", [], {"threshold": 0.3})
    base = tmp_path_factory.mktemp("serve")
    with serving(base, command, root=root, max_length=60, max_upload=5_000_000) as running:
        yield running
