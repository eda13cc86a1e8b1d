"""ONNX files: they answer as PyTorch does, for any batch, or are not written."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from torch import Tensor, nn

from moclip_lite.engine.model_json import write_model_json
from moclip_lite.engine.pytorch import TorchEngine
from moclip_lite.errors import CheckpointError, ConfigError, MoclipError
from moclip_lite.export import OPSET, TOLERANCE, export_classifier, export_mobileviclip, export_network
from moclip_lite.export.install import refuse_engine_folder
from moclip_lite.export.modules import export_head
from moclip_lite.fusion import create_head, list_heads
from moclip_lite.mobileviclip import MobileViClipConfig
from moclip_lite.motion.scores import batch_motion_scores
from moclip_lite.motion.settings import ViewSettings
from moclip_lite.predict.classifier import Classifier

from support.cli import TrainedRun
from support.clips import H264, encode, panning
from support.mobileviclip import SMALL, TINY, clip_of, shaken
from support.paths import ROOT

pytestmark = pytest.mark.usefixtures("quick_exports")


def run(path: Path, **inputs: Tensor) -> list[np.ndarray]:  # type: ignore[type-arg]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})


@pytest.mark.parametrize("copied", [False, True])
def test_the_files_that_predict_uses_are_kept(copied: bool, tmp_path: Path) -> None:
    """Of a run without them, and of a copy of them elsewhere."""
    folder = tmp_path / ("copy" if copied else "run/onnx")
    folder.mkdir(parents=True)
    if copied:
        write_model_json(folder / "model.json", {"files": {"video.onnx": {}}, "made_from": {}})
        (folder / "video.onnx").write_bytes(b"mine")
    else:
        (tmp_path / "run" / "config.yaml").write_text("{}")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for export in (
        lambda: export_classifier(tmp_path / "run", folder),
        lambda: export_mobileviclip(shaken(TINY), folder),
    ):
        with pytest.raises(ConfigError, match="choose another folder with --out"):
            export()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    refuse_engine_folder(tmp_path / "run")
    refuse_engine_folder(tmp_path / "onnx")  # of no run


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
    stored = {p.key: p.value for p in onnx.load(tmp_path / "video.onnx").metadata_props}
    assert json.loads(stored["preprocessing"])["clip"]["size"] == config.image_size


EXAMPLE = ROOT / "docs" / "examples" / "predict_onnx.py"


def answer(folder: Path, clip: Path) -> list[tuple[str, float]]:
    """What the example of the documents says of a clip, in a process of its own."""
    code = f"import sys, runpy; sys.argv = ['x', {str(folder)!r}, {str(clip)!r}]; runpy.run_path({str(EXAMPLE)!r}); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [(label, float(score)) for label, score in rows]


@pytest.fixture(scope="module")
def exported(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    made = export_classifier(trained.folder, folder)
    names = {"motion.onnx", "pictures.onnx", "fusion.onnx", "appearance.onnx"}
    assert {e.path for e in made} == {folder / name for name in names}
    assert {path.name for path in folder.iterdir()} == {*names, "model.json"}
    return folder


def test_the_files_answer_as_predict_does(
    trained: TrainedRun, exported: Path, make_clip: Callable[..., Path]
) -> None:
    """From a clip to its label, by the example: clips of the data, one of another size, one without motion."""
    classifier = Classifier.load(trained.folder, device="cpu")
    clips = [sorted(trained.data.rglob("*.mp4"))[i] for i in (0, -1)]
    pixels = panning(12, 200, 120)
    clips += [
        encode(trained.folder.parent / "wide.mp4", pixels, **H264),
        make_clip("still.mp4", g="1", bf="0"),
    ]
    for clip in clips:
        wanted = classifier.explain(clip, top_k=5)
        assert (wanted.stream == "fusion") == (clip.name != "still.mp4")
        found = dict(answer(exported, clip))
        assert max(found, key=lambda label: found[label]) == wanted.ranking[0][0]
        assert found == pytest.approx(dict(wanted.ranking), abs=1e-4)


def test_the_example_crops_and_pools_as_predict_does(
    trained: TrainedRun, exported: Path, tmp_path: Path
) -> None:
    pixels = np.pad(panning(12, 160, 120), ((0, 0), (40, 40), (0, 0), (0, 0)))
    clip = encode(tmp_path / "bordered.mp4", pixels, **H264)
    folder = Path(shutil.copytree(exported, tmp_path / "onnx"))
    about = json.loads((folder / "model.json").read_text())
    plain = dict(answer(folder, clip))
    about["clip"] |= {"crop_borders": True, "pooling": "max", "frames": 2}
    (folder / "model.json").write_text(json.dumps(about))
    overrides = [f"clip.{name}={about['clip'][name]}" for name in ("crop_borders", "pooling", "frames")]
    wanted = Classifier.load(trained.folder, device="cpu", overrides=overrides).explain(clip, top_k=5)
    assert dict(answer(folder, clip)) == pytest.approx(dict(wanted.ranking), abs=1e-4)
    assert dict(wanted.ranking) != pytest.approx(plain, abs=1e-4)


def test_the_files_say_what_their_user_must_know(trained: TrainedRun, exported: Path) -> None:
    about = json.loads((exported / "model.json").read_text())
    assert about["difference_from_predict"] <= TOLERANCE
    assert any("RANDOM" in warning for warning in about["warnings"])
    for name in about["files"]:
        entries = {p.key: p.value for p in onnx.load(exported / name).metadata_props}
        stored = {key: json.loads(value) for key, value in entries.items() if key != "moclip_lite"}
        assert stored["labels"] == list(Classifier.load(trained.folder).labels)
        assert "softmax" in stored["scores"]
        assert stored["views"] == about["views"]
        assert stored["preprocessing"]["motion"]["grid"] == [12, 16]
    assert about["preprocessing"]["pictures"]["interpolation"] == "bicubic"
    assert about["preprocessing"]["pictures"]["frames"] == 1


@pytest.mark.parametrize(("segments", "crops", "flips"), [(0, 3, 1), (2, 5, 2), (9, 1, 2)])
def test_any_views_in_testing_stay_those_of_predict(
    trained: TrainedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    segments: int,
    crops: int,
    flips: int,
) -> None:
    """Fewer windows than are read, and all views: one pass of motion.onnx is what predict says, and the heads
    take its tokens."""
    monkeypatch.setattr("moclip_lite.export.classifier._export_pictures", lambda *_: [])
    config = trained.copy(tmp_path / "run") / "config.yaml"
    (config.parent / "appearance.safetensors").unlink()
    text = yaml.safe_load(config.read_text())
    text["test"] = {"segments": segments, "crops": crops, "flips": flips}
    config.write_text(yaml.safe_dump(text))
    export_classifier(tmp_path / "run", tmp_path / "onnx")
    classifier = Classifier.load(tmp_path / "run", device="cpu", engine="torch")
    networks = classifier.engine
    assert isinstance(networks, TorchEngine)
    assert networks.network is not None
    shape = classifier.experiment.motion.shape
    motion = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)).half()
    scores, tokens = run(tmp_path / "onnx" / "motion.onnx", motion=motion.float())
    views = ViewSettings(segments=segments, crops=crops, flips=flips)
    wanted, probabilities = batch_motion_scores(networks.network, motion.numpy(), views, torch.device("cpu"))
    assert tokens.shape[1] == (2 if segments == 2 else shape[0])  # a window is tested once at most
    np.testing.assert_allclose(tokens, wanted, atol=1e-4)
    np.testing.assert_allclose(torch.from_numpy(scores).softmax(1), probabilities, atol=1e-4)
    pictures = torch.randn(3, 1, len(classifier.heads["fusion"].appearance_norm.mean))
    with torch.inference_mode():
        expected = classifier.heads["fusion"](torch.from_numpy(wanted), pictures)
    answers = run(
        tmp_path / "onnx" / "fusion.onnx",
        motion_tokens=torch.from_numpy(tokens),
        appearance_features=pictures,
    )
    np.testing.assert_allclose(answers[0], expected, atol=1e-4)


def test_no_networks_of_another_export_stay(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without heads, into the folder of one that had them, and files that are none of an export."""
    monkeypatch.setattr("moclip_lite.export.classifier._export_pictures", lambda *_: [])
    folder = tmp_path / "onnx"
    run = trained.copy(tmp_path / "run")
    export_classifier(run, folder)
    assert json.loads((folder / "model.json").read_text())["answer"] == "fusion.onnx"
    (folder / "mine.onnx").write_bytes(b"mine")
    for stage in ("fusion", "appearance"):
        (run / f"{stage}.safetensors").unlink()
    export_classifier(run, folder)
    about = json.loads((folder / "model.json").read_text())
    assert about["answer"] == "motion.onnx"
    assert {path.name for path in folder.iterdir()} == {*about["files"], "model.json", "mine.onnx"}
    export_mobileviclip(shaken(TINY), folder)
    about = json.loads((folder / "model.json").read_text())
    assert {path.name for path in folder.iterdir()} == {*about["files"], "model.json", "mine.onnx"}


