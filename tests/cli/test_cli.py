"""The program: help, exit codes, output streams, and interruption."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import typer

from moclip_lite.cli import app
from moclip_lite.cli.tree import leaf_commands
from moclip_lite.motion import extract
from moclip_lite.motion.read import MotionClip

from support.cli import (
    FOLDER_YAML,
    MOTION_ONLY,
    Outcome,
    assert_ok,
    assert_refused,
    class_folders,
    entries,
    finish,
    many_clips,
    moclip,
    sets,
    slow_reading,
    start,
    stop_when_filled,
)

COMMANDS = dict(leaf_commands(typer.main.get_command(app)))
"""All commands without subcommands, by their words."""
CONTRACT = (
    "mv probe",
    "mv extract",
    "mv show",
    "mv transcode",
    "dataset prepare",
    "dataset list",
    "extract motion",
    "extract clip",
    "train motion",
    "train fusion",
    "evaluate",
    "zero-shot",
    "run",
    "ablate",
    "predict",
    "cache info",
    "cache verify",
    "cache prune",
    "demo",
    "compare",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of four clips."""
    return class_folders(tmp_path_factory.mktemp("folders") / "data")


# Help


def test_commands_of_the_contract_are_there() -> None:
    assert set(CONTRACT) <= set(COMMANDS)


@pytest.mark.parametrize("words", sorted(COMMANDS))
def test_help_holds_an_example_that_parses(words: str) -> None:
    outcome = assert_ok(moclip(*words.split(), "--help"))
    assert f"Example: moclip {words} " in " ".join(outcome.out.split()) + " "
    text = " ".join((COMMANDS[words].help or "").split())
    for written in text.split("Example: ")[1:]:
        example = shlex.split(written)
        assert example[: 1 + len(words.split())] == ["moclip", *words.split()]
        COMMANDS[words].make_context(words, example[1 + len(words.split()) :])


@pytest.mark.parametrize("words", [*sorted({w.split()[0] for w in COMMANDS if " " in w}), ""])
def test_groups_list_their_commands(words: str) -> None:
    outcome = assert_ok(moclip(*words.split(), "--help"))
    prefix = f"{words} " if words else ""
    for name in COMMANDS:
        if name.startswith(prefix):
            assert name.removeprefix(prefix).split()[0] in outcome.out


@pytest.mark.slow
def test_module_is_the_same_program(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("moclip")
    for words in (("predict", "--help"), ("mv", "probe", "nowhere.mp4")):
        by_module = finish(start(*words, cwd=tmp_path))
        by_script = finish(start(*words, cwd=tmp_path, program=(str(script),)))
        assert by_module == by_script
    assert by_module == Outcome(2, "", "moclip: nowhere.mp4: no such video file\n")


# Exit codes and errors


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("predct",), "predct"),
        (("mv", "probe"), "file"),
        (("mv", "probe", "x.mp4", "--jsn"), "--jsn"),
        (("mv", "extract", "x.mp4", "-o", "x.npz", "--every", "none"), "--every"),
        (("predict", "x.mp4"), "--model"),
        (("cache", "prune"), "--all"),
        (("dataset", "prepare", "folder", "--out", "x"), "--root"),
        (("dataset", "prepare", "nonsense", "--out", "x", "--root", "y"), "nonsense"),
        (("zero-shot", "a.mp4", "b.mp4"), "--labels"),
        (("zero-shot", "a.mp4", "--labels", "one"), "two labels"),
    ],
)
def test_bad_usage(
    words: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(moclip(*words), says)


@pytest.mark.parametrize("words", [(), ("mv",), ("cache",)])
def test_no_command_shows_help_and_fails(words: tuple[str, ...]) -> None:
    outcome = moclip(*words)
    assert outcome.code == 2
    assert "Usage: moclip" in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("motion.segmnts=3", "'motion.segments'"),
        ("data.rot=x", "'data.root'"),
        ("clip.pretraned=none", "'clip.pretrained'"),
        ("trian_motion.epochs=3", "'train_motion"),
        ("run.sed=1", "'run.seed'"),
        ("motion.segments=0", "motion.segments"),
        ("motion.segments=many", "'many'"),
        ("motion.field=sideways", "'raw', 'accumulated' or 'compensated'"),
        ("motion.grid=[1,2]", "rows and columns"),
        ("motion.segments", "section.key=value"),
        ("data.root.x=1", "data.root"),
        ("motion.grid=[1,", "not YAML"),
    ],
)
def test_configuration_is_checked(value: str, says: str, folders: Path) -> None:
    assert_refused(moclip("dataset", "list", folders, "--set", value), says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("motion:\n  segmnts: 3\n", "'motion.segments'"),
        ("motoin:\n  segments: 3\n", "'motion'"),
        ("motion: [\n", "not a YAML file"),
        ("- motion\n", "sections"),
        ("motion: 3\n", "motion"),
    ],
)
def test_configuration_file_is_checked(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text, encoding="utf-8")
    assert_refused(moclip("run", file), says)


