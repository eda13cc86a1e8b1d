"""Videos at URLs: against a real S3 server on loopback, and fsspec's memory file system."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from mv_tools import ArgumentError, MotionDecoder, SourceChanged, read_rgb_at
from mv_tools.remote import RemoteFile, RemoteReader
from mv_tools.source import Source
from mv_tools.urls import file_system, url_of

from support.clips import WITH_B, encode, panning
from support.http_files import http_files
from support.s3_server import ACCESS, SECRET, Server, connected

LONG = 3_000_000  # bytes of a file that is not read whole

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with connected(tmp_path_factory.mktemp("s3")) as running:
        encode(running.folder / "clip.mp4", panning(24, 128, 96), **WITH_B)
        yield running


@pytest.mark.parametrize(
    ("word", "url"),
    [
        ("s3://bucket/a b.mp4", "s3://bucket/a b.mp4"),
        (Path("s3://bucket/x.mp4"), "s3://bucket/x.mp4"),
        (Path("https://host:8080/x.mp4"), "https://host:8080/x.mp4"),
        ("clip.mp4", None),
        ("/s3:/x", None),
        ("file:///etc/passwd", None),
        ("s3:x", None),
    ],
)
def test_which_words_are_urls(word: str | Path, url: str | None) -> None:
    assert url_of(word) == url


@pytest.mark.parametrize(
    "word",
    [
        "s3://key:secret@bucket/x",
        "https://user@host/x.mp4",
        "https://b.s3.amazonaws.com/x?X-Amz-Signature=secret&y=1",
    ],
)
def test_urls_with_credentials_are_refused_without_repeating_them(word: str) -> None:
    with pytest.raises(ArgumentError, match="environment") as refused:
        url_of(Path(word))
    assert "secret" not in str(refused.value)
    assert "user" not in str(refused.value)


@pytest.mark.other_programs
def test_ranges_are_read_as_the_file_has_them(server: Server) -> None:
    data = np.random.default_rng(0).bytes(3_000_003)
    (server.folder / "data.bin").write_bytes(data)
    file = RemoteFile(f"{server.url}/data.bin")
    assert file.size == len(data)
    for offset, size in (
        (0, 10),
        (2_999_990, 100),
        (50_000, 200_000),
        (32_768, 32_768),
        (3_000_003, 5),
        (7, 0),
    ):
        assert file.read_at(offset, size) == data[offset : offset + size]
    assert RemoteFile(file.url).fetched == 0
    one = RemoteFile(file.url)
    one.read_at(500_000, 100)
    assert one.fetched <= 2 * 8192
    assert io.BufferedReader(RemoteReader(RemoteFile(file.url))).read() == data
    assert pickle.loads(pickle.dumps(file)).read_at(3, 4) == data[3:7]


@pytest.mark.parametrize("lacks", ["", "conditions", "tags", "ranges"])
def test_a_short_file_is_read_in_one_request(tmp_path: Path, lacks: str) -> None:
    """The server is asked for its version before and after."""
    path = encode(tmp_path / "clip.avi", panning(60, 320, 240), "mpeg4", g="12")
    requests: list[str] = []
    with http_files(tmp_path, lacks, requests=requests) as url:
        file = RemoteFile(f"{url}/clip.avi")
        assert file.read_at(100, 50) == path.read_bytes()[100:150]
        assert requests == ["HEAD", "GET", "HEAD"]
        requests.clear()
        assert len(MotionDecoder(file.url)) == 60
        assert requests.count("GET") == 1
        unread, content = RemoteFile(file.url), path.read_bytes()
        path.write_bytes(content[::-1])
        os.utime(path, (1, 1))
        assert file.read_at(0, file.size) == content
        with pytest.raises(SourceChanged, match="was changed while it was read"):
            unread.read_at(0, 10)


@pytest.mark.other_programs
def test_a_short_object_is_read_in_one_conditional_request(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[tuple[int, ...]] = []
    ask = RemoteFile._s3_range
    monkeypatch.setattr(
        RemoteFile, "_s3_range", lambda file, *span: requests.append(span) or ask(file, *span)
    )
    path = server.folder / "short.avi"
    encode(path, panning(60, 320, 240), "mpeg4", g="12")
    assert len(MotionDecoder(f"{server.url}/short.avi")) == 60
    assert requests == [(0, path.stat().st_size)]
    file = RemoteFile(f"{server.url}/short.avi")
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(SourceChanged, match="was changed while it was read"):
        file.read_at(0, 10)


@pytest.mark.other_programs
def test_motion_and_pictures_are_those_of_the_file(server: Server) -> None:
    url, path = f"{server.url}/clip.mp4", server.folder / "clip.mp4"
    for backend in ("native", "libav"):
        for one, other in zip(MotionDecoder(path, backend), MotionDecoder(url, backend), strict=True):
            np.testing.assert_array_equal(one.mv, other.mv)
    (here, _), (there, _) = read_rgb_at(path, [3, 17]), read_rgb_at(url, [3, 17])
    np.testing.assert_array_equal(here, there)


@pytest.mark.other_programs
def test_a_changed_object_is_noticed(server: Server) -> None:
    path = server.folder / "changing.bin"
    path.write_bytes(b"a" * LONG)
    file = RemoteFile(f"{server.url}/changing.bin")
    stamp = file.stamp
    assert file.read_at(0, 10) == b"a" * 10
    path.write_bytes(b"b" * LONG)
    os.utime(path, (1, 1))
    assert Source(file.url, remote=file).stamp != stamp
    with pytest.raises(SourceChanged, match="was changed while it was read"):
        file.read_at(200_000, 10)


def test_a_changed_object_is_noticed_where_requests_take_no_condition() -> None:
    """gs://, az:// and all other file systems of fsspec; memory:// stands in for them."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe_file("/changing/x.bin", b"a" * LONG)
    file = RemoteFile("memory://changing/x.bin")
    assert file.read_at(0, 10) == b"a" * 10
    memory.pipe_file("/changing/x.bin", b"b" * LONG)  # of the same size
    with pytest.raises(SourceChanged, match="was changed while it was read"):
        file.read_at(200_000, 10)
    memory.rm("/changing", recursive=True)


