"""The frozen CLIP: weights by file, refusals, prompts."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from moclip_lite.appearance.open_clip import OpenClipEncoder, _require_same
from moclip_lite.datasets.prompts import Prompts, read_prompts, readable
from moclip_lite.errors import CheckpointError, ConfigError, WeightsUnavailable

MODEL = "ViT-S-32"
PICTURES = np.random.default_rng(0).integers(0, 255, (2, 60, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def random_encoder() -> OpenClipEncoder:
    return OpenClipEncoder(MODEL, "none", seed=3)


def test_random_weights_are_seeded_and_leave_the_generator_alone(random_encoder: OpenClipEncoder) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    again, other = OpenClipEncoder(MODEL, "none", seed=3), OpenClipEncoder(MODEL, "none", seed=4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert again.weights_digest == random_encoder.weights_digest != other.weights_digest
    np.testing.assert_array_equal(again.encode_images(PICTURES), random_encoder.encode_images(PICTURES))
    assert random_encoder.random
    assert "random weights" in random_encoder.describe()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_local_checkpoint_gives_its_features(
    random_encoder: OpenClipEncoder, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"clip{suffix}"
    state = {name: value.clone() for name, value in random_encoder._net.state_dict().items()}
    if suffix == ".pt":
        torch.save(state, path)
    else:
        save_file(state, path)
    loaded = OpenClipEncoder(MODEL, str(path))
    np.testing.assert_array_equal(loaded.encode_images(PICTURES), random_encoder.encode_images(PICTURES))
    assert loaded.weights_digest == random_encoder.weights_digest
    assert not loaded.random


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["pickle", "cut", "other model", "missing", "text"])
def test_checkpoints_that_do_not_fit_are_refused(
    random_encoder: OpenClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("clip.pt" if kind in ("pickle", "text") else "clip.safetensors")
    state = {name: value.clone() for name, value in random_encoder._net.state_dict().items()}
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": _Harmful()}))
    elif kind == "cut":
        save_file(state, path)
        path.write_bytes(path.read_bytes()[:100_000])
    elif kind == "other model":
        save_file({name: value for name, value in state.items() if "visual" not in name}, path)
    elif kind == "text":
        path.write_text("weights")
    with pytest.raises(CheckpointError, match=r"clip\.(pt|safetensors)") as caught:
        OpenClipEncoder(MODEL, str(path))
    assert "weights_only" not in str(caught.value)  # PyTorch's advice to run the code of a pickle
    assert not (tmp_path / "ran").exists()


LAYOUTS = {
    "half": lambda state: {key: value.half() for key, value in state.items()},
    "training": lambda state: {
        "epoch": 3,
        "state_dict": {f"module.{key}": value for key, value in state.items()},
    },
    "temperature of one axis": lambda state: {**state, "logit_scale": state["logit_scale"].reshape(1)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_layouts_are_loaded(random_encoder: OpenClipEncoder, tmp_path: Path, layout: str) -> None:
    torch.save(LAYOUTS[layout](random_encoder._net.state_dict()), tmp_path / "clip.pt")
    loaded = OpenClipEncoder(MODEL, str(tmp_path / "clip.pt"))
    expected = random_encoder.encode_images(PICTURES)
    np.testing.assert_allclose(loaded.encode_images(PICTURES), expected, atol=0.02 * np.abs(expected).max())


def test_negative_variances_are_refused(tmp_path: Path) -> None:
    """CLIPs of convolutions have norms of batches."""
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
    state = {**net.state_dict(), "0.running_var": torch.tensor([1.0, -1.0])}
    torch.save(state, tmp_path / "clip.pt")
    net.load_state_dict(state)
    with pytest.raises(CheckpointError, match=r"'0\.running_var' holds negative variances"):
        _require_same(tmp_path / "clip.pt", "RN50", net)


CHANGED = {
    "not finite": ("visual.conv1.weight", lambda value: value * float("nan"), "not finite"),
    "text not finite": ("token_embedding.weight", lambda value: value * float("nan"), "not finite"),
    "whole numbers": ("visual.conv1.weight", lambda value: value.to(torch.int8), "torch.int8"),
    "positions": ("visual.positional_embedding", lambda value: torch.cat([value, value[1:16]]), "shape"),
    "text positions": ("positional_embedding", lambda value: value[:50], r"\(50, "),
    "unexpected": ("visual.other", lambda value: torch.zeros(2), "visual.other"),
    "missing": ("visual.proj", lambda value: None, "visual.proj"),
}


@pytest.mark.parametrize("kind", CHANGED)
def test_weights_are_not_changed_to_fit(random_encoder: OpenClipEncoder, tmp_path: Path, kind: str) -> None:
    """open_clip resizes position embeddings, and takes integers and what is not finite."""
    name, change, words = CHANGED[kind]
    state = {key: value.clone() for key, value in random_encoder._net.state_dict().items()}
    state[name] = change(state.get(name))
    torch.save({f"module.{k}": v for k, v in state.items() if v is not None}, tmp_path / "clip.pt")
    with pytest.raises(CheckpointError, match=words):
        OpenClipEncoder(MODEL, str(tmp_path / "clip.pt"))


def test_unknown_models_and_tags_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="ViT-B-32"):
        OpenClipEncoder("ViT-B32", "openai")
    with pytest.raises(ConfigError, match="openai"):
        OpenClipEncoder("ViT-B-32", "openia")


def test_weights_that_cannot_be_had_are_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match="--pretrained none"):
        OpenClipEncoder("ViT-B-32", "laion2b_s34b_b79k")


def test_class_vectors_are_means_over_sentences(random_encoder: OpenClipEncoder) -> None:
    prompts = Prompts(("a photo of {}.", "{} in a video"), {"Dive": ("diving", "a dive")})
    (vector,) = random_encoder.class_vectors(["Dive"], prompts)
    rows = random_encoder.encode_text(
        ["a photo of diving.", "diving in a video", "a photo of a dive.", "a dive in a video"]
    )
    np.testing.assert_allclose(vector, rows.mean(0) / np.linalg.norm(rows.mean(0)), atol=1e-5)


def test_sentences_that_are_too_long_are_named_once_a_label(
    random_encoder: OpenClipEncoder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("moclip"), "propagate", True)
    prompts = Prompts(("a photo of {}.", "{}"), {"long": ("word " * 90,)})
    with caplog.at_level(logging.WARNING, "moclip.text"):
        random_encoder.class_vectors(["Dive", "long"], prompts)
        random_encoder.encode_text(["word " * 75])
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "the text 'a photo of word word word word word word'... and 1 more has"
    )
    assert "77 tokens that " in record.getMessage()
    with caplog.at_level(logging.WARNING, "moclip.text"):
        random_encoder.encode_text(["word " * 76])
    assert len(caplog.records) == 2


def test_prompt_files(tmp_path: Path) -> None:
    assert readable("ApplyEyeMakeup") == readable("apply_eye-makeup") == "apply eye makeup"
    path = tmp_path / "p.yaml"
    path.write_text("templates: ['a {} b']\nclasses: {X: [one, two]}\n")
    assert read_prompts(path).sentences("X") == ["a one b", "a two b"]
    assert read_prompts(path).sentences("YoYo") == ["a yo yo b"]
    for text in ("templates: [no place]", "classes: [a]", "wrong: 1", "a: [b"):
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"p\.yaml"):
            read_prompts(path)
