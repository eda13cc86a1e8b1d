"""Options that have no effect beside the others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from moclip_lite.cli.app import app
from moclip_lite.cli.conditions import CONDITIONS
from moclip_lite.cli.tree import leaf_commands

from support.cli import FOLDER_YAML, ROOT, assert_refused, moclip

FUSION_GRID = ROOT / "experiments" / "ablations" / "fusion_variant.yaml"
PREPARE = "dataset prepare folder --root {clips} --out {out}"
SYNTHETIC = "dataset prepare synthetic --out {out}"
PREDICT = "predict {clip} --model {run}"
ZERO_SHOT = "zero-shot {clip} --labels a,b"
IDLE = [
    *[(f"{PREPARE} --recipe gop12", option) for option in ("--gop 12", "--bframes 0", "--refs 2")],
    *[(f"{PREPARE} --recipe gop12", option) for option in ("--crf 3", "--side 64")],
    *[(PREPARE, option) for option in ("--splits {clips}", "--clips-per-class 9", "--seed 1")],
    *[(SYNTHETIC, option) for option in ("--root {clips}", "--splits {clips}", "--recipe gop12", "--gop 9")],
    *[(SYNTHETIC, option) for option in ("--bframes 1", "--refs 1", "--crf 1", "--side 64")],
    *[(SYNTHETIC, option) for option in ("--group-pattern (a)", "--skip-missing")],
    (PREPARE, "--ray-address 127.0.0.1:1"),
    (f"{PREPARE} --gop 1", "--bframes 2"),
    *[("dataset import mmaction {clip} --out {out}", option) for option in ("--rate 3", "--attribute a")],
    ("dataset import cvat {clip} --out {out}", "--classes {clip}"),
    *[("evaluate {run}", option) for option in ("--window 3", "--threshold 0.1")],
    *[("evaluate {run} --segments {clip}", option) for option in ("--part val", "--cache {out}")],
    ("export {run} --out {out}", "--int8"),
    *[
        (f"export {run} --out {{out}}", "--pretrained none")
        for run in ("{run}", "s3://bucket/run", "hf://a/b")
    ],
    ("index {clips} --out {out}.safetensors", "--ray-address auto"),
    ("mv show {clip} -o {out}.mp4", "--frame 3"),
    ("mv transcode {clip} {out}.mp4 --gop 1", "--bframes 2"),
    *[("mv transcode {clip} {out}.mp4 --codec mpeg4", option) for option in ("--refs 2", "--preset fast")],
    *[("pack {run} --verify", option) for option in ("--out {out}", "--features", "--shard-clips 9")],
    *[("pack {run} --verify", option) for option in ("--set run.seed=1", "--root {clips}", "--workers 1")],
    *[("pack {run} --verify", option) for option in ("--pretrained none", "--cache {out}", "--skip-missing")],
    *[("pack {run} --out {out}", option) for option in ("--fold a",)],
    *[
        ("pack {run}/x.safetensors --out {out}", option)
        for option in ("--root {clips}", "--set run.seed=1", "--features")
    ],
    *[(PREDICT, option) for option in ("--window 3", "--stride 1", "--threshold 0.1", "--frames clip")],
    *[(PREDICT, option) for option in ("--csv {out}", "--vtt {out}", "--chapters {out}", "--strip {out}")],
    *[(f"{PREDICT} --segments", option) for option in ("--table {out}.csv", "--top-k 2", "--cascade")],
    (f"{PREDICT} --segments", "--ray-address auto"),
    ("cache prune --days 3 --cache {run}", "--all"),
    ("train video-text {clips} --out {out}", "--root {clips}"),
    ("train video-text {clip} --out {out}", "--prompts {clip}"),
    ("watch {clip} --model {run}", "--transport udp"),
    *[(ZERO_SHOT, option) for option in ("--window 3", "--threshold 0.1", "--csv {out}", "--strip {out}")],
    (f"{ZERO_SHOT} --segments", "--top-k 2"),
    ("zero-shot {clips}", "--top-k 2"),
    *[("zero-shot {run}/x.safetensors", option) for option in ("--prompts {clip}", "--model RN50")],
    *[("zero-shot {run}/x.safetensors", option) for option in ("--pretrained none", "--weights-of openai")],
    *[(f"{command} {FOLDER_YAML}", "--ray-address 127.0.0.1:1") for command in ("run", "extract motion")],
    (f"extract clip {FOLDER_YAML}", "--ray-address 127.0.0.1:1"),
    (f"run {FOLDER_YAML} --set run.seeds=[1,2]", "--seed 3"),
    *[
        (f"{command} {FOLDER_YAML}", "--set run.streams=[fusion]")
        for command in ("train motion", "zero-shot")
    ],
    *[
        (f"pretrain {FOLDER_YAML} -o {{out}}", f"--set {setting}")
        for setting in ("train_motion.lr=0.1", "run.seeds=[1,2]", "data.kind=table")
    ],
    (f"ablate {FUSION_GRID} --root {{clips}}", "--ray-address 127.0.0.1:1"),
]


@pytest.mark.parametrize(("command", "option"), IDLE)
def test_idle_options_are_refused(command: str, option: str, clip: Path, tmp_path: Path) -> None:
    places = {"clip": clip, "clips": clip.parent, "run": tmp_path, "out": tmp_path / "out"}
    words = [word.format(**places) for word in f"{command} {option}".split()]
    message = assert_refused(moclip(*words))
    name = option.split()[0]
    assert f"{name} is " in message or f"{name} has no effect" in message or f"{name} above" in message
    assert list(tmp_path.iterdir()) == []


def test_each_condition_is_tried() -> None:
    leaves = dict(leaf_commands(typer.main.get_command(app)))
    for command, conditions in CONDITIONS.items():
        parameters = {parameter.name: set(parameter.opts) for parameter in leaves[command].params}
        tried = {option.split()[0] for words, option in IDLE if words.startswith(f"{command} ")}
        for condition in conditions:
            untried = [name for name in condition.options if not parameters[name] & tried]
            assert not untried, (command, untried)


def test_a_flag_that_says_no_is_no_request(clip: Path, tmp_path: Path) -> None:
    message = assert_refused(moclip("predict", clip, "--model", tmp_path, "--segments", "--no-cascade"))
    assert "cascade" not in message


def test_conditions_let_through_what_has_an_effect(clip: Path, tmp_path: Path) -> None:
    done = moclip("mv", "show", clip, "-o", tmp_path / "x.png", "--frame", 1)
    assert done.code == 0, done.err
    done = moclip(
        "dataset", "prepare", "folder", "--root", clip.parent.parent, "--out", tmp_path / "p", "--gop", 3
    )
    assert "--gop" not in done.err