def test_missing_configuration_is_named(tmp_path: Path) -> None:
    assert_refused(moclip("run", tmp_path / "none.yaml"), "none.yaml", "no such configuration file")
    assert_refused(moclip("run", tmp_path / "none"), "no such file or folder")
    assert_refused(moclip("run", FOLDER_YAML), "data.root", "--set data.root=DIR")
    assert_refused(moclip("ablate", tmp_path / "none.yaml"), "no such ablation file")
    assert_refused(moclip("evaluate", tmp_path), "is not a run folder")


def test_named_options_set_the_configuration(folders: Path, tmp_path: Path) -> None:
    words = ("dataset", "list", FOLDER_YAML, "--json")
    by_set = assert_ok(moclip(*words, "--set", f"data.root={folders}")).json
    assert by_set["clips"] == 8
    empty = tmp_path / "it's: a [root]"
    (empty / "a").mkdir(parents=True)
    message = assert_refused(moclip("run", FOLDER_YAML, "--root", empty, "--set", f"data.root={folders}"))
    assert str(empty) in message  # the option by name wins


def test_debug_adds_a_traceback(tmp_path: Path) -> None:
    for words in (
        ("--debug", "mv", "probe", tmp_path / "no.mp4"),
        ("mv", "probe", tmp_path / "no.mp4", "--debug"),
    ):
        outcome = moclip(*words)
        assert outcome.code == 2
        assert "Traceback (most recent call last)" in outcome.err
        assert outcome.err.rstrip().splitlines()[-1].startswith("moclip: ")


# Ctrl-C


TOTAL = 20


def _extract_words(tmp_path: Path, workers: int) -> list[object]:
    many_clips(tmp_path / "data", TOTAL)
    words = ("extract", "motion", tmp_path / "data", "--cache", tmp_path / "cache", "--json")
    return [*words, *sets(MOTION_ONLY), "--workers", workers]


def _assert_resumes(outcome: Outcome, words: list[object], cache: Path) -> None:
    """Finished entries are kept and intact; the same command computes the others."""
    kept = entries(cache, "motion")
    assert 3 <= len(kept) < TOTAL
    assert outcome.code == 130, outcome
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert not list(cache.rglob(".*.safetensors")), "half-written files are left"
    assert_ok(moclip("cache", "verify", "--cache", cache))
    before = {path: path.stat().st_mtime_ns for path in kept}
    again = assert_ok(moclip(*words[:-1], 1))
    assert (again.json["made"], again.json["reused"]) == (TOTAL - len(kept), len(kept))
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert "interrupted; finished work is kept" in outcome.err


@pytest.mark.slow
def test_interrupted_extraction_keeps_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at a terminal: the signal goes to the program and to its workers."""
    words = _extract_words(tmp_path, 2)
    process = start(*words, cwd=tmp_path, program=slow_reading(tmp_path))
    outcome = stop_when_filled(process, tmp_path / "cache", "motion", 3, signal.SIGINT)
    monkeypatch.chdir(tmp_path)
    _assert_resumes(outcome, words, tmp_path / "cache")


def test_interrupted_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without workers, within this process."""
    monkeypatch.chdir(tmp_path)
    words, done = _extract_words(tmp_path, 1), threading.Event()
    read = extract.read_motion_clip

    def read_slowly(*arguments: Any) -> MotionClip:
        done.wait(0.05)
        return read(*arguments)

    monkeypatch.setattr(extract, "read_motion_clip", read_slowly)

    def interrupt() -> None:
        while not done.is_set():
            if len(entries(tmp_path / "cache", "motion")) >= 3:
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.002)

    watcher = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    watcher.start()
    try:
        outcome = moclip(*words)
    finally:
        done.set()
        watcher.join()
        signal.signal(signal.SIGINT, before)
    _assert_resumes(outcome, words, tmp_path / "cache")


@pytest.mark.slow
def test_closed_pipe_is_no_error(clip: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m moclip_lite mv probe {shlex.quote(str(clip))} --json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
