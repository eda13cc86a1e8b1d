"""The image encoder in int8: written where it answers as float32 does, said in each answer, refused elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from moclip_lite import Classifier
from moclip_lite.engine.files import DESCRIPTION, INT8
from moclip_lite.errors import CheckpointError, MoclipError
from moclip_lite.export import int8
from moclip_lite.export.int8 import export_int8
from moclip_lite.export.network import export_network
from moclip_lite.storage.files import read_json

from support.cli import TrainedRun, assert_ok, assert_refused, moclip

pytestmark = pytest.mark.usefixtures("quick_exports")


@pytest.fixture(scope="module")
def run(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an encoder in int8."""
    folder = tmp_path_factory.mktemp("int8") / "run"
    shutil.copytree(trained.folder, folder)
    if not (folder / "onnx" / DESCRIPTION).is_file():
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
    entry = read_json(run / "onnx" / DESCRIPTION)[INT8]
    assert entry["clips"] > 0
    assert entry["least_cosine"] > int8.LEAST_COSINE


def test_without_a_file_the_command_that_writes_it_is_named(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    assert_ok(moclip("export", folder, "--engine", "--quiet"))  # without --int8
    with pytest.raises(CheckpointError, match="--engine --int8"):
        Classifier.load(folder, engine="onnx-int8")
    assert_refused(moclip("export", folder, "--int8", "--out", tmp_path / "out"), "--engine")


def test_another_label_is_refused_and_nothing_is_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    description = read_json(folder / "onnx" / DESCRIPTION)
    scores = int8._scores

    def other_label(*args: object) -> object:
        before, (features, probabilities) = scores(*args)  # type: ignore[arg-type]
        return before, (features, np.roll(probabilities, 1))

    monkeypatch.setattr(int8, "_scores", other_label)
    with pytest.raises(MoclipError, match=r"changes the label of \d+ of \d+ clips.*--engine onnx"):
        export_int8(folder)
    assert read_json(folder / "onnx" / DESCRIPTION) == description


def test_convolutions_are_refused(tmp_path: Path) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 8, 3), nn.Flatten(), nn.Linear(128, 2)
    )
    path = tmp_path / "conv.onnx"
    export_network(network.eval(), [torch.rand(2, 3, 8, 8)], path, inputs=["x"], outputs=["y"])
    with pytest.raises(CheckpointError, match="convolutions"):
        int8._quantize(path, tmp_path / "int8.onnx")
