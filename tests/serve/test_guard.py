"""Who may ask: Host, Origin, token; and the headers of every response."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from moclip_lite.serve.hosts import is_loopback
from moclip_lite.serve.settings import ServeSettings

from support.serving import Serving, serving

TOKEN = "a-token-of-some-length"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One that demands a token and that other machines can reach."""
    values = {"token": TOKEN, "host": "0.0.0.0", "allow_host": ("Videos.Example",)}
    with serving(tmp_path_factory.mktemp("closed"), **values) as running:
        yield running


def post(server: Serving, **headers: str) -> httpx.Response:
    return server.client.post("/api/predict", content=b"fine", headers=headers)


@pytest.mark.parametrize("path", ["/", "/docs", "/static/app.js", "/api/about", "/api/jobs/x", "/nothing"])
def test_every_response_has_the_security_headers(path: str, server: Serving) -> None:
    headers = server.client.get(path).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"]


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "127.0.0.2:80", "[::1]:8000"])
def test_names_of_this_machine_are_served(host: str, server: Serving) -> None:
    assert server.client.get("/healthz", headers={"host": host}).status_code == 200


HOSTS = [
    "evil.example",
    "evil.example:8000",
    "127.0.0.1.evil.example",
    "192.168.0.5",
    "localhost@evil.example",
    "[x",
]


@pytest.mark.parametrize("host", HOSTS)
def test_a_rebound_name_is_refused(host: str, server: Serving) -> None:
    for path in ("/", "/api/about", "/static/app.js"):
        response = server.client.get(path, headers={"host": host})
        assert response.status_code == 421
        assert "Host" in response.json()["error"]


def test_a_request_without_a_single_host_is_refused(server: Serving) -> None:
    assert b" 421 " in server.raw("GET /api/about HTTP/1.0\n\n")


def test_names_of_a_reachable_server(closed: Serving) -> None:
    for host, status in (
        ("10.1.2.3:8000", 200),
        ("videos.example", 200),
        ("videos.example.", 200),
        ("evil.example", 421),
    ):
        response = closed.client.get("/api/about", headers={"host": host, **BEARER})
        assert response.status_code == status, host


ALLOWED = {
    "example.com": "example.com",
    "Example.COM.": "EXAMPLE.com:8124",
    "my_service": "my_service:80",
    "xn--bcher-kva.example": "xn--bcher-kva.example.",
    "10.0.0.5": "10.0.0.5:8000",
    "fd00::5": "[fd00::5]:8000",
    "[FD00:0::5]": "[fd00::5]",
}
NEVER_MATCHED = [
    "example.com:8124", "http://example.org", "https://example.org/", "example.org/", "//example.org", "*.foo.org", "*",
    ".foo.org", "a..b", ".", "", " ", "a b", " example.org", "example.org\n", "user@example.org", "example.org,foo.org",
    "10.0.0.5:8000", "10.0.0.0/8", "010.1.1.1", "10.1", "80", "[::1]:8000", "[::1", "::1]", "fe80::1%eth0", "-a.org",
    "a-.org", "b\u00fccher.example", "x" * 64 + ".org", "a." * 130 + "org", "[example.org]x", "[example.org]",
]  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_served(name: str, tmp_path: Path) -> None:
    with serving(tmp_path, allow_host=(name,)) as running:
        assert running.client.get("/healthz", headers={"host": ALLOWED[name]}).status_code == 200
        assert running.client.get("/healthz", headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("name", NEVER_MATCHED, ids=lambda name: ascii(name)[:30])
def test_what_no_host_header_equals_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no host name; write the name or address alone"):
        ServeSettings(allow_host=("example.com", name))


ELSEWHERE = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "file://"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_posts_of_other_sites_are_refused(headers: dict[str, str], server: Serving) -> None:
    response = post(server, **headers)
    assert response.status_code == 403
    assert "other sites" in response.json()["error"]
    assert server.left() == []


def test_reads_of_other_sites_are_refused(server: Serving) -> None:
    assert server.client.get("/api/about", headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert server.client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200  # a link


def test_own_posts_are_served(server: Serving) -> None:
    origin = f"http://127.0.0.1:{server.port}"
    assert post(server, **{"origin": origin, "sec-fetch-site": "same-origin"}).status_code == 200


PRIVATE = ["/api/about", "/api/files", "/api/jobs/x", "/api/jobs/x/result", "/api/jobs/x/video", "/metrics"]
WRONG = [
    {},
    {"authorization": "Bearer wrong"},
    {"authorization": f"Basic {TOKEN}"},
    {"cookie": "moclip_0=wrong"},
]


@pytest.mark.parametrize("headers", WRONG, ids=str)
def test_nothing_without_the_token(headers: dict[str, str], closed: Serving) -> None:
    for path in PRIVATE:
        response = closed.client.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in response.text
    assert post(closed, **headers).status_code == 401
    for path in ("/", "/docs", "/healthz", "/static/app.js"):
        assert closed.client.get(path, headers=headers).status_code == 200


def test_the_token_opens(closed: Serving) -> None:
    assert closed.client.get("/api/about", headers=BEARER).status_code == 200
    assert post(closed, **BEARER).status_code == 200


def test_the_page_exchanges_the_token_for_a_cookie(closed: Serving) -> None:
    base = f"http://127.0.0.1:{closed.port}"
    with httpx.Client(base_url=base, trust_env=False) as client:
        assert client.post("/api/session", json={"token": "wrong-token-of-length"}).status_code == 401
        assert client.get("/api/about").status_code == 401
        opened = client.post("/api/session", json={"token": TOKEN})
        assert opened.status_code == 204
        cookie = opened.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in opened.headers["set-cookie"]
        assert client.get("/api/about").status_code == 200


@pytest.mark.parametrize("token", ["short", "x" * 15, "with space" * 3, "é" * 20, "new\nline" * 4])
def test_weak_tokens_are_refused(token: str) -> None:
    with pytest.raises(ValueError, match="at least 16"):
        ServeSettings(token=token)


def test_which_addresses_are_this_machine_alone() -> None:
    local = {"127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST", "localhost."}
    assert {
        host for host in (*local, "0.0.0.0", "::", "10.0.0.1", "example.org") if is_loopback(host)
    } == local


def test_the_pages_ask_nothing_of_other_servers(server: Serving) -> None:
    own = f"http://127.0.0.1:{server.port}"
    for path in (
        "/",
        "/docs",
        "/static/style.css",
        *(f"/static/{n}.js" for n in ("app", "result", "vectors", "timeline")),
    ):
        text = server.client.get(path).text.replace("http://www.w3.org/2000/svg", "").replace(own, "")
        assert "http://" not in text
        assert "https://" not in text
        assert "<script>" not in text
        assert " style=" not in text
        assert "onclick" not in text


def test_the_interface_is_described_offline(server: Serving) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    assert {"/api/predict", "/api/jobs", "/api/jobs/{job_id}", "/metrics", "/healthz"} <= set(paths)
    page = server.client.get("/docs").text
    assert all(path in page for path in paths)
    assert "<script" not in page
