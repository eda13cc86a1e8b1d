"""docs/errors.md: each message in its tables is what the program prints, with exit code 2."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from moclip_lite.results.run_folder import RunFolder
from moclip_lite.storage.files import write_json

from support.broken_files import audio_file, empty_file, text_file, truncated_late
from support.cli import FOLDER_YAML, MOTION_ONLY, assert_refused, class_folders, moclip, sets
from support.clips import H264, encode, panning
from support.paths import ROOT
from support.runs import made_run

Words = tuple[object, ...]


def templates() -> list[str]:
    """The messages of the tables on errors."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def one_clip(path: Path) -> Path:
    (path / "data" / "left").mkdir(parents=True)
    encode(path / "data" / "left" / "a.mp4", panning(4), **H264)
    return path / "data"


def video(path: Path) -> Path:
    return encode(path / "clip.mp4", panning(4), **H264)


def vp9(path: Path) -> Path:
    options = {"deadline": "realtime", "cpu-used": "8"}
    return encode(path / "web.webm", panning(4), "libvpx-vp9", **options)


def tensors(path: Path) -> Path:
    torch.save({"conv1.0.weight": torch.zeros(2)}, path)
    return path


def data(path: Path, per_class: int = 4) -> Path:
    return class_folders(path / "data", per_class=per_class, frames=4)


def two_runs(path: Path, other: list[str]) -> tuple[Path, Path]:
    return made_run(path / "one", ["a", "b"]).folder, made_run(path / "two", other).folder


def labelled(path: Path) -> Path:
    """A run folder as far as its labels: tables are checked before weights are read."""
    run = folder(path / "run")
    written(run / "config.yaml", "{}")
    write_json(run / "labels.json", ["left", "right"])
    return run


def annotations(path: Path, *rows: str) -> Path:
    name = video(path).name
    return written(
        path / "truth.csv", "\n".join(["video,label,start,end", *(name + row for row in rows)]) + "\n"
    )


def unfinished(path: Path) -> Path:
    run = made_run(path / "run", ["a", "b"]).folder
    (run / "metrics.json").unlink()
    return run


