"""Weights, results and configuration in a run folder belong together, whatever was run in it before."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.fold.stored import load_motion_network
from moclip_lite.results.fold_folder import STAGES
from moclip_lite.results.read import load_run
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.storage.cache import FeatureCache

from support.cli import FOLDER_YAML, QUICK, TrainedRun, assert_ok, assert_refused, class_folders, moclip, sets
from support.tables import read_rows

pytestmark = pytest.mark.usefixtures("quick_exports")

HEADS = ("appearance", "appearance_frame", "motion_head", "fusion")


def weights_in(folder: Path) -> set[str]:
    return {p.stem for p in folder.glob("*.safetensors")}


def metadata(path: Path) -> dict[str, str]:
    with safe_open(str(path), "numpy") as file:
        return dict(file.metadata())


def rewrite(path: Path, **changes: str | None) -> None:
    """The same tensors with other metadata; None takes an entry out."""
    found = {**metadata(path), **changes}
    save_file(load_file(path), path, {name: value for name, value in found.items() if value is not None})


@pytest.fixture(scope="module")
def clip(trained: TrainedRun) -> Path:
    return min(trained.data.rglob("*.mp4"))


@pytest.fixture(scope="module")
def other_motion(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A motion network of the same form, trained with another seed."""
    folder = tmp_path_factory.mktemp("other") / "run"
    assert_ok(moclip("train", "motion", *trained.words(folder)[1:], "--set", "train_motion.epochs=3"))
    return folder


# A head belongs to its motion network and its encoder


def test_heads_say_what_they_were_trained_on(trained: TrainedRun) -> None:
    from moclip_lite.training.checkpoint import weights_digest

    folder = RunFolder(trained.folder)
    motion = load_motion_network(folder, load_experiment(folder.config, []), folder.read_labels())
    assert motion is not None
    network = weights_digest(motion)
    encoder = json.loads((trained.folder / "encoder.json").read_text(encoding="utf-8"))["digest"]
    needs = {
        "appearance": {"encoder"}, "appearance_frame": {"encoder"}, "motion_head": {"motion_network"},
        "fusion": {"motion_network", "encoder"},
    }  # fmt: skip
    present = weights_in(trained.folder)
    assert {"motion", "appearance", "motion_head", "fusion"} <= present
    for stage in present & set(HEADS):
        found = metadata(trained.folder / f"{stage}.safetensors")
        assert {s for s in ("motion_network", "encoder") if s in found} == needs[stage], stage
        assert found.get("motion_network", network) == network
        assert found.get("encoder", encoder) == encoder


@pytest.mark.parametrize("change", ["network", "missing", "unsaid", "encoder", "encoder unsaid"])
def test_other_features_than_the_heads_own_are_refused_by_name(
    change: str, trained: TrainedRun, other_motion: Path, clip: Path, tmp_path: Path
) -> None:
    folder = trained.copy(tmp_path / "run")
    fusion, motion = folder / "fusion.safetensors", folder / "motion.safetensors"
    if change == "network":
        shutil.copy(other_motion / "motion.safetensors", motion)
        said = ("fusion.safetensors", "another motion network", "motion.safetensors")
    elif change == "missing":
        motion.unlink()
        (folder / "motion_head.safetensors").unlink()
        said = ("fusion.safetensors", "missing", "motion.safetensors")
    elif change == "unsaid":
        rewrite(fusion, motion_network=None)
        said = ("fusion.safetensors", "does not say", "motion network")
    elif change == "encoder":
        rewrite(fusion, encoder="0" * 32)
        said = ("fusion.safetensors", "other CLIP weights", "--pretrained")
    else:
        rewrite(fusion, encoder=None)
        said = ("fusion.safetensors", "does not say", "CLIP weights")
    said = (*said, f"moclip run {folder}")
    assert_refused(moclip("predict", clip, "--model", folder), *said)
    evaluated = moclip("evaluate", folder)
    assert evaluated.code == 2
    line = evaluated.err.strip().splitlines()[-1]
    assert all(part in line.replace("motion_head", "fusion") for part in said), line
    if "encoder" not in change:  # an export does not load the encoder
        assert_refused(moclip("export", folder, "--out", tmp_path / "onnx"), *said)


def test_predict_after_the_motion_network_was_trained_anew(
    trained: TrainedRun, clip: Path, tmp_path: Path
) -> None:
    """`run`, then `train motion` with other settings into the same folder: the old fusion head is gone."""
    folder = trained.copy(tmp_path / "run")
    words = trained.words(folder)[1:]
    outcome = assert_ok(moclip("train", "motion", *words, "--set", "train_motion.epochs=3"))
    assert "an earlier run are removed" in outcome.err
    assert weights_in(folder) == {"motion"}
    answer = assert_ok(moclip("predict", clip, "--model", folder, "--json")).json[0]
    assert set(answer["streams"]) == {"motion"}
    for name in ("predictions_fusion.csv", "confusion_fusion.png", "encoder.json", "state", "run.lock"):
        assert not (folder / name).exists(), name
    assert load_run(folder).streams == ["motion"]
    assert "| fusion |" not in (folder / "report.md").read_text(encoding="utf-8")
    whole = assert_ok(moclip("run", *words)).err  # and what it had is found in the cache
    assert "motion: already trained" in whole
    assert "fusion: already trained" in whole
    assert weights_in(folder) == weights_in(trained.folder)


# Divisions


