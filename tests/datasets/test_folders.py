"""Trees of clips as people have them: splits above classes, odd names and links, and files that can't be read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from moclip_lite.cli import main
from moclip_lite.datasets import Clip, load_folder
from moclip_lite.datasets.extraction import content_digests
from moclip_lite.datasets.settings import DataSettings
from moclip_lite.datasets.walk import VIDEO_SUFFIXES, find_videos
from moclip_lite.errors import DataError
from moclip_lite.experiment.division.folds import divide
from moclip_lite.storage.cache import FeatureCache
from mv_tools import transcode

from support.broken_files import BROKEN
from support.cli import MOTION_ONLY, QUICK, TrainedRun, assert_ok, assert_refused, class_folders, moclip, sets

STRANGE = os.fsdecode(b"caf\xe9.mp4")
LONG = "映" * 83 + ".mp4"  # 253 bytes, 87 characters
CLIP = ("--set", "clip.model=ViT-S-32", "--set", "clip.frames=1", "--pretrained", "none")


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


# What is taken


@pytest.mark.parametrize("ending", sorted(VIDEO_SUFFIXES))
def test_every_ending_in_every_case_is_a_clip(ending: str, tmp_path: Path) -> None:
    for spelled in (ending, ending.upper(), ending.title()):
        _touch(tmp_path / "a" / f"{spelled[1:]}x{spelled}")
    dataset = load_folder(tmp_path)
    assert len(dataset.clips) == len({ending, ending.upper(), ending.title()})
    assert dataset.notes == ()


def test_other_files_are_counted_and_named(tmp_path: Path) -> None:
    for name in (
        "a/x.mp4",
        "a/1.gif",
        "a/2.GIF",
        "b/y.mp4",
        "b/z.ogg",
        "b/plain",
        "b/.hidden.gif",
        "stray.mp4",
    ):
        _touch(tmp_path / name)
    left, stray = load_folder(tmp_path).notes
    assert "4 file(s) that do not end like videos: 2 .gif, 1 without ending, 1 .ogg" in left
    assert "1 video(s) that lie beside the class folders: stray.mp4" in stray


def test_links_and_folders_named_like_videos(tmp_path: Path) -> None:
    _touch(tmp_path / "a" / "folder.mp4" / "x.mp4")
    _touch(tmp_path / "else" / "linked.mp4")
    (tmp_path / "a" / "gone.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "a" / "itself.mp4").symlink_to(tmp_path / "a" / "itself.mp4")
    (tmp_path / "a" / "other").symlink_to(tmp_path / "else")
    for place, target in {
        "a/up": "a",
        "a/top": ".",
        "else/back": "a",
        "a/folder.mp4/loop": "a/folder.mp4",
    }.items():
        (tmp_path / place).symlink_to(tmp_path / target)
    names = [path.relative_to(tmp_path / "a").as_posix() for path in find_videos(tmp_path / "a").videos]
    assert names == ["folder.mp4/x.mp4", "gone.mp4", "itself.mp4", "other/linked.mp4"]


def test_a_class_folder_that_links_back_is_no_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for name in ("data/left/x.mp4", "data/right/y.mp4", "else/z.mp4"):
        _touch(tmp_path / name)
    (data / "loop").symlink_to("../data")
    (data / "top").symlink_to("..")
    (data / "linked").symlink_to("../else")
    (tmp_path / "else" / "back").symlink_to("../data")
    monkeypatch.chdir(data)
    for root in (data, Path(), data / "loop", Path("../data")):
        dataset = load_folder(root)
        assert dataset.labels == ("left", "linked", "right")
        assert [clip.name for clip in dataset.clips] == ["left/x.mp4", "linked/z.mp4", "right/y.mp4"]


@pytest.mark.parametrize(
    "pair",
    [
        ("a/x\ny.mp4", "a/x\\ny.mp4"),
        (os.fsdecode(b"a/\xff.mp4"), "a/\\xff.mp4"),
        ("a\nb/1.mp4", "a\\nb/2.mp4"),
    ],
)
def test_files_and_classes_of_one_printed_name_are_refused(pair: tuple[str, str], tmp_path: Path) -> None:
    for name in pair:
        _touch(tmp_path / name)
    with pytest.raises(DataError, match=r"would both be called .*; rename one of them") as refused:
        load_folder(tmp_path)
    assert len(set(re.findall(r"'[^']+'", str(refused.value)))) == 2


def test_a_folder_that_cannot_be_listed_is_told(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = class_folders(tmp_path / "data", per_class=1, frames=6)
    _touch(data / "left" / "shut" / "x.mp4")
    listing = os.scandir

    def denied(path: object) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return listing(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", denied)
    outcome = moclip("predict", data, "--model", trained.folder, "--json")
    assert (outcome.code, len(outcome.json)) == (2, 2)
    assert "shut: Permission denied" in outcome.err
    assert any("shut: Permission denied" in note for note in load_folder(data).notes)


# Splits by folders


@pytest.mark.parametrize(
    "names", [("train", "test"), ("Training", "TESTING", "Valid"), ("train", "val", "test")]
)
def test_folders_above_the_classes_are_the_split(names: tuple[str, ...], tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in names:
        for label in ("left", "right"):
            for i in range(4):
                _touch(data / name / label / f"{i}.mp4")
    dataset = load_folder(data)
    assert dataset.labels == ("left", "right")
    (fold,) = divide(dataset, DataSettings(kind="folder", root=data), 0, FeatureCache(tmp_path / "cache"))
    assert {clip.name.split("/")[0] for clip in fold.test} == {names[1] if names[1] != "val" else "test"}
    assert len(fold.clips()) == 8 * len(names)
    if len(names) == 3:
        assert {clip.name.split("/")[0] for clip in fold.train} == {names[0]}
        assert {clip.name.split("/")[0].lower()[:3] for clip in fold.val} == {"val"}
    else:
        assert {clip.name.split("/")[0] for clip in fold.train + fold.val} == {names[0]}
        assert fold.val
        assert "validation is cut from train" in dataset.notes[-1]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (("train/a/x.mp4", "test/a/x.mp4", "jump/x.mp4"), "stand beside others \\(jump\\)"),
        (("train/a/x.mp4", "test/x.mp4"), "holds videos and no class folders"),
        (("train/a/x.mp4", "val/a/x.mp4"), "none for test"),
        (("test/a/x.mp4", "val/a/x.mp4"), "none for train"),
        (("train/a/x.mp4", "test/a/x.mp4", "testing/a/x.mp4"), "two folders for one part"),
    ],
)
def test_splits_mixed_with_classes_are_refused(files: tuple[str, ...], says: str, tmp_path: Path) -> None:
    for name in files:
        _touch(tmp_path / name)
    with pytest.raises(DataError, match=says):
        load_folder(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train/x.mp4", "bus/x.mp4", "tram/x.mp4"):
        _touch(tmp_path / name)
    dataset = load_folder(tmp_path)
    assert dataset.labels == ("bus", "train", "tram")
    assert not dataset.official


def test_a_run_and_a_preparation_keep_the_split(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    originals = class_folders(tmp_path / "whole", frames=8)
    for path in find_videos(originals).videos:
        target = data / ("test" if path.name.startswith("p0") else "train") / path.relative_to(originals)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    outcome = assert_ok(moclip("run", data, *sets((*QUICK, f"run.dir={run}")), "--json"))
    assert outcome.json["clips"]["test"] == 2
    tested = (run / "predictions_motion.csv").read_text(encoding="utf-8")
    assert "test/left/p0_left0.mp4" in tested
    assert "train/" not in tested
    words = ("dataset", "prepare", "folder", "--root", data, "--out", tmp_path / "out", "--workers", 1)
    assert_ok(moclip(*words))
    prepared = load_folder(tmp_path / "out")
    assert {len(part) for part in prepared.official["split1"]} == {2, 6}
    shutil.copy(data / "train" / "left" / "p1_left1.mp4", data / "test" / "left" / "again.mp4")
    again = ("run", data, *sets((*QUICK, f"run.dir={run}2")))
    assert_refused(moclip(*again), "copy of equal content", "again.mp4")


@pytest.mark.parametrize(
    ("files", "root", "says"),
    [
        (("UCF/a/x.mp4", "UCF/b/x.mp4"), "", "one level too high.*name .*UCF"),
        (("train/a/x.mp4", "train/b/x.mp4"), "", "one level too high.*name .*train"),
        (("a/x.mp4", "b/x.mp4"), "a", "name the folder above"),
    ],
)
def test_a_root_one_level_off_is_told(files: tuple[str, ...], root: str, says: str, tmp_path: Path) -> None:
    for name in files:
        _touch(tmp_path / name)
    with pytest.raises(DataError, match=says):
        load_folder(tmp_path / root)


# Odd names and bad files, in every command


def _predict(files: list[Path], data: Path, trained: TrainedRun) -> list[object]:
    return ["predict", *files, "--model", trained.folder, "--json"]


def _zero_shot(files: list[Path], data: Path, trained: TrainedRun) -> list[object]:
    return ["zero-shot", *files, "--labels", "left,right", *CLIP, "--json"]


def _extract(files: list[Path], data: Path, trained: TrainedRun) -> list[object]:
    return ["extract", "motion", data, *sets(MOTION_ONLY), "--failures", data.parent / "f.csv", "--json"]


def _prepare(files: list[Path], data: Path, trained: TrainedRun) -> list[object]:
    return [
        "dataset",
        "prepare",
        "folder",
        "--root",
        data,
        "--out",
        data.parent / "out",
        "--workers",
        1,
        "--json",
    ]


COMMANDS = (_predict, _zero_shot, _extract, _prepare)


def _good(answer: object) -> int:
    """Files that a command answered for."""
    return len(answer) if isinstance(answer, list) else answer["made"]  # type: ignore[index]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
def test_names_of_any_bytes_and_length(
    command: Callable[[list[Path], Path, TrainedRun], list[object]], trained: TrainedRun, tmp_path: Path
) -> None:
    data = class_folders(tmp_path / "data", per_class=1, frames=6)
    for name in (STRANGE, LONG):
        shutil.copy(data / "left" / "p0_left0.mp4", data / "left" / name)
    outcome = assert_ok(moclip(*command(list(find_videos(data).videos), data, trained)))
    assert _good(outcome.json) == 4
    if isinstance(outcome.json, list):
        assert str(data / "left" / STRANGE) in [row["path"] for row in outcome.json]
    outcome.out.encode()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
def test_every_kind_of_bad_file_costs_only_itself(
    command: Callable[[list[Path], Path, TrainedRun], list[object]], trained: TrainedRun, tmp_path: Path
) -> None:
    data = class_folders(tmp_path / "data", per_class=1, frames=6)
    bad = [make(data / "left") for make, _ in BROKEN.values()]
    (data / "left" / "gone.mp4").symlink_to(data / "nowhere")
    (data / "left" / f"x{STRANGE}").write_text("no video")
    bad += [data / "left" / "gone.mp4", data / "left" / f"x{STRANGE}"]
    files = [*find_videos(data).videos]
    named = (
        [] if command in (_extract, _prepare) else [tmp_path / ("映" * 90 + ".mp4"), tmp_path / "none.mp4"]
    )
    outcome = moclip(*command([*named, *files], data, trained))
    assert outcome.code == (0 if command is _extract else 2)
    assert _good(outcome.json) == 2
    assert "Traceback" not in outcome.err
    outcome.out.encode()
    if isinstance(outcome.json, dict):
        assert len(outcome.json["failures"]) == len(bad)
        assert all(row["reason"] for row in outcome.json["failures"])
    else:
        refused = [line for line in outcome.err.splitlines() if line.startswith("moclip: ")]
        assert len(refused) == len(bad) + len(named)
        assert all("none.mp4" not in line or "no such" in line.lower() for line in refused)


def test_a_run_with_strange_names_writes_its_files(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", frames=8)
    (data / "left" / "p0_left0.mp4").rename(data / "left" / STRANGE)
    (data / "right").rename(data / os.fsdecode(b"\xe9t\xe9"))
    assert_ok(moclip("run", data, *sets((*QUICK, f"run.dir={tmp_path / 'run'}")), "--json"))
    labels = json.loads((tmp_path / "run" / "labels.json").read_text(encoding="utf-8"))
    assert labels == [r"\xe9t\xe9", "left"]


def test_one_document_where_stdout_is_ascii(trained: TrainedRun, tmp_path: Path) -> None:
    for name in ("größe.mp4", STRANGE):
        shutil.copy(min(trained.data.rglob("*.mp4")), tmp_path / name)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with contextlib.redirect_stdout(stdout):
        assert main(["predict", str(tmp_path), "--model", str(trained.folder), "--json"]) == 0
    stdout.seek(0)
    paths = [row["path"] for row in json.load(stdout)]
    assert sorted(paths) == sorted(str(tmp_path / n) for n in ("größe.mp4", STRANGE))


def test_digests_of_files_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    names = ["a.mp4", STRANGE, "映" * 90, "none.mp4"]
    for name in names[:2]:
        (tmp_path / name).write_text(name, errors="surrogateescape")
    clips = [Clip(tmp_path / name, name, "") for name in names]
    cache = FeatureCache(tmp_path / "cache")
    first = content_digests(clips, cache)
    assert set(first) == set(names[:2])
    assert content_digests(clips, cache) == first


def test_a_transcoded_file_may_have_the_longest_name(clip: Path, tmp_path: Path) -> None:
    assert transcode(clip, tmp_path / LONG).stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == [LONG]
