"""CLIP weights by file: activation and preprocessing are those of the tag that they are of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import open_clip.factory
import open_clip.pretrained
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors.torch import load_file, save_file
from torch import nn

from moclip_lite.appearance.create import make_encoder
from moclip_lite.appearance.encoder import LazyEncoder
from moclip_lite.appearance.open_clip import OpenClipEncoder
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.appearance.weights import tag_config
from moclip_lite.errors import CheckpointError, ConfigError, WeightsUnavailable
from moclip_lite.experiment.config import load_experiment
from moclip_lite.storage.cache import FeatureCache

from support.cli import SMALL_CLIP as TINY
from support.cli import moclip

PICTURES = np.random.default_rng(0).integers(0, 255, (2, 60, 80, 3), dtype=np.uint8)
PLAIN, QUICK = "laion2b_s34b_b79k", "openai"


class _Stub(nn.Module):
    """Stands for a CLIP: keeps what it was built with."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        config.pop("cast_dtype", None)
        self.config = config
        self.visual = nn.Module()
        self.visual.image_size = config["vision_cfg"].get("image_size", 224)


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """open_clip builds stubs of its models and finds the weights of each tag in one file."""
    for name in ("CLIP", "CustomTextCLIP", "CoCa"):
        monkeypatch.setattr(open_clip.factory, name, _Stub)
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    monkeypatch.setattr(open_clip.factory, "load_checkpoint", lambda *rest, **more: None)
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *rest, **more: str(path))
    monkeypatch.setattr("moclip_lite.appearance.open_clip.find_spec", lambda name: True)
    return path


def test_a_file_of_any_tag_is_used_as_the_tag_is(stubs: Path) -> None:
    tags = open_clip.list_pretrained()
    assert len(tags) > 100
    for model, tag in tags:
        by_tag, by_file = OpenClipEncoder(model, tag), OpenClipEncoder(model, str(stubs), weights_of=tag)
        assert by_file.configuration == by_tag.configuration, (model, tag)
        assert by_file._net.config == by_tag._net.config, (model, tag)
        assert by_file.weights_digest == by_tag.weights_digest
        published = open_clip.get_pretrained_cfg(model, tag)
        for name in ("mean", "std", "interpolation", "resize_mode"):
            value = published[name]
            assert by_file.configuration[name] == (list(value) if isinstance(value, tuple) else value)
        if published.get("quick_gelu"):
            assert by_file._net.config["quick_gelu"], (model, tag)


def test_tags_hold_nothing_that_is_left_out() -> None:
    """A new key in open_clip's configurations needs a place in ours."""
    used = {"url", "hf_hub", "mean", "std", "interpolation", "resize_mode", "quick_gelu"}
    for model, tag in open_clip.list_pretrained():
        assert set(open_clip.get_pretrained_cfg(model, tag)) <= used


def test_a_file_that_says_nothing_is_used_where_all_tags_agree_and_else_the_tags_are_listed(
    stubs: Path,
) -> None:
    refused = set()
    for model in {model for model, _ in open_clip.list_pretrained()}:
        tags = open_clip.list_pretrained_tags_by_model(model)
        ways = {tag_config(model, tag) for tag in tags}
        if len(ways) == 1:
            assert OpenClipEncoder(model, str(stubs)).configuration == (
                OpenClipEncoder(model, tags[0]).configuration
            )
            continue
        refused.add(model)
        with pytest.raises(ConfigError, match=r"--weights-of.*clip\.weights_of") as caught:
            OpenClipEncoder(model, str(stubs))
        assert all(tag in str(caught.value) for tag in tags)
    assert {"ViT-B-32", "ViT-B-16", "ViT-L-14"} <= refused


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """ViT-B-32 with its tags, made small."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", TINY)


@pytest.fixture
def weights(tiny: None, tmp_path: Path) -> Path:
    torch.manual_seed(1)
    model = open_clip.create_model("ViT-B-32", pretrained=None)
    path = tmp_path / "weights.safetensors"
    save_file({name: 3 * value for name, value in model.state_dict().items()}, path)
    return path


def _reference(path: Path, quick: bool) -> np.ndarray[Any, Any]:
    model = open_clip.create_model("ViT-B-32", pretrained=str(path), force_quick_gelu=quick)
    model.eval().requires_grad_(False)
    transform = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    from PIL import Image

    with torch.inference_mode():
        batch = torch.stack([transform(Image.fromarray(picture)) for picture in PICTURES])
        return np.asarray(model.encode_image(batch).numpy())


@pytest.mark.parametrize(("tag", "quick"), [(QUICK, True), (PLAIN, False)])
def test_features_of_a_file_have_the_activation_of_its_tag(weights: Path, tag: str, quick: bool) -> None:
    experiment = load_experiment(
        None, ["clip.model=ViT-B-32", f"clip.pretrained='{weights}'", f"clip.weights_of={tag}"]
    )
    encoder = make_encoder(experiment.clip, experiment.run.seed, torch.device("cpu"))
    np.testing.assert_array_equal(encoder.encode_images(PICTURES), _reference(weights, quick))
    assert np.abs(_reference(weights, quick) - _reference(weights, not quick)).max() > 1e-3
    assert encoder.configuration["quick_gelu"] is quick
    assert ("QuickGELU" in encoder.describe()) is quick


def test_the_tag_itself_has_its_activation(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip 3 only warns of it."""
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *rest, **more: str(weights))
    for tag, quick in ((QUICK, True), (PLAIN, False)):
        encoder = OpenClipEncoder("ViT-B-32", tag)
        np.testing.assert_array_equal(encoder.encode_images(PICTURES), _reference(weights, quick))


