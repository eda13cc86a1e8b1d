"""Commands refuse an output that can't be written before the work, and name the path that the user gave."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.cli import TrainedRun, assert_refused, class_folders, moclip


def test_every_command_refuses_its_output_before_it_reads(tmp_path: Path, trained: TrainedRun) -> None:
    clip = class_folders(tmp_path / "data", per_class=1, frames=6) / "left" / "p0_left0.mp4"
    file = tmp_path / "file"
    file.write_text("kept")
    absent = tmp_path / "absent"
    model = ("--model", trained.folder)
    commands: dict[str, tuple[tuple[object, ...], ...]] = {
        ".csv": (
            ("predict", clip, *model, "--table"),
            ("predict", clip, *model, "--segments", "--csv"),
            ("dataset", "import", "cvat", absent, "--out"),
        ),
        ".vtt": (("predict", clip, *model, "--segments", "--vtt"),),
        ".ffmetadata": (("predict", clip, *model, "--segments", "--chapters"),),
        ".png": (("predict", clip, *model, "--segments", "--strip"), ("mv", "show", absent, "-o")),
        ".html": (("compare", absent, absent, "--out"),),
        ".npz": (("mv", "extract", absent, "--out"),),
        ".mp4": (("mv", "transcode", absent),),
        ".safetensors": (
            ("index", tmp_path / "data", "--out"),
            ("convert", absent, "--out"),
            ("extract", "features", absent, "--out"),
            ("pretrain", tmp_path / "data", "--out"),
        ),
    }
    for suffix, each in commands.items():
        for command in each:
            target = file / f"x{suffix}"
            refused = assert_refused(moclip(*command, target))
            assert f"{target} can't be written: {file} is not a folder" in refused, command
    assert file.read_text() == "kept"
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_is_a_folder(suffix: str, tmp_path: Path, trained: TrainedRun) -> None:
    (tmp_path / f"d{suffix}").mkdir()
    refused = assert_refused(
        moclip("predict", tmp_path / "no.mp4", "--model", trained.folder, "--table", tmp_path / f"d{suffix}")
    )
    assert f"{tmp_path / f'd{suffix}'} is a folder; name a file in it" in refused
