"""A web server on loopback that gives ranges of files, with ETags, as large storage does.

PYTEST_DONT_REWRITE: helpers that test modules import by name.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote


class _Handler(SimpleHTTPRequestHandler):
    """Files with ranges and If-Match, as far as the server has them."""

    protocol_version = "HTTP/1.1"

    def __init__(
        self,
        *arguments: Any,
        lacks: frozenset[str],
        refuses: Mapping[str, int],
        requests: list[str],
        **options: Any,
    ) -> None:
        self.lacks, self.refuses, self.requests = lacks, refuses, requests
        super().__init__(*arguments, **options)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, body: bool) -> None:
        self.requests.append(self.command)
        path = Path(self.translate_path(self.path))
        if path.name in self.refuses:
            self._head(self.refuses[path.name], {"Content-Length": "0"})
            return
        if path.is_dir() and "lists" not in self.lacks:
            data = "".join(_link(entry) for entry in sorted(path.iterdir())).encode()
            self._head(200, {"Content-Length": str(len(data)), "Content-Type": "text/html"})
            self.wfile.write(data if body else b"")
            return
        if not path.is_file():
            self._head(404, {"Content-Length": "0"})
            return
        data = path.read_bytes()
        time = int(path.stat().st_mtime)
        tag = f'"{blake2b(data, digest_size=8).hexdigest()}"'
        if "contents" in self.lacks:  # as nginx makes it
            tag = f'"{time:x}-{len(data):x}"'
        if "conditions" not in self.lacks and self.headers.get("If-Match", tag) != tag:
            self._head(412, {"Content-Length": "0"})
            return
        asked = "" if "ranges" in self.lacks else self.headers.get("Range", "")
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        part, code = (data[int(match[1]) : int(match[2]) + 1], 206) if match else (data, 200)
        facts = {"Content-Length": str(len(part)), "ETag": tag, "Accept-Ranges": "bytes"}
        if "tags" in self.lacks:
            facts.pop("ETag")
            facts |= {} if "times" in self.lacks else {"Last-Modified": self.date_time_string(time)}
        if match:
            facts["Content-Range"] = f"bytes {match[1]}-{int(match[1]) + len(part) - 1}/{len(data)}"
        self._head(code, facts)
        if body:
            self.wfile.write(part)

    def _head(self, code: int, facts: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in facts.items():
            self.send_header(name, value)
        self.end_headers()


def _link(path: Path) -> str:
    return f'<a href="{quote(path.name)}{"/" if path.is_dir() else ""}">{escape(path.name)}</a>\n'


@contextmanager
def http_files(
    folder: Path, *lacks: str, refuses: Mapping[str, int] | None = None, requests: list[str] | None = None
) -> Iterator[str]:
    """Serve a folder on a free port; yields its URL.

    Args:
        folder: to serve.
        lacks: what the server does not know: "tags", "conditions", "ranges", "times" where it has no tags,
            "lists" of folders, or "contents": its tags are made of size and time.
        refuses: file name -> status of HTTP that is answered in its place.
        requests: gets the method of each request.
    """
    handler = partial(
        _Handler,
        directory=str(folder),
        lacks=frozenset(lacks),
        refuses={} if refuses is None else refuses,
        requests=[] if requests is None else requests,
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