def test_the_configuration_is_part_of_what_keys_carry(weights: Path, tmp_path: Path) -> None:
    encoders = {tag: OpenClipEncoder("ViT-B-32", str(weights), weights_of=tag) for tag in (QUICK, PLAIN)}
    assert encoders[QUICK].weights_digest != encoders[PLAIN].weights_digest
    cache = FeatureCache(tmp_path / "cache")

    def digest(tag: str) -> str:
        settings = AppearanceSettings(model="ViT-B-32", pretrained=str(weights), weights_of=tag)
        return LazyEncoder(settings, 0, cache, lambda: encoders[tag]).digest

    assert [digest(QUICK), digest(PLAIN)] == [encoders[tag].weights_digest for tag in (QUICK, PLAIN)]


@pytest.mark.parametrize("tag", [QUICK, PLAIN])
def test_a_converted_file_says_how_it_was_trained(weights: Path, tmp_path: Path, tag: str) -> None:
    out = tmp_path / "converted.safetensors"
    done = moclip("convert", weights, "--model", "ViT-B-32", "--weights-of", tag, "--out", out, "--json")
    assert done.code == 0, done.err
    assert done.json["configuration"]["quick_gelu"] is (tag == QUICK)
    named = OpenClipEncoder("ViT-B-32", str(weights), weights_of=tag)
    alone = OpenClipEncoder("ViT-B-32", str(out))
    assert alone.configuration == named.configuration
    assert alone.weights_digest == named.weights_digest
    np.testing.assert_array_equal(alone.encode_images(PICTURES), named.encode_images(PICTURES))
    other = PLAIN if tag == QUICK else QUICK
    with pytest.raises(CheckpointError, match=rf"converted\.safetensors is not of {other}"):
        OpenClipEncoder("ViT-B-32", str(out), weights_of=other)
    with pytest.raises(CheckpointError, match="holds ViT-B-32, asked for is ViT-S-32"):
        OpenClipEncoder("ViT-S-32", str(out))


@pytest.mark.parametrize("header", ["{", "[]", "{}", '{"model": "ViT-B-32", "config": {"mean": 1}}'])
def test_a_damaged_header_is_refused(weights: Path, header: str) -> None:
    save_file(load_file(weights), weights, {"moclip.clip": header})
    with pytest.raises(CheckpointError):
        OpenClipEncoder("ViT-B-32", str(weights))


def _publish(monkeypatch: pytest.MonkeyPatch, tag: str, url: str) -> None:
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["ViT-B-32"][tag], "url", url)


