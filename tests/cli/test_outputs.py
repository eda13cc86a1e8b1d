"""No command writes over a file that it reads, or two results into one file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import typer

from moclip_lite.cli.app import app
from moclip_lite.cli.tree import leaf_commands
from mv_tools import ArgumentError, MotionDecoder
from mv_tools.visualize import save_mp4, save_png

from support.cli import FOLDER_YAML, QUICK, TrainedRun, assert_refused, class_folders, moclip, sets

SAME = [
    "mv show {file} --out {file}",
    "mv transcode {file} {file}",
    "mv extract {file} --out {file}",
    "watch {file} --model {run} --events {file}",
    "watch door={file} --model {run} --events {file}",
    "predict {file} --model {run} --segments --csv {file}",
    "predict {file} --model {run} --segments --vtt {file}",
    "predict {file} --model {run} --segments --chapters {file}",
    "predict {file} --model {run} --segments --strip {file}",
    "predict {file} --model {run} --table {file}",
    "predict {file} --model {run} --segments --csv {new}.csv --vtt {new}.csv",
    "zero-shot {file} --labels a,b --segments --csv {file}",
    "zero-shot {file} --labels a,b --segments --strip {file}",
    "dataset import cvat {file} --out {file}",
    "convert {file} --out {file}",
    "export {file} --out {file}",
    "pretrain {file} --out {file}",
    "tune {file} --out {file}",
    "ablate {file} --out {file}",
    "compare {file} {run} --out {file}",
    "index {file} --out {file}",
    "pack {file} --out {file}",
    "extract motion {file} --failures {file}",
    "extract clip {file} --failures {file}",
    "extract features {file} --out {file}",
    "train video-text {file} --out {file}",
]


@pytest.mark.parametrize("words", SAME)
def test_inputs_are_not_overwritten(words: str, clip: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(clip, tmp_path / "x.mp4"))
    content = file.read_bytes()
    places = {"file": file, "run": tmp_path / "run", "new": tmp_path / "new"}
    message = assert_refused(moclip(*(word.format(**places) for word in words.split())))
    assert "would overwrite" in message
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_each_output_is_tried() -> None:
    known = {"out", "dst", "csv", "vtt", "chapters", "strip", "events", "failures"}
    for name, leaf in leaf_commands(typer.main.get_command(app)):
        read = [p for p in leaf.params if str(p.param_type_name) == "argument" and p.name not in known]
        if read and name not in ("dataset prepare", "dataset list", "push", "pull"):
            outputs = [p.opts[0] for p in leaf.params if p.name in known - {"dst"}]
            assert all(any(f"{name} " in words and o in words for words in SAME) for o in outputs), name


def test_the_library_does_not_overwrite_its_video(clip: Path, tmp_path: Path) -> None:
    file, link = Path(shutil.copy(clip, tmp_path / "x.mp4")), tmp_path / "link.mp4"
    link.symlink_to(file)
    content = file.read_bytes()
    for target in (file, link):
        for write in (
            lambda path: save_mp4(file, path),
            lambda path: save_png(file, path, 3),
            MotionDecoder(file).save_index,
        ):
            with pytest.raises(ArgumentError, match="source and destination are the same file"):
                write(target)
    assert file.read_bytes() == content


def test_weights_of_a_run_are_not_overwritten(trained: TrainedRun, tmp_path: Path) -> None:
    run = trained.copy(tmp_path / "run")
    weights = run / "appearance.safetensors"
    content = weights.read_bytes()
    for words in (("extract", "features", run), ("index", trained.data), ("pretrain", FOLDER_YAML)):
        message = assert_refused(moclip(*words, "--out", weights))
        assert "would overwrite the weights of the run folder" in message
    assert weights.read_bytes() == content


def test_features_are_not_written_over_what_a_run_reads(trained: TrainedRun, tmp_path: Path) -> None:
    run, own = trained.copy(tmp_path / "run"), tmp_path / "own.safetensors"
    own.write_bytes(b"features of one's own")
    words = ("extract", "features", run, "--set", f"data.appearance={own}", "--out")
    assert "would overwrite data.appearance" in assert_refused(moclip(*words, own))
    assert "must end in .safetensors" in assert_refused(moclip("extract", "features", run, "--out", "x.npz"))
    assert own.read_bytes() == b"features of one's own"


def test_a_run_does_not_replace_a_training_of_another_kind(tmp_path: Path) -> None:
    data, folder = class_folders(tmp_path / "data"), tmp_path / "vt"
    folder.mkdir()
    (folder / "training.json").write_text('{"pairs_per_step": 2}')
    words = ("run", data, "--run-dir", folder, *sets(QUICK))
    assert "holds a training of another kind" in assert_refused(moclip(*words))
    assert (folder / "training.json").read_text() == '{"pairs_per_step": 2}'