CAUSES: dict[str, Callable[[Path], Words]] = {
    "no such video file": lambda p: ("mv", "probe", p / "missing.mp4"),
    "this is a folder": lambda p: ("mv", "probe", p),
    "the file is empty": lambda p: ("mv", "probe", empty_file(p)),
    "not a video file that can be opened": lambda p: ("mv", "probe", text_file(p)),
    "no video stream": lambda p: ("mv", "probe", audio_file(p)),
    "the file is cut short": lambda p: ("mv", "probe", truncated_late(p)),
    "gives no motion vectors": lambda p: ("mv", "extract", vp9(p), "-o", p / "x.npz"),
    "backend must be one of": lambda p: ("mv", "probe", video(p), "--backend", "ffmpg"),
    "the file must end in": lambda p: ("mv", "extract", video(p), "-o", p / "x.txt"),
    "--frame": lambda p: ("mv", "show", video(p), "-o", p / "x.png", "--frame", 99),
    "no such configuration file": lambda p: ("run", p / "missing.yaml"),
    "no such file or folder": lambda p: ("run", p / "missing"),
    "YAML file: it is not text": lambda p: ("run", video(p)),
    "YAML file, line": lambda p: ("ablate", written(p / "grid.yaml", "grid: [\n")),
    "unknown configuration key": lambda p: ("run", p, "--set", "motion.segmnts=3"),
    "<key>: <rule>, got": lambda p: ("run", p, "--set", "motion.segments=0"),
    "--set takes": lambda p: ("run", p, "--set", "motion.segments"),
    "is empty; is a shell variable": lambda p: ("run", p, "--root", ""),
    "No such command": lambda p: ("predct", p),
    "Missing option": lambda p: ("predict", p),
    "data.root is not set": lambda p: ("run", FOLDER_YAML),
    "holds no class folders": lambda p: ("run", folder(p / "data")),
    "are too few to train": lambda p: ("run", one_clip(p)),
    "can't be divided": lambda p: ("run", data(p, per_class=2)),
    "does not match the clip": lambda p: ("run", data(p), "--set", "data.group_pattern=^(zz)"),
    "needs one group in parentheses": lambda p: ("run", data(p), "--set", "data.group_pattern=^x"),
    "without official splits": lambda p: ("run", data(p), "--set", "data.protocol=official"),
    "data.splits_dir is not set": lambda p: ("run", data(p), "--set", "data.kind=ucf101"),
    "no such folder (data.root)": lambda p: ("run", data(p), "--set", "data.recipe=gop12"),
    "is not a run folder": lambda p: ("evaluate", p),
    "is not finished": lambda p: ("compare", unfinished(p), made_run(p / "other", ["a", "b"]).folder),
    "--budget takes": lambda p: ("tune", p, "--budget", "2d"),
    "--search takes": lambda p: ("tune", p, "--search", "motion.frames=5"),
    "another run is at work": lambda p: ("run", data(p), "--run-dir", p / "run", *sets(MOTION_ONLY)),
    "can't be the run folder": lambda p: ("run", data(p), "--run-dir", written(p / "file", "x")),
    "the cache folder": lambda p: ("cache", "info", "--cache", written(p / "file", "x")),
    "clip.pretrained: unknown": lambda p: ("zero-shot", video(p), "--labels", "a, b", "--pretrained", "opnai"),
    "no such checkpoint": lambda p: ("zero-shot", video(p), "--labels", "a, b", "--pretrained", p / "missing.pt"),
    "does not say how it was trained": lambda p: (
        "zero-shot", video(p), "--labels", "a, b", "--pretrained", written(p / "weights.pt", "x"),
    ),
    "does not fit <model>": lambda p: (
        "extract", "clip", data(p), "--set", "clip.model=timm:test_resnet", "--pretrained", tensors(p / "weights.pth"),
    ),
    "has no text encoder": lambda p: ("zero-shot", video(p), "--labels", "a, b", "--model", "timm:test_resnet"),
    "have different labels": lambda p: ("compare", *two_runs(p, ["a", "c"])),
    "is named twice": lambda p: ("compare", p, p),
    "say what to remove": lambda p: ("cache", "prune", "--cache", p),
    "is for long videos": lambda p: ("predict", video(p), "--model", p, "--window", "2"),
    "would overwrite": lambda p: (
        "predict", video(p), "--model", p, "--segments", "--vtt", p / "clip.mp4",
    ),
    "window must be": lambda p: (
        "predict", video(p), "--model", p, "--segments", "--window", "-1",
    ),
    "the model does not know": lambda p: (
        "evaluate", labelled(p), "--segments", annotations(p, ",left,0,1", ",up,1,2"),
    ),
    "segment overlaps": lambda p: (
        "evaluate", labelled(p), "--segments", annotations(p, ",left,0,1", ",right,0.5,2"),
    ),
    "needs --labels": lambda p: ("zero-shot", video(p)),
}  # fmt: skip
"""A part of each message -> a command line that causes it, given an empty folder."""


def test_every_message_has_a_cause() -> None:
    listed = templates()
    assert len(listed) == len(CAUSES)
    for part in CAUSES:
        assert sum(part in template for template in listed) == 1, part


@pytest.mark.parametrize("template", templates())
def test_message_is_what_the_program_prints(template: str, tmp_path: Path) -> None:
    (cause,) = (words for part, words in CAUSES.items() if part in template)
    words = cause(tmp_path)
    if "another run" in template:
        with RunFolder(tmp_path / "run").locked():
            message = assert_refused(moclip(*words))
    else:
        message = assert_refused(moclip(*words))
    pattern = re.sub("<[^>]+>", ".+", re.escape(template).replace(r"\<", "<").replace(r"\>", ">"))
    assert re.fullmatch(f"moclip: {pattern}", message), message