def test_divisions_do_not_mix_in_one_folder(tmp_path: Path) -> None:
    data, folder = class_folders(tmp_path / "data"), tmp_path / "run"
    places = (f"data.root={data}", f"run.dir={folder}", f"cache.dir={tmp_path / 'cache'}")
    words = (
        "run",
        FOLDER_YAML,
        *sets((*QUICK, "train_motion.epochs=1", "data.group_pattern='^(p[0-9])_'", *places)),
    )
    protocol = ("--set", "data.protocol=leave-one-group-out")
    clip = min(data.rglob("*.mp4"))
    assert_ok(moclip(*words, *protocol))
    assert len(RunFolder(folder).fold_folders()) == 4
    assert not weights_in(folder)
    assert_ok(moclip(*words))
    assert not (folder / "folds").exists()
    assert weights_in(folder) == {"motion"}
    assert set(load_run(folder).training) == {"holdout"}
    assert_ok(moclip("predict", clip, "--model", folder))
    assert_ok(moclip("evaluate", folder))
    again = assert_ok(moclip(*words, *protocol))
    assert again.err.count("motion: already trained") == 4  # from the cache
    assert not weights_in(folder)
    assert set(load_run(folder).training) == {"p0", "p1", "p2", "p3"}
    assert_refused(moclip("predict", clip, "--model", folder), "4 folds")
    rows = read_rows(folder / "predictions_motion.csv")
    assert {(row["fold"], row["group"]) for row in rows} == {(f"p{i}", f"p{i}") for i in range(4)}


# Two at once


@contextmanager
def held(path: Path) -> Iterator[None]:
    """What a run in another process does to the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield
    finally:
        os.close(descriptor)


def test_the_second_run_in_a_folder_is_told(trained: TrainedRun, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with held(folder / "run.lock"):
        assert_refused(moclip(*trained.words(folder)), "another run", str(folder), "--run-dir")
        assert_refused(moclip("train", "motion", *trained.words(folder)[1:]), "another run")
    # Left by a killed run: nobody holds it.
    assert (folder / "run.lock").exists()
    assert_ok(moclip(*trained.words(folder)))
    assert not (folder / "run.lock").exists()


# Killed in between


@pytest.mark.parametrize("stop", ["before", "motion", "fusion"])
def test_an_unfinished_run_answers_with_nothing_old(
    stop: str, trained: TrainedRun, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with other settings ends in the middle: no weights of the earlier one stand beside them."""
    from moclip_lite.experiment.stages import Trainer

    folder = trained.copy(tmp_path / "run")
    real = Trainer._train

    def train(trainer: Any, stage: Any, *rest: Any) -> Any:
        if stop in ("before", stage.name):
            raise KeyboardInterrupt
        return real(trainer, stage, *rest)

    words = trained.words(folder)
    change = ("--set", "train_motion.epochs=3")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train", train)
        assert moclip(*words, *change).code == 130
    left = weights_in(folder)
    assert left == ({"motion", "appearance"} if stop == "fusion" else set())
    assert not (folder / "metrics.json").exists()
    assert not list(folder.glob("predictions_*"))
    if not left:
        assert_refused(moclip("predict", clip, "--model", folder), "no trained weights")
    # The first configuration again: what was set aside is taken back as it was.
    before = (trained.folder / "motion.safetensors").stat().st_mtime_ns
    again = assert_ok(moclip(*words, "--json"))
    assert again.json["fusion"] == json.loads((trained.folder / "metrics.json").read_text())["fusion"]
    if stop == "before":
        assert (folder / "motion.safetensors").stat().st_mtime_ns == before


# Names


def test_all_weights_of_a_run_are_known_to_its_folder(trained: TrainedRun) -> None:
    assert weights_in(trained.folder) <= set(STAGES)


# The cache folder


@pytest.mark.parametrize("problem", ["file", "below a file", "read-only", "no home"])
@pytest.mark.parametrize("command", ["run", "extract", "zero-shot", "prune"])
def test_a_cache_that_cannot_be_used_is_one_sentence(
    problem: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    for label in ("a", "b"):
        (data / label).mkdir(parents=True)
        for i in range(4):
            (data / label / f"{i}.mp4").write_bytes(b"x")
    place = tmp_path / "cache"
    place.write_text("a file")
    named: tuple[object, ...] = ("--cache", place)
    if problem == "below a file":
        named = ("--cache", place / "deep" / "er")
    elif problem == "read-only":
        place.unlink()
        place.mkdir()
        monkeypatch.setattr("sqlite3.connect", _read_only)
        monkeypatch.setattr("moclip_lite.storage.local_file.atomic_write", _read_only)
        monkeypatch.setattr(Path, "unlink", _read_only)
        FeatureCache(place).path("motion", "0" * 32).parent.mkdir(parents=True)
        FeatureCache(place).path("motion", "0" * 32).write_bytes(b"x")
    elif problem == "no home":
        monkeypatch.delenv("MOCLIP_CACHE", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr("pwd.getpwuid", _no_home)
        named = ()
    clip_words = sets(("clip.model=ViT-S-32", "clip.pretrained=none"))
    words: dict[str, tuple[object, ...]] = {
        "run": ("run", data, "--run-dir", tmp_path / "run"),
        "extract": ("extract", "motion", data, "--failures", tmp_path / "f.csv"),
        "zero-shot": ("zero-shot", data, *clip_words),
        "prune": ("cache", "prune", "--all"),
    }
    if command == "prune" and problem == "below a file":
        pytest.skip("there is nothing to remove, and nothing is wrong with that")
    message = assert_refused(moclip(*words[command], *named), "--cache", "cache")
    assert problem == "no home" or str(place) in message


def _read_only(*args: object, **options: object) -> Any:
    import errno
    import sqlite3

    if args and str(args[0]).endswith(".sqlite"):
        raise sqlite3.OperationalError("attempt to write a readonly database")
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def _no_home(uid: int) -> Any:
    raise KeyError(f"getpwuid(): uid not found: {uid}")
