"""Image networks of timm and torchvision as encoders: every source by every kind of weights; files that do not fit."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from moclip_lite.appearance.backbones.encoder import BackboneEncoder
from moclip_lite.appearance.backbones.key_maps import efficientnet_of_tensorflow
from moclip_lite.appearance.backbones.timm_library import TimmLibrary
from moclip_lite.appearance.backbones.torchvision_library import TorchvisionLibrary
from moclip_lite.appearance.create import make_encoder
from moclip_lite.appearance.encoder import AppearanceEncoder, LazyEncoder
from moclip_lite.appearance.frames import ClipFrames
from moclip_lite.appearance.keep import keep_features
from moclip_lite.appearance.pooling import FrameFacts
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.errors import CheckpointError, ConfigError, WeightsUnavailable
from moclip_lite.experiment.config import load_experiment
from moclip_lite.storage.cache import FeatureCache

PICTURES = np.random.default_rng(0).integers(0, 255, (2, 60, 80, 3), dtype=np.uint8)
CPU = torch.device("cpu")
# A classifier behind pooling, behind a hidden layer, and a convolution; transformers with position embeddings.
MODELS = (
    "timm:test_resnet",
    "timm:test_efficientnet",
    "timm:test_convnext",
    "timm:test_vit",
    "torchvision:squeezenet1_1",
    "torchvision:mobilenet_v3_small",
    "torchvision:shufflenet_v2_x0_5",
)
State = dict[str, Tensor]
STEM = "conv1.0.weight"  # of test_resnet


def encoder(model: str, pretrained: str | Path, **more: Any) -> BackboneEncoder:
    built = make_encoder(AppearanceSettings(model=model, pretrained=str(pretrained), **more), 3, CPU)
    assert isinstance(built, BackboneEncoder)
    return built


def whole(model: str) -> nn.Module:
    """The network with its classifier, of other random weights than any encoder's."""
    library, _, name = model.partition(":")
    torch.manual_seed(11)
    if library == "timm":
        return timm.create_model(name)
    import torchvision

    return torchvision.models.get_model(name, weights=None)


def tag_of(model: str) -> str:
    library, _, name = model.partition(":")
    tag = (TimmLibrary() if library == "timm" else TorchvisionLibrary()).default_tag(name)
    assert tag
    return tag


@pytest.mark.parametrize("model", MODELS)
def test_random_weights_are_seeded_and_said(model: str) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same = encoder(model, "none"), encoder(model, "none")
    assert torch.equal(before, torch.random.get_rng_state())
    assert one.weights_digest == same.weights_digest
    other = make_encoder(AppearanceSettings(model=model, pretrained="none"), 4, CPU)
    assert other.weights_digest != one.weights_digest
    features = one.encode_images(PICTURES)
    assert features.shape == (2, one.dim)
    np.testing.assert_array_equal(features, same.encode_images(PICTURES))
    assert one.random
    assert "random weights" in one.describe()
    assert not one.has_text
    with pytest.raises(ConfigError, match="no text encoder"):
        one.encode_text(["a person"])


