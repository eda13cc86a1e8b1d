"""What the documents say holds: snippets run, commands parse, the CLI page is current."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import typer

from moclip_lite.cli import app, main

from support.clips import H264, encode, panning
from support.paths import ROOT

PAGES = [
    "README.md",
    "data/README.md",
    "docs/cli.md",
    *(str(p.relative_to(ROOT)) for p in ROOT.glob("experiments/**/*.yaml")),
]


def commands() -> list[tuple[str, str]]:
    """(page, command) of every line that begins with moclip."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text().replace("\\\n#", "").replace("\\\n", "")
        lines = re.findall(r"^(?:# +)?(moclip .*)$", text, re.MULTILINE)
        found += [(page, line.split("   ")[0].strip()) for line in lines]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_in_the_documents_parse(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
    assert not getattr(command, "commands", None), f"{page}: {line} names no command"
    command.make_context("moclip", words)


def test_readme_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "clip.mp4", panning(), **H264)
    for label, step in (("left", (-3, 0)), ("right", (3, 0))):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for i in range(5):
            encode(tmp_path / "clips" / label / f"{i}.mp4", panning(12 + i, step=step), **H264)
    quick = [
        "motion.segments=2",
        "motion.grid=[8,12]",
        "train_motion.epochs=2",
        "run.workers=1",
        "run.streams=[motion]",
    ]
    sets = [word for each in ["data.root=clips", "run.dir=runs/mine", *quick] for word in ("--set", each)]
    assert main(["run", str(ROOT / "experiments" / "folder.yaml"), *sets, "--quiet"]) == 0
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        names: dict[str, object] = {}
        exec(compile(snippet, "README.md", "exec"), names)
        if "field" in names:
            assert names["field"].shape == (2, 16, 24)  # type: ignore[attr-defined]


def test_the_cli_page_is_current() -> None:
    """Else: make docs."""
    made = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make_cli.py")], capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / "docs" / "cli.md").read_text()


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for package in ("mv_tools", "moclip_lite"):
        for path in (ROOT / package).glob("*.py"):
            if not path.stem.startswith("__"):
                assert re.search(rf"\b{path.stem}\b", text), f"{package}/{path.name}"


def test_version_and_help_need_no_torch() -> None:
    code = "import sys; from moclip_lite.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    with redirect_stdout(io.StringIO()) as out:
        assert main(["--help"]) == 0
    assert "predict" in out.getvalue()
