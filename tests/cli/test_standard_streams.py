"""Standard streams that are closed or full change no exit code of the program but that of its results."""

from __future__ import annotations

import errno
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from moclip_lite.cli.console import print_json

from support.cli import assert_refused, moclip
from support.paths import ROOT

FULL = Path("/dev/full")


def call(words: str, redirections: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call the program through a shell, which closes or redirects what it inherits."""
    program = shlex.join([sys.executable, "-m", "moclip_lite"])
    return subprocess.run(
        ["/bin/sh", "-c", f"exec {program} {words} {redirections}"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_closed_and_full_streams(redirections: str) -> None:
    if "full" in redirections and not FULL.exists():
        pytest.skip("there is no /dev/full")
    for words, code in (("--version", 0), ("no-such-command", 2)):
        done = call(words, redirections)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
    assert "2>" in redirections or "No such command" in done.stderr


@pytest.mark.slow
def test_results_that_are_not_written_are_an_error() -> None:
    if not FULL.exists():
        pytest.skip("there is no /dev/full")
    done = call("--version", ">/dev/full")
    assert (done.returncode, done.stderr) == (2, "moclip: the disk is full; finished work is kept\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["--help", "serve --help", "--version", "mv probe CLIP", "mv probe CLIP --json"]
)
def test_a_reader_that_is_gone_ends_the_program_quietly(words: str, clip: Path) -> None:
    """As `head` does that has its lines."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        program = [sys.executable, "-m", "moclip_lite", *words.replace("CLIP", str(clip)).split()]
        done = subprocess.run(program, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_pipe_that_breaks_is_an_error(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("moclip_lite.cli.mv.print_json", broken)
    assert_refused(moclip("mv", "probe", clip, "--json"), "Broken pipe")


@pytest.mark.slow
def test_characters_that_stdout_cannot_encode_are_escaped(clip: Path, tmp_path: Path) -> None:
    named = tmp_path / "caf\u00e9.mp4"
    named.write_bytes(clip.read_bytes())
    done = call(f"mv probe {shlex.quote(str(named))}", "", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_standard_input_that_is_closed_is_no_stream() -> None:
    program = (
        "import threading; from mv_tools.errors import SourceUnavailable\n"
        "from mv_tools.live.byte_stream import standard_input\n"
        "try: standard_input(1.0, threading.Event())\n"
        "except SourceUnavailable as error: print(error)"
    )
    words = shlex.join([sys.executable, "-c", program])
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {words} <&-"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "standard input is closed; pipe a stream of H.264 or HEVC into it\n", done.stderr


def test_numbers_that_json_has_not_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"low": float("nan"), "rows": [(1.5, float("inf")), {"high": -float("inf")}]})
    expected = {"low": None, "rows": [[1.5, None], {"high": None}]}
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == expected
