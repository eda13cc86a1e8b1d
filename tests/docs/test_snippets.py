"""Python and YAML in the documents: every block runs, in a folder with `clip.mp4` and the run folder `runs/mine`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moclip_lite.storage.plain_yaml import parse_yaml

from support.cli import FOLDER_YAML, MOTION_ONLY, assert_ok, class_folders, moclip, sets
from support.clips import WITH_B, encode, panning
from support.documents import Block, blocks

PYTHON = blocks("python")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the documents have made before a snippet runs."""
    folder = tmp_path_factory.mktemp("documents")
    encode(folder / "clip.mp4", panning(24, 128, 96), **WITH_B)
    data = class_folders(folder / "clips", frames=8)
    quick = ("run.streams=[motion]", "train_motion.epochs=1", "clip.pretrained=none")
    places = (f"data.root={data}", f"run.dir={folder / 'runs' / 'mine'}", f"cache.dir={folder / 'cache'}")
    assert_ok(moclip("run", FOLDER_YAML, *sets((*MOTION_ONLY, *quick, *places))))
    return folder


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if block.skip:
        pytest.skip(block.skip)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), names)
    if "field" in names:
        assert names["field"].shape == (2, 24, 32)


def test_blocks_are_found() -> None:
    assert {block.page for block in PYTHON} >= {"README.md"}
    assert sum(block.skip is None for block in PYTHON) >= 2


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_parses(block: Block) -> None:
    assert parse_yaml(block.text) is not None
