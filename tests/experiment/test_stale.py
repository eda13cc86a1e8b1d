"""A finished run is made again where its clips mean something else, or where its files are gone or cut."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from moclip_lite.results.metrics import Metrics
from moclip_lite.storage.files import read_tensors, write_tensors
from moclip_lite.training.weights_file import CONTENT, content_digest

from support.cli import QUICK, TrainedRun, assert_ok, assert_refused, class_folders, moclip, sets

Row = dict[str, str]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("clips"), per_class=6)


def table(clips: Path, path: Path, change: Callable[[Row], None] = lambda row: None) -> Path:
    """A table of the clips with splits; `change` edits its rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["video", "label", "split", "group"])
        writer.writeheader()
        for number, video in enumerate(sorted(clips.rglob("*.mp4"))):
            split = "test" if number % 3 == 0 else "train"
            row = {"video": str(video), "label": video.parent.name, "split": split, "group": f"g{number}"}
            change(row)
            writer.writerow(row)
    return path


def relabelled(row: Row) -> None:
    row["label"] = {"left": "right", "right": "left"}[row["label"]]


def renamed(row: Row) -> None:
    row["label"] = row["label"].replace("left", "west")


def relabelled_test(row: Row) -> None:
    if row["video"].endswith("p0_left0.mp4"):
        row["label"] = "right"


def regrouped(row: Row) -> None:
    row["group"] = "h" + row["group"][1:]
    if row["group"] == "h3":
        row["group"] = "h0"  # both are tested


@pytest.mark.parametrize("change", [relabelled, renamed, relabelled_test, regrouped])
def test_other_labels_or_groups_are_another_run(
    clips: Path, tmp_path: Path, change: Callable[[Row], None]
) -> None:
    path, run = tmp_path / "clips.csv", tmp_path / "run"
    words = ("run", table(clips, path), "--run-dir", run, *sets(QUICK))
    assert_ok(moclip(*words))
    assert "is finished" in assert_ok(moclip(*words)).err
    table(clips, path, change)
    again = assert_ok(moclip(*words)).err
    assert "the results of an earlier run are removed (" in again
    fresh = tmp_path / "fresh"
    assert_ok(moclip("run", path, "--run-dir", fresh, *sets(QUICK)))
    for name in ("predictions_motion.csv", "labels.json"):
        assert (run / name).read_bytes() == (fresh / name).read_bytes()
    assert Metrics.read(run / "metrics.json").streams == Metrics.read(fresh / "metrics.json").streams


def test_missing_and_cut_files_are_made_again(trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    words = trained.words(folder)
    assert "is finished" in assert_ok(moclip(*words)).err
    for name in ("fusion.safetensors", "motion_head.safetensors", "predictions_motion.csv"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        assert f"({name} is missing)" in assert_ok(moclip(*words)).err
        assert (folder / name).read_bytes() == content
    cut = folder / "motion.safetensors"
    content = cut.read_bytes()
    cut.write_bytes(content[:3000])
    assert "(motion.safetensors is damaged)" in assert_ok(moclip(*words)).err
    assert cut.read_bytes() == content


def test_files_of_another_run_are_made_again(trained: TrainedRun, tmp_path: Path) -> None:
    """What a refusal of them says helps: `moclip run` trains again."""
    folder = trained.copy(tmp_path / "run")
    words, clip = trained.words(folder), min(trained.data.rglob("*.mp4"))
    contents = {name: (folder / name).read_bytes() for name in ("motion.safetensors", "timeline.json")}

    def made_again(reason: str) -> None:
        assert f"({reason})" in assert_ok(moclip(*words)).err
        assert {name: (folder / name).read_bytes() for name in contents} == contents
        assert_ok(moclip("predict", clip, "--model", folder))
        assert "is finished" in assert_ok(moclip(*words)).err

    arrays, metadata = read_tensors(folder / "motion.safetensors")
    other = {name: value + 1 for name, value in arrays.items()}
    description = json.dumps({**json.loads(metadata["description"]), "fingerprint": "of another"})
    noted = {**metadata, "description": description, CONTENT: content_digest(other)}
    write_tensors(folder / "motion.safetensors", other, noted)
    made_again("motion.safetensors is of another training")
    (folder / "timeline.json").unlink()
    made_again("timeline.json is missing")
    written = json.loads((folder / "timeline.json").read_text())
    (folder / "timeline.json").write_text(json.dumps({**written, "weights": {"motion": "of another"}}))
    made_again("timeline.json is damaged or was fitted for other weights")


def test_answers_of_other_streams_are_told(trained: TrainedRun, tmp_path: Path) -> None:
    folder, clip = trained.copy(tmp_path / "run"), min(trained.data.rglob("*.mp4"))
    (folder / "fusion.safetensors").unlink()
    for words in (("predict", clip, "--model", folder), ("evaluate", folder)):
        err = assert_ok(moclip(*words)).err
        assert "fusion.safetensors is missing, but metrics.json has scores of that stream" in err


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ("normalize: true", "normalize: false", "clip.normalize is False"),
        ("field: raw", "field: compensated", "motion.field is compensated"),
        ("stride: 1", "stride: 2", "motion.stride is 2"),
    ],
)
def test_an_edited_configuration_is_told(
    trained: TrainedRun, tmp_path: Path, before: str, after: str, name: str
) -> None:
    folder, clip = trained.copy(tmp_path / "run"), min(trained.data.rglob("*.mp4"))
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    assert before in text
    (folder / "config.yaml").write_text(text.replace(before, after), encoding="utf-8")
    for words in (("predict", clip, "--model", folder), ("evaluate", folder)):
        assert f"{name}, but the networks were trained with" in assert_ok(moclip(*words)).err


@pytest.mark.parametrize("stage", ["motion", "fusion"])
def test_changed_numbers_are_refused(trained: TrainedRun, tmp_path: Path, stage: str) -> None:
    folder, clip = trained.copy(tmp_path / "run"), min(trained.data.rglob("*.mp4"))
    path = folder / f"{stage}.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 0x80  # the sign of the last number, or a high bit of it
    path.write_bytes(content)
    assert load_file(path)
    assert_refused(moclip("predict", clip, "--model", folder), str(path), "is damaged")


def test_weights_of_earlier_versions_are_read(trained: TrainedRun, tmp_path: Path) -> None:
    """They hold no digest of their numbers."""
    from safetensors import safe_open

    folder, clip = trained.copy(tmp_path / "run"), min(trained.data.rglob("*.mp4"))
    for path in folder.glob("*.safetensors"):
        with safe_open(str(path), "numpy") as file:
            metadata = {name: text for name, text in file.metadata().items() if name != "content"}
        save_file(load_file(path), path, metadata)
    assert_ok(moclip("predict", clip, "--model", folder))


def test_weights_of_another_fold_are_refused(clips: Path, tmp_path: Path) -> None:
    """They may have been trained on the clips that they would be tested on."""
    run = tmp_path / "run"
    folds = sets((*QUICK, "data.protocol=kfold", "data.folds=2"))
    assert_ok(moclip("run", clips, "--run-dir", run, *folds))
    assert_ok(moclip("evaluate", run))
    one, other = sorted(path for path in (run / "folds").iterdir() if path.is_dir())
    shutil.copy(one / "motion.safetensors", other / "motion.safetensors")
    says = (str(other / "motion.safetensors"), f"trained for the fold {one.name}", f"is of {other.name}")
    assert_refused(moclip("evaluate", run), *says)
    (other / "motion.safetensors").unlink()
    assert "motion.safetensors is missing" in assert_ok(moclip("evaluate", run)).err
