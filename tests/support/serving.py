"""A server on a free port of this machine, with or without a real model."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from moclip_lite.serve.app import create_app
from moclip_lite.serve.server import bind, uvicorn_server
from moclip_lite.serve.settings import ServeSettings
from moclip_lite.serve.worker import Worker
from moclip_lite.serve.workplace import Workplace

from support.waiting import PATIENCE, until

ABOUT = {
    "model": "stub",
    "engine": "onnx",
    "labels": ["left", "right"],
    "streams": ["motion"],
    "warnings": [],
}
STUB = Path(__file__).with_name("serve_child.py")


def stub_command(**first: Any) -> list[str]:
    """The stub, whose first message is given; by default that it is ready."""
    return [sys.executable, str(STUB), json.dumps(first or {"ready": ABOUT})]


@dataclass
class Serving:
    """A running server.

    Attributes:
        client: with its address.
        port: where it listens.
        folder: its temporary folder.
        worker: its analysing process.
    """

    client: httpx.Client
    port: int
    folder: Path
    worker: Worker

    def wait(self, job: str) -> dict[str, Any]:
        """The state of a job once it has ended."""

        def state() -> Any:
            status = self.client.get(f"/api/jobs/{job}").json()
            return status if status["state"] not in ("waiting", "running") else None

        return dict(until(state))

    def held(self) -> bool:
        """Whether the stub holds a video, which it has read."""
        return (self.folder.parent / "held").exists()

    def release(self) -> None:
        """Let the stub finish the videos that it holds."""
        (self.folder.parent / "release").touch()

    def left(self) -> list[str]:
        """Files and folders of jobs."""
        while True:
            with suppress(FileNotFoundError):  # a folder was removed meanwhile
                return sorted(
                    p.relative_to(self.folder).as_posix()
                    for p in self.folder.rglob("*")
                    if p.name not in ("lock", self.scratch.name)
                )

    def jobs(self) -> set[str]:
        """Names of the folders of jobs."""
        return {path.name for path in self.folder.iterdir() if path.is_dir() and path != self.scratch}

    @property
    def scratch(self) -> Path:
        """Folder of the temporary files of the analysing process."""
        return self.folder / "process"

    def raw(self, head: str, body: bytes = b"") -> bytes:
        """Send bytes as they are and read what comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(head.replace("\n", "\r\n").encode() + body)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
            return answer

    def flood(self, head: str, first: bytes = b"") -> tuple[int, bytes]:
        """Send a body in chunks, `first` before the others, until an answer comes.

        Returns:
            (bytes sent of the chunks, the answer to its end, or as far as it came).
        """
        sent, answer = 0, b""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection,
            suppress(ConnectionError),
        ):
            connection.sendall(head.replace("\n", "\r\n").encode() + first)
            while sent < 10_000_000_000 and not answer:
                connection.settimeout(PATIENCE)
                connection.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                sent += 0x4000
                connection.settimeout(0.01)
                with suppress(TimeoutError):
                    answer = connection.recv(65536)
            connection.settimeout(PATIENCE)
            while b"}" not in answer and (chunk := connection.recv(65536)):
                answer += chunk
        return sent, answer


@contextmanager
def serving(parent: Path, command: list[str] | None = None, **values: Any) -> Iterator[Serving]:
    """Run a server in a thread until the block ends.

    Args:
        parent: of its temporary folder.
        command: of the analysing process; the stub by default.
        values: of the settings.
    """
    settings = ServeSettings(port=0, **values)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    workplace = Workplace(parent)
    worker = Worker(command or stub_command(), settings.time_limit, workplace.scratch)
    app = create_app(settings, worker, workplace, port)
    server = uvicorn_server(app, settings, grace=1)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False) as client:
            yield Serving(client, port, workplace.path, worker)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
