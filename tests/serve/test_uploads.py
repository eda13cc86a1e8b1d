"""What comes in: bounded, never a path, removed whatever happens."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.serving import Serving, serving
from support.waiting import until

LIMIT = 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    base = tmp_path_factory.mktemp("serve")
    with serving(base, max_upload=LIMIT, root=base) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_is_left(server: Serving) -> Iterator[None]:
    yield
    assert until(lambda: server.left() == [])


def test_a_form_the_bytes_or_a_path(server: Serving) -> None:
    (server.folder.parent / "clip.mp4").write_bytes(b"fine")
    answers = [
        server.client.post("/api/predict", files={"file": ("clip.mp4", b"fine")}),
        server.client.post(
            "/api/predict?name=clip.mp4", content=b"fine", headers={"content-type": "video/mp4"}
        ),
        server.client.post("/api/predict", json={"path": "clip.mp4"}),
        server.client.post("/api/predict", files={"path": (None, "clip.mp4"), "top_k": (None, "3")}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["path"] == "clip.mp4"
        assert answer.json()["predictions"][0]["label"] == "left"


NAMES = [
    "../../etc/passwd", "/etc/passwd", "..\\..\\boot.ini", "a/b/c.mp4", "x\x00y.mp4", "nul\nline.mp4", "", ".", "..",
    "\u202egnp.mp4", "-rf.mp4", "%2e%2e%2fx.mp4", "x" * 5000 + ".mp4", "video.sh", "clip.MP4", "<b>.mp4", "ü ß.mkv",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_never_become_paths(name: str, server: Serving) -> None:
    answer = server.client.post("/api/predict", params={"name": name}, content=b"fine")
    assert answer.status_code == 200
    shown, files = answer.json()["path"], answer.json()["notes"]
    assert len(files) == 1
    assert files[0] in ("upload", "upload.mp4", "upload.mkv")
    assert "/" not in shown
    assert "\\" not in shown
    assert shown.isprintable()
    assert 0 < len(shown) <= 120


def test_a_long_name_keeps_its_beginning_and_its_end(server: Serving) -> None:
    name = f"a_very_long_file_name_{'x' * 150}_take_2.mp4"
    answer = server.client.post("/api/predict", params={"name": name}, content=b"fine")
    shown = answer.json()["path"]
    assert len(shown) == 120
    assert shown.startswith("a_very_long_file_name_xxx")
    assert shown.endswith("xxx_take_2.mp4")
    assert shown.count("…") == 1


@pytest.mark.parametrize("name", ["../../x.mp4", 'a".mp4', "a\\b.mp4"])
def test_names_of_parts_never_become_paths(name: str, server: Serving) -> None:
    answer = server.client.post("/api/predict", files={"file": (name, b"fine")})
    assert answer.json()["notes"] == ["upload.mp4"]
    assert "/" not in answer.json()["path"]


HEAD = "POST /api/jobs HTTP/1.1\nHost: localhost\n"
MULTIPART = "Content-Type: multipart/form-data; boundary=b\n"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.mp4"\r\n\r\n'


def test_a_declared_large_upload_is_refused_before_it_is_sent(server: Serving) -> None:
    before = server.client.get("/metrics").text
    for kind in ("", MULTIPART):
        answer = server.raw(f"{HEAD}{kind}Content-Length: 10000000000\nExpect: 100-continue\n\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"100.0 kB" in answer
    after = server.client.get("/metrics").text
    assert [line for line in after.splitlines() if "upload_bytes_total " in line][-1] in before


@pytest.mark.parametrize("kind", ["", MULTIPART])
def test_a_large_upload_of_undeclared_size_is_refused_on_the_way(kind: str, server: Serving) -> None:
    first = f"{len(PART):x}\r\n".encode() + PART + b"\r\n" if kind else b""
    sent, answer = server.flood(f"{HEAD}{kind}Transfer-Encoding: chunked\n\n", first)
    assert sent < 100 * LIMIT
    assert answer.startswith(b"HTTP/1.1 413 ")


BAD_OPTIONS = [
    "top_k=-1",
    "top_k=0",
    "top_k=1e3",
    "top_k=1&top_k=2",
    "preview=x",
    "unknown=1",
    "path=clip.mp4",
]


@pytest.mark.parametrize("query", BAD_OPTIONS)
@pytest.mark.parametrize("kind", ["bytes", "form", "JSON"])
def test_options_in_the_query_are_judged_as_fields_are(kind: str, query: str, server: Serving) -> None:
    if kind == "JSON" and query.startswith("path"):
        query = "path="  # twice
    content = {
        "bytes": {"content": b"fine"},
        "form": {"files": {"file": ("a.mp4", b"fine")}},
        "JSON": {"json": {"path": "clip.mp4"}},
    }[kind]
    for route in ("predict", "jobs"):
        answer = server.client.post(f"/api/{route}?{query}", **content)  # type: ignore[arg-type]
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"].strip(": ")


@pytest.mark.parametrize("body", [{"json": {"path": "a.mp4"}}, {"files": {"path": (None, "a.mp4")}}])
def test_a_path_takes_no_name(body: dict[str, Any], server: Serving) -> None:
    answer = server.client.post("/api/predict?name=b.mp4", **body)
    assert answer.status_code == 400
    assert "`name` is for an upload" in answer.json()["error"]


def test_options_in_the_query_reach_the_analysis(server: Serving) -> None:
    for query in ("top_k=3", "preview=no", "top_k="):
        assert server.client.post(f"/api/predict?{query}", content=b"fine").status_code == 200


FILE_PARTS = {
    'name="file"; filename="clip.mp4"': "clip.mp4",
    'name="file"; filename="a %22q%22%0D%0A%41.mp4"': 'a "q"__%41.mp4',
    "name=\"file\"; filename*=UTF-8''%C3%BC%20clip.mp4": "ü clip.mp4",
    "name=\"file\"; filename*=iso-8859-1'de'%FC.mp4": "ü.mp4",
    "name=\"file\"; filename*=zip''%FFclip.mp4": "\ufffdclip.mp4",
    "name=\"file\"; filename*=UTF-8''..%2F..%2Fclip.mp4": "clip.mp4",
    'name="file"': "asked.mp4",
    'name="file"; filename=""': "asked.mp4",
}


@pytest.mark.parametrize("disposition", FILE_PARTS)
def test_the_part_named_file_is_the_file(disposition: str, server: Serving) -> None:
    part = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\nfine".encode()
    body = part + b" " * 10_000 + b"\r\n--b--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = server.client.post("/api/predict?name=asked.mp4", content=body, headers=kind)
    assert answer.status_code == 200, answer.text
    assert answer.json()["path"] == FILE_PARTS[disposition]
    assert answer.json()["notes"] == ["upload.mp4"]


OTHER_PARTS = [
    'name="video"; filename="clip.mp4"', 'filename="clip.mp4"', "name=\"top_k\"; filename*=UTF-8''a.mp4",
    'name=""; filename=""', 'name=""', "", 'name="path"; filename=""',
]  # fmt: skip


@pytest.mark.parametrize("disposition", OTHER_PARTS)
def test_a_file_in_another_part_is_refused(disposition: str, server: Serving) -> None:
    part = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\nfine\r\n--b--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = server.client.post("/api/predict", content=part.encode(), headers=kind)
    assert answer.status_code == 400
    assert "`file`" in answer.json()["error"]


BROKEN = {
    "no video": (MULTIPART, b"--b--\r\n", 400),
    "no boundary": ("Content-Type: multipart/form-data\n", b"x", 400),
    "not multipart": (MULTIPART, b"hello", 400),
    "cut short": (MULTIPART, PART + b"data", 400),
    "two files": (MULTIPART, PART + b"1\r\n" + PART + b"2\r\n--b--\r\n", 400),
    "empty body": ("", b"", 400),
    "a form": ("Content-Type: application/x-www-form-urlencoded\n", b"path=x", 415),
    "not JSON": ("Content-Type: application/json\n", b"{", 400),
    "JSON of another kind": ("Content-Type: application/json\n", b"[1]", 400),
    "an unknown key": ("Content-Type: application/json\n", b'{"file": "x"}', 400),
    "deep JSON": ("Content-Type: application/json\n", b"[" * 4000, 400),
    "long JSON": ("Content-Type: application/json\n", b" " * 5000, 413),
    "a long field": (
        MULTIPART,
        b'--b\r\nContent-Disposition: form-data; name="path"\r\n\r\n' + b"x" * 5000,
        413,
    ),
    "a field twice": (
        MULTIPART,
        b'--b\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n1\r\n' * 2 + b"--b--\r\n",
        400,
    ),
    "top_k": ("Content-Type: application/json\n", b'{"path": "x", "top_k": 0}', 400),
}
JSON_BODIES = {
    '{"path": "clip.mp4", "path": "clip.mp4"}': "'path' is given twice",
    '{"path": "clip.mp4", "top_k": 1, "top_k": 2}': "'top_k' is given twice",
    '{"path": "clip.mp4", "\\u0070ath": "b.mp4"}': "'path' is given twice",
    '{"path": "clip.mp4", "top_k": true}': "top_k: ",
    '{"path": "clip.mp4", "top_k": "3"}': "top_k: ",
    '{"path": "clip.mp4", "top_k": 3.0}': "top_k: ",
    '{"path": "clip.mp4", "top_k": NaN}': "top_k: ",
    '{"path": "clip.mp4", "top_k": null}': "top_k: ",
    '{"path": "clip.mp4", "top_k": ""}': "top_k: ",
    '{"path": "clip.mp4", "top_k": [1]}': "top_k: ",
    '{"path": "clip.mp4", "preview": true}': "preview: ",
    '{"path": "clip.mp4", "preview": null}': "preview: ",
    '{"path": 1}': "path: ",
    '{"path": ["clip.mp4"]}': "path: ",
    '{"path": {"a": 1, "a": 2}}': "'a' is given twice",
    '{"path": "\\ud800"}': "",
    '{"\\ud800": 1}': "",
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_bodies_get_a_sentence(case: str, server: Serving) -> None:
    kind, body, status = BROKEN[case]
    answer = server.raw(f"{HEAD}{kind}Connection: close\nContent-Length: {len(body)}\n\n", body)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b'{"error":"' in answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize("body", JSON_BODIES)
@pytest.mark.parametrize("route", ["predict", "jobs"])
def test_json_is_read_as_strictly_as_forms(route: str, body: str, server: Serving) -> None:
    (server.folder.parent / "clip.mp4").write_bytes(b"fine")
    kind = {"content-type": "application/json"}
    answer = server.client.post(
        f"/api/{route}?preview=no" if "preview" not in body else f"/api/{route}", content=body, headers=kind
    )
    assert answer.status_code in ((400, 404) if "ud800" in body else (400,)), answer.text
    assert JSON_BODIES[body] in answer.json()["error"]


def test_json_beside_options_in_the_query(server: Serving) -> None:
    (server.folder.parent / "clip.mp4").write_bytes(b"fine")
    for query, body in (("top_k=3", {}), ("", {"top_k": 3}), ("preview=no", {"top_k": 3})):
        answer = server.client.post(f"/api/predict?{query}", json={"path": "clip.mp4", **body})
        assert answer.status_code == 200, answer.text


def test_a_client_that_goes_away_leaves_nothing(server: Serving) -> None:
    for kind, body in (("", b"x" * 50_000), (MULTIPART, PART + b"x" * 50_000)):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(f"{HEAD}{kind}Content-Length: 90000\n\n".replace("\n", "\r\n").encode() + body)
        until(lambda: any("upload" in name for name in server.left()))
        connection.close()
        until(lambda: server.left() == [])
    assert "moclip_jobs_waiting 0" in server.client.get("/metrics").text


@pytest.mark.slow
def test_an_upload_that_stands_still_is_ended(tmp_path: Path) -> None:
    with serving(tmp_path, idle_limit=0.5) as impatient:
        answer = impatient.raw(f"{HEAD}Content-Length: 90000\n\n", b"some")
        assert answer.startswith(b"HTTP/1.1 408 ")
        until(lambda: impatient.left() == [])


def test_a_full_disk_is_told(server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moclip_lite.serve.workplace.Workplace.free_bytes", lambda self: 1000)
    answer = server.client.post("/api/predict", content=b"fine")
    assert answer.status_code == 507
    assert "disk" in answer.json()["error"]


def test_a_client_that_waits_for_an_answer_and_goes_away_ends_the_work(server: Serving) -> None:
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = "POST /api/predict HTTP/1.1\nHost: localhost\nContent-Length: 5\n\n"
    connection.sendall(head.replace("\n", "\r\n").encode() + b"hang ")
    until(lambda: "moclip_jobs_running 1" in server.client.get("/metrics").text)
    connection.close()
    until(lambda: "moclip_jobs_running 0" in server.client.get("/metrics").text)


def test_paths_need_a_root(tmp_path: Path) -> None:
    with serving(tmp_path) as rootless:
        answer = rootless.client.post("/api/predict", json={"path": "clip.mp4"})
        assert answer.status_code == 403
        assert "--root" in answer.json()["error"]
        assert rootless.client.get("/api/files").status_code == 404
