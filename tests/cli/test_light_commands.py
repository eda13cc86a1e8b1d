"""Commands with nothing to compute do not import the packages that compute."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.cli import TrainedRun
from support.runs import made_run

HEAVY = ("torch", "sklearn", "open_clip", "matplotlib", "pandas")

PROGRAM = f"""
import sys
from moclip_lite.cli import main
code = main(sys.argv[1:])
loaded = [name for name in {HEAVY} if name in sys.modules]
sys.exit(f"imported: {{loaded}}" if loaded or code else 0)
"""


@pytest.mark.parametrize("command", ["--help", "run", "compare", "cache"])
def test_nothing_heavy_is_imported(
    command: str, trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    words = {
        "--help": ("--help",),
        "run": trained.words(trained.folder),
        "compare": ("compare", *(made_run(folder / name, ["a", "b"]).folder for name in ("one", "two"))),
        "cache": ("cache", "info", "--cache", trained.cache),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words[command])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if command == "run":
        assert "nothing to do" in done.stderr