def test_a_file_is_known_by_its_published_digest(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.pt"
    torch.save(load_file(weights), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ConfigError, match="--weights-of"):
        OpenClipEncoder("ViT-B-32", str(path))
    _publish(monkeypatch, "laion400m_e31", f"https://github.com/mlfoundations/open_clip/x-{digest[:8]}.pt")
    encoder = OpenClipEncoder("ViT-B-32", str(path))
    assert encoder.configuration["quick_gelu"]
    assert "laion400m_e31" in encoder.describe()
    with pytest.raises(CheckpointError, match=PLAIN):
        OpenClipEncoder("ViT-B-32", str(path), weights_of=PLAIN)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")  # the archive is made here by TorchScript
def test_openai_s_own_archive_is_opened_by_its_whole_digest_only(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ViT-B-32.pt"
    holder = nn.Module()
    for name, value in load_file(weights).items():
        place = holder
        *parents, last = name.split(".")
        for parent in parents:
            if not hasattr(place, parent):
                place.add_module(parent, nn.Module())
            place = getattr(place, parent)
        place.register_buffer(last, value)
    torch.jit.script(holder).save(str(path))
    with pytest.raises(CheckpointError, match="more than tensors"):
        OpenClipEncoder("ViT-B-32", str(path), weights_of=QUICK)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    _publish(monkeypatch, QUICK, f"https://openaipublic.azureedge.net/clip/models/{digest}/ViT-B-32.pt")
    encoder = OpenClipEncoder("ViT-B-32", str(path))
    np.testing.assert_array_equal(encoder.encode_images(PICTURES), _reference(weights, True))


@pytest.mark.parametrize("quick", [True, False])
def test_the_publisher_s_json_file_beside_the_weights_is_read(weights: Path, quick: bool) -> None:
    path = weights.with_name("open_clip_model.safetensors")
    weights.rename(path)
    values = {
        "model_cfg": {"quick_gelu": quick},
        "preprocess_cfg": {"mean": [0, 0, 0], "resize_mode": "squash"},
    }
    (path.parent / "open_clip_config.json").write_text(json.dumps(values))
    configuration = OpenClipEncoder("ViT-B-32", str(path)).configuration
    assert configuration["quick_gelu"] is quick
    assert (configuration["mean"], configuration["resize_mode"], configuration["interpolation"]) == (
        [0, 0, 0],
        "squash",
        "bicubic",
    )
    (path.parent / "open_clip_config.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"open_clip_config\.json"):
        OpenClipEncoder("ViT-B-32", str(path))


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["clip.pretrained=none", "clip.weights_of=openai"], "random weights"),
        (["clip.pretrained=openai", "clip.weights_of=openai"], "a tag itself"),
        (["clip.pretrained={file}", "clip.weights_of=openia"], "did you mean openai"),
        (["clip.model=ViT-S-32", "clip.pretrained={file}", "clip.weights_of=openai"], "no pretrained tags"),
        (["clip.model=mobileviclip-tiny", "clip.weights_of=openai"], "mobileviclip-tiny has none"),
    ],
)
def test_a_tag_that_says_nothing_is_refused(stubs: Path, sets: list[str], words: str) -> None:
    chosen = load_experiment(None, [text.replace("{file}", f"'{stubs}'") for text in sets])
    with pytest.raises(ConfigError, match=words):
        make_encoder(chosen.clip, chosen.run.seed, torch.device("cpu"))


def test_the_command_line_asks_for_the_tag(weights: Path, make_clip: Callable[..., Path]) -> None:
    words = ["zero-shot", make_clip(), "--labels", "a,b", "--pretrained", weights, "--quiet", "--json"]
    asked = moclip(*words)
    assert asked.code == 2
    assert "--weights-of" in asked.err
    assert moclip(*words, "--weights-of", QUICK).code == 0


@pytest.mark.parametrize("model", ["roberta-ViT-B-32", "xlm-roberta-base-ViT-B-32", "nllb-clip-base"])
def test_text_towers_of_transformers_say_what_to_install(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("moclip_lite.appearance.open_clip.find_spec", lambda name: None)
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    for pretrained in ("none", open_clip.list_pretrained_tags_by_model(model)[0], str(path)):
        with pytest.raises(WeightsUnavailable, match="pip install transformers"):
            OpenClipEncoder(model, pretrained)


def test_tokenizers_of_transformers_are_asked_for_by_sentences_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {**TINY, "text_cfg": {**TINY["text_cfg"], "hf_tokenizer_name": "timm/ViT-B-16-SigLIP"}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-16-SigLIP", small)
    monkeypatch.setattr("moclip_lite.appearance.open_clip.find_spec", lambda name: None)
    encoder = OpenClipEncoder("ViT-B-16-SigLIP", "none")
    assert encoder.encode_images(PICTURES).shape == (2, encoder.dim)
    with pytest.raises(WeightsUnavailable, match="pip install transformers"):
        encoder.encode_text(["a"])


def test_models_of_transformers_work_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {**TINY, "text_cfg": {**TINY["text_cfg"], "hf_tokenizer_name": "timm/ViT-B-16-SigLIP"}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-16-SigLIP", small)
    monkeypatch.setattr("moclip_lite.appearance.open_clip.find_spec", lambda name: True)
    asked = []

    def tokenizer(name: str, **more: Any) -> Any:
        asked.append((name, more["context_length"]))
        return lambda texts, context_length=77: torch.zeros(len(texts), context_length, dtype=torch.int64)

    monkeypatch.setattr(open_clip.factory, "HFTokenizer", tokenizer)
    encoder = OpenClipEncoder("ViT-B-16-SigLIP", "none")
    assert encoder.encode_text(["a", "b"]).shape == (2, 16)
    assert asked == [("timm/ViT-B-16-SigLIP", 77)]