WRAPPINGS: dict[str, Callable[[State], Any]] = {
    "plain": lambda state: state,
    "Lightning": lambda state: {"epoch": 3, "state_dict": {f"model.{k}": v for k, v in state.items()}},
    "DistributedDataParallel": lambda state: {"model": {f"module.{k}": v for k, v in state.items()}},
    "MMPretrain": lambda state: {
        "meta": {"epoch": 1},
        "state_dict": {f"backbone.{k}": v for k, v in state.items()} | {"neck.weight": torch.zeros(2)},
    },
    "half precision": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
    "before counters": lambda state: {k: v for k, v in state.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("model", MODELS)
def test_files_give_the_features_before_the_classifier(model: str, tmp_path: Path) -> None:
    network = whole(model).eval()
    tag = tag_of(model)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    safe, torch_file = tmp_path / "w.safetensors", tmp_path / "w.pth"
    save_file(state, safe)
    torch.save(state, torch_file)
    by_safe, by_torch = encoder(model, safe, weights_of=tag), encoder(model, torch_file, weights_of=tag)
    features = by_safe.encode_images(PICTURES)
    np.testing.assert_array_equal(features, by_torch.encode_images(PICTURES))
    assert by_safe.weights_digest == by_torch.weights_digest != encoder(model, "none").weights_digest
    assert not by_safe.random
    assert tag in by_safe.describe()
    # The classifier of the whole network on these features gives its scores.
    library, _, name = model.partition(":")
    prefix = (TimmLibrary() if library == "timm" else TorchvisionLibrary()).classifier(name)[0]
    last: Any = network.get_submodule(prefix.removesuffix("."))
    if isinstance(last, nn.Linear):
        with torch.inference_mode():
            expected = network(by_safe.prepare(PICTURES))
            torch.testing.assert_close(last(torch.from_numpy(features)), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapped_checkpoints_are_unwrapped(wrapping: str, tmp_path: Path) -> None:
    model = "timm:test_resnet"
    state = whole(model).state_dict()
    torch.save(state, tmp_path / "plain.pth")
    torch.save(WRAPPINGS[wrapping](dict(state)), tmp_path / "wrapped.pth")
    plain, wrapped = encoder(model, tmp_path / "plain.pth"), encoder(model, tmp_path / "wrapped.pth")
    tolerance = 2e-2 if wrapping == "half precision" else 0
    np.testing.assert_allclose(
        wrapped.encode_images(PICTURES), plain.encode_images(PICTURES), atol=tolerance, rtol=tolerance
    )
    if wrapping == "MMPretrain":
        assert "neck.weight" in wrapped.describe()


@pytest.mark.parametrize(
    ("used", "beside"),
    [
        ("encoder_q", "encoder_k"),
        ("base_encoder", "momentum_encoder"),
        ("online_encoder", "target_encoder"),
        ("teacher", "student"),
    ],
)
def test_of_two_networks_the_one_that_is_used_is_taken(used: str, beside: str, tmp_path: Path) -> None:
    """Of MoCo, BYOL and DINO, whose files hold a moving average beside the network, or the network beside it."""
    model = "timm:test_resnet"
    state = whole(model).state_dict()
    torch.save(state, tmp_path / "plain.pth")
    both = {f"module.{used}.{k}": v for k, v in state.items()}
    both |= {f"module.{beside}.{k}": v + 1 for k, v in state.items()}
    torch.save({"state_dict": both}, tmp_path / "both.pth")
    loaded = encoder(model, tmp_path / "both.pth")
    plain = encoder(model, tmp_path / "plain.pth")
    np.testing.assert_array_equal(loaded.encode_images(PICTURES), plain.encode_images(PICTURES))
    assert f"module.{used}." in loaded.describe()


def test_features_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    """Each weight is finite; their products are not."""
    model = "timm:test_resnet"
    state = {k: v * 1e30 if v.ndim == 4 else v for k, v in whole(model).state_dict().items()}
    torch.save(state, tmp_path / "large.pth")
    large, cache = encoder(model, tmp_path / "large.pth"), FeatureCache(tmp_path / "cache")
    frames = ClipFrames(PICTURES, FrameFacts.even(2))
    with pytest.raises(CheckpointError, match=r"large\.pth gives features that are not finite numbers"):
        keep_features(cache, "0" * 32, large, large.prepare(PICTURES), frames)
    assert cache.get("clip", "0" * 32) is None


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


def _changed(state: State, **changes: Any) -> State:
    return state | changes


HOSTILE: dict[str, tuple[Callable[[State], Any], str]] = {
    "pickle": (lambda state: _Harmful(), "more than tensors"),
    "pickle among tensors": (lambda state: {**state, "extra": _Harmful()}, "more than tensors"),
    "list": (lambda state: [1, 2], "no tensors by name"),
    "numbers": (lambda state: {"epoch": 1, "loss": 0.5}, "no tensors by name"),
    "missing": (lambda state: {k: v for k, v in state.items() if k != STEM}, STEM),
    "unexpected": (lambda state: _changed(state, **{"conv9.weight": torch.zeros(3)}), "conv9.weight"),
    "shape": (lambda state: _changed(state, **{STEM: torch.zeros(3, 3)}), "shape"),
    "huge by strides": (lambda state: _changed(state, **{STEM: torch.zeros(1).expand(10**11)}), "shape"),
    "whole numbers": (lambda state: _changed(state, **{STEM: torch.ones_like(state[STEM]).long()}), "int64"),
    "not finite": (lambda state: _changed(state, **{STEM: state[STEM] * float("nan")}), "not finite"),
    "not finite in float32": (
        lambda state: _changed(state, **{STEM: state[STEM].double() * 1e300}),
        "finite",
    ),
    "negative variance": (
        lambda state: {k: -v if k.endswith("running_var") else v for k, v in state.items()},
        "negative variances",
    ),
    "sparse": (lambda state: _changed(state, **{STEM: state[STEM].to_sparse()}), "sparse"),
    "two networks": (
        lambda state: {f"{part}.{k}": v for part in ("model", "other") for k, v in state.items()},
        "holds 2 networks of these tensors, behind 'model.' and 'other.'",
    ),
    "other network": (lambda state: timm.create_model("test_vit").state_dict(), "does not fit"),
    "image tower of CLIP": (lambda state: {"visual.proj": torch.zeros(2)}, "open_clip"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_and_foreign_files_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    change, message = HOSTILE[kind]
    path = tmp_path / "weights.pth"
    value = change({name: item.clone() for name, item in whole("timm:test_resnet").state_dict().items()})
    torch.save(value, path)
    with pytest.raises(CheckpointError, match=re.escape(message)) as caught:
        encoder("timm:test_resnet", path)
    assert "weights.pth" in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
@pytest.mark.parametrize("content", ["empty", "text", "cut", "pickle"])
def test_damaged_files_are_refused(suffix: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    if content == "cut":
        state = {name: value.clone() for name, value in whole("timm:test_resnet").state_dict().items()}
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
        path.write_bytes(path.read_bytes()[:20_000])
    else:
        path.write_bytes({"empty": b"", "text": b"weights", "pickle": pickle.dumps({"a": 1})}[content])
    with pytest.raises(CheckpointError, match=r"weights\.(safetensors|pth|bin)"):
        encoder("timm:test_resnet", path)


def test_a_file_that_is_not_there_is_no_tag(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        encoder("timm:test_resnet", tmp_path / "absent.pth")


@pytest.mark.parametrize("model", ["timm:test_resnet", "torchvision:squeezenet1_1"])
def test_unavailable_weights_name_the_way_out(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*rest: Any, **more: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("timm.models._builder.load_pretrained", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    for pretrained in ("default", tag_of(model)):
        with pytest.raises(WeightsUnavailable, match="--pretrained PATH"):
            encoder(model, pretrained)


@pytest.mark.parametrize(
    ("model", "pretrained", "more", "message"),
    [
        ("timm:tf_efficientnet_lite", "none", {}, "tf_efficientnet_lite"),
        ("timm:resnet50.a1_in22k", "none", {}, "a1_in1k"),
        ("timm:resnet50", "openai", {}, "clip.pretrained: unknown 'openai'"),
        ("timm:resnet50.a1_in1k", "ram_in1k", {}, "give one of them"),
        ("timm:resnet50", "none", {"weights_of": "a1_in1k"}, "not random weights"),
        ("timm:nf_resnet26", "default", {}, "no published weights"),
        ("torchvision:resnet51", "none", {}, "torchvision:resnet50"),
        ("torchvision:resnet50", "IMAGENET1K_V9", {}, "IMAGENET1K_V2"),
    ],
)
def test_unknown_names_and_contradictions_are_refused(
    model: str, pretrained: str, more: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        encoder(model, pretrained, **more)


@pytest.mark.parametrize("model", ["hub:resnet50", "timm:", "open_clip:", "open_clip:mobileviclip-tiny"])
def test_prefixes_are_checked_with_the_configuration(model: str) -> None:
    with pytest.raises(ConfigError, match=r"clip\.model"):
        load_experiment(None, [f"clip.model={model}"])


def test_names_and_defaults_of_the_settings() -> None:
    assert load_experiment(None, ["clip.model=open_clip:ViT-B-16"]).clip == AppearanceSettings(
        model="ViT-B-16"
    )
    settings = load_experiment(None, ["clip.model=timm:resnet50"]).clip
    assert (settings.pretrained, settings.has_text, settings.library) == ("default", False, "timm")
    assert AppearanceSettings().has_text
    assert AppearanceSettings(model="mobileviclip-tiny").has_text


def test_a_file_is_used_as_its_tag_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by the model, by clip.weights_of, by digest or by the file beside it; else the tags are listed."""
    state = {name: value.clone() for name, value in whole("timm:resnet18").state_dict().items()}
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    with pytest.raises(ConfigError, match=r"--weights-of.*crop_pct"):
        encoder("timm:resnet18", path)
    named = encoder("timm:resnet18", path, weights_of="a1_in1k")
    assert encoder("timm:resnet18.a1_in1k", path).weights_digest == named.weights_digest
    other = encoder("timm:resnet18", path, weights_of="tv_in1k")
    assert other.preprocessing.config != named.preprocessing.config
    assert other.weights_digest != named.weights_digest
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(
        TimmLibrary, "published_digest", lambda self, model, tag: digest if tag == "tv_in1k" else ""
    )
    assert encoder("timm:resnet18", path).weights_digest == other.weights_digest
    beside = {"architecture": "resnet18", "pretrained_cfg": {"crop_pct": 0.5, "input_size": [3, 64, 64]}}
    (tmp_path / "config.json").write_text(json.dumps(beside))
    described = encoder("timm:resnet18", path)
    assert described.preprocessing.config["crop_pct"] == 0.5
    assert described.prepare(PICTURES).shape == (2, 3, 64, 64)
    (tmp_path / "config.json").write_text(json.dumps({**beside, "architecture": "resnet50"}))
    with pytest.raises(CheckpointError, match="holds resnet50"):
        encoder("timm:resnet18", path)
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"config\.json can't be read"):
        encoder("timm:resnet18", path)


# timm's names and those of the port, of a block that expands and of one that does not, longest first.
EXPANDING = {
    "conv_pwl": "_project_conv",
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "bn2": "_bn1",
    "bn3": "_bn2",
}
PLAIN = {"conv_pw": "_project_conv", "bn1": "_bn1", "bn2": "_bn2"}
BOTH = {"conv_dw": "_depthwise_conv", "se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
TOP = {
    "conv_stem": "_conv_stem",
    "bn1": "_bn0",
    "conv_head": "_conv_head",
    "bn2": "_bn1",
    "classifier": "_fc",
}


def _port(network: nn.Module) -> State:
    """A network's tensors by the names of the TensorFlow port: the inverse of our map, written down anew."""
    stages: Any = network.get_submodule("blocks")
    ported, number = {}, 0
    for i, stage in enumerate(stages):
        for block in stage:
            names = {**(EXPANDING if i else PLAIN), **BOTH}
            for name, value in block.state_dict().items():
                part = next(part for part in names if name.startswith(f"{part}."))
                ported[f"_blocks.{number}.{names[part]}{name.removeprefix(part)}"] = value
            number += 1
    for name, value in network.state_dict().items():
        part, _, rest = name.partition(".")
        if part in TOP:
            ported[f"{TOP[part]}.{rest}"] = value
    return ported


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("tf_efficientnet_lite0", ""), pytest.param("tf_efficientnet_b0", "module.", marks=pytest.mark.slow)],
)
def test_ports_of_tensorflow_are_renamed(name: str, prefix: str, tmp_path: Path) -> None:
    network = whole(f"timm:{name}")
    path = tmp_path / "port.pth"
    torch.save({f"{prefix}{key}": value for key, value in _port(network).items()}, path)
    loaded = encoder(f"timm:{name}", path, weights_of=tag_of(f"timm:{name}"))
    for key, value in loaded.network.state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[key], atol=0, rtol=0)
    assert "TensorFlow" in loaded.describe()
    with pytest.raises(CheckpointError, match=f"choose clip.model=timm:{name}"):
        encoder(
            f"timm:{name.removeprefix('tf_')}", path, weights_of=tag_of(f"timm:{name.removeprefix('tf_')}")
        )


def test_other_names_are_no_port() -> None:
    network = timm.create_model("test_efficientnet", num_classes=0)
    assert efficientnet_of_tensorflow("test_efficientnet", network, network.state_dict()) is None


def test_networks_that_give_no_vector_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = timm.create_model("test_resnet", num_classes=0, global_pool="")
    monkeypatch.setattr(TimmLibrary, "build", lambda self, model, tag: maps)
    with pytest.raises(ConfigError, match="not a vector"):
        encoder("timm:test_resnet", "none")
    monkeypatch.setattr(TimmLibrary, "build", lambda self, model, tag: nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="can't take a picture"):
        encoder("timm:test_resnet", "none")


def test_a_remembered_digest_is_of_the_weights_and_of_the_file_beside_them(tmp_path: Path) -> None:
    """Digest and cost are kept beside the cache: another preprocessing, seed or file is another entry."""
    save_file(
        {name: value.clone() for name, value in whole("timm:test_resnet").state_dict().items()},
        tmp_path / "model.safetensors",
    )
    cache, loads = FeatureCache(tmp_path / "cache"), []

    def lazy(pretrained: str = str(tmp_path / "model.safetensors"), seed: int = 0) -> LazyEncoder:
        settings = AppearanceSettings(model="timm:test_resnet", pretrained=pretrained)

        def load() -> AppearanceEncoder:
            loads.append(pretrained)
            return make_encoder(settings, seed, CPU)

        return LazyEncoder(settings, seed, cache, load)

    plain = lazy().digest
    assert lazy().digest == plain
    assert len(loads) == 1
    config = {"architecture": "test_resnet", "pretrained_cfg": {"crop_pct": 0.5, "input_size": [3, 64, 64]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert lazy().digest != plain
    assert lazy("none", 1).digest != lazy("none", 2).digest
    assert "random weights" in lazy("none", 1).random
    assert lazy("none", 1).cost["gflops"] > 0


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("timm:test_resnet", "BackboneEncoder"),
        ("ViT-B-32", "OpenClipEncoder"),
        ("mobileviclip-tiny", "MobileViCLIPEncoder"),
    ],
)
def test_all_that_makes_an_encoder_is_part_of_what_is_remembered(
    model: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each argument of each encoder comes from the settings' one list, which is also the identity."""
    module = {"BackboneEncoder": "backbones.encoder", "OpenClipEncoder": "open_clip"}.get(
        name, "mobileviclip"
    )
    given: list[dict[str, Any]] = []
    kind = getattr(importlib.import_module(f"moclip_lite.appearance.{module}"), name)
    accepted = set(inspect.signature(kind).parameters)
    monkeypatch.setattr(
        f"moclip_lite.appearance.{module}.{name}", lambda **arguments: given.append(arguments)
    )
    settings = AppearanceSettings(model=model, pretrained="none", frames=3)
    make_encoder(settings, 5, CPU)
    assert set(given[0]) == accepted
    chosen = settings.encoder_arguments(5)
    assert {key: value for key, value in given[0].items() if key != "device"}.items() <= chosen.items()
    lazy = LazyEncoder(settings, 5, FeatureCache(tmp_path / "cache"), lambda: pytest.fail("loaded"))
    assert lazy._identity[0] == chosen


def test_what_is_remembered_of_a_video_model_is_of_its_number_of_frames(tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache")

    def lazy(frames: int) -> LazyEncoder:
        settings = AppearanceSettings(model="mobileviclip-tiny", pretrained="none", frames=frames)
        return LazyEncoder(settings, 0, cache, lambda: make_encoder(settings, 0, CPU))

    remembered = [(lazy(frames).digest, lazy(frames).cost["parameters"]) for frames in (2, 4)]
    made = [lazy(frames).encoder for frames in (2, 4)]
    assert remembered == [(one.weights_digest, one.frame_cost()["parameters"]) for one in made]
    assert remembered[0] != remembered[1]
