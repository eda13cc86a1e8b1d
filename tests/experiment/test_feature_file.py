"""Features in place of videos: the file, and runs on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from moclip_lite.datasets import Fold
from moclip_lite.errors import CheckpointError, ConfigError, DataError, MoclipError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.inputs.feature_description import Origin
from moclip_lite.experiment.inputs.feature_storage import load_features, save_features
from moclip_lite.experiment.run import run_experiment
from moclip_lite.experiment.session import Session
from moclip_lite.fusion.registry import TEXT_POOLS
from moclip_lite.predict.classifier import Classifier
from moclip_lite.progress import Silent
from moclip_lite.results.fold_folder import FoldFolder
from moclip_lite.storage.files import read_tensors
from moclip_lite.streams import Stream

from support.cli import FOLDER_YAML, QUICK, TrainedRun, assert_ok, assert_refused, class_folders, moclip, sets
from support.features import LABELS, labelled_features
from support.tables import read_rows

pytestmark = pytest.mark.usefixtures("no_drawings")


def experiment(tmp_path: Path, file: Path, *settings: str) -> Session:
    places = (f"data.root={file}", f"run.dir={tmp_path / 'run'}", f"cache.dir={tmp_path / 'cache'}")
    fixed = ("data.kind=features", "data.protocol=official", "train_head.epochs=40")
    return Session(load_experiment(None, [*fixed, *places, *settings]))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    data, motion, appearance, classes = labelled_features()
    save_features(tmp_path / "f.safetensors", data, motion, appearance, classes)
    found = load_features(tmp_path / "f.safetensors")
    assert [(c.name, c.label, c.group) for c in found.dataset.clips] == [
        (c.name, c.label, c.group) for c in data.clips
    ]
    assert (found.dataset.labels, found.dataset.official) == (data.labels, data.official)
    np.testing.assert_allclose(found.motion, motion, rtol=1e-3)
    assert found.classes is not None


def test_heads_are_trained_and_tested_on_a_file(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features())
    metrics = run_experiment(experiment(tmp_path, file)).to_json()
    assert metrics["fusion"]["top1"] > 90
    assert 30 < metrics["appearance"]["top1"] < 70
    assert 30 < metrics["motion_head"]["top1"] < 70
    assert metrics["fusion"]["n"] == 60
    assert {"zero_shot", "appearance_frame"} <= set(metrics)
    assert "motion" not in metrics
    with pytest.raises(CheckpointError, match="file of features"):
        Classifier.load(tmp_path / "run")


@pytest.mark.parametrize("head", TEXT_POOLS)
def test_heads_that_start_from_text_have_controls_of_their_kind(tmp_path: Path, head: str) -> None:
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features())
    metrics = run_experiment(experiment(tmp_path, file, f"fusion.head={head}"))
    assert metrics.streams[Stream.FUSION].top1 > 60  # one half alone gives 50
    assert any("cross-entropy" in sentence for sentence in metrics.choices)
    folder = FoldFolder(tmp_path / "run")
    for stream in (Stream.FUSION, Stream.APPEARANCE, Stream.APPEARANCE_FRAME):
        assert "text" in read_tensors(folder.weights(stream))[0]
    assert run_experiment(experiment(tmp_path, file, f"fusion.head={head}")) == metrics


def test_what_a_file_can_not_serve_is_said(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features()[:3])
    with pytest.raises(ConfigError, match="no text embeddings"):
        run_experiment(experiment(tmp_path, file, "fusion.head=residual_adapter"))
    with pytest.raises(ConfigError, match="no text embeddings"):
        run_experiment(experiment(tmp_path, file, "fusion.head=tip_adapter", "run.streams=[appearance]"))
    with pytest.raises(ConfigError, match=r"another length; take clip\.pooling=head"):
        run_experiment(experiment(tmp_path, file, "fusion.head=tip_adapter", "clip.pooling=mean_std"))
    alone = run_experiment(experiment(tmp_path, file, "run.streams=[motion]")).to_json()
    assert {"motion_head"} == {"motion_head", "fusion", "appearance", "motion"} & set(alone)
    with pytest.raises(DataError, match="split2"):
        run_experiment(experiment(tmp_path, file, "data.splits=[2]"))


# The division


ASKED = {
    "another protocol": ("data.protocol=holdout",),
    "groups left out": ("data.protocol=leave-one-group-out",),
    "another share": ("data.protocol=holdout", "data.test_fraction=0.5"),
    "another validation": ("data.val_fraction=0.4",),
}


def bound_file(path: Path, *, folds: int = 1, trained: bool = True) -> Origin:
    """A file of features whose motion network, if it says so, was trained on the training clips of its folds."""
    data, motion, appearance, classes = labelled_features()
    groups = {c.name: c.group for c in data.clips}
    parts = []
    for number in range(folds):
        test = {f"g{3 * number + i}" for i in range(3)}
        rest = [c for c in data.clips if groups[c.name] not in test]
        val = {f"g{(3 * number + 3) % 12}"}
        parts.append(
            Fold(
                f"split{number + 1}",
                tuple(c for c in rest if groups[c.name] not in val),
                tuple(c for c in rest if groups[c.name] in val),
                tuple(c for c in data.clips if groups[c.name] in test),
            )
        )
    number = {c.name: i for i, c in enumerate(data.clips)}
    rows = {f.name: motion[[number[c.name] for c in f.clips()]] + i for i, f in enumerate(parts)}
    origin = Origin(
        tuple(parts),
        {"protocol": "official", "val_fraction": 0.1, "seed": 7},
        {f.name: f"{i:032x}" for i, f in enumerate(parts)} if trained else {},
        {"model": "m", "pretrained": "p", "digest": "e" * 32},
        "/runs/origin",
    )
    save_features(
        path, replace(data, official={}), rows if folds > 1 else motion, appearance, classes, origin
    )
    return origin


def predicted(folder: Path, stream: str = "fusion") -> dict[str, set[str]]:
    """Fold -> clips that were tested."""
    found: dict[str, set[str]] = {}
    for row in read_rows(folder / f"predictions_{stream}.csv"):
        found.setdefault(row["fold"], set()).add(row["clip"])
    return found


def plain(tmp_path: Path, file: Path, *settings: str) -> Session:
    """Nothing is said of a division."""
    places = (f"data.root={file}", f"run.dir={tmp_path / 'run'}", f"cache.dir={tmp_path / 'cache'}")
    return Session(load_experiment(None, ["data.kind=features", "train_head.epochs=2", *places, *settings]))


@pytest.mark.parametrize("folds", [1, 2])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_files_own_division_is_the_default(tmp_path: Path, folds: int, seed: int) -> None:
    origin = bound_file(tmp_path / "f.safetensors", folds=folds)
    session = plain(tmp_path, tmp_path / "f.safetensors", f"run.seed={seed}")
    run_experiment(session)
    assert predicted(tmp_path / "run") == {f.name: {c.name for c in f.test} for f in origin.folds}
    for mine, own in zip(session.folds, origin.folds, strict=True):
        for part in ("train", "val", "test"):
            assert [c.name for c in getattr(mine, part)] == [c.name for c in getattr(own, part)]
    again = load_experiment(tmp_path / "run" / "config.yaml")
    assert again.data.protocol == "official"
    assert Session(again).folds == session.folds  # what is saved asks for the same


def test_a_division_of_the_file_has_the_share_that_it_has(tmp_path: Path) -> None:
    """A third of the clips is tested; a quarter is what a division made here would ask for."""
    data, motion, appearance, classes = labelled_features()
    test = {f"g{i}" for i in range(4)}
    rest = tuple(c for c in data.clips if c.group not in test)
    fold = Fold("split1", rest, (), tuple(c for c in data.clips if c.group in test))
    file = tmp_path / "f.safetensors"
    save_features(file, replace(data, official={}), motion, appearance, classes, Origin((fold,)))
    session = plain(tmp_path, file)
    assert len(session.folds[0].test) == len(data.clips) / 3
    assert session.folds[0].notes == ()
    other = plain(tmp_path, file, "data.protocol=holdout", "data.test_fraction=0.03")  # a group is 8 %
    assert "3 % were asked for" in "".join(other.folds[0].notes)


def test_another_share_than_that_of_official_splits_is_told(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features())
    session = plain(tmp_path, file, "data.protocol=holdout", "data.test_fraction=0.03")
    assert "3 % were asked for" in "".join(session.folds[0].notes)


@pytest.mark.parametrize("asked", ASKED.values(), ids=list(ASKED))
def test_another_division_of_trained_features_is_refused(tmp_path: Path, asked: tuple[str, ...]) -> None:
    file = tmp_path / "f.safetensors"
    bound_file(file)
    with pytest.raises(ConfigError, match=r"f\.safetensors holds features of a motion network.*data\."):
        run_experiment(plain(tmp_path, file, *asked))
    assert not (tmp_path / "run").exists()
    bound_file(file, trained=False)  # nothing was trained on any of the clips
    run_experiment(plain(tmp_path, file, *asked))


def test_zero_shot_on_a_file(tmp_path: Path) -> None:
    data, motion, appearance, classes = labelled_features()
    for name, text in (("with", classes), ("without", None)):
        save_features(tmp_path / f"{name}.safetensors", data, motion, appearance, text)
    words = ("--cache", tmp_path / "cache", "--json")
    scores = assert_ok(moclip("zero-shot", tmp_path / "with.safetensors", *words)).json
    assert scores["n"] == 60
    refused = moclip("zero-shot", tmp_path / "without.safetensors", *words)
    assert_refused(refused, "without.safetensors", "no text embeddings")


def test_zero_shot_on_a_file_of_trained_features(tmp_path: Path) -> None:
    origin = bound_file(tmp_path / "f.safetensors")
    scores = assert_ok(
        moclip("zero-shot", tmp_path / "f.safetensors", "--cache", tmp_path / "c", "--json")
    ).json
    assert scores["n"] == len(origin.folds[0].test)


class _Telling(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_what_is_divided_anew_is_said_and_checked_for_copies(tmp_path: Path) -> None:
    """Its own division was checked with the videos at hand; of another one only the features tell copies."""
    file, said = tmp_path / "f.safetensors", _Telling()
    bound_file(file, trained=False)
    for asked, kept in (((), True), (ASKED["another protocol"], False)):
        session = plain(tmp_path, file, *asked)
        session.reporter = said
        assert session.folds
        assert any("divided as its features were made" in text for text in said.said) is kept
        said.said.clear()
    data, motion, appearance, classes = labelled_features()
    one, other = (next(i for i, c in enumerate(data.clips) if c.group == g) for g in ("g0", "g1"))
    appearance[other] = appearance[one]
    save_features(file, replace(data, official={}), motion, appearance, classes)
    messages = []
    for seed in range(6):
        try:
            _ = plain(tmp_path, file, f"run.seed={seed}", "data.val_fraction=0.2").folds
        except DataError as error:
            messages.append(str(error))
    assert messages
    assert all(data.clips[other].name in message for message in messages)
    _ = plain(tmp_path, file, "data.shared_groups=true").folds


def test_what_names_the_own_division_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    origin = bound_file(file, folds=2)
    for settings in (["data.protocol=official"], ["data.val_fraction=0.1"], ["data.splits=[1,2]"]):
        assert plain(tmp_path, file, *settings).folds == plain(tmp_path, file).folds
    assert [f.name for f in plain(tmp_path, file, "data.splits=[2]").folds] == ["split2"]
    few = plain(tmp_path, file, "data.train_per_class=3").folds[0]
    assert {c.name for c in few.train} < {c.name for c in origin.folds[0].train}
    assert [c.name for c in few.test] == [c.name for c in origin.folds[0].test]
    with pytest.raises(DataError, match="split3"):
        _ = plain(tmp_path, file, "data.splits=[3]").folds


def test_files_of_versions_that_wrote_no_origin(tmp_path: Path) -> None:
    """Such files were made from trained networks: their split is the only one."""
    file = tmp_path / "f.safetensors"
    save_features(file, *labelled_features())
    arrays, metadata = read_tensors(file)
    about = json.loads(metadata["features"])
    del about["origin"]
    save_file(arrays, file, {"features": json.dumps(about)})
    assert plain(tmp_path, file).folds == plain(tmp_path, file, "data.protocol=official").folds
    with pytest.raises(ConfigError, match="its own division"):
        _ = plain(tmp_path, file, "data.protocol=holdout").folds


def test_each_fold_has_the_features_of_its_network(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    origin = bound_file(file, folds=2)
    found = load_features(file)
    assert found.motion is None
    assert found.origin == replace(origin, folds=found.origin.folds if found.origin else ())
    clip = origin.folds[0].train[0].name
    one, two = (found.motion_of(name)[clip] for name in ("split1", "split2"))
    np.testing.assert_allclose(two - one, 1, atol=5e-3)
    run_experiment(plain(tmp_path, file))
    for number, name in enumerate(("split1", "split2")):
        with safe_open(str(tmp_path / "run" / "folds" / name / "fusion.safetensors"), "numpy") as weights:
            assert weights.metadata()["motion_network"] == f"{number:032x}"
            assert weights.metadata()["encoder"] == "e" * 32
    with pytest.raises(CheckpointError, match=r"can't read videos.*moclip predict FILE --model /runs/origin"):
        Classifier.load(tmp_path / "run" / "folds" / "split1")


# One stream alone


@pytest.mark.parametrize(
    ("held", "streams"),
    [
        ("motion", {"motion_head"}),
        ("appearance", {"appearance", "appearance_frame"}),
        ("appearance and text", {"appearance", "appearance_frame", "zero_shot"}),
    ],
)
def test_one_stream_is_a_valid_file(tmp_path: Path, held: str, streams: set[str]) -> None:
    data, motion, appearance, classes = labelled_features()
    file = tmp_path / "f.safetensors"
    save_features(
        file,
        data,
        motion if held == "motion" else None,
        None if held == "motion" else appearance,
        classes if held == "appearance and text" else None,
    )
    metrics = run_experiment(plain(tmp_path, file)).to_json()
    assert set(metrics) & set(Stream) == streams
    assert metrics["motion_head" if held == "motion" else "appearance"]["n"] == 60
    missing = "appearance" if held == "motion" else "motion"
    assert any(f"no features of {missing}" in note for note in metrics["notes"])
    with pytest.raises(DataError, match=r"run\.streams"):
        run_experiment(plain(tmp_path, file, f"run.streams=[{missing}]"))


def test_large_features_stay_finite(tmp_path: Path) -> None:
    """float16 ends at 65504."""
    data, motion, appearance, _ = labelled_features()
    save_features(tmp_path / "f.safetensors", data, motion * 1e6, appearance)
    found = load_features(tmp_path / "f.safetensors")
    np.testing.assert_array_equal(found.motion, motion * np.float32(1e6))


def test_no_features_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither motion nor appearance"):
        save_features(tmp_path / "f.safetensors", labelled_features()[0], None, None)


# Made by a run


def test_features_of_a_run_with_another_seed(trained: TrainedRun, tmp_path: Path) -> None:
    """As the command line has it: no test clip has trained the network, and the program says what holds."""
    file, folder = tmp_path / "f.safetensors", tmp_path / "heads"
    assert_ok(moclip("extract", "features", trained.folder, "--out", file))
    settings = ("data.kind=features", f"data.root={file}", "run.seed=3")
    outcome = assert_ok(moclip(*trained.words(folder), *sets(settings)))
    assert "divided as its features were made (protocol holdout" in outcome.err
    assert predicted(folder) == predicted(trained.folder)
    refused = sets((*settings, "data.test_fraction=0.5"))
    assert_refused(moclip(*trained.words(folder), *refused), "data.test_fraction=0.5", "its own division")
    clip = min(trained.data.rglob("*.mp4"))
    assert_refused(moclip("predict", clip, "--model", folder), f"--model {trained.folder}")
    assert_ok(moclip("run", folder))


def test_features_of_a_motion_only_run_with_folds(tmp_path: Path) -> None:
    data, folder, file = class_folders(tmp_path / "data"), tmp_path / "run", tmp_path / "f.safetensors"
    protocol = ("data.protocol=leave-one-group-out", "data.group_pattern='^(p[0-9])_'")
    places = (f"data.root={data}", f"run.dir={folder}", f"cache.dir={tmp_path / 'cache'}")
    assert_ok(moclip("run", FOLDER_YAML, *sets((*QUICK, "train_motion.epochs=1", *protocol, *places))))
    assert_ok(moclip("extract", "features", folder, "--out", file))
    found = load_features(file)
    assert found.appearance is None
    assert found.origin is not None
    assert [f.name for f in found.origin.folds] == ["p0", "p1", "p2", "p3"]
    assert sorted(found.origin.networks) == ["p0", "p1", "p2", "p3"]
    heads = (
        "data.kind=features",
        f"data.root={file}",
        f"run.dir={tmp_path / 'heads'}",
        "train_head.epochs=1",
    )
    metrics = assert_ok(moclip("run", FOLDER_YAML, *sets(heads), "--json")).json
    assert metrics["folds"] == ["p0", "p1", "p2", "p3"]
    assert metrics["motion_head"]["n"] == 8
    assert_ok(moclip("extract", "features", folder, "--out", file, "--fold", "p2"))
    assert [f.name for f in load_features(file).origin.folds] == ["p2"]  # type: ignore[union-attr]
    assert_refused(moclip("extract", "features", folder, "--out", file, "--fold", "p9"), "--fold", "p9")


@pytest.mark.parametrize("damage", ["absent", "cut", "foreign", "shape", "splits", "label", "twice", "nan"])
def test_files_that_are_refused(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "f.safetensors"
    data, motion, appearance, _ = labelled_features(8)
    save_features(file, data, motion, appearance)
    about = {
        "clips": [[c.name, c.label, c.group] for c in data.clips],
        "labels": list(LABELS),
        "splits": {"split1": [[0], [99]]} if damage == "splits" else {},
    }
    if damage == "label":
        about["labels"] = ["other"]
    if damage == "twice":
        about["clips"][0] = about["clips"][1]  # type: ignore[index]
    if damage == "nan":
        motion[0, 0, 0] = np.nan
    if damage == "shape":
        motion = motion[:-1]
    if damage == "absent":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "foreign":
        save_file({"a": motion}, file)
    else:
        save_file({"motion": motion, "appearance": appearance}, file, {"features": json.dumps(about)})
    with pytest.raises(MoclipError, match=r"f\.safetensors"):
        load_features(file)
