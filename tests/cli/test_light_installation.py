"""`pip install moclip-lite` alone: basic commands work, all others say what to install."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest
import typer

from moclip_lite.cli import app
from moclip_lite.extras import EXTRAS
from moclip_lite.results.run_folder import RunFolder

from support.cli import MOTION_ONLY, class_folders
from support.clips import H264, encode, panning
from support.light_commands import ADVANCED, BASIC
from support.paths import ROOT
from support.runs import made_run
from support.waiting import PATIENCE

PACKAGES = {
    "faiss": "faiss-cpu",
    "ffmpeg": "ffmpeg-python",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "multipart": "python-multipart",
    "open_clip": "open_clip_torch",
    "prometheus_client": "prometheus-client",
    "paho": "paho-mqtt",
    "sklearn": "scikit-learn",
    "starlette": "fastapi",
}
"""Imported name -> distribution, where they differ."""


def requirements() -> dict[str, set[str]]:
    """Distributions of each list in pyproject.toml, read as text: tomllib is not in Python 3.10."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(\w+) = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    return {name: set(re.findall(r'"([A-Za-z0-9_-]+)', body)) for name, body in lists}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[int, str, str]]:
    """Exit code, stdout and stderr of every command, run without the optional packages."""
    folder = tmp_path_factory.mktemp("light")
    class_folders(folder / "data", frames=4)
    encode(folder / "clip.mp4", panning(4), **H264)
    for name in ("run", "other"):
        run = RunFolder(made_run(folder / name, ["left", "right"]).folder)
        run.labels.write_text('["left", "right"]', encoding="utf-8")
    (folder / "out").mkdir()
    settings: dict[str, dict[str, str]] = {}
    for section, _, rest in (value.partition(".") for value in MOTION_ONLY):
        key, _, value = rest.partition("=")
        settings.setdefault(section, {})[key] = value
    lines = [
        f"{name}: {{{', '.join(f'{k}: {v}' for k, v in part.items())}}}" for name, part in settings.items()
    ]
    (folder / "config.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "grid.yaml").write_text("base: config.yaml\ngrid: {motion.width: [8, 12]}\n", encoding="utf-8")
    (folder / "pairs.csv").write_text("video,text\nclip.mp4,turn left\n", encoding="utf-8")
    (folder / "weights.pt").write_bytes(b"x")
    support = ROOT / "tests"
    done = subprocess.run(
        [sys.executable, "-m", "support.light_commands", str(folder)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (support / "support" / "light", ROOT, support))),
            "MOCLIP_TEST_HIDDEN": ",".join((*EXTRAS, "mvextractor")),
            "MOCLIP_CACHE": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, tuple[int, str, str]] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("line", BASIC)
def test_basic_commands_need_no_extra(line: str, outcomes: Mapping[str, tuple[int, str, str]]) -> None:
    code, out, err = outcomes[line]
    assert code == 0, err
    assert "pip install" not in out + err


@pytest.mark.parametrize("line", ADVANCED)
def test_other_commands_name_the_pip_command(line: str, outcomes: Mapping[str, tuple[int, str, str]]) -> None:
    code, out, err = outcomes[line]
    assert (code, out) == (2, ""), (out, err)
    sentences = [text for text in err.splitlines() if text.startswith("moclip: ")]
    assert len(sentences) == 1, err
    assert "pip install 'moclip-lite[" in sentences[0]
    assert "Traceback" not in err


def test_every_command_is_swept() -> None:
    swept = {tuple(word for word in line.split()[:2]) for line in (*BASIC, *ADVANCED)}
    first = {words[0] for words in swept}
    program = typer.main.get_command(app)
    for name, command in program.commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        missing = {(name, other) for other in below} - swept if below else {name} - first
        assert missing <= {("dataset", "import"), ("cache", "prune")}, missing


def test_extras_bring_what_they_are_named_for() -> None:
    extras = requirements()
    for module, extra in EXTRAS.items():
        assert PACKAGES.get(module, module) in extras[extra], module


def test_the_light_installation_is_light() -> None:
    assert not {PACKAGES.get(module, module) for module in EXTRAS} & requirements()["dependencies"]
