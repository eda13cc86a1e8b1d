"""The image encoder in int8: written where it answers as float32 does, said in each answer, refused elsewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from moclip_lite import Classifier
from moclip_lite.engine.model_json import INT8, MODEL_JSON, write_model_json
from moclip_lite.errors import CheckpointError, MoclipError
from moclip_lite.experiment.config import load_run_settings
from moclip_lite.experiment.settings.portable import portable
from moclip_lite.export import compared_clips as compared
from moclip_lite.export import int8
from moclip_lite.export.compared_clips import compared_clips
from moclip_lite.export.int8 import export_int8
from moclip_lite.export.network import export_network
from moclip_lite.predict.measure import measure_prediction
from moclip_lite.progress import Silent
from moclip_lite.results.int8 import LEAST_COSINE
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.storage.files import read_json

from support.cli import TrainedRun, assert_ok, assert_refused, moclip

pytestmark = pytest.mark.usefixtures("quick_exports")


@pytest.fixture(scope="module")
def run(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an encoder in int8."""
    folder = tmp_path_factory.mktemp("int8") / "run"
    shutil.copytree(trained.folder, folder)
    if not (folder / "onnx" / MODEL_JSON).is_file():
        assert_ok(moclip("export", folder, "--engine", "--quiet"))
    export_int8(folder)
    return folder


def test_answers_are_those_of_float32_and_say_int8(run: Path, trained: TrainedRun) -> None:
    clip = sorted(trained.data.rglob("*.mp4"))[0]
    plain, quantized = (Classifier.load(run, engine=engine) for engine in ("onnx", "onnx-int8"))
    before, after = plain.explain(clip), quantized.explain(clip)
    assert after.ranking[0][0] == before.ranking[0][0]
    np.testing.assert_allclose(dict(after.ranking)[before.ranking[0][0]], before.ranking[0][1], atol=0.1)
    assert (before.engine, after.engine) == ("onnx", "onnx-int8")
    assert any("int8" in note for note in after.notes)
    assert not any("int8" in note for note in before.notes)
    figures = read_json(run / "onnx" / MODEL_JSON)[INT8]["comparison"]
    assert figures["clips"] > 0
    assert figures["held_out"]
    assert figures["least_cosine"] > LEAST_COSINE


