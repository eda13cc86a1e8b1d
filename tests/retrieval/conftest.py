"""Fixtures of retrieval tests: a small model and a folder of videos."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moclip_lite.mobileviclip import VARIANTS, save_model
from moclip_lite.mobileviclip.encoder import ModelSpec, VideoTextEncoder

from support.clips import H264, encode, panning
from support.mobileviclip import TINY, shaken
from support.retrieval import two_shots


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    network = shaken()
    network.weights = "made for tests"
    save_model(path, network)
    return path


@pytest.fixture(scope="module")
def loaded(model: Path) -> Iterator[VideoTextEncoder]:
    """The model as an encoder: loading takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, "tiny", TINY)
        yield VideoTextEncoder(ModelSpec(name="mobileviclip-tiny", pretrained=str(model), num_frames=4))


@pytest.fixture
def encoder(loaded: VideoTextEncoder) -> VideoTextEncoder:
    """A copy: tests replace methods of it."""
    return copy.copy(loaded)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "sub").mkdir()
    two_shots(folder / "sub" / "scenes.mp4")
    encode(folder / "one.mp4", panning(1), **H264)
    encode(folder / "pan.mp4", panning(24, step=(0, 3)), **H264)
    (folder / "broken.mp4").write_bytes(b"broken")
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture
def folder(videos: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(videos, tmp_path / "videos"))
