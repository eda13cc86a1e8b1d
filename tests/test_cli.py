"""The program: help, exit codes, what goes to stdout, and the commands on one file or one folder."""

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

import av
import numpy as np
import pytest
import typer
from cli_fixtures import (
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
    start,
    stop_when_filled,
)
from conftest import H264, encode, panning
from PIL import Image
from safetensors.numpy import load_file

from moclip_lite.cli import app
from mv_tools import MotionDecoder, MotionFrame, flow, probe

pytest_plugins = ["cli_fixtures"]


def _commands() -> dict[str, Any]:
    """Every command that does something, by its words."""
    found: dict[str, Any] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[" ".join(words)] = command
        for name, child in (children or {}).items():
            walk(child, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


COMMANDS = _commands()
CONTRACT = (
    "mv probe", "mv extract", "mv show", "mv transcode", "dataset prepare", "dataset list", "extract motion",
    "extract clip", "train motion", "train fusion", "evaluate", "zero-shot", "run", "ablate", "predict",
    "cache info", "cache verify", "cache prune", "demo", "compare",
)  # fmt: skip


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
    example = shlex.split(text.split("Example: ", 1)[1])
    assert example[: 1 + len(words.split())] == ["moclip", *words.split()]
    COMMANDS[words].make_context(words, example[1 + len(words.split()) :])


@pytest.mark.parametrize("words", [*sorted({w.split()[0] for w in COMMANDS if " " in w}), ""])
def test_groups_list_their_commands(words: str) -> None:
    outcome = assert_ok(moclip(*words.split(), "--help"))
    prefix = f"{words} " if words else ""
    for name in COMMANDS:
        if name.startswith(prefix):
            assert name.removeprefix(prefix).split()[0] in outcome.out


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


def test_absent_configuration_is_named(tmp_path: Path) -> None:
    assert_refused(moclip("run", tmp_path / "none.yaml"), "none.yaml", "no such configuration file")
    assert_refused(moclip("run", tmp_path / "none"), "no such file or folder")
    assert_refused(moclip("run", FOLDER_YAML), "data.root", "--set data.root=DIR")
    assert_refused(moclip("ablate", tmp_path / "none.yaml"), "no such ablation file")
    assert_refused(moclip("evaluate", tmp_path), "is not a run folder")


def test_options_by_name_mirror_the_configuration(folders: Path, tmp_path: Path) -> None:
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


TOTAL = 40


def _extract_words(tmp_path: Path, workers: int) -> list[object]:
    many_clips(tmp_path / "data", TOTAL)
    words = ("extract", "motion", tmp_path / "data", "--cache", tmp_path / "cache", "--json")
    return [*words, *sets(MOTION_ONLY), "--workers", workers]


def _assert_goes_on(outcome: Outcome, words: list[object], cache: Path) -> None:
    """What was finished is kept and sound; the same command does the rest."""
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


def test_interrupted_extraction_keeps_its_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at a terminal: the signal goes to the program and to its workers."""
    words = _extract_words(tmp_path, 2)
    process = start(*words, cwd=tmp_path)
    outcome = stop_when_filled(process, tmp_path / "cache", "motion", 3, signal.SIGINT)
    monkeypatch.chdir(tmp_path)
    _assert_goes_on(outcome, words, tmp_path / "cache")


def test_interrupted_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without workers, within this process."""
    monkeypatch.chdir(tmp_path)
    words, done = _extract_words(tmp_path, 1), threading.Event()

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
    _assert_goes_on(outcome, words, tmp_path / "cache")


def test_closed_pipe_is_no_error(clip: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m moclip_lite mv probe {shlex.quote(str(clip))} --json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


# mv


def test_probe_agrees_with_the_decoder(clip: Path, clip_b: Path) -> None:
    for path in (clip, clip_b):
        found = assert_ok(moclip("mv", "probe", path, "--json")).json
        meta = MotionDecoder(path).metadata
        assert found["path"] == str(path)
        for name in ("codec", "width", "height", "coded_width", "coded_height", "num_frames", "has_b_frames"):
            assert found[name] == getattr(meta, name), name
        assert found["codec"] == "h264"
        assert (found["width"], found["height"], found["num_frames"]) == (96, 64, 24)
        assert sum(found["pict_types"].values()) == 24
        assert found["gop"] == {"min": 12, "median": 12.0, "max": 12}
        assert {"path": str(path), **probe(path)} == found
    assert found["has_b_frames"]
    assert "B" in found["pattern"]


def test_probe_prints_a_table(clip: Path) -> None:
    outcome = assert_ok(moclip("mv", "probe", clip))
    assert "h264" in outcome.out
    assert "keyframes" in outcome.out
    assert "skipped %" in outcome.out
    assert "native, all pictures" in outcome.out
    assert outcome.err == ""
    decoded = assert_ok(moclip("mv", "probe", clip, "--backend", "libav"))
    assert "libav, all pictures" in decoded.out
    assert "skipped %" not in decoded.out
    assert assert_ok(moclip("mv", "probe", clip, "--all", "--json")).json["sample"] == 24


def _assert_vectors(arrays: dict[str, np.ndarray], frames: list[MotionFrame]) -> None:
    np.testing.assert_array_equal(arrays["mv"], np.stack([f.mv for f in frames]))
    np.testing.assert_array_equal(arrays["ref_idx"], np.stack([f.ref_idx for f in frames]))
    assert arrays["mv"].dtype == np.int16
    assert arrays["index"].tolist() == [f.index for f in frames]
    assert arrays["decode_index"].tolist() == [f.decode_index for f in frames]
    assert [("IPB")[k] for k in arrays["pict_type"]] == [f.pict_type for f in frames]
    np.testing.assert_allclose(arrays["pts_seconds"], [f.pts_seconds for f in frames])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_extract_writes_the_vectors(suffix: str, clip_b: Path, tmp_path: Path) -> None:
    out = tmp_path / f"new folder/motion{suffix}"
    said = assert_ok(moclip("mv", "extract", clip_b, "-o", out, "--json")).json
    assert said == {"path": str(out), "frames": 24, "bytes": out.stat().st_size, "backend": "libav"} | {
        "backend": MotionDecoder(clip_b).backend
    }
    arrays = dict(np.load(out)) if suffix == ".npz" else load_file(out)
    _assert_vectors(arrays, list(MotionDecoder(clip_b)))
    assert np.abs(arrays["mv"]).max() > 0
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_extract_chosen_frames_as_flow(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "flow.npz"
    words = ("mv", "extract", clip, "-o", out, "--kind", "flow", "--start", 3, "--stop", 20, "--every", 4)
    outcome = assert_ok(moclip(*words))
    assert outcome.out == ""
    assert "5 frames" in outcome.err
    arrays = dict(np.load(out))
    frames = MotionDecoder(clip).get_frames_at([3, 7, 11, 15, 19])
    assert arrays["index"].tolist() == [3, 7, 11, 15, 19]
    np.testing.assert_array_equal(arrays["flow"], np.stack([flow(f) for f in frames]))
    assert np.median(arrays["flow"][0, 0]) == pytest.approx(3, abs=0.26)  # the content moves right by 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-o", "x.npy"), ".npz or .safetensors"),
        (("-o", "x.npz", "--kind", "sideways"), "'sideways'"),
        (("-o", "x.npz", "--backend", "nothing"), "'nothing'"),
        (("-o", "x.npz", "--start", "24"), "24"),
    ],
)
def test_extract_refuses(
    words: tuple[str, ...], says: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(moclip("mv", "extract", clip, *words), says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("style", ["arrows", "colour", "both"])
def test_show_draws_a_picture(style: str, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "motion.png"
    assert_ok(moclip("mv", "show", clip, "-o", out, "--frame", 5, "--style", style))
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 96
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_show_makes_a_film(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "motion.mp4"
    assert_ok(moclip("mv", "show", clip, "-o", out))
    with av.open(str(out)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 24


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-o", "x.gif"), ".png or .mp4"),
        (("-o", "x.png", "--style", "loud"), "'loud'"),
        (("-o", "x.png", "--frame", "24"), "24 frames"),
    ],
)
def test_show_refuses(
    words: tuple[str, ...], says: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(moclip("mv", "show", clip, *words), says)
    assert list(tmp_path.iterdir()) == []


def test_transcode_keeps_to_its_recipe(clip_mpeg4: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.mp4"
    assert_ok(moclip("mv", "transcode", clip_mpeg4, out, "--gop", 8, "--bframes", 2))
    found = assert_ok(moclip("mv", "probe", out, "--json")).json
    assert (found["codec"], found["num_frames"], found["width"]) == ("h264", 24, 96)
    assert found["gop"] == {"min": 8, "median": 8.0, "max": 8}
    assert "B" in found["pattern"]
    back = tmp_path / "back.avi"
    assert_ok(moclip("mv", "transcode", out, back, "--codec", "mpeg4", "--side", 48))
    found = assert_ok(moclip("mv", "probe", back, "--json")).json
    assert (found["codec"], found["width"], found["height"]) == ("mpeg4", 72, 48)


def test_transcode_refuses(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    assert_refused(moclip("mv", "transcode", copy, copy), "same file")
    assert_refused(moclip("mv", "transcode", copy, tmp_path / "out"), "ending")
    assert_refused(moclip("mv", "transcode", copy, tmp_path / "out.mp4", "--gop", 0), "gop")
    assert_refused(moclip("mv", "transcode", copy, tmp_path / "out.mp4", "--codec", "av1"), "'av1'")
    message = assert_refused(moclip("mv", "transcode", copy, tmp_path / "out.xyz"), "out.xyz")
    assert "0x" not in message, "ffmpeg's own words, with addresses in them"
    assert copy.read_bytes() == clip.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["copy.mp4"]


# dataset


def test_list_counts_clips_and_groups(folders: Path) -> None:
    pattern = "data.group_pattern='^(p[0-9])_'"
    found = assert_ok(moclip("dataset", "list", folders, "--json", "--set", pattern)).json
    assert found["clips"] == 8
    assert found["classes"] == [
        {"label": label, "clips": 4, "groups": ["p0", "p1", "p2", "p3"]} for label in ("left", "right")
    ]
    table = assert_ok(moclip("dataset", "list", folders)).out
    assert "left" in table
    assert "right" in table


@pytest.mark.parametrize(
    ("pattern", "says"), [("^(q)_", "does not match"), ("^p", "one group"), ("(", "regular")]
)
def test_list_refuses_group_patterns(pattern: str, says: str, folders: Path) -> None:
    assert_refused(moclip("dataset", "list", folders, "--set", f"data.group_pattern='{pattern}'"), says)


def test_prepare_a_folder_once(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "prepared"
    words = (
        "dataset",
        "prepare",
        "folder",
        "--root",
        folders,
        "--out",
        out,
        "--gop",
        5,
        "--workers",
        1,
        "--json",
    )
    found = assert_ok(moclip(*words)).json
    out = out / "gop5"
    assert found["out"] == str(out)
    assert (found["recipe"], found["made"], found["kept"], found["failures"]) == ("gop5", 8, 0, [])
    clips = sorted(out.rglob("*.mp4"))
    assert [p.relative_to(out) for p in clips] == sorted(
        p.relative_to(folders) for p in folders.rglob("*.mp4")
    )
    assert probe(clips[0])["gop"]["max"] == 5
    (out / "left" / clips[0].name).unlink()
    assert assert_ok(moclip(*words)).json["made"] == 1
    assert assert_ok(moclip(*(w if w != 5 else 6 for w in words))).json["out"].endswith("gop6")
    (out / "recipe.json").write_text('{"gop": 7}', encoding="utf-8")
    assert_refused(moclip(*words), "another recipe")


def test_prepare_synthetic(tmp_path: Path) -> None:
    out = tmp_path / "made"
    words = (
        "dataset",
        "prepare",
        "synthetic",
        "--out",
        out,
        "--clips-per-class",
        4,
        "--workers",
        1,
        "--json",
    )
    (tmp_path / "made").mkdir()
    (out / "letter.txt").write_text("mine", encoding="utf-8")
    assert_refused(moclip(*words), "not empty")
    assert (out / "letter.txt").read_text(encoding="utf-8") == "mine"
    assert_refused(moclip(*(word if word != 4 else 1 for word in words)), "at least 4")


# cache


def test_cache_info_verify_prune(folders: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    extract = (
        "extract",
        "motion",
        folders,
        "--cache",
        cache,
        "--json",
        *sets(MOTION_ONLY),
        "--failures",
        tmp_path / "f.csv",
    )
    first = assert_ok(moclip(*extract))
    assert (first.json["made"], first.json["reused"], first.json["failures"]) == (8, 0, [])
    second = assert_ok(moclip(*extract))
    assert (second.json["made"], second.json["reused"]) == (0, 8)
    assert "nothing to do" in second.err
    found = assert_ok(moclip("cache", "info", "--cache", cache, "--json")).json
    size = sum(path.stat().st_size for path in entries(cache, "motion"))
    assert found == {"path": str(cache), "stages": {"motion": {"entries": 8, "bytes": size}}}
    assert "motion" in assert_ok(moclip("cache", "info", "--cache", cache)).out

    assert assert_ok(moclip("cache", "verify", "--cache", cache, "--json")).json == {
        "damaged": [],
        "removed": False,
    }
    broken = entries(cache, "motion")[3]
    body = bytearray(broken.read_bytes())
    body[-1] ^= 1  # a single bit
    broken.write_bytes(body)
    verified = moclip("cache", "verify", "--cache", cache, "--json")
    assert verified.code == 2
    assert [row["path"] for row in verified.json["damaged"]] == [str(broken)]
    assert "digest" in verified.json["damaged"][0]["reason"]
    assert broken.exists()
    assert_ok(moclip("cache", "verify", "--cache", cache, "--remove"))
    assert not broken.exists()

    assert "removed 0 entries" in assert_ok(moclip("cache", "prune", "--cache", cache, "--days", 1)).err
    assert "removed 0 entries" in assert_ok(moclip("cache", "prune", "--cache", cache, "--stage", "clip")).err
    assert len(entries(cache, "motion")) == 7
    assert "removed 7 entries" in assert_ok(moclip("cache", "prune", "--cache", cache, "--all")).err
    assert entries(cache, "motion") == []


def test_cache_is_where_the_environment_says(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "mine"))
    assert assert_ok(moclip("cache", "info", "--json")).json == {"path": str(tmp_path / "mine"), "stages": {}}
    data = tmp_path / "data" / "one"
    data.mkdir(parents=True)
    encode(data / "a.mp4", panning(), **H264)
    monkeypatch.chdir(tmp_path)
    assert_ok(moclip("extract", "motion", tmp_path / "data", *sets(MOTION_ONLY)))
    assert len(entries(tmp_path / "mine", "motion")) == 1
    assert not (tmp_path / "failures.csv").exists()
