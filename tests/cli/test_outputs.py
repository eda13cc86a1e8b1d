"""Commands refuse an output that can't be written before the work, and name the path that the user gave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main

from moclip_lite.cli.app import app
from moclip_lite.cli.urls import path_parameters

from support.cli import TrainedRun, assert_refused, class_folders, moclip


def test_every_command_refuses_its_output_before_it_reads(tmp_path: Path, trained: TrainedRun) -> None:
    clip = class_folders(tmp_path / "data", per_class=1, frames=6) / "left" / "p0_left0.mp4"
    file = tmp_path / "file"
    file.write_text("kept")
    absent = tmp_path / "absent"
    model = ("--model", trained.folder)
    commands: dict[str, tuple[tuple[object, ...], ...]] = {
        "": (
            ("ablate", absent, "--out"),
            ("demo", "--out"),
            ("tune", absent, "--out"),
            ("pack", absent, "--out"),
            ("export", absent, "--out"),
            ("pull", "someone/something", "--out"),
            ("dataset", "prepare", "folder", "--root", absent, "--out"),
            ("train", "video-text", absent, "--out"),
        ),
        ".jsonl": (("watch", absent, *model, "--events"),),
        ".csv": (
            ("extract", "motion", absent, "--failures"),
            ("extract", "clip", absent, "--failures"),
            ("zero-shot", clip, "--segments", "--label", "a", "--label", "b", "--csv"),
            ("predict", clip, *model, "--table"),
            ("predict", clip, *model, "--segments", "--csv"),
            ("dataset", "import", "cvat", absent, "--out"),
        ),
        ".vtt": (("predict", clip, *model, "--segments", "--vtt"),),
        ".ffmetadata": (("predict", clip, *model, "--segments", "--chapters"),),
        ".html": (
            ("compare", absent, absent, "--out"),
            ("zero-shot", clip, "--segments", "--label", "a", "--label", "b", "--strip"),
        ),
        ".png": (("predict", clip, *model, "--segments", "--strip"), ("mv", "show", absent, "--out")),
        ".npz": (("mv", "extract", absent, "--out"),),
        ".mp4": (("mv", "transcode", absent),),
        ".safetensors": (
            ("index", tmp_path / "data", "--out"),
            ("convert", absent, "--out"),
            ("extract", "features", absent, "--out"),
            ("pretrain", tmp_path / "data", "--out"),
        ),
    }
    swept = set()
    for suffix, each in commands.items():
        for command in each:
            swept.add((_words(command), str(command[-1]) if str(command[-1]).startswith("-") else "dst"))
            target = file / f"x{suffix}"
            refused = assert_refused(moclip(*command, target))
            assert f"{target} can't be written: {file} is not a folder" in refused, command
    assert file.read_text() == "kept"
    assert not list(tmp_path.rglob(".*"))
    assert {(words, _option(parameter)) for words, parameter in _outputs()} == swept


def _words(command: tuple[object, ...]) -> str:
    """The name of a command line's command."""
    names = sorted({name for name, _ in path_parameters(typer.main.get_command(app))}, key=len)
    return next(n for n in reversed(names) if list(map(str, command[: len(n.split())])) == n.split())


def _outputs() -> list[tuple[str, Any]]:
    """(command, parameter) of all parameters that are files or folders to write; run folders have words of their own."""
    words = ("out", "csv", "vtt", "chapters", "strip", "table", "events", "failures", "dst")
    known = path_parameters(typer.main.get_command(app))
    return [(name, p) for name, p in known if p.name in words and (name, p.name) != ("retrieval", "table")]


def _option(parameter: Any) -> str:
    return str(parameter.opts[0]) if str(parameter.opts[0]).startswith("-") else "dst"


def test_the_default_folder_of_grids_is_looked_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = class_folders(tmp_path / "clips", per_class=1)
    grid = Path("experiments/ablations/refit.yaml").absolute()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("a file")
    refused = assert_refused(moclip("ablate", grid, "--root", data, "--cache", tmp_path / "cache"))
    assert "runs/ablations/refit can't be written" in refused
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_is_a_folder(suffix: str, tmp_path: Path, trained: TrainedRun) -> None:
    (tmp_path / f"d{suffix}").mkdir()
    refused = assert_refused(
        moclip("predict", tmp_path / "no.mp4", "--model", trained.folder, "--table", tmp_path / f"d{suffix}")
    )
    assert f"{tmp_path / f'd{suffix}'} is a folder; name a file in it" in refused