def test_no_file_says_where_it_was_written(trained: TrainedRun, tmp_path: Path) -> None:
    """Neither the settings nor the stack traces of PyTorch's exporter."""
    run = trained.copy(tmp_path / "run")
    values = yaml.safe_load((run / "config.yaml").read_text())
    values["motion"]["pretrained"] = values["clip"]["prompts"] = "/some/secret dir/alice/file"
    (run / "config.yaml").write_text(yaml.safe_dump(values))
    export_classifier(run, tmp_path / "onnx")
    for path in (tmp_path / "onnx").iterdir():
        content = path.read_bytes()
        for words in ("alice", "site-packages", str(ROOT), str(tmp_path)):
            assert words.encode() not in content, (path.name, words)


def test_files_that_do_not_fit_together_are_not_written(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is right, the chain is not: nothing is left behind."""
    monkeypatch.setattr("moclip_lite.export.classifier._export_pictures", lambda *_: [])
    monkeypatch.setattr(  # crops that the file does not have
        "moclip_lite.engine.pytorch.batch_motion_scores",
        lambda model, motion, _, device: batch_motion_scores(
            model, motion, ViewSettings(crops=5, flips=2), device
        ),
    )
    config = trained.copy(tmp_path / "run")
    for stage in ("fusion", "appearance"):
        (config / f"{stage}.safetensors").unlink()
    with pytest.raises(MoclipError, match="differ from predict"):
        export_classifier(tmp_path / "run", tmp_path / "onnx")
    assert list((tmp_path / "onnx").iterdir()) == []
    with pytest.raises(CheckpointError, match="not a run folder"):
        export_classifier(tmp_path, tmp_path / "x")


@pytest.mark.parametrize("name", list_heads())
def test_every_head_leaves_pytorch(name: str, tmp_path: Path) -> None:
    head = create_head(name, 6, 5, 4, hidden=16).eval()
    examples = [torch.randn(2, 3, 6), torch.randn(2, 2, 5)]
    head.calibrate(*examples, torch.tensor([0, 1]))
    names = {"inputs": ["motion_tokens", "appearance_features"], "outputs": ["scores"]}
    made = export_network(
        export_head(head), examples, tmp_path / "h.onnx", counted=["tokens", "frames"], **names
    )
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
    with pytest.raises(MoclipError, match=r"pip install 'moclip-lite\[train\]'"):
        export_network(nn.Identity(), [torch.ones(2, 3)], tmp_path / "x.onnx", inputs=["x"], outputs=["y"])
