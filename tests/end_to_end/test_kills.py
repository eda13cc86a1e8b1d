"""Killed at any moment and run again: the same metrics as a run that nobody disturbed.

MOCLIP_KILLS=100 kills so often in place of a few times, on 200 clips; MOCLIP_KILL_SEED draws other moments.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.cli import FOLDER_YAML, STEPS, TINY, assert_ok, moclip, sets, start
from support.clips import H264, encode, panning

KILLS = int(os.environ.get("MOCLIP_KILLS", "1"))
CLIPS = 200 if KILLS > 1 else 16
ONNX = KILLS > 1  # files that a run writes at its end: seconds for each run
SETTINGS = (
    *TINY,
    "run.workers=2",
    "train_motion.epochs=4",
    "train_head.epochs=8",
    f"run.onnx={str(ONNX).lower()}",
)


@dataclass(frozen=True)
class Undisturbed:
    """A run that was left alone: its clips, its metrics, and how long a command writes."""

    data: Path
    metrics: dict[str, Any]
    seconds: dict[str, float]


CASES = [(kind, number) for kind in ("run", "extract") for number in range(KILLS)]


def draw(kind: str, number: int) -> tuple[str, float]:
    """The command of a case, and after which share of its time it is killed."""
    rng = random.Random(f"{kind} {number} {os.environ.get('MOCLIP_KILL_SEED', '')}")
    command = kind if kind == "run" else kind + rng.choice((" motion", " clip"))
    return command, rng.random()


def words(command: str, data: Path, place: Path) -> list[str]:
    places = (f"data.root={data}", f"run.dir={place / 'run'}", f"cache.dir={place / 'cache'}")
    more = [] if command == "run" else ["--failures", str(place / "failures.csv")]
    return [*command.split(), str(FOLDER_YAML), *sets((*SETTINGS, *places)), *more]


def metrics_of(place: Path) -> dict[str, Any]:
    """metrics.json without what a clock has measured."""
    found = json.loads((place / "run" / "metrics.json").read_text(encoding="utf-8"))
    del found["seconds"]
    found.pop("prediction", None)  # measured
    for cost in found["costs"].values():
        cost.pop("latency_ms")
    return dict(found)


def timed(command: str, data: Path, place: Path) -> float:
    """Run a command to its end; returns its seconds."""
    began = time.perf_counter()
    assert_ok(moclip(*words(command, data, place)))
    return time.perf_counter() - began


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    base = tmp_path_factory.mktemp("kills")
    data = base / "data"
    for label, (dx, dy) in STEPS.items():
        (data / label).mkdir(parents=True)
        for number in range(CLIPS // 2):
            kind = data / label / f"{label}_{number % 8:03d}.mp4"
            if number < 8:
                encode(
                    kind, panning(10 + number, step=(dx + (number % 3) * (1 if dx > 0 else -1), dy)), **H264
                )
                continue
            tail = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")  # another file as bytes
            (data / label / f"{label}_{number:03d}.mp4").write_bytes(kind.read_bytes() + tail)
    names = sorted({draw(*case)[0] for case in CASES} | {"run"})  # imports are behind the first
    seconds = {name: timed(name, data, base / name.replace(" ", "-")) for name in names}
    return Undisturbed(data, metrics_of(base / "run"), seconds)


def kill_once(command: Sequence[str], place: Path, wait: float, *, alone: bool) -> None:
    """SIGKILL `wait` seconds after the first write: the main process alone, or its workers with it."""
    process = start(*command, cwd=place)
    while not (place / "cache").exists():  # seconds of imports, in which nothing is written
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    time.sleep(wait)
    if alone:
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize(("kind", "number"), CASES)
def test_a_killed_command_run_again_ends_like_any_other(
    kind: str, number: int, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    command, share = draw(kind, number)
    killed = words(command, undisturbed.data, tmp_path)
    wait = share * undisturbed.seconds[command]
    kill_once(killed, tmp_path, wait, alone=number % 2 == 0)
    assert_ok(moclip(*killed))
    if command != "run":
        assert_ok(moclip(*words("run", undisturbed.data, tmp_path), "--set", "run.onnx=false"))
    assert metrics_of(tmp_path) == undisturbed.metrics, f"killed after {wait:.2f} s"
    left = [
        p for p in (tmp_path / "run").rglob("*") if p.name.startswith(".") or p.name in ("state", "run.lock")
    ]
    assert not left
    assert_ok(moclip("cache", "verify", "--cache", tmp_path / "cache"))
