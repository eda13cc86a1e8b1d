"""Windows computed by the nodes of a cluster: the bytes of this machine, and failures by name."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moclip_lite.errors import CheckpointError
from moclip_lite.mobileviclip.encoder import VideoTextEncoder
from moclip_lite.parallel.runner import LocalRunner
from moclip_lite.progress import Silent
from moclip_lite.retrieval import VideoIndex, WindowSpec, build_index, encode, load_index, save_index, search
from moclip_lite.storage.cache import FeatureCache

from support.retrieval import index_of
from support.s3_server import connected


class Nodes(LocalRunner):
    """Does jobs in this process, after they were pickled as for other machines."""

    remote = True  # type: ignore[assignment]

    def run(self, work: Callable[[Any], Any], jobs: Sequence[Any], **_: object) -> Iterator[tuple[Any, Any]]:
        for job in jobs:
            yield job, work(pickle.loads(pickle.dumps(job)))


def index_on_nodes(folder: Path, encoder: VideoTextEncoder, cache: Path) -> VideoIndex:
    encode._loaded.cache_clear()
    return build_index(folder, encoder, WindowSpec(), FeatureCache(cache), Silent(), Nodes())


def test_an_index_of_a_cluster_is_that_of_this_machine(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = index_of(folder, encoder, tmp_path / "one")
    with monkeypatch.context() as patch:  # this process only reads the cache
        patch.setattr(VideoTextEncoder, "encode_clips", _never_by(encoder, VideoTextEncoder.encode_clips))
        there = index_on_nodes(folder, encoder, tmp_path / "two")
    np.testing.assert_array_equal(here.vectors, there.vectors)
    np.testing.assert_array_equal(here.seconds, there.seconds)
    assert (here.videos, here.failures) == (there.videos, there.failures)
    for name, index in (("a", here), ("b", there)):
        save_index(tmp_path / f"{name}.safetensors", index)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def _never_by(encoder: VideoTextEncoder, encode_clips: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: VideoTextEncoder, clips: Any) -> Any:
        assert self is not encoder
        return encode_clips(self, clips)

    return call


def test_a_node_with_other_weights_is_refused(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "digest", "0" * 32)
    with pytest.raises(CheckpointError, match="has other weights of mobileviclip-tiny"):
        index_on_nodes(folder, encoder, tmp_path / "cache")


@pytest.mark.other_programs
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_an_index_at_a_url_of_videos_at_a_url(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "local"))
    here = index_of(folder, encoder, tmp_path / "cache")
    with connected(tmp_path / "s3") as server:
        for path in folder.rglob("*.*"):
            target = server.folder / "videos" / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        url = Path(server.url)
        there = index_on_nodes(url / "videos", encoder, url / "cache")
        np.testing.assert_array_equal(here.vectors, there.vectors)
        assert [row.name for row in there.failures] == ["broken.mp4"]
        save_index(url / "i.safetensors", there)
        loaded = load_index(url / "i.safetensors")
    (hits,), _ = search(loaded, encoder, ["water"], 2)  # asks no server
    assert all(hit.path.startswith("s3://bucket/videos/") for hit in hits)
