"""ONNX files: they answer as PyTorch does, for any batch, or are not written."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from cli_fixtures import TrainedRun
from mobileviclip_fixtures import SMALL, TINY, clip_of, shaken
from torch import Tensor, nn

from moclip_lite.errors import CheckpointError, MoclipError
from moclip_lite.export import OPSET, TOLERANCE, export_classifier, export_mobileviclip, export_network
from moclip_lite.features import Views, batch_motion_scores
from moclip_lite.fusion import CONTROLS, create_head, list_heads
from moclip_lite.mobileviclip import MobileViClipConfig
from moclip_lite.predict import Classifier

pytest_plugins = ["cli_fixtures"]


def run(path: Path, **inputs: Tensor) -> list[np.ndarray]:  # type: ignore[type-arg]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})


@pytest.mark.parametrize("config", [TINY, dataclasses.replace(SMALL, dims=(16, 16, 32, 32))])
def test_both_towers(tmp_path: Path, config: MobileViClipConfig) -> None:
    model = shaken(config)
    made = export_mobileviclip(model, tmp_path)
    assert [e.path.name for e in made] == ["video.onnx", "text.onnx"]
    assert all(e.difference <= TOLERANCE == 1e-4 for e in made)
    clips, tokens = clip_of(config, count=3, seed=7), model.tokenize(["a", "person juggling", "x y z"])
    with torch.inference_mode():
        video, text = model.encode_video(clips, normalize=True), model.encode_text(tokens, normalize=True)
    np.testing.assert_allclose(run(tmp_path / "video.onnx", clip=clips)[0], video, atol=1e-4)
    np.testing.assert_allclose(run(tmp_path / "text.onnx", tokens=tokens)[0], text, atol=1e-4)
    for file in ("video.onnx", "text.onnx"):
        stored = onnx.load(tmp_path / file)
        assert {entry.version for entry in stored.opset_import if not entry.domain} == {OPSET}
        operations = {node.op_type for node in stored.graph.node}
        assert "Gelu" in operations
        assert "Erf" not in operations  # a GELU in five passes over memory is slower than PyTorch's
    about = json.loads((tmp_path / "model.json").read_text())
    assert about["opset"] == OPSET
    assert about["weights"] == "random"


def test_a_whole_classifier(trained: TrainedRun, tmp_path: Path) -> None:
    made = export_classifier(trained.folder, tmp_path)
    assert {e.path.name for e in made} == {"motion.onnx", "fusion.onnx", "appearance.onnx"}
    classifier = Classifier.load(trained.folder, device="cpu")
    assert classifier.motion is not None
    shape = classifier.experiment.motion.spec().shape
    motion = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    scores, tokens = run(tmp_path / "motion.onnx", motion=motion)
    wanted, probabilities = batch_motion_scores(
        classifier.motion, motion.numpy(), Views(0, 1, 1), torch.device("cpu")
    )
    np.testing.assert_allclose(tokens, wanted, atol=1e-4)
    np.testing.assert_allclose(torch.from_numpy(scores).softmax(1), probabilities, atol=1e-4)
    for stage, head in classifier.heads.items():
        pictures = torch.randn(3, classifier.experiment.clip.frames, len(head.appearance_norm.mean))
        with torch.inference_mode():
            expected = head(torch.from_numpy(tokens), pictures)
        answer = run(
            tmp_path / f"{stage}.onnx", motion_tokens=torch.from_numpy(tokens), appearance_features=pictures
        )
        np.testing.assert_allclose(answer[0], expected, atol=1e-4)
    assert json.loads((tmp_path / "model.json").read_text())["labels"] == list(classifier.labels)
    with pytest.raises(CheckpointError, match="not a run folder"):
        export_classifier(tmp_path, tmp_path / "x")


@pytest.mark.parametrize("name", sorted(set(list_heads()) - set(CONTROLS)))
def test_every_head_leaves_pytorch(name: str, tmp_path: Path) -> None:
    head = create_head(name, 6, 5, 4, hidden=16).eval()
    examples = [torch.randn(2, 3, 6), torch.randn(2, 2, 5)]
    head.calibrate(*examples, torch.tensor([0, 1]))
    made = export_network(head, examples, tmp_path / "h.onnx", inputs=["m", "a"], outputs=["scores"])
    assert made.difference <= 1e-4


class _Unlike(nn.Module):
    """Another function when it is exported."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x if torch.compiler.is_exporting() else x


def test_what_differs_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(MoclipError, match="not written"):
        export_network(_Unlike(), [torch.ones(2, 3)], tmp_path / "x.onnx", inputs=["x"], outputs=["y"])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(tmp_path: Path, hide_package: Callable[[str], None]) -> None:
    hide_package("onnxruntime")
    with pytest.raises(MoclipError, match=r"moclip-lite\[export\]"):
        export_network(nn.Identity(), [torch.ones(2, 3)], tmp_path / "x.onnx", inputs=["x"], outputs=["y"])
