"""What the packages do to the process that uses them: nothing on import, little when working."""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from torch import nn

import moclip_lite.ablate.run as grid_runs
from moclip_lite.ablate.grid import GridRun
from moclip_lite.cli.console import ConsoleReporter
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.session import Session
from moclip_lite.motion.network import create_motion_net
from moclip_lite.motion.read import read_motion_clip
from moclip_lite.parallel.pool import run_jobs, worker_pool
from moclip_lite.parallel.runner import LocalRunner
from moclip_lite.parallel.threads import available_cores
from moclip_lite.progress import Pace, Silent
from moclip_lite.results.confusion import save_confusion_png
from moclip_lite.results.report.charts import curves_svg
from moclip_lite.training.freeze import freeze

from support.cli import moclip

_IMPORT_ALL = """
import importlib, json, logging, os, pkgutil, signal, sys, warnings

LIBRARIES = (  # what importing these does is theirs
    "av", "av.logging", "matplotlib", "torch", "torch.distributed", "torch.utils.flop_counter", "pandas",
    "pyarrow.parquet", "scipy.special", "rich.progress", "typer", "filelock", "imageio_ffmpeg", "pydantic",
)
if sys.version_info < (3, 11):
    LIBRARIES += ("exceptiongroup",)
for name in LIBRARIES:
    importlib.import_module(name)
import av.logging, matplotlib, torch

# Settings of a program that is not ours.
av.logging.set_level(av.logging.VERBOSE)
matplotlib.rcParams["figure.dpi"] = 77
logging.getLogger("torch.onnx").setLevel(logging.DEBUG)
logging.getLogger("huggingface_hub").setLevel(logging.DEBUG)


def state():
    loggers = {
        name: [logger.level, [repr(h) for h in logger.handlers], logger.propagate, logger.disabled]
        for name, logger in [("", logging.root), *logging.root.manager.loggerDict.items()]
        if isinstance(logger, logging.Logger)
    }
    settings = dict.items(matplotlib.rcParams)
    return {
        "av": av.logging.get_level(),
        "matplotlib": {name: repr(value) for name, value in settings},
        "loggers": {name: value for name, value in loggers.items() if value != [0, [], True, False]},
        "logging": [logging.root.manager.disable, repr(logging.getLoggerClass()), logging.raiseExceptions],
        "warnings": [repr(entry) for entry in warnings.filters],
        "environment": dict(os.environ),
        "signals": {str(number): repr(signal.getsignal(number)) for number in signal.valid_signals()},
        "torch": [
            torch.get_num_threads(), torch.get_num_interop_threads(), repr(torch.get_default_dtype()),
            torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision(),
            torch.random.initial_seed(), torch.random.get_rng_state().sum().item(),
        ],
        "python": [sys.getrecursionlimit(), repr(sys.excepthook), os.getcwd(), repr(sys.stdout), repr(sys.stderr)],
    }


before = state()
import moclip_lite, mv_tools

names = [
    module.name
    for package in (mv_tools, moclip_lite)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not module.name.endswith("__main__")
]
for name in names:
    importlib.import_module(name)
print(json.dumps([len(names), before, state()]))
"""


def _python(code: str, **environment: str) -> str:
    env = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_importing_any_module_changes_nothing_in_the_process() -> None:
    count, before, after = json.loads(_python(_IMPORT_ALL))
    assert count > 100
    for part in before:
        assert after[part] == before[part], part


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    before = {name: repr(value) for name, value in dict.items(matplotlib.rcParams)}
    save_confusion_png(tmp_path / "c.png", np.eye(3, dtype=np.int64), ["$a", "b$", "$c$"], "$ title")
    rows = [{"epoch": i, "lr": 0.1, "loss": 1.0, "val_loss": 2.0, "accuracy": 50.0} for i in range(3)]
    assert curves_svg({"split1": {"motion": {"history": rows, "best_epoch": 1}}}) is not None
    assert {name: repr(value) for name, value in dict.items(matplotlib.rcParams)} == before
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