def test_without_a_file_the_command_that_writes_it_is_named(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    assert_ok(moclip("export", folder, "--engine", "--quiet"))  # without --int8
    with pytest.raises(CheckpointError, match="--engine --int8"):
        Classifier.load(folder, engine="onnx-int8")
    assert_refused(moclip("export", folder, "--int8", "--out", tmp_path / "out"), "--engine")


def test_a_run_that_names_no_clips_is_not_sent_to_int8(run: Path, tmp_path: Path) -> None:
    """As runs of the hub: there is nothing to compare on, and export has no option to name it."""
    folder = RunFolder(shutil.copytree(run, tmp_path / "run"))
    description = read_json(folder.path / "onnx" / MODEL_JSON)
    write_model_json(folder.path / "onnx" / MODEL_JSON, {**description, INT8: {}})
    folder.config.write_text(portable(load_run_settings(folder.config)).to_yaml())
    with pytest.raises(CheckpointError, match=r"does not name: take --engine onnx$"):
        Classifier.load(folder.path, engine="onnx-int8")
    with pytest.raises(CheckpointError, match=r"leave --int8 out$"):
        export_int8(folder.path)


@pytest.mark.parametrize("there", [False, True])
def test_clips_that_are_generated_again_are_told(
    there: bool, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, root = Classifier.load(run, engine="onnx"), tmp_path / "clips"
    data = classifier.experiment.data.model_copy(update={"kind": "synthetic", "root": root})
    classifier.experiment = classifier.experiment.model_copy(update={"data": data})
    if there:
        root.mkdir()
    monkeypatch.setattr(compared, "Session", _without_space)  # nothing is generated
    told: list[str] = []
    reporter = Silent()
    monkeypatch.setattr(reporter, "say", told.append)
    with pytest.raises(OSError, match="No space left"):
        compared_clips(classifier, RunFolder(run), reporter)
    sentence = f"the clips of the run are gone: they are generated again in {root}"
    assert told == ([] if there else [sentence])


def test_few_validation_clips_leave_float32_and_say_so(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    loaded = Classifier.load(folder)
    assert loaded.engine.name == "onnx"
    assert re.search(r"float32: \d+ validation clips don't show .* 30 are needed", loaded.engine.why)
    assert_ok(moclip("export", folder, "--engine", "--quiet"))  # does not compare on so few
    assert "refused" in read_json(folder / "onnx" / MODEL_JSON)[INT8]
    assert Classifier.load(folder).engine.why == loaded.engine.why


def test_a_comparison_that_was_interrupted_is_made_by_the_next_run(
    run: Path, trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    path = folder / "onnx" / MODEL_JSON
    description = read_json(path)
    del description[INT8]
    write_model_json(path, description)
    words = ("run", folder, "--run-dir", folder, "--cache", trained.cache, "--set", "run.onnx=true")
    with monkeypatch.context() as patch:
        patch.setattr("moclip_lite.export.int8.consider_int8", _without_space)
        done = assert_ok(moclip(*words))
    assert "the image encoder stays in float32: " in done.err
    assert "PyTorch" not in done.err
    done = assert_ok(moclip(*words))
    assert "is finished" in done.err
    assert "refused" in read_json(path)[INT8]  # too few clips
    assert "float32" not in assert_ok(moclip(*words)).err


def _without_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_enough_clips_without_a_change_make_it_the_default(
    run: Path, trained: TrainedRun, tmp_path: Path
) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    _write_figures(folder, clips=30, held_out=True, changed=0, cpu_ms=10.0, cpu_ms_int8=4.0)
    loaded = Classifier.load(folder)
    assert loaded.engine.name == "onnx-int8"
    assert "on 30 validation clips all labels are those of float32" in loaded.engine.why
    clip = sorted(trained.data.rglob("*.mp4"))[0]
    assert loaded.explain(clip).engine == "onnx-int8"
    assert Classifier.load(folder, engine="onnx").engine.name == "onnx"
    done = assert_ok(moclip("predict", clip, "--model", folder))
    assert "engine: onnx-int8" in done.err
    assert "validation clips" not in done.err
    done = assert_ok(moclip("predict", clip, "--model", folder, "-v"))
    assert "computes in int8: on 30 validation clips" in done.err
    cost = measure_prediction(loaded, [clip], 1)
    assert cost is not None
    assert "engine onnx-int8" in cost.words
    assert "in int8: on 30 validation clips" in cost.words


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"clips": 29}, "29 validation clips don't show"),
        ({"held_out": False}, "no validation clips show"),
        ({"changed": 1}, "changes the label of 1 of 30"),
        ({"right_int8": 89.0}, "changes the label of 0 of 30"),
        ({"least_cosine": 0.98}, "changes features"),
        ({"cpu_ms_int8": 9.0}, "not faster"),
    ],
)
def test_what_speaks_against_it_is_said(
    run: Path, tmp_path: Path, change: dict[str, float], reason: str
) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    _write_figures(folder, **{"clips": 30, "held_out": True, "right": 90.0, "right_int8": 90.0} | change)
    loaded = Classifier.load(folder)
    assert loaded.engine.name == "onnx"
    assert reason in loaded.engine.why


