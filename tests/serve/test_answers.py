"""Errors in one form, ranges, HEAD, and files below the root that are not what was analysed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from support.serving import Serving, serving
from support.waiting import until

ROUTES = ["/", "/docs", "/healthz", "/metrics", "/api/about", "/api/files", "/openapi.json", "/favicon.ico",
          "/static/app.js"]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    base = tmp_path_factory.mktemp("serve")
    root = base / "root"
    root.mkdir()
    with serving(base, root=root, per_client=50, queue=50, results=100) as running:
        yield running


@pytest.fixture
def root(server: Serving) -> Path:
    """The root, with a file named clip.mp4."""
    root = server.folder.parent / "root"
    shutil.rmtree(root)
    root.mkdir()
    (root / "clip.mp4").write_bytes(b"fine, and played in the page")
    return root


def job_of(server: Serving, name: str = "clip.mp4") -> str:
    """Address of a job that is done."""
    job = server.client.post("/api/jobs", json={"path": name}).json()["id"]
    assert server.wait(job)["state"] == "done"
    return f"/api/jobs/{job}"


def sentence(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    error = str(answer.json()["error"])
    assert error[:1].isalpha(), error
    return error


RANGES = {
    "bytes=999999-": 416, "bytes=" + "9" * 5000 + "-": 416, "bytes=-0": 416,
    "bytes=0-3": 206, "BYTES=0-3": 206, "bytes= 0-3 ,": 206, "bytes=00-" + "9" * 5000: 206, "bytes=-4": 206,
    "bytes=5-2": 200, "bytes=9-3": 200, "bytes=0-1,5-2": 200, "bytes=0-1,x": 200, "bytes=abc": 200, "bytes=": 200,
    "items=0-5": 200, "bytes": 200, "bytes=-": 200, "bytes=--5": 200, "bytes=1_0-": 200, "bytes=+1-": 200, "": 200,
    "bytes=,": 200, "bytes =0-3": 200, "seconds=1-2": 200,
}  # fmt: skip


@pytest.mark.parametrize("wanted", RANGES, ids=lambda text: text[:15])
def test_ranges(wanted: str, server: Serving, root: Path) -> None:
    """Those that RFC 9110 calls invalid are ignored, those outside of the file get a sentence."""
    job = job_of(server)
    for path in (f"{job}/video", f"{job}/result", "/static/app.js"):
        plain = server.client.get(path)
        answer = server.client.get(path, headers={"range": wanted})
        assert answer.status_code == RANGES[wanted]
        if answer.status_code == 416:
            assert "range" in sentence(answer)
            assert answer.headers["content-range"].startswith("bytes */")
        elif answer.status_code == 206:
            assert answer.content in plain.content
        else:
            assert answer.content == plain.content
        assert server.client.head(path, headers={"range": wanted}).status_code == 200
        twice = [("range", wanted), ("range", "bytes=0-3")]
        assert server.client.get(path, headers=twice).content == plain.content


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"",
        b"{",
        b"1",
        b'"x"',
        b"\xff",
        b"{}",
        b'{"token": 1}',
        b"[" * 5000,
        b'{"token": "a", "token": "b"}',
        b'{"token": "a", "other": 1}',
    ],
)
def test_what_a_session_expects(body: bytes, server: Serving) -> None:
    answer = server.client.post("/api/session", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    named = ("token: ", "other: ", "'token' is given twice", "must be a JSON object")
    assert any(words in answer.json()["error"] for words in named)


@pytest.mark.parametrize("path", ROUTES)
def test_head_is_answered_where_get_is(path: str, server: Serving) -> None:
    shown = server.client.get(path)
    head = server.client.head(path)
    assert (head.status_code, head.content) == (shown.status_code, b"")
    assert head.headers["content-type"] == shown.headers["content-type"]


def test_head_of_a_result(server: Serving, root: Path) -> None:
    head = server.client.head(f"{job_of(server)}/video")
    assert (head.status_code, head.headers["content-length"]) == (200, "28")
    assert server.client.head("/api/predict").status_code == 405


@pytest.mark.parametrize(
    "chunk", ["-1", "+0", "0_0", "%200", "0%20", "00", "1.0", "x", "%D9%A3", "9" * 5000, "0x0"]
)
def test_stretches_of_vectors_are_plain_numbers(chunk: str, server: Serving, root: Path) -> None:
    job = job_of(server)
    (folder,) = [
        server.folder / name for name in server.jobs() if (server.folder / name / "result.json").exists()
    ][-1:]
    (folder / "vectors-0.gz").write_bytes(b"x")
    answer = server.client.get(f"{job}/vectors/{chunk}")
    assert answer.status_code == 404
    assert "numbered 0, 1, 2" in sentence(answer)


def removed(path: Path, outside: Path) -> None:
    path.unlink()


def linked_outside(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(outside)


def made_a_folder(path: Path, outside: Path) -> None:
    path.unlink()
    path.mkdir()


def made_a_pipe(path: Path, outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced(path: Path, outside: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def linked_inside(path: Path, outside: Path) -> None:
    path.replace(path.with_name("moved.mp4"))
    path.symlink_to("moved.mp4")


def written(path: Path, outside: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewritten(path: Path, outside: Path) -> None:
    path.write_bytes(path.read_bytes().swapcase())
    os.utime(path, ns=(1, 1))


GONE = {removed: 410, linked_outside: 410, made_a_folder: 410, made_a_pipe: 410}
CHANGED = {replaced: 409, linked_inside: 409, written: 409, rewritten: 409}


@pytest.mark.parametrize("change", [*GONE, *CHANGED], ids=lambda change: change.__name__)
def test_a_changed_file_is_not_delivered(
    change: Callable[[Path, Path], None], server: Serving, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    job = job_of(server)
    assert server.client.get(f"{job}/video").status_code == 200
    change(root / "clip.mp4", tmp_path / "secret.mp4")
    for headers in ({}, {"range": "bytes=0-3"}):
        answer = server.client.get(f"{job}/video", headers=headers)
        assert answer.status_code == {**GONE, **CHANGED}[change]
        assert "the file " in sentence(answer)


@pytest.mark.parametrize("change", [*GONE, written, replaced], ids=lambda change: change.__name__)
def test_a_file_that_changes_while_it_waits(change: Callable[[Path, Path], None], tmp_path: Path) -> None:
    """What it is when its turn comes is analysed, and delivered, if it is still below the root."""
    root, secret = tmp_path / "root", tmp_path / "secret.mp4"
    root.mkdir()
    secret.write_bytes(b"fine secret")
    (root / "clip.mp4").write_bytes(b"fine")
    with serving(tmp_path, root=root) as busy:
        busy.client.post("/api/jobs", content=b"hold")
        job = busy.client.post("/api/jobs", json={"path": "clip.mp4"}).json()["id"]
        change(root / "clip.mp4", secret)
        busy.release()
        status = busy.wait(job)
        if change in GONE:
            assert status["state"] == "failed"
            assert "no such video file below" in status["error"]
        else:
            assert busy.client.get(status["links"]["video"]).content == (root / "clip.mp4").read_bytes()


@pytest.mark.parametrize("route", ["jobs", "predict"])
@pytest.mark.parametrize("change", [*GONE, *CHANGED], ids=lambda change: change.__name__)
def test_a_file_that_changes_during_its_analysis(
    change: Callable[[Path, Path], None], route: str, tmp_path: Path
) -> None:
    """Its result would be made of two videos."""
    root, secret = tmp_path / "root", tmp_path / "secret.mp4"
    root.mkdir()
    secret.write_bytes(b"fine secret")
    (root / "clip.mp4").write_bytes(b"hold")
    with serving(tmp_path, root=root) as busy, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(busy.client.post, f"/api/{route}", json={"path": "clip.mp4"})
        until(busy.held)
        change(root / "clip.mp4", secret)
        busy.release()
        answer = asked.result()
        if route == "jobs":
            status = busy.wait(answer.json()["id"])
            assert (status["state"], status["links"]) == ("failed", {})
            answer = busy.client.get(f"/api/jobs/{status['id']}/result")
    assert answer.status_code == {**GONE, **CHANGED}[change]
    assert "the file " in sentence(answer)