def _norms(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for name, value in module.state_dict().items() if "running" in name]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
@pytest.mark.parametrize("inside", [False, True])
def test_frozen_means_frozen_for_copies_and_parts(copied: object, inside: bool) -> None:
    net = freeze(create_motion_net("motion_small", 3))
    network = nn.Sequential(net, nn.Linear(3, 3)) if inside else net
    twin = copied(network)  # type: ignore[operator]
    own = twin[0] if inside else twin
    assert own is not net or copied is copy.copy
    twin.train()
    for part in own.modules():
        part.train()
        assert not part.training
        if copied is not copy.copy:
            assert part.train() is part
    assert not any(value.requires_grad for value in own.parameters())
    before = _norms(own)
    own(torch.randn(4, 2, 5, 2, 24, 32))
    assert before
    assert all(torch.equal(a, b) for a, b in zip(before, _norms(own), strict=True))
    if inside:
        assert twin[1].training


def _cgroup(root: Path, files: dict[str, str], group: str) -> Path:
    for name, text in {"proc/self/cgroup": group, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("group", "files", "cores"),
    [
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "5000 100000\n"}, 1),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        (
            "0::/a/b\n",
            {"sys/fs/cgroup/a/b/cpu.max": "max 100000", "sys/fs/cgroup/a/cpu.max": "300000 100000"},
            3,
        ),
        ("0::/host/only\n", {"sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        (
            "1:name=systemd:/\n3:cpu,cpuacct:/x\n",
            {
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000",
            },
            3,
        ),
        (
            "1:cpu:/x\n0::/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000"},
            2,
        ),
        (
            "1:cpu:/\n",
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            64,
        ),
        ("0::/\n", {"sys/fs/cgroup/cpu.max": "nonsense"}, 64),
        ("0::/\n", {}, 64),
    ],
)
def test_cores_are_those_of_the_affinity_and_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, files: dict[str, str], cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    root = _cgroup(tmp_path, files, group)
    assert available_cores(root) == cores
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {5}, raising=False)
    assert available_cores(root) == 1


