"""Pages agree with the code: the CLI page is current, ARCHITECTURE names every module."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from contextlib import redirect_stdout

from moclip_lite.cli import main

from support.paths import ROOT


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
