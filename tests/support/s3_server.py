"""A real S3 server on loopback: s3s-fs, with a bucket in a folder.

PYTEST_DONT_REWRITE: helpers that test modules import by name.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ACCESS, SECRET = "loopback-access", "loopback-secret-7f31"


@dataclass(frozen=True)
class Server:
    """A server with one bucket.

    Attributes:
        folder: where the objects of the bucket lie.
        url: of the bucket.
        environment: what a client needs.
    """

    folder: Path
    url: str
    environment: dict[str, str]


def program() -> str:
    """Path of s3s-fs; skips the test where it is absent."""
    named = os.environ.get("S3S_FS")
    places = [named, shutil.which("s3s-fs"), str(Path.home() / ".cache/moclip-tools/bin/s3s-fs")]
    found = next((place for place in places if place and Path(place).is_file()), None)
    if found is None:
        pytest.skip("s3s-fs is not installed (cargo install s3s-fs --version 0.14.1 --features binary)")
    if find_spec("s3fs") is None:
        pytest.skip("s3fs is not installed (pip install 'moclip-lite[cloud]')")
    return found


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server on a free port of 127.0.0.1."""
    words = [program()]
    (folder / "bucket").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words += [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--access-key",
        ACCESS,
        "--secret-key",
        SECRET,
        str(folder),
    ]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(port)
            environment = {
                "AWS_ACCESS_KEY_ID": ACCESS,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            yield Server(folder / "bucket", "s3://bucket", environment)
        finally:
            process.terminate()


def _wait(port: int) -> None:
    for _ in range(200):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("s3s-fs does not answer")


@contextmanager
def connected(folder: Path) -> Iterator[Server]:
    """A server, and what a client needs in this process's environment."""
    with serving(folder) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running
