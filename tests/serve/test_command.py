"""The command: address, token, model, end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from moclip_lite.errors import CheckpointError
from moclip_lite.serve.server import bind, run_server, with_token
from moclip_lite.serve.settings import ServeSettings

from support.cli import assert_refused, moclip, start
from support.serving import stub_command
from support.waiting import PATIENCE, until


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_refused(
            moclip("serve", "--model", tmp_path, "--port", port), f"127.0.0.1:{port} is in use", "--port"
        )


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a" * 300])
def test_no_address_of_this_machine(host: str, tmp_path: Path) -> None:
    assert_refused(moclip("serve", "--model", tmp_path, "--host", host, "--port", 0), "--host")


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "python_multipart"])
def test_a_missing_extra(package: str, tmp_path: Path, hide_package: Callable[[str], None]) -> None:
    hide_package(package)
    assert_refused(moclip("serve", "--model", tmp_path), "pip install 'moclip-lite[web]'")


BAD = [
    ("--max-upload", "many"), ("--max-upload", "0"), ("--max-upload", "-1GB"), ("--max-length", "0"), ("--keep", "-1"),
    ("--queue", "0"), ("--time-limit", "nan"), ("--time-limit", "inf"), ("--token", "short"), ("--port", "70000"), ("--threshold", "2"),
    ("--allow-host", "example.com:8124"), ("--allow-host", "http://example.org"), ("--allow-host", "*.foo.org"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value"), BAD)
def test_values_out_of_range(option: str, value: str, tmp_path: Path) -> None:
    message = assert_refused(moclip("serve", "--model", tmp_path, option, value))
    assert option in message or value in message
    if option == "--token":
        assert value not in message


def test_a_token_where_others_can_connect() -> None:
    open_settings, generated = with_token(ServeSettings())
    assert (open_settings.token, generated) == (None, False)
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
        settings, generated = with_token(ServeSettings(host=host))
        assert generated
        assert len(settings.token or "") >= 32
        assert settings.token not in repr(settings)
    own, generated = with_token(ServeSettings(host="0.0.0.0", token="one-of-my-own-choice"))
    assert (own.token, generated) == ("one-of-my-own-choice", False)


def test_a_model_that_cannot_be_loaded() -> None:
    command = stub_command(failed={"kind": "CheckpointError", "sentence": "runs/x is not a run folder"})
    with pytest.raises(CheckpointError, match="is not a run folder"):
        run_server(ServeSettings(port=0), command, lambda *_: pytest.fail("it is not ready"))


def test_a_root_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_server(ServeSettings(port=0, root=tmp_path / "x"), stub_command(), lambda *_: None)


def test_the_socket_is_free_again() -> None:
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    bind("127.0.0.1", port).close()


SERVE = """
import sys
from moclip_lite.cli import serve
import moclip_lite.serve.worker as worker
from support.serving import stub_command
worker.child_command = lambda *_: stub_command()
from moclip_lite.cli import main
sys.exit(main(["serve", "--model", "x", "--port", "0", *sys.argv[1:]]))
"""


def started(tmp_path: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """The command with the stub for a model, and the address that it says."""
    environment = {
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[2]), str(Path(__file__).parents[1]))),
    }
    program = [stub_command()[0], "-c", SERVE]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        process = start(*words, cwd=tmp_path, program=program)
    assert process.stderr is not None
    line = next(line for line in process.stderr if "serving" in line or "moclip:" in line)
    address = re.search(r"http://\S+", line)
    assert address, line
    return process, address[0]


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, -signal.SIGTERM)])
def test_it_ends_cleanly_in_the_middle_of_work(how: signal.Signals, code: int, tmp_path: Path) -> None:
    process, address = started(tmp_path)
    with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client:
        client.post("/api/jobs", content=b"hang")
        until(lambda: "moclip_jobs_running 1" in client.get("/metrics").text)
        assert len(list(tmp_path.glob("moclip-serve-*/*/upload"))) == 1
    os.kill(process.pid, how)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_generated_token_is_printed_once(tmp_path: Path) -> None:
    process, address = started(tmp_path, "--host", "0.0.0.0")
    token = address.partition("#token=")[2]
    port = re.search(r":(\d+)/", address)
    assert port
    url = f"http://127.0.0.1:{port[1]}"
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:
        assert client.get("/api/about").status_code == 401
        assert client.get("/api/about", headers={"authorization": f"Bearer {token}"}).status_code == 200
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert token not in out + err


def test_a_bug_is_printed_when_it_occurs(tmp_path: Path) -> None:
    process, address = started(tmp_path)
    assert process.stderr is not None
    with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client:
        for _ in range(2):
            answer = client.post("/api/predict", content=b"bug")
            assert "the server's log has the details" in answer.json()["error"]
            line = next(line for line in process.stderr if "Traceback of a bug" in line)
            assert "RuntimeError" in line
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "bugs in this program: 2" in err
    assert "Traceback" not in err