def test_a_lost_file_in_int8_leaves_float32(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    _write_figures(folder, clips=30, held_out=True)
    path = folder / "onnx" / MODEL_JSON
    description = read_json(path)
    for key, reason in (("0" * 32, "is missing in the cache"), ("../../x", "is damaged")):
        write_model_json(path, {**description, INT8: {**description[INT8], "key": key}})
        loaded = Classifier.load(folder)
        assert loaded.engine.name == "onnx"
        assert reason in loaded.engine.why


@pytest.mark.parametrize("damage", [{"comparison": None}, {"comparison": {"clips": "many"}}, 7])
def test_damaged_figures_are_no_permission(run: Path, tmp_path: Path, damage: object) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    path = folder / "onnx" / MODEL_JSON
    description = read_json(path)
    entry = {**description[INT8], **damage} if isinstance(damage, dict) else damage
    write_model_json(path, {**description, INT8: entry})
    loaded = Classifier.load(folder, device="cpu")
    assert loaded.engine.name == "torch"
    assert "the figures of the encoder in int8" in loaded.engine_note


def _write_figures(folder: Path, **figures: float) -> None:
    path = folder / "onnx" / MODEL_JSON
    description = read_json(path)
    base = {"changed": 0, "right": 90.0, "right_int8": 90.0, "cpu_ms": 10.0, "cpu_ms_int8": 4.0}
    comparison = {**description[INT8]["comparison"], **base, **figures}
    write_model_json(path, {**description, INT8: {**description[INT8], "comparison": comparison}})


def test_another_label_is_refused_and_noted(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    scores = int8._scores

    def other_label(*args: object) -> object:
        before, after = scores(*args)  # type: ignore[arg-type]
        return before, after._replace(probabilities=np.roll(after.probabilities, 1))

    monkeypatch.setattr(int8, "_scores", other_label)
    with pytest.raises(MoclipError, match=r"changes the label of \d+ of \d+ clips.*--engine onnx"):
        export_int8(folder)
    assert "changes the label" in read_json(folder / "onnx" / MODEL_JSON)[INT8]["refused"]
    with pytest.raises(CheckpointError, match="changes the label"):
        Classifier.load(folder, engine="onnx-int8")


def test_clips_are_those_of_the_runs_own_division(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever divides now: the folder may have got clips since, and the program another version."""
    divided: list[object] = []
    monkeypatch.setattr(
        "moclip_lite.experiment.session.divide_by_seeds", lambda *given: divided.append(given)
    )
    clips = compared_clips(Classifier.load(run, device="cpu", engine="torch"), RunFolder(run), Silent())
    assert {clip.name for clip in clips.clips} == set(read_json(run / "division.json")["val"])
    assert not divided


def test_changes_on_unseen_clips_count_where_a_head_saw_them() -> None:
    """A head that was fitted to the clips is sure of them; the held-out scores are not, and the label turns."""
    features = np.ones((1, 4), np.float32)
    before = int8._Scores(features, np.array([0.98, 0.02], np.float32), 1.0)
    after = int8._Scores(features, np.array([0.90, 0.10], np.float32), 1.0)
    assert not int8._row(before, after, None, 0).changed
    row = int8._row(before, after, np.array([0.6, 0.4], np.float32), 0)
    assert (row.changed, row.right, row.right_int8) == (True, True, False)
    assert not int8._row(before, before, np.array([0.6, 0.4], np.float32), 0).changed


def test_test_clips_are_never_compared(run: Path) -> None:
    classifier = Classifier.load(run, engine="onnx")
    chosen = compared_clips(classifier, RunFolder(run), Silent())
    division = read_json(run / "division.json")
    assert chosen.clips
    assert {clip.name for clip in chosen.clips} <= set(division["val"])
    assert set(chosen.held_out) == set(division["val"])


def test_the_first_clips_of_a_comparison_are_of_all_classes(run: Path) -> None:
    """A comparison that takes long ends early."""
    classifier = Classifier.load(run, engine="onnx")
    chosen = compared_clips(classifier, RunFolder(run), Silent()).clips
    order = [clip.label for clip in chosen]
    assert len(order) > len(set(order)) > 2
    assert len(set(order[: len(set(order))])) == len(set(order))


def test_what_says_nothing_of_int8_is_not_kept(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """model.json is published with a run: it gets no path, and the next comparison may succeed."""
    folder = shutil.copytree(run, tmp_path / "run")
    before = (folder / "onnx" / MODEL_JSON).read_bytes()

    def refuse(*_: object) -> None:
        raise MoclipError(f"the cache folder {tmp_path} can't be used")

    monkeypatch.setattr(int8, "_compare", refuse)
    monkeypatch.setattr(int8, "MIN_CLIPS", 1)
    told: list[str] = []
    reporter = Silent()
    monkeypatch.setattr(reporter, "warn", told.append)
    int8.consider_int8(folder, reporter)
    assert "stays in float32" in told[0]
    assert (folder / "onnx" / MODEL_JSON).read_bytes() == before


def test_convolutions_are_refused(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 8, 3), nn.Flatten(), nn.Linear(128, 2)
    )
    path = tmp_path / "conv.onnx"
    export_network(network.eval(), [torch.rand(2, 3, 8, 8)], path, inputs=["x"], outputs=["y"])
    with pytest.raises(CheckpointError, match="convolutions"):
        int8._quantize(path, tmp_path / "int8.onnx")
