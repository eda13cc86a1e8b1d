"""Versions of installed packages."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import moclip_lite
from moclip_lite.versions import ABSENT, package_version


def test_the_version_of_the_package() -> None:
    assert moclip_lite.__version__ == package_version() == version("moclip-lite")
    assert package_version("no-such-package") == ABSENT


def test_a_checkout_that_is_not_installed_runs() -> None:
    code = (
        "import importlib.metadata as m; find = m.version\n"
        "def version(name):\n"
        "    if name == 'moclip-lite': raise m.PackageNotFoundError(name)\n"
        "    return find(name)\n"
        "m.version = version\n"
        "from moclip_lite.cli import main; main(['--version'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout == "moclip absent\n"
