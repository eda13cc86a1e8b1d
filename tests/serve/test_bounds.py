"""What a client without a token may take: memory of bodies, time and number of connections."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from moclip_lite.serve.http.bodies import MAX_BODY, UPLOAD_PATHS

from support.serving import Serving, serving
from support.waiting import PATIENCE, until

KINDS = "Host: localhost\nContent-Type: application/json\n"
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    base = tmp_path_factory.mktemp("serve")
    with serving(base, token=TOKEN, root=base) as running:
        yield running


def error_of(answer: bytes, status: int) -> str:
    """The sentence of an answer with this status."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer[:500]
    if b"chunked" in head.lower():
        body = re.sub(rb"^[0-9a-f]+\r\n|\r\n0\r\n\r\n$|\r\n$", b"", body)
    return str(json.loads(body)["error"])


def requests_of(server: Serving) -> list[str]:
    """Method and address of every request that is described, but for uploads."""
    paths = server.client.get("/openapi.json").json()["paths"]
    pairs = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    pairs += [("GET", "/"), ("GET", "/static/app.js"), ("POST", "/nothing"), ("POST", "/api/jobs/")]
    left = [f"{method} {path}" for method, path in pairs if (method, path) not in UPLOADS]
    return [re.sub(r"\{\w+\}", "0", line) for line in left]


UPLOADS = [("POST", path) for path in UPLOAD_PATHS]


def test_a_declared_large_body_is_refused_at_once_everywhere(server: Serving) -> None:
    lines = requests_of(server)
    assert "POST /api/session" in lines
    for line in lines:
        head = f"{line} HTTP/1.1\n{KINDS}Authorization: Bearer {TOKEN}\nContent-Length: {MAX_BODY + 1}\n"
        error = error_of(server.raw(f"{head}Expect: 100-continue\n\n"), 413)
        assert "64.0 kB" in error, line


def test_an_undeclared_large_body_is_refused_on_the_way(server: Serving) -> None:
    sent, answer = server.flood(f"POST /api/session HTTP/1.1\n{KINDS}Transfer-Encoding: chunked\n\n")
    assert "64.0 kB" in error_of(answer, 413)
    assert sent < 100 * MAX_BODY


def test_bodies_up_to_the_limit_arrive(server: Serving) -> None:
    answer = server.client.post("/api/session", content=b'{"token": "' + b"x" * (MAX_BODY - 20) + b'"}')
    assert answer.status_code == 422
    assert server.client.post("/api/session", json={"token": TOKEN}).status_code == 204


@pytest.mark.slow
def test_a_body_that_does_not_come_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, idle_limit=0.5) as impatient:
        head = f"POST /api/session HTTP/1.1\n{KINDS}Content-Length: 1000\n\n"
        assert "0.5 s" in error_of(impatient.raw(head, b'{"to'), 408)


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun", ["", "GET /healthz HTT", "GET /healthz HTTP/1.1\nHost: localhost\n\nGET /heal"]
)
def test_a_connection_without_a_request_is_closed(begun: str, tmp_path: Path) -> None:
    with serving(tmp_path, head_limit=1) as impatient:
        start = time.monotonic()
        answer = impatient.raw(begun)
        assert time.monotonic() - start > 0.9
    if begun:
        assert "request head" in error_of(answer[answer.rindex(b"HTTP/1.1 ") :], 408)
    else:
        assert answer == b""


def test_idle_connections_of_one_client_are_bounded(tmp_path: Path) -> None:
    ask = "GET /healthz HTTP/1.1\nHost: localhost\n\n"
    with serving(tmp_path, connections=3, head_limit=60) as small:
        held = [socket.create_connection(("127.0.0.1", small.port)) for _ in range(3)]
        assert "3 connections" in error_of(small.raw(ask), 429)
        refused = small.raw("POST /api/jobs HTTP/1.1\nHost: localhost\nContent-Length: 9\n\n", b"x" * 9)
        assert "3 connections" in error_of(refused, 429)
        for connection in held:
            connection.close()
        until(lambda: b" 200 " in small.raw(ask.replace("\n\n", "\nConnection: close\n\n")))


@pytest.mark.slow
def test_the_server_takes_requests_again_when_idle_connections_are_closed(tmp_path: Path) -> None:
    ask = "GET /healthz HTTP/1.1\nHost: localhost\nConnection: close\n\n"
    with serving(tmp_path, connections=20, head_limit=1) as small:
        held = [socket.create_connection(("127.0.0.1", small.port)) for _ in range(39)]
        until(lambda: b" 200 " in small.raw(ask))
        for connection in held:
            assert connection.recv(10) == b""
            connection.close()


def test_one_client_does_not_keep_others_out(tmp_path: Path) -> None:
    ask = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with serving(tmp_path, connections=3, head_limit=60) as small, ExitStack() as held:
        for _ in range(600):
            held.enter_context(socket.create_connection(("127.0.0.1", small.port)))
        with socket.create_connection(
            ("127.0.0.1", small.port), timeout=PATIENCE, source_address=("127.0.0.2", 0)
        ) as other:
            other.sendall(ask)
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")


def test_what_is_no_http_gets_a_sentence(server: Serving) -> None:
    for garbage in ("hello\n\n", "GET / HTTP/1.1\nno colon\n\n", "GET /" + "x" * 100_000):
        assert "no valid HTTP" in error_of(server.raw(garbage), 400)
