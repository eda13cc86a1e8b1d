"""A hub on this machine: the part of the Hugging Face hub's HTTP API that push and pull use.

Repositories live in memory. Large files go through the LFS protocol: batch, upload, verify.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

__all__ = ["TOKEN", "FakeHub", "Repository", "running_hub"]

TOKEN = "hf_test0123456789abcdef"
_NAME = r"(?P<repository>[^/]+/[^/]+)"


@dataclass
class Repository:
    """Files of the main branch.

    Attributes:
        files: name -> content.
        private: asked for when it was created.
        commits: messages of all commits.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    private: bool = False
    commits: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        """Name of the last commit."""
        state = hashlib.sha1(str(len(self.commits)).encode())
        for name in sorted(self.files):
            state.update(name.encode() + self.files[name])
        return state.hexdigest()


@dataclass
class FakeHub:
    """State of the server, and what shall go wrong.

    Attributes:
        repositories: "user/name" -> files.
        objects: LFS objects by SHA-256.
        requests: method and path of all requests.
        refuse: part of a path -> status code to answer with.
        cut: names of files whose next download breaks off in the middle.
        claimed: name -> size that listings tell, in place of the true one.
    """

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    claimed: dict[str, int] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._chunks()
        self.hub.requests.append(f"{method} {path}")
        for part, status in self.hub.refuse.items():
            if part in path:
                self._error(status, "refused by the test")
                return
        if method in ("POST", "PUT") and not self._known(path):
            self._error(
                401, f"Invalid credentials in Authorization header: {self.headers.get('Authorization')}"
            )
            return
        for wanted, pattern, work in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method in wanted:
                work(self, body, **match.groupdict())
                return
        self._error(404, "no such page")

    def _chunks(self) -> bytes:
        """A body that comes in chunks."""
        content = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return content

    def _known(self, path: str) -> bool:
        """Whether the request has the token; links to the storage have a signature in its place."""
        return path.startswith("/storage/") or self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _json(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"}, status)

    def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _error(self, status: int, message: str, code: str = "") -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._send(json.dumps({"error": message}).encode(), headers, status)

    def _found(self, repository: str) -> Repository | None:
        found = self.hub.repositories.get(repository)
        if found is None:
            self._error(404, "Repository not found", "RepoNotFound")
        return found

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'user'}/{asked['name']}"
        if name in self.hub.repositories:
            self._json(
                {"error": "You already created this model repo", "url": f"{self.hub.address}/{name}"}, 409
            )
            return
        private = asked.get("private") or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(private=bool(private))
        self.hub.repositories[name].files[".gitattributes"] = b"*.safetensors filter=lfs\n"
        self._json({"url": f"{self.hub.address}/{name}", "name": name, "id": name})

    def info(self, body: bytes, repository: str, revision: str = "main") -> None:
        found = self._found(repository)
        if found is None:
            return
        if revision != "main" and not found.sha.startswith(revision):
            self._error(404, "Invalid rev id", "RevisionNotFound")
            return
        siblings = [{"rfilename": name} for name in found.files]
        self._json(
            {"_id": "1", "id": repository, "sha": found.sha, "siblings": siblings, "private": found.private}
        )

    def tree(self, body: bytes, repository: str, revision: str) -> None:
        found = self._found(repository)
        if found is not None:
            self._json(
                [
                    {
                        "type": "file",
                        "oid": hashlib.sha1(content).hexdigest(),
                        "size": self.hub.claimed.get(name, len(content)),
                        "path": name,
                    }
                    for name, content in found.files.items()
                ]
            )

    def validate(self, body: bytes) -> None:
        assert json.loads(body)["content"].startswith("---\n")
        self._json({"errors": [], "warnings": []})

    def preupload(self, body: bytes, repository: str, revision: str) -> None:
        if self._found(repository) is None:
            return
        files = json.loads(body)["files"]
        large = (".safetensors", ".onnx")
        self._json(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(large) else "regular",
                        "shouldIgnore": False,
                    }
                    for file in files
                ]
            }
        )

    def batch(self, body: bytes, repository: str) -> None:
        objects = []
        for each in json.loads(body)["objects"]:
            actions = {
                "upload": {"href": f"{self.hub.address}/storage/{each['oid']}"},
                "verify": {"href": f"{self.hub.address}/verify"},
            }
            objects.append({**each} if each["oid"] in self.hub.objects else {**each, "actions": actions})
        self._json({"transfer": "basic", "objects": objects})

    def store(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        self._send(b"")

    def verify(self, body: bytes) -> None:
        asked = json.loads(body)
        assert len(self.hub.objects[asked["oid"]]) == asked["size"]
        self._json({})

    def commit(self, body: bytes, repository: str, revision: str) -> None:
        found = self._found(repository)
        if found is None:
            return
        files = dict(found.files)
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            if line["key"] == "header":
                found.commits.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        found.files = files
        self._json(
            {"commitUrl": f"{self.hub.address}/{repository}/commit/{found.sha}", "commitOid": found.sha}
        )

    def resolve(self, body: bytes, repository: str, revision: str, name: str) -> None:
        found = self._found(repository)
        if found is None:
            return
        if name not in found.files:
            self._error(404, "Entry not found", "EntryNotFound")
            return
        content = found.files[name]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": found.sha}
        if self.command == "GET" and name in self.hub.cut:
            self.hub.cut.discard(name)
            self.send_response(200)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        first = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if first:
            headers["Content-Range"] = f"bytes {first[1]}-{len(content) - 1}/{len(content)}"
            self._send(content[int(first[1]) :], headers, 206)
            return
        self._send(content, headers)


_ROUTES = (
    (("POST",), "/api/repos/create", _Handler.create),
    (("GET",), f"/api/models/{_NAME}", _Handler.info),
    (("GET",), f"/api/models/{_NAME}/revision/(?P<revision>.+)", _Handler.info),
    (("GET",), f"/api/models/{_NAME}/tree/(?P<revision>[^/]+)", _Handler.tree),
    (("POST",), "/api/validate-yaml", _Handler.validate),
    (("POST",), f"/api/models/{_NAME}/preupload/(?P<revision>.+)", _Handler.preupload),
    (("POST",), f"/{_NAME}.git/info/lfs/objects/batch", _Handler.batch),
    (("PUT",), "/storage/(?P<oid>[0-9a-f]{64})", _Handler.store),
    (("POST",), "/verify", _Handler.verify),
    (("POST",), f"/api/models/{_NAME}/commit/(?P<revision>.+)", _Handler.commit),
    (("GET", "HEAD"), f"/{_NAME}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", _Handler.resolve),
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub on a free port of this machine."""
    hub = FakeHub()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        with contextlib.suppress(OSError):
            server.shutdown()
            server.server_close()
        thread.join()