def test_the_program_sets_the_wait_policy_before_torch_and_keeps_the_user_s() -> None:
    code = """
import os, sys
import moclip_lite.cli
program = sys.modules["moclip_lite.cli.app"]
original = program.set_thread_policy
def watched():
    assert "torch" not in sys.modules
    original()
program.set_thread_policy = watched
program.main(["cache", "info", "--json"])
print(os.environ["OMP_WAIT_POLICY"], os.environ.get("OMP_NUM_THREADS"))
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMP_")}
    for own, expected in ({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "3"}, "ACTIVE 3"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**environment, **own},
            check=True,
        )
        assert done.stdout.splitlines()[-1].startswith(expected)


def test_workers_get_the_wait_policy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with worker_pool(1) as pool:
        assert pool.submit(os.getenv, "OMP_WAIT_POLICY").result() == "PASSIVE"
    assert "OMP_WAIT_POLICY" not in os.environ


def test_run_threads_is_the_number_that_computes() -> None:
    before = torch.get_num_threads()
    try:
        for count in (2, 1):
            session = Session(load_experiment(None, [f"run.threads={count}", "run.device=cpu"]))
            assert session.device.type == "cpu"
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("workers", "threads"), [(1, 8), (2, 4), (3, 2), (20, 2)])
def test_cells_of_a_grid_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, threads: int
) -> None:
    given = []

    class Pool:
        def submit(self, work: object, cell: Any) -> Future[grid_runs._Done]:
            given.append(cell.threads)
            done: Future[grid_runs._Done] = Future()
            done.set_result(grid_runs._Done("of the run"))
            return done

        def shutdown(self, **options: object) -> None:
            pass

    monkeypatch.setattr("moclip_lite.parallel.pool.available_cores", lambda: 8)
    monkeypatch.setattr(grid_runs, "worker_pool", lambda count: Pool())
    runs = [GridRun({"fusion.head": "film"}, seed, load_experiment()) for seed in range(3)]
    grid_runs._run_cells(runs, tmp_path, Silent(), LocalRunner(workers))
    assert given == [threads] * 3


def test_long_work_writes_a_line_now_and_then_with_its_estimate() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    lines = []
    for done in range(1, 1001):
        now[0] += 2.0
        line = pace.line("motion", done, 1000)
        if line is not None:
            lines.append((now[0], line))
    assert lines[0] == (10.0, "motion: 5 of 1000, about 33 minutes left")
    assert len(lines) < 60
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(lines)]
    assert min(gaps) >= 10
    assert max(gaps) <= 210
    now[0] += 60
    assert pace.line("train", 1, 10) == "train: 1 of 10, about 9 minutes left"
    assert pace.line("head", 30, 60) is None
    now[0] += 30
    assert pace.line("head", 33, 60) == "head: 33 of 60, about 4 minutes left"


def test_a_log_file_hears_of_long_work() -> None:
    heard = io.StringIO()
    now = [0.0]
    with contextlib.redirect_stderr(heard):
        for quiet in (False, True):
            reporter = ConsoleReporter(quiet)
            reporter._pace = Pace(lambda: now[0])
            for done in range(1, 101):
                now[0] += 5
                reporter.progress("motion", done, 100)
    assert re.fullmatch(r"(motion: \d+ of 100, about \d+ (s|minutes) left\n){10,40}", heard.getvalue())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_met_on_one_job_costs_that_job_and_is_reported(
    workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    work = [None, "broken", None].__getitem__  # spawned processes need not import this file
    answers = dict(run_jobs(work, range(4), workers))
    assert [answers[i] for i in range(3)] == [None, "broken", None]
    assert answers[3] is not None
    assert "a bug in this program (IndexError: list index out of range)" in answers[3]
    (record,) = [record for record in caplog.records if record.name == "moclip.bugs"]
    assert record.getMessage() == "a bug in this program, met on 3"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], IndexError)


@pytest.mark.parametrize(
    "error", [ValueError, IndexError, KeyError, ZeroDivisionError, RuntimeError, TypeError]
)
def test_an_error_of_our_own_is_no_broken_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_clip: Callable[..., Path], error: type[Exception]
) -> None:
    for label in ("a", "b"):
        for number in range(3):
            make_clip(f"set/{label}/{number}.mp4", frames=6)
    (tmp_path / "set" / "a" / "2.mp4").write_bytes(b"broken")

    def read(path: Path, spec: object) -> object:
        if path.name == "1.mp4" and path.parent.name == "b":
            raise error("of our own arithmetic")
        return read_motion_clip(path, spec)  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("moclip_lite.motion.extract.read_motion_clip", read)
    words = ["extract", "motion", tmp_path / "set", "--cache", tmp_path / "cache", "--workers", 1]
    done = moclip(*words, "--set", "motion.segments=2")
    assert done.code == 1
    assert "4 clips computed" in done.err
    assert "Traceback" in done.err
    assert "of our own arithmetic" in done.err.splitlines()[-1]
    assert "a bug in this program, met on b/1.mp4" in done.err or "met on b/1" in done.err
    monkeypatch.setattr("moclip_lite.motion.extract.read_motion_clip", read_motion_clip)
    again = moclip(*words, "--set", "motion.segments=2")
    assert again.code == 0
    assert "Traceback" not in again.err


def test_arguments_that_no_video_suits_end_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_clip: Callable[..., Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("a", "b"):
        make_clip(f"set/{label}/1.mp4", frames=6)
    done = moclip(
        "extract", "motion", tmp_path / "set", "--cache", tmp_path / "cache", "--set", "motion.backend=nativ"
    )
    assert done.code == 2
    assert "backend must be one of" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["mv", "extract", "{clip}", "-o", "x.txt"],
        ["mv", "extract", "{clip}", "-o", "x.npz", "--kind", "flo"],
        ["mv", "extract", "{clip}", "-o", "x.npz", "--backend", "nativ"],
        ["mv", "show", "{clip}", "-o", "x.txt"],
        ["mv", "show", "{clip}", "-o", "x.png", "--style", "arow"],
        ["mv", "transcode", "{clip}", "x.mp4", "--gop", "0"],
        ["mv", "transcode", "{clip}", "x.mp4", "--codec", "h266"],
        ["mv", "transcode", "{clip}", "x"],
        ["mv", "transcode", "{clip}", "{clip}"],
        ["mv", "probe", "{clip}", "--sample", "0"],
    ],
)
def test_arguments_out_of_range_are_a_sentence(
    words: list[str], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = moclip(*(word.replace("{clip}", str(clip)) for word in words))
    assert done.code == 2
    assert "Traceback" not in done.err
