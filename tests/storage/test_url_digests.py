"""Digests of files at URLs: what tells contents apart, what is remembered, and which errors are a file's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moclip_lite.storage import stamps, url_digests
from moclip_lite.storage.content_digests import ContentDigests
from moclip_lite.storage.digest import digest_file, digest_remote
from mv_tools.remote import RemoteFile
from mv_tools.urls import ServerFailure

from support.http_files import http_files

TIME = (1e9, 1e9)


@pytest.fixture
def alike(tmp_path: Path) -> list[Path]:
    """Two files of one size and time."""
    paths = [tmp_path / "files" / name for name in ("a.mp4", "b.mp4")]
    paths[0].parent.mkdir()
    for path, content in zip(paths, (b"one", b"two"), strict=True):
        path.write_bytes(content)
        os.utime(path, TIME)
    return paths


@pytest.mark.parametrize("lacks", [("contents",), ("tags",), ("tags", "times")])
def test_files_of_a_web_server_are_told_apart_by_content(
    alike: list[Path], tmp_path: Path, lacks: tuple[str, ...]
) -> None:
    """Its ETag is made of size and time (nginx, Apache), and it may tell nothing at all."""
    with http_files(alike[0].parent, *lacks) as url:
        urls = [Path(f"{url}/{path.name}") for path in alike]
        versions = {RemoteFile(f"{url}/{path.name}").version for path in alike}
        assert len(versions) == 1
        digests = ContentDigests(tmp_path / "digests.sqlite").of(urls)
    assert list(digests.values()) == [digest_file(path) for path in alike]


@pytest.mark.parametrize(("lacks", "reads"), [((), 1), (("tags",), 2)])
def test_contents_are_read_again_where_no_etag_tells_versions_apart(
    alike: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: tuple[str, ...], reads: int
) -> None:
    read: list[object] = []
    for module in (url_digests, stamps):
        monkeypatch.setattr(module, "digest_remote", lambda file: read.append(1) or digest_remote(file))
    with http_files(alike[0].parent, *lacks) as url:
        path = Path(f"{url}/a.mp4")
        first = ContentDigests(tmp_path / "digests.sqlite").stamped([path])
        assert ContentDigests(tmp_path / "digests.sqlite").stamped([path]) == first
        assert len(read) == reads
        alike[0].write_bytes(b"six")
        os.utime(alike[0], TIME)
        now = ContentDigests(tmp_path / "digests.sqlite").of([path])[path]
    assert now == digest_file(alike[0]) != first[path].digest


def test_object_stores_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 makes its ETag of the content; another store's belongs to its object."""
    tags = {"s3": '"5d41402abc4b2a76b9719d911017c592"', "gs": "CJ+aux/K3fICEAE=", "az": "0x8D4BCC2E4835CD0"}
    monkeypatch.setattr(RemoteFile, "status", lambda file: (3, tags[file.url[:2]]))
    monkeypatch.setattr("mv_tools.remote.file_system", lambda url: (None, url))
    digests = {url: url_digests.digest_at_url(url, None).digest for url in _urls("s3", "gs", "az")}
    assert digests["s3://bucket/a"] == digests["s3://bucket/b"]
    assert len(set(digests.values())) == 5


def _urls(*schemes: str) -> list[str]:
    return [f"{scheme}://bucket/{name}" for scheme in schemes for name in "ab"]


def test_files_that_are_absent_or_refused_are_left_out_and_a_server_that_gives_none_ends_the_work(
    alike: list[Path], tmp_path: Path
) -> None:
    memory = ContentDigests(tmp_path / "digests.sqlite")
    with http_files(alike[0].parent, refuses={"b.mp4": 503}) as url:
        there, refused, absent = (Path(f"{url}/{name}.mp4") for name in ("a", "b", "c"))
        assert list(memory.of([there, absent])) == [there]
        assert list(memory.of([there, absent, refused])) == [there]
        with pytest.raises(ServerFailure, match=r"can't be reached \(HTTP 503\).*b\.mp4"):
            memory.of([refused])
    with pytest.raises(ServerFailure, match=r"can't be reached.*http://127\.0\.0\.1:9/"):
        memory.of([Path("http://127.0.0.1:9/a.mp4")])