def test_a_word_that_looks_like_a_url_and_is_none_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"http://\[bad is not a URL"):
        url_of("http://[bad")


def test_slashes_of_a_url_are_kept() -> None:
    """Objects `a//b` and `a/b` are two."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for name in ("/slashes/a//b.mp4", "/slashes/a/b.mp4"):
        memory.pipe_file(name, name.encode())
    url = "memory://slashes/a//b.mp4"
    assert Source.of(url).name == url
    assert Source.of(url).open_raw().read() == b"/slashes/a//b.mp4"
    for name in [name for name in memory.store if name.startswith("/slashes")]:
        del memory.store[name]  # older versions of fsspec can't remove `a//b`


@pytest.mark.other_programs
@pytest.mark.slow
def test_chosen_pictures_fetch_a_small_part_of_a_large_file(server: Server, tmp_path: Path) -> None:
    """25 of 750 pictures of 126 MB: less than 5 % of its bytes.

    The file is sent to the server, because s3s-fs reads all of a file that was put into its folder at each request.
    """
    path = tmp_path / "large.mp4"
    source = "testsrc2=s=640x360:r=25,noise=alls=40:allf=t"
    options = [
        "-frames:v",
        "750",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "12",
        "-bf",
        "0",
        "-crf",
        "17",
    ]
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([ffmpeg, "-loglevel", "error", "-f", "lavfi", "-i", source, *options, path], check=True)
    assert path.stat().st_size > 100e6
    system, place = file_system(f"{server.url}/large.mp4")
    system.put_file(str(path), place)
    chosen = np.linspace(5, 745, 25).astype(int).tolist()
    decoder = MotionDecoder(f"{server.url}/large.mp4", "native")
    frames = decoder.get_frames_at(chosen)
    assert decoder.source.remote is not None
    share = decoder.source.remote.fetched / decoder.source.size
    assert share < 0.05, f"{100 * share:.1f} %"
    for one, other in zip(frames, MotionDecoder(path, "native").get_frames_at(chosen), strict=True):
        np.testing.assert_array_equal(one.mv, other.mv)


def test_files_of_a_web_server_are_read_by_ranges(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", panning(24, 128, 96), **WITH_B)
    with http_files(tmp_path) as url:
        for one, other in zip(MotionDecoder(path), MotionDecoder(f"{url}/clip.mp4"), strict=True):
            np.testing.assert_array_equal(one.mv, other.mv)
        with path.open("ab") as longer:
            longer.write(bytes(LONG))
        file = RemoteFile(f"{url}/clip.mp4")
        assert file.read_at(100, 50) == path.read_bytes()[100:150]
        assert 0 < file.fetched < file.size
        with pytest.raises(FileNotFoundError, match="no such object"):
            RemoteFile(f"{url}/absent.mp4")
        path.write_bytes(path.read_bytes()[::-1])
        with pytest.raises(SourceChanged, match="was changed while it was read"):
            file.read_range(0, 10)


@pytest.mark.other_programs
@pytest.mark.slow
def test_what_can_not_be_read_is_said_without_credentials(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such object.*absent\.mp4"):
        RemoteFile(f"{server.url}/absent.mp4")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(PermissionError, match="access is refused") as refused:
        RemoteFile(f"{server.url}/clip.mp4")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # else the client waits seconds in between
    with pytest.raises(OSError, match="it can't be reached") as unreachable:
        RemoteFile(f"{server.url}/clip.mp4")
    s3fs.S3FileSystem.clear_instance_cache()
    for text in (str(refused.value), str(unreachable.value), caplog.text):
        assert not any(secret in text for secret in (ACCESS, SECRET, "another-secret"))


@pytest.mark.parametrize("lacks", [(), ("conditions",), ("tags",)])
def test_a_file_that_changes_at_a_web_server_is_noticed(tmp_path: Path, lacks: tuple[str, ...]) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"a" * LONG)
    os.utime(path, (1e9, 1e9))
    with http_files(tmp_path, *lacks) as url:
        file = RemoteFile(f"{url}/x.bin")
        before = file.stamp
        assert file.read_at(10, 4) == b"aaaa"
        path.write_bytes(b"b" * LONG)
        assert file.stamp != before
        with pytest.raises(SourceChanged, match="was changed while it was read"):
            file.read_at(90_000, 4)


def test_a_web_server_without_ranges_is_named(tmp_path: Path) -> None:
    with encode(tmp_path / "x.mp4", panning(24, 256, 192), **WITH_B).open("ab") as longer:
        longer.write(bytes(LONG))
    with http_files(tmp_path, "ranges") as url, pytest.raises(OSError, match="answers no ranges; download"):
        MotionDecoder(f"{url}/x.mp4")


def test_file_objects_are_read_from_their_beginning(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.ts", panning(), **WITH_B)
    with path.open("rb") as file:
        file.read(188 * 20)
        assert [len(MotionDecoder(file)) for _ in range(2)] == [24, 24]
