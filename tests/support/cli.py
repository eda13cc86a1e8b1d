"""Calls of the program, and a small trained run that tests share.

PYTEST_DONT_REWRITE: a plugin, and helpers that test modules import by name.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from moclip_lite.cli import main
from moclip_lite.datasets import SyntheticSpec, generate

from support.clips import H264, encode, panning
from support.paths import ROOT
from support.waiting import PATIENCE

FOLDER_YAML = ROOT / "experiments" / "folder.yaml"

MOTION_ONLY = (
    "motion.segments=4",
    "motion.grid=[6,8]",
    "motion.width=8",
    "test.crops=1",
    "run.workers=1",
    "run.onnx=false",
)
QUICK = (*MOTION_ONLY, "run.streams=[motion]", "train_motion.epochs=2", "motion.flip=0")
TINY = (
    "clip.model=timm:test_vit",
    "clip.pretrained=none",
    "clip.frames=1",
    "motion.segments=4",
    "motion.grid=[12,16]",
    "motion.flip=0",
    "test.flips=1",
    "test.crops=1",
    "train_motion.epochs=25",
    "train_head.epochs=40",
    "run.workers=1",
    "run.onnx=false",
)
"""Settings for a training of about a second; the image encoder is small and has random weights."""

WITH_TEXT = "clip.model=ViT-S-32"
"""In place of the small image encoder, where text is encoded too."""


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a call of the program."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


def moclip(*words: object, drawings: bool = False) -> Outcome:
    """Call the program in this process.

    Args:
        words: the command line.
        drawings: a run draws its matrices and curves, which takes most of a small run's time.
    """
    out, err = io.StringIO(), io.StringIO()
    trains = str(words[0]) in ("run", "train", "evaluate", "demo", "ablate", "tune") if words else False
    with contextlib.ExitStack() as stack:
        if trains and not drawings:
            stack.enter_context(without_drawings())
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        code = main([str(word) for word in words])
    return Outcome(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def without_drawings() -> Iterator[None]:
    """Matrices of runs are pictures of one pixel, and reports have no curves."""
    from PIL import Image

    from moclip_lite.results import write
    from moclip_lite.results.report import content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write, "save_confusion_png", lambda path, *_: Image.new("L", (1, 1)).save(path))
        patch.setattr(content, "curves_svg", lambda training: None)
        yield


def launched(*words: object, processes: int = 1) -> Outcome:
    """The program in a process of its own, or in several that torchrun starts."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if processes > 1 else {}  # several can't share a GPU
    done = subprocess.run(
        [sys.executable, *(launcher if processes > 1 else ()), "-m", "moclip_lite", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1", **hidden},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def sets(values: Sequence[str]) -> list[str]:
    """Overrides as --set options."""
    return [word for value in values for word in ("--set", value)]


def assert_ok(outcome: Outcome) -> Outcome:
    """Assert exit code 0 without a traceback."""
    assert outcome.code == 0, outcome.err
    assert "Traceback" not in outcome.err
    return outcome


def assert_refused(outcome: Outcome, *parts: str) -> str:
    """Assert exit code 2, nothing on stdout, one sentence on stderr; returns the sentence."""
    assert outcome.code == 2, (outcome.code, outcome.out, outcome.err)
    assert outcome.out == ""
    lines = [line for line in outcome.err.splitlines() if line.startswith("moclip: ")]
    assert len(lines) == 1, outcome.err
    assert outcome.err.rstrip().endswith(lines[0])
    assert "Traceback" not in outcome.err
    for part in parts:
        assert part in lines[0], f"{part!r} is not in {lines[0]!r}"
    return lines[0]


def _interruptible() -> None:
    """Undo that background jobs of a shell, and their children, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(*words: object, cwd: Path, program: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start the program in a process group of its own."""
    command = [*(program or (sys.executable, "-m", "moclip_lite")), *(str(word) for word in words)]
    return subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_interruptible,
    )


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a started program."""
    out, err = process.communicate(timeout=PATIENCE)
    return Outcome(process.returncode, out, err)


def entries(cache: Path, stage: str) -> list[Path]:
    """Finished entries of a stage (drafts are hidden files)."""
    return sorted(p for p in cache.glob(f"{stage}/*/*.safetensors") if not p.name.startswith("."))


def stop_when_filled(
    process: subprocess.Popen[str], cache: Path, stage: str, count: int, how: signal.Signals
) -> Outcome:
    """Send a signal to the process group, as a terminal does, once there are `count` entries."""
    while len(entries(cache, stage)) < count:
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        time.sleep(0.002)
    os.killpg(process.pid, how)
    return finish(process)


_SLOW_READING = """
import sys, time
from moclip_lite.cli import main
from moclip_lite.motion import extract

read = extract.read_motion_clip

def read_slowly(*arguments):
    time.sleep(0.3)
    return read(*arguments)

extract.read_motion_clip = read_slowly  # spawned workers execute this file, too
if __name__ == "__main__":
    sys.exit(main())
"""


def slow_reading(folder: Path) -> tuple[str, str]:
    """The program with motion reading that takes a third of a second per clip: time for a signal."""
    script = folder / "slow_reading.py"
    script.write_text(_SLOW_READING, encoding="utf-8")
    return sys.executable, str(script)


def many_clips(folder: Path, count: int, label: str = "one") -> list[Path]:
    """Files with equal pictures and different bytes: an MP4 may end in a box of free space."""
    seed = encode(folder.parent / f"{folder.name}-{label}-seed.mp4", panning(8), **H264)
    content = seed.read_bytes()
    seed.unlink()
    (folder / label).mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = folder / label / f"{label}_{number:03d}.mp4"
        path.write_bytes(
            content
            + (16).to_bytes(4, "big")
            + b"free"
            + label.encode()[:4].ljust(4)
            + number.to_bytes(4, "big")
        )
        paths.append(path)
    return paths


STEPS = {"left": (-3, 0), "right": (3, 0)}


def class_folders(root: Path, per_class: int = 4, frames: int = 16) -> Path:
    """Two classes, "left" and "right"; clips of a class differ in speed and length."""
    for label, (dx, dy) in STEPS.items():
        (root / label).mkdir(parents=True)
        for i in range(per_class):
            step = (dx + (i % 3) * (1 if dx > 0 else -1), dy)
            name = f"p{i % 4}_{label}{i}.mp4"
            encode(root / label / name, panning(frames + i, step=step), **H264)
    return root


@dataclass(frozen=True)
class TrainedRun:
    """A finished run with the paths of its folder, data and cache."""

    folder: Path
    data: Path
    cache: Path
    first: Outcome

    def words(self, folder: Path | None = None) -> list[str]:
        """The command line that made it, or the same for another folder."""
        places = (f"data.root={self.data}", f"run.dir={folder or self.folder}", f"cache.dir={self.cache}")
        return ["run", str(FOLDER_YAML), *sets((*TINY, *places))]

    def copy(self, target: Path) -> Path:
        """Copy the run folder, for tests that damage it."""
        shutil.copytree(self.folder, target)
        return target


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 textures x 2 motions, 8 clips each."""
    root = tmp_path_factory.mktemp("synthetic")
    spec = SyntheticSpec(
        textures=("bricks", "water"), motions=("pan_left", "rotate"), clips_per_class=8, frames=16
    )
    generate(root, spec)
    return root


@pytest.fixture(scope="session")
def trained(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """Motion, appearance and fusion trained on the generated clips."""
    base = tmp_path_factory.mktemp("trained")
    run = TrainedRun(base / "run", generated, base / "cache", Outcome(0, "", ""))
    return TrainedRun(run.folder, run.data, run.cache, assert_ok(moclip(*run.words(), drawings=True)))


SMALL_CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
"""A configuration of open_clip."""


@contextlib.contextmanager
def small_models() -> Iterator[None]:
    """Within this process, ViT-S-32 and ViT-S-32-alt are small: their sizes prove nothing."""
    import open_clip.factory

    with pytest.MonkeyPatch.context() as patch:
        for name in ("ViT-S-32", "ViT-S-32-alt"):
            patch.setitem(open_clip.factory._MODEL_CONFIGS, name, SMALL_CLIP)
        yield


@pytest.fixture
def no_drawings() -> Iterator[None]:
    """Runs of one test draw nothing."""
    with without_drawings():
        yield


@pytest.fixture
def small_clip() -> Iterator[None]:
    """Small models for one test."""
    with small_models():
        yield
