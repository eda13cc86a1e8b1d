"""What the packages do to the process that uses them: nothing on import, little when working."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from torch import nn

from moclip_lite.motion_net import create_motion_net, freeze
from moclip_lite.plots import save_confusion_png
from moclip_lite.report.charts import curves_svg

_IMPORT_ALL = """
import importlib, json, logging, os, pkgutil, signal, sys, warnings

LIBRARIES = (  # what importing these does is theirs
    "av", "av.logging", "matplotlib", "torch", "torch.distributed", "torch.utils.flop_counter", "pandas",
    "pyarrow.parquet", "scipy.special", "rich.progress", "typer", "filelock", "imageio_ffmpeg", "pydantic",
)
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
    rows = [{"epoch": i, "loss": 1.0, "val_loss": 2.0, "accuracy": 50.0} for i in range(3)]
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
    whole = nn.Sequential(net, nn.Linear(3, 3)) if inside else net
    twin = copied(whole)  # type: ignore[operator]
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
