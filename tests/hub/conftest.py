"""A hub on this machine, and a run in a repository of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moclip_lite.hub.portable import portable_files
from moclip_lite.results.run_folder import RunFolder

from support.clips import H264, encode, panning
from support.hub_runs import small_run
from support.hub_server import TOKEN, FakeHub, Repository, running_hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A hub, a token for it, and a cache of its own; large files go by LFS."""
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    with running_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(_http.time, "sleep", lambda _: None)  # waits between attempts
        yield server


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder to push."""
    return small_run(tmp_path)


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a repository holds after a push, without a server."""
    contents = portable_files(small_run(tmp_path_factory.mktemp("published")), "user/walks")
    return {
        name: content if isinstance(content, bytes) else content.read_bytes()
        for name, content in contents.items()
    }


@pytest.fixture
def walks(hub: FakeHub, published: dict[str, bytes]) -> Repository:
    """The repository user/walks, with a run."""
    hub.repositories["user/walks"] = Repository(dict(published))
    return hub.repositories["user/walks"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return encode(tmp_path / "clip.mp4", panning(8), **H264)
