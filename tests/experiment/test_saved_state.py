"""Saved configurations work from any working directory; groups count in every kind of data; cached stages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from moclip_lite.datasets import SyntheticSpec, generate, load_ucf101
from moclip_lite.datasets.clip import group_of
from moclip_lite.datasets.manifest import read_manifest
from moclip_lite.errors import DataError
from moclip_lite.experiment.config import Experiment, load_experiment, with_absolute_paths
from moclip_lite.experiment.session import Session

from support.cli import (
    FOLDER_YAML,
    QUICK,
    WITH_TEXT,
    TrainedRun,
    assert_ok,
    assert_refused,
    class_folders,
    moclip,
    sets,
)
from support.clips import H264, encode, panning
from support.tables import read_rows

# Paths


def path_keys() -> list[str]:
    """Every setting that holds a path."""
    return [
        f"{section}.{key}"
        for section, info in Experiment.model_fields.items()
        for key, field in info.annotation.model_fields.items()  # type: ignore[union-attr]
        if "Path" in str(field.annotation)
    ]


def test_every_path_is_saved_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").write_bytes(b"x")
    keys = path_keys()
    assert {"run.dir", "data.root", "data.splits_dir", "cache.dir", "clip.prompts"} <= set(keys)
    relative = [f"{key}='some/{key}'" for key in keys]
    found = with_absolute_paths(load_experiment(None, [*relative, "clip.pretrained=w.safetensors"]))
    (tmp_path / "config.yaml").write_text(found.to_yaml(), encoding="utf-8")
    saved = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    for key in keys:
        section, name = key.split(".")
        assert saved[section][name] == str(tmp_path / "some" / key)
    assert saved["clip"]["pretrained"] == str(tmp_path / "w.safetensors")
    for plain in ("openai", "none"):
        tag = with_absolute_paths(load_experiment(None, [f"clip.pretrained={plain}"]))
        assert tag.clip.pretrained == plain


def test_a_run_made_with_relative_paths_works_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = class_folders(tmp_path / "data", frames=8)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    places = ("data.root=data", "run.dir=runs/mine", "cache.dir=cache")
    assert_ok(moclip("run", FOLDER_YAML, *sets((*QUICK, "train_motion.epochs=1", *places))))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert_ok(moclip("evaluate", "../runs/mine"))
    assert_ok(moclip("predict", min(data.rglob("*.mp4")), "--model", "../runs/mine"))
    assert "is finished" in assert_ok(moclip("run", "../runs/mine")).err
    assert not list(Path().iterdir())
    # A folder that was moved is the one that is meant.
    shutil.move(tmp_path / "runs" / "mine", tmp_path / "elsewhere" / "moved")
    again = assert_ok(moclip("run", "moved", "--set", "train_motion.epochs=2"))
    assert "is finished" not in again.err
    assert yaml.safe_load(Path("moved/config.yaml").read_text())["train_motion"]["epochs"] == 2
    assert not (tmp_path / "runs" / "mine").exists()


def test_predict_and_evaluate_can_be_told_other_weights(trained: TrainedRun) -> None:
    clip = min(trained.data.rglob("*.mp4"))
    absent = "/nowhere/weights.safetensors"
    for words in (("predict", clip, "--model", trained.folder), ("evaluate", trained.folder)):
        assert_refused(moclip(*words, "--pretrained", absent), absent)
        assert_refused(moclip(*words, "--set", "clip.no_such=1"), "clip.no_such")
        assert_ok(moclip(*words, "--pretrained", "none", "--set", "test.flips=1"))
        # Random weights of another seed are other weights.
        if words[0] == "predict":
            assert_refused(moclip(*words, "--set", "run.seed=5"), "other CLIP weights", "--pretrained")


@pytest.mark.usefixtures("small_clip")
def test_a_changed_prompt_file_is_noticed(trained: TrainedRun, tmp_path: Path) -> None:
    prompts, folder = tmp_path / "p.yaml", tmp_path / "run"
    words = (*trained.words(folder), *sets((WITH_TEXT, f"clip.prompts={prompts}", "run.streams=[zero_shot]")))
    prompts.write_text("templates: ['a film of {}']\n", encoding="utf-8")
    assert_ok(moclip(*words))
    assert "is finished" in assert_ok(moclip(*words)).err
    prompts.write_text("templates: ['{} in the rain']\n", encoding="utf-8")
    assert "is finished" not in assert_ok(moclip(*words)).err


# Groups


PATTERN = "_(c[0-9]+)"


def lists_of(root: Path, names: list[str]) -> Path:
    """UCF101's lists over names "Class/v_Class_gNN_cNN.avi": the second clips are for test."""
    folder = root / "lists"
    folder.mkdir()
    classes = sorted({name.split("/")[0] for name in names})
    (folder / "classInd.txt").write_text(
        "".join(f"{i} {c}\n" for i, c in enumerate(classes, 1)), encoding="utf-8"
    )
    for split in (1, 2, 3):
        train = [f"{n} {1 + classes.index(n.split('/')[0])}" for n in names if "_c02" not in n]
        (folder / f"trainlist0{split}.txt").write_text("\n".join(train) + "\n", encoding="utf-8")
        test = [n for n in names if "_c02" in n]
        (folder / f"testlist0{split}.txt").write_text("\n".join(test) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def ucf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folder and lists of twelve clips: two classes, two groups, clips c01 to c03."""
    base = tmp_path_factory.mktemp("ucf")
    names = [f"{c}/v_{c}_g{g:02d}_c{i:02d}.avi" for c in ("Up", "Down") for g in (1, 2) for i in (1, 2, 3)]
    for number, name in enumerate(names):
        path = base / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(path.with_suffix(".mp4"), panning(6 + number), **H264)
    return base / "videos", lists_of(base, names)


@pytest.fixture(scope="module")
def prepared(ucf: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a manifest, whose groups are those of a pattern."""
    out = tmp_path_factory.mktemp("prepared")
    words = ("--root", ucf[0], "--splits", ucf[1], "--out", out, "--workers", 1, "--group-pattern", PATTERN)
    assert_ok(moclip("dataset", "prepare", "ucf101", *words))
    return out / "gop12"


def groups_of(session: Session) -> set[str | None]:
    return {clip.group for clip in session.dataset.clips}


@pytest.mark.parametrize("kind", ["folder", "ucf101", "ucf101 manifest", "synthetic", "features"])
def test_a_group_pattern_counts_in_every_kind(
    kind: str, ucf: tuple[Path, Path], prepared: Path, tmp_path: Path
) -> None:
    settings = [f"cache.dir={tmp_path / 'cache'}", "run.workers=1"]
    root, pattern, expected = ucf[0], PATTERN, {"c01", "c02", "c03"}
    if kind == "ucf101":
        settings += [f"data.splits_dir={ucf[1]}"]
    elif kind == "ucf101 manifest":
        root, pattern, expected = prepared, "_g([0-9]+)_", {"01", "02"}
    elif kind == "synthetic":
        root = tmp_path / "made"
        generate(root, SyntheticSpec(textures=("bricks",), motions=("rotate",), clips_per_class=4, frames=4))
        pattern, expected = "_00([0-9])", {"0", "1", "2", "3"}
        kind = "folder"  # its clips are folders of classes too; the generator itself would draw all twenty
    elif kind == "features":
        from moclip_lite.experiment.inputs.feature_storage import save_features

        from support.features import labelled_features

        root = tmp_path / "f.safetensors"
        save_features(root, *labelled_features(8))
        pattern, expected = "([0-9])", {str(i) for i in range(8)}
    settings += [f"data.root={root}", f"data.kind={kind.split()[0]}"]
    assert (
        groups_of(Session(load_experiment(None, [*settings, f"data.group_pattern='{pattern}'"]))) == expected
    )


@pytest.mark.parametrize("kind", ["folder", "ucf101", "table"])
def test_copies_on_both_sides_are_refused_in_every_kind_of_videos(
    kind: str, ucf: tuple[Path, Path], tmp_path: Path
) -> None:
    root = tmp_path / "videos"
    shutil.copytree(ucf[0], root)
    table = tmp_path / "clips.csv"
    shutil.copy(root / "Up" / "v_Up_g01_c01.mp4", root / "Up" / "v_Up_g02_c02.mp4")
    sides = [("train" if "_g01_" in path.name else "test", path) for path in sorted(root.rglob("*.mp4"))]
    rows = [f"{path.relative_to(root)},{path.parent.name},{side}" for side, path in sides]
    table.write_text("\n".join(["video,label,split", *rows]) + "\n", encoding="utf-8")
    settings = {
        "folder": [
            "data.kind=folder",
            "data.protocol=leave-one-group-out",
            "data.group_pattern='_(c[0-9]+)'",
        ],
        "ucf101": ["data.kind=ucf101", f"data.splits_dir={ucf[1]}", "data.group_pattern='_(c[0-9]+)'"],
        "table": ["data.kind=table", f"data.table={table}"],
    }[kind]
    places = [f"data.root={root}", f"cache.dir={tmp_path / 'cache'}", "run.workers=1", "run.streams=[motion]"]
    session = Session(load_experiment(None, [*settings, *places]))
    with pytest.raises(DataError, match="copy of equal content"):
        session.folds  # noqa: B018


def test_groups_of_a_manifest_count_beside_lists(ucf: tuple[Path, Path], prepared: Path) -> None:
    assert {row.group for row in read_manifest(prepared)} == {"c01", "c02", "c03"}
    for lists in (ucf[1], None):
        assert {clip.group for clip in load_ucf101(prepared, lists).clips} == {"c01", "c02", "c03"}
    own = load_ucf101(*ucf).clips
    assert {clip.group for clip in own} == {"Up_g01", "Up_g02", "Down_g01", "Down_g02"}


def test_groups_and_folds_are_written_beside_the_predictions(ucf: tuple[Path, Path], tmp_path: Path) -> None:
    """A split by clip number: with UCF101's own groups it would be refused as one that leaks."""
    data = (
        "data.kind=ucf101",
        f"data.root={ucf[0]}",
        f"data.splits_dir={ucf[1]}",
        f"run.dir={tmp_path / 'run'}",
    )
    words = ("run", FOLDER_YAML, *sets((*QUICK, "train_motion.epochs=1", *data)))
    assert_refused(moclip(*words), "groups", "both sides")
    assert_ok(moclip(*words, "--set", f"data.group_pattern={PATTERN}"))
    rows = read_rows(tmp_path / "run" / "predictions_motion.csv")
    assert len(rows) == 4
    assert {(row["group"], row["fold"]) for row in rows} == {("c02", "split1")}


@pytest.mark.parametrize("pattern", ["(x?)clip", "(a)|clip"])
def test_an_empty_group_is_refused(pattern: str) -> None:
    with pytest.raises(DataError, match=r"group_pattern.*empty group"):
        group_of(pattern, "one/clip.mp4")
