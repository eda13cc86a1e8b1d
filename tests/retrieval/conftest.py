"""Fixtures of retrieval tests: a small model and a folder of videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from moclip_lite.mobileviclip import VARIANTS, save_model
from moclip_lite.mobileviclip.encoder import ModelSpec, VideoTextEncoder

from support.mobileviclip import TINY, shaken
from support.retrieval import two_shots


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    network = shaken()
    network.weights = "made for tests"
    save_model(path, network)
    return path


@pytest.fixture
def encoder(model: Path, monkeypatch: pytest.MonkeyPatch) -> VideoTextEncoder:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    return VideoTextEncoder(ModelSpec(name="mobileviclip-tiny", pretrained=str(model), num_frames=4))


@pytest.fixture
def folder(tmp_path: Path, make_clip: Callable[..., Path]) -> Path:
    (tmp_path / "videos" / "sub").mkdir(parents=True)
    two_shots(tmp_path / "videos" / "sub" / "scenes.mp4")
    make_clip("videos/one.mp4", frames=1)
    make_clip("videos/pan.mp4", step=(0, 3))
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"broken")
    (tmp_path / "videos" / "notes.txt").write_text("no video")
    return tmp_path / "videos"
