"""Which files of a folder are processed; one bad file never ends a batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import av.format
import pytest

from moclip_lite.datasets import load_folder, load_ucf101
from moclip_lite.datasets.clip import Clip
from moclip_lite.datasets.fold_checks import checked
from moclip_lite.datasets.splits import cut, holdout_fold
from moclip_lite.datasets.walk import VIDEO_SUFFIXES, video_files
from moclip_lite.errors import DataError
from moclip_lite.mobileviclip.training.table import read_pairs

from support.cli import MOTION_ONLY, QUICK, TrainedRun, assert_ok, assert_refused, class_folders, moclip, sets


def test_every_file_ending_is_processed_or_reported(tmp_path: Path) -> None:
    endings = set()
    for name in av.format.formats_available:
        try:
            endings |= av.format.ContainerFormat(name, "r").extensions
        except ValueError:
            continue
    (tmp_path / "a").mkdir()
    for ending in endings | {"mpg", "vob", "MTS"}:
        (tmp_path / "a" / f"x.{ending}").touch()
    found = load_folder(tmp_path)
    taken = {clip.path.suffix.lower() for clip in found.clips}
    assert {".mts", ".vob", ".mp4", ".3gp", ".hevc"} <= taken
    others = {f".{ending.lower()}" for ending in endings} - taken
    assert found.notes
    assert all(ending not in VIDEO_SUFFIXES for ending in others)
    assert "and " in found.notes[0]


def test_hidden_files_are_ignored(tmp_path: Path, trained: TrainedRun) -> None:
    data = class_folders(tmp_path / "data", per_class=1, frames=6)
    for hidden in ("left/._x.mp4", "__MACOSX/left/y.mp4", ".git/z.mp4", "left/.trash/z.mp4"):
        (data / hidden).parent.mkdir(parents=True, exist_ok=True)
        (data / hidden).write_text("no video")
    (data / "left" / "circle").symlink_to(data)
    names = ["left/p0_left0.mp4", "right/p0_right0.mp4"]
    assert [p.relative_to(data).as_posix() for p in video_files(data)] == names
    assert [clip.name for clip in load_folder(data).clips] == names
    answers = assert_ok(moclip("predict", data, "--model", trained.folder, "--json")).json
    assert len(answers) == 2


def test_split_shares_are_met_or_noted() -> None:
    clips = [Clip(Path(f"{label}{i}"), f"{label}{i}", label) for label in "ab" for i in range(20)]
    for share in (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9):
        rest, taken = cut(clips, share, 0)
        assert len(rest) + len(taken) == 40
        assert abs(len(taken) / 40 - share) <= 0.05, share
    from moclip_lite.datasets import VideoDataset

    few = VideoDataset(
        Path(), tuple(Clip(c.path, c.name, c.label, f"g{i % 3}") for i, c in enumerate(clips)), ("a", "b")
    )
    fold = holdout_fold(few, 0.1, 0.5, 0)
    assert (
        "10 % were asked for" in checked(fold, ("a", "b", "c"), {}, test_fraction=0.1, shared=False).notes[1]
    )
    assert (
        "no test clip of 1 class(es): c"
        in checked(fold, ("a", "b", "c"), {}, test_fraction=0.1, shared=False).notes[0]
    )
    assert fold.val
    assert not holdout_fold(few, 0.3, 0, 0).val


def test_copies_on_both_sides_are_refused(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", frames=6)
    for i in range(8):
        shutil.copy(data / "left" / "p0_left0.mp4", data / "left" / f"copy{i}.mp4")
    words = ("run", data, *sets((*QUICK, f"run.dir={tmp_path / 'run'}")))
    assert_refused(moclip(*words), "copy of equal content")


def test_ucf101_errors_name_the_right_folder(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    names = [f"HandstandPushups/v_HandStandPushups_g0{g}_c01.avi" for g in (1, 2)]
    (lists / "classInd.txt").write_text("1 HandstandPushups\n")
    (lists / "trainlist01.txt").write_text(f"{names[0]} 1\n")
    (lists / "testlist01.txt").write_text(f"{names[1]}\n")
    root = tmp_path / "up" / "UCF-101"
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    with pytest.raises(DataError, match="UCF-101 holds the class folders"):
        load_ucf101(root.parent, lists)
    with pytest.raises(DataError, match=r"is the folder of one class: name .*UCF-101 with"):
        load_ucf101(root / "HandstandPushups", lists)
    with pytest.raises(DataError, match=r"classInd\.txt is missing.*lists has one"):
        load_ucf101(root, tmp_path)
    (root / "HandstandPushups").rename(root / "HandStandPushups")
    (lists / "testlist01.txt").write_text(f"{names[1].replace('stand', 'Stand')}\n")
    found = load_ucf101(root, lists)
    assert [clip.name for clip in found.clips] == names
    assert found.labels == ("HandstandPushups",)
    assert found.official == {"split1": (frozenset(names[:1]), frozenset(names[1:]))}


@pytest.mark.parametrize("name", ["a.b", "sub/x", "sub\\x.mp4", "sub\\x", "sub/x.mp4"])
def test_clip_names_in_caption_tables(name: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.b.MP4").touch()
    (tmp_path / "sub" / "x.MP4").touch()
    (tmp_path / "t.csv").write_text(f"clip,caption\n{name},hello\n")
    assert read_pairs(tmp_path / "t.csv")[0].clip.suffix == ".MP4"


ERRORS = (
    IndexError("list index"),
    RuntimeError("odd"),
    OSError(36, "File name too long"),
    ValueError("bad"),
    KeyError("k"),
)


@pytest.mark.usefixtures("small_clip")
@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_one_bad_file_never_ends_a_batch(
    error: Exception, trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = class_folders(tmp_path / "data", per_class=2, frames=8)

    def spoil(module: str, name: str) -> None:
        import importlib

        place = importlib.import_module(module)
        true = getattr(place, name)

        def broken(source: object, *rest: object, **more: object) -> object:
            if "left0" in str(getattr(source, "path", source)):
                # An exception that is raised keeps the frames of its traceback.
                raise type(error)(*error.args)
            return true(source, *rest, **more)

        monkeypatch.setattr(place, name, broken)

    spoil("moclip_lite.predict.classifier", "FileReader")
    spoil("moclip_lite.experiment.zero_shot", "read_frames")
    spoil("moclip_lite.motion.extract", "read_motion_clip")
    spoil("mv_tools", "transcode")
    code = 2 if isinstance(error, OSError) else 1  # a bug, which is reported with its traceback
    good = [p for p in video_files(data) if "left0" not in p.name]
    outcome = moclip("predict", data, "--model", trained.folder, "--json")
    assert (outcome.code, [a["path"] for a in outcome.json]) == (code, [str(p) for p in good])
    clip = ("--set", "clip.model=ViT-S-32", "--set", "clip.frames=1", "--pretrained", "none")
    outcome = moclip("zero-shot", *video_files(data), "--label", "a, b", "--label", "c", *clip, "--json")
    assert (outcome.code, [a["path"] for a in outcome.json]) == (code, [str(p) for p in good])
    outcome = moclip(
        "extract", "motion", data, *sets(MOTION_ONLY), "--failures", tmp_path / "f.csv", "--json"
    )
    assert (outcome.code, outcome.json["made"], len(outcome.json["failures"])) == (code % 2, 3, 1)
    words = (
        "dataset",
        "prepare",
        "folder",
        "--root",
        data,
        "--out",
        tmp_path / "out",
        "--workers",
        1,
        "--json",
    )
    outcome = moclip(*words)
    assert (outcome.code, outcome.json["made"], len(outcome.json["failures"])) == (code, 3, 1)


def test_an_extraction_without_any_clip_fails(tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "x.mp4").write_text("no video")
    outcome = moclip("extract", "motion", tmp_path / "data", "--failures", tmp_path / "f.csv")
    assert outcome.code == 2
    assert "none of 1 clips could be read" in outcome.err


@pytest.mark.usefixtures("small_clip")
def test_labels_by_all_three_options(tmp_path: Path, clip: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("cutting, slicing\nrunning\n")
    words = ("zero-shot", clip, "--pretrained", "none", "--set", "clip.model=ViT-S-32", "--json")
    found = assert_ok(moclip(*words, "--labels-file", file, "--label", "a, b")).json
    assert {p["label"] for p in found[0]["predictions"]} == {"cutting, slicing", "running", "a, b"}
    assert_refused(moclip(*words, "--labels", "run,  Run"), "given twice")
    assert_refused(moclip(*words, "--label", "one"), "two labels")
    assert_refused(moclip(*words, "--labels", "_,cooking"), "the label '_' has no words")


def test_invalid_replacements_are_refused(tmp_path: Path) -> None:
    for rename in (r"a=\2", r"(a)=\g<x>", "(=b"):
        assert_refused(
            moclip("convert", tmp_path / "x", "-o", tmp_path / "y.safetensors", "--rename", rename),
            "--rename",
        )
