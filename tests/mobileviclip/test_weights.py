"""Weights files of this program and of other projects, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from open_clip.convert import convert_mobile_clip_state_dict
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.models.fastvit import checkpoint_filter_fn
from torch import Tensor, nn

from moclip_lite.errors import CheckpointError, ConfigError, WeightsUnavailable
from moclip_lite.mobileviclip import (
    VARIANTS,
    MobileViCLIP,
    MobileViClipConfig,
    build,
    create_mobileviclip,
    import_checkpoint,
    load_model,
    save_model,
    variant,
)
from moclip_lite.mobileviclip.encoder import ModelSpec, VideoTextEncoder
from moclip_lite.mobileviclip.layouts import translate_names

from support.mobileviclip import (
    SMALL,
    TINY,
    apple_state,
    clip_of,
    open_clip_state,
    published_state,
    shaken,
    timm_state,
)

State = dict[str, Tensor]


def write(path: Path, state: State) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save({"module": state}, path)
    return path


def embeddings(model: MobileViCLIP) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        return model.encode_video(clip_of(model.config)), model.encode_text(
            model.tokenize(["a person juggling"])
        )


@pytest.mark.parametrize("folded", [False, True])
def test_saved_models_are_loaded_unchanged(tmp_path: Path, folded: bool) -> None:
    model = shaken(dataclasses.replace(TINY, normalization=((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))))
    model = model.reparameterize() if folded else model
    model.weights = "trained on something"
    save_model(tmp_path / "m.safetensors", model)
    again = load_model(tmp_path / "m.safetensors")
    assert (again.config, again.folded, again.weights) == (model.config, folded, model.weights)
    for one, other in zip(embeddings(model), embeddings(again), strict=True):
        torch.testing.assert_close(one, other)


def spoil_config(about: dict[str, object]) -> None:
    about["config"]["dims"] = [16, 32, 4096, 4096]  # type: ignore[index]


def spoil_depth(about: dict[str, object]) -> None:
    """Modules that take minutes to make, of a small file."""
    about["config"]["depths"] = [4096, 4096, 4096, 4096]  # type: ignore[index]


def spoil_layers(about: dict[str, object]) -> None:
    about["config"]["text_layers"] = 4096  # type: ignore[index]


def spoil_key(about: dict[str, object]) -> None:
    about["config"]["dimensions"] = 3  # type: ignore[index]


def spoil_deviation(about: dict[str, object]) -> None:
    about["config"]["normalization"] = [[0, 0, 0], [1, 0, 1]]  # type: ignore[index]


SPOILT_CONFIGS = {
    "config": spoil_config,
    "key": spoil_key,
    "deviation": spoil_deviation,
    "depth": spoil_depth,
    "layers": spoil_layers,
}
SPOILT = {
    "nan": ("log_temperature", float("nan")),
    "too large": ("log_temperature", 1e300),  # for float32
    "variance": ("video.trunk.stem.0.conv_kxk.0.bn.running_var", -1.0),
}


@pytest.mark.parametrize("how", ["cut", "other", "nan", "lacking", "variance", "too large", *SPOILT_CONFIGS])
def test_damaged_files_are_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / "m.safetensors"
    model = shaken()
    save_model(path, model)
    state = load_file(path)
    about = {"config": TINY.describe(), "folded": False, "weights": "x"}
    if how == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif how == "other":
        save_file(state, path)
    elif how == "lacking":
        state.pop("log_temperature")
        save_file(state, path, {"format": "mobileviclip-1", "about": json.dumps(about)})
    elif how in SPOILT:
        name, value = SPOILT[how]
        state[name] = torch.full_like(state[name], value, dtype=torch.float64)
        save_file(state, path, {"format": "mobileviclip-1", "about": json.dumps(about)})
    elif how in SPOILT_CONFIGS:
        SPOILT_CONFIGS[how](about)
        save_file(state, path, {"format": "mobileviclip-1", "about": json.dumps(about)})
    with pytest.raises(CheckpointError, match=r"m\.safetensors"):
        load_model(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_would_be_refused_is_not_written(tmp_path: Path, number: float) -> None:
    model = shaken()
    model.log_temperature.data.fill_(number)
    with pytest.raises(
        CheckpointError, match=r"is not written: 'log_temperature' holds numbers that are not"
    ):
        save_model(tmp_path / "m.safetensors", model)
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_weights_of_half_the_size_are_read(tmp_path: Path, kind: torch.dtype) -> None:
    save_model(tmp_path / "m.safetensors", shaken())
    with safe_open(str(tmp_path / "m.safetensors"), "pt") as file:
        about = file.metadata()
    state = {
        name: value.to(kind) if value.is_floating_point() else value
        for name, value in load_file(tmp_path / "m.safetensors").items()
    }
    save_file(state, tmp_path / "m.safetensors", about)
    loaded = load_model(tmp_path / "m.safetensors").state_dict()
    assert all(torch.equal(value, state[name].to(value.dtype)) for name, value in loaded.items())
    theirs = {name: value.contiguous().to(kind) for name, value in apple_state(shaken()).items()}
    save_file(theirs, tmp_path / "theirs.safetensors")
    assert "apple" in import_checkpoint(build(TINY), tmp_path / "theirs.safetensors").layout


def test_models_whose_vectors_are_not_finite_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    model = shaken()
    for parameter in (model.video.trunk.head.fc.weight, model.text.projection_layer):
        parameter.data.fill_(3e38)  # finite, as are all weights
    save_model(tmp_path / "m.safetensors", model)
    spec = ModelSpec(name="tiny", pretrained=str(tmp_path / "m.safetensors"), num_frames=4)
    encoder = VideoTextEncoder(spec)
    with pytest.raises(CheckpointError, match="vectors are not finite"):
        encoder.encode_clips(torch.rand(1, 4, 3, 64, 64))
    with pytest.raises(CheckpointError, match="vectors are not finite"):
        encoder.encode_texts(["a person juggling"])


def numbered(names: Sequence[str]) -> State:
    """A tensor for each name that holds the name's number, so that renamed tensors can be recognised."""
    return {name: torch.full((1, 1), float(number)) for number, name in enumerate(names)}


def renamed_by(converted: State, names: Sequence[str]) -> dict[str, str]:
    return {names[int(tag.reshape(-1)[0])]: name for name, tag in converted.items()}


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_image_encoder_names_are_those_of_timm(name: str) -> None:
    config = dataclasses.replace(variant(name), temporal=False)
    names = [
        n for n in apple_state(meta_model(config), "") if not n.startswith(("text_encoder.", "logit_scale"))
    ]
    head = SimpleNamespace(head=SimpleNamespace(fc=nn.Linear(1, 1)))
    converted = checkpoint_filter_fn(numbered(names), head)
    converted.pop("head.fc.bias")  # added by timm: Apple's projection has none
    expected = {
        "image_encoder.model." + n: "video.trunk." + t for n, t in renamed_by(converted, names).items()
    }
    assert translate_names(expected, "apple", config) == expected


def test_text_tower_names_are_those_of_open_clip() -> None:
    config = dataclasses.replace(variant("small"), temporal=False)
    names = [n for n in apple_state(meta_model(config)) if n.startswith("text_encoder.")]
    trunk = SimpleNamespace(visual=SimpleNamespace(trunk=None))
    converted = convert_mobile_clip_state_dict(trunk, {**numbered(names), "logit_scale": torch.zeros(1)})
    texts = {n: tag for n, tag in converted.items() if n.startswith("text.")}
    expected = renamed_by(texts, names)
    assert translate_names(expected, "apple", config) == expected


def meta_model(config: MobileViClipConfig) -> MobileViCLIP:
    with torch.device("meta"):
        return MobileViCLIP(config)


LAYOUTS: list[tuple[MobileViClipConfig, Callable[[MobileViCLIP], State], str]] = [
    (TINY, apple_state, "apple"),
    (SMALL, apple_state, "apple"),
    (SMALL, open_clip_state, "open_clip"),
    (TINY, published_state, "mobileviclip"),
    (SMALL, published_state, "mobileviclip"),
]
RENAME = ((r"temporal_conv", "temporal"),)


@pytest.mark.parametrize(("config", "layout", "name"), LAYOUTS)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_layouts_of_other_projects(
    tmp_path: Path,
    config: MobileViClipConfig,
    layout: Callable[[MobileViCLIP], State],
    name: str,
    suffix: str,
) -> None:
    source = shaken(config, seed=5)
    source.video.trunk.head.fc.bias.data.zero_()  # other projects' projections have none
    if name != "mobileviclip":  # an image model: temporal tensors keep initial values
        fresh = build(config, 6)
        begin = {k: v for k, v in fresh.state_dict().items() if "temporal" in k and "log_" not in k}
        source.load_state_dict({**source.state_dict(), **begin})
    path = write(tmp_path / f"theirs{suffix}", layout(source))
    model = build(config, 6)
    report = import_checkpoint(model, path, rename=RENAME)
    assert report.layout == name
    assert (report.missing, report.unexpected) == ((), ())
    assert bool(report.new) == (name != "mobileviclip")
    assert f"{len(report.matched)} tensors matched" in report.summary()
    if name == "mobileviclip":
        assert model.config.normalization[0][0] == 0.485
        model.set_normalization(source.config.normalization)
    for one, other in zip(embeddings(source), embeddings(model), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.temperature, source.temperature)


def test_missing_and_unexpected_tensors_are_refused(tmp_path: Path) -> None:
    source = shaken(seed=5)
    unknown = write(tmp_path / "published.pt", published_state(source, "token_mixer.time_mixing"))
    model = build(TINY)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"unexpected.*time_mixing"):
        import_checkpoint(model, unknown)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    report = import_checkpoint(model, unknown, partial=True)
    assert all("time_mixing" in name for name in report.unexpected)
    assert all(".temporal." in name for name in report.missing)
    assert len(report.missing) == 5 * sum(TINY.depths[:3])  # convolution, and four tensors of a norm
    picture = write(tmp_path / "timm.safetensors", timm_state(source))
    with pytest.raises(CheckpointError, match=r"missing.*text"):
        import_checkpoint(model, picture)
    assert import_checkpoint(model, picture, partial=True).layout == "timm"


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize(
    ("kept", "random"),
    [
        ("video.", ("text tower",)),
        ("text.|stem", ("video encoder",)),
        ("text.", ()),
        ("video.|final_layer_norm", ("text tower",)),
        ("video.|text.", ()),
    ],
)
def test_random_parts_are_recorded(tmp_path: Path, kept: str, random: tuple[str, ...], fold: bool) -> None:
    """In the model, in its file and in its description, folded or not."""
    source = shaken(seed=5)
    state = open_clip_state(source)
    marks = {
        "video.": "visual.",
        "text.": "text.",
        "stem": "visual.trunk.stem",
        "final_layer_norm": "text.final",
    }
    starts = tuple(marks[mark] for mark in kept.split("|"))
    state = {name: value for name, value in state.items() if name.startswith((*starts, "logit"))}
    if not any(name.startswith("visual.trunk.") for name in state):
        state["visual.trunk.stem.0.conv_kxk.0.bn.bias"] = torch.zeros(16)  # identifies the layout
        random = ("video encoder",)
    path = write(tmp_path / "part.safetensors", state)
    model = build(TINY)
    report = import_checkpoint(model, path, partial=True)
    assert [part.partition(" (")[0] for part in model.random_parts] == list(random)
    assert model.random == bool(random)
    assert bool(report.missing) == bool(random)
    save_model(tmp_path / "ours.safetensors", model.reparameterize() if fold else model)
    again = load_model(tmp_path / "ours.safetensors")
    assert again.random_parts == model.random_parts
    assert again.random == bool(random)
    assert ("RANDOM" in again.describe()) == bool(random)
    assert all(part in again.describe() for part in random)
    assert "temporal modules new" in again.describe()


def test_incomplete_temporal_modules_are_random(tmp_path: Path) -> None:
    """Only temporal modules that are all new are the identity."""
    state = published_state(shaken(seed=5), "token_mixer.temporal")
    lost = [name for name in state if "temporal.conv" in name]
    path = write(tmp_path / "p.pt", {name: value for name, value in state.items() if name not in lost})
    model = build(TINY)
    import_checkpoint(model, path, partial=True)
    (part,) = model.random_parts
    assert part.startswith(f"temporal modules ({len(lost)} of ")


@pytest.mark.parametrize(
    "kind",
    ["int64", "int32", "uint8", "bool", "renamed", "moved", "both", "temp", "reference", "group", "pattern"],
)
def test_tensors_in_the_wrong_place_are_refused(tmp_path: Path, kind: str) -> None:
    state = apple_state(shaken())
    name, rename, words = "text_encoder.final_layer_norm.weight", [], r"theirs\.pt"
    if kind in ("int64", "int32", "uint8", "bool"):
        state[name] = torch.ones_like(state[name]).to(getattr(torch, kind))
        words += f".*final_layer_norm.weight.*{kind}"
    elif kind == "renamed":
        state["text_encoder.other"] = state[name].clone()
        rename, words = [("other", "final_layer_norm.weight")], "would both be renamed"
    elif kind == "moved":
        rename, words = [(r"final_layer_norm\.weight", "final_layer_norm.bias")], "would both be renamed"
    elif kind == "both":
        state["temp"], words = torch.tensor(0.02), "logit_scale.*temp"
    elif kind == "temp":
        del state["logit_scale"]
        state["temp"], words = torch.tensor(-0.02), "above 0"
    elif kind == "reference":
        rename, words = [("text", r"\9")], "can't be replaced"
    elif kind == "group":
        rename, words = [("text", r"\g<no>")], "can't be replaced"
    else:
        rename, words = [("(text", "x")], "can't be replaced"
    path = write(tmp_path / "theirs.pt", state)
    for partial in (False, True):
        with pytest.raises((CheckpointError, ConfigError), match=words):
            import_checkpoint(build(TINY), path, partial=partial, rename=rename)


def test_batch_counts_may_have_any_type(tmp_path: Path) -> None:
    """Averaged checkpoints store them as floats; outputs do not depend on them."""
    state = {
        name: value.float() if name.endswith("num_batches_tracked") else value
        for name, value in apple_state(shaken(seed=5)).items()
    }
    model = build(TINY)
    import_checkpoint(model, write(tmp_path / "theirs.pt", state))
    assert not model.random
    save_model(tmp_path / "ours.safetensors", model)
    load_model(tmp_path / "ours.safetensors")


@pytest.mark.parametrize(
    "name", ["text.final_layer_norm.weight", "video.trunk.head.fc.weight", "log_temperature"]
)
def test_integer_weights_are_refused(tmp_path: Path, name: str) -> None:
    save_model(tmp_path / "m.safetensors", shaken())
    with safe_open(str(tmp_path / "m.safetensors"), "pt") as file:
        about = file.metadata()
    state = load_file(tmp_path / "m.safetensors")
    save_file({**state, name: state[name].to(torch.int32)}, tmp_path / "m.safetensors", about)
    with pytest.raises(CheckpointError, match=name):
        load_model(tmp_path / "m.safetensors")


def test_files_folded_by_an_earlier_version_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", shaken().reparameterize())
    with safe_open(str(tmp_path / "m.safetensors"), "pt") as file:
        about = file.metadata()
    state = load_file(tmp_path / "m.safetensors")
    state["video.trunk.stages.0.blocks.0.mlp.conv.bn.weight"] = torch.ones(16)
    save_file(state, tmp_path / "m.safetensors", about)
    with pytest.raises(CheckpointError, match="earlier version"):
        load_model(tmp_path / "m.safetensors")


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    "kind", ["pickle", "cut", "text", "list", "foreign", "missing", "folded", "frames", "size", "nan"]
)
def test_checkpoints_that_do_not_fit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "theirs.pt"
    state = published_state(shaken(), "token_mixer.temporal")
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"module": _Harmful()}))
    elif kind == "cut":
        write(path, state)
        path.write_bytes(path.read_bytes()[:50_000])
    elif kind == "text":
        path.write_text("weights")
    elif kind == "list":
        torch.save([torch.zeros(2)], path)
    elif kind == "foreign":
        write(path, {"layer.weight": torch.zeros(2)})
    elif kind == "folded":
        write(path, {**state, "vision_encoder.patch_embed.0.reparam_conv.weight": torch.zeros(2)})
    elif kind == "frames":
        write(path, {**state, "vision_encoder.network.6.temporal_embedding": torch.zeros(1, 8, 1, 64)})
    elif kind == "size":
        write(path, published_state(shaken(dataclasses.replace(TINY, dims=(16, 32, 32, 96)))))
    elif kind == "nan":
        write(path, {**state, "temp": torch.tensor(float("nan"))})
    with pytest.raises(CheckpointError, match=r"theirs\.pt"):
        import_checkpoint(build(TINY), path)
    assert not (tmp_path / "ran").exists()


def test_a_name_requires_a_file_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    monkeypatch.setitem(VARIANTS, "small", SMALL)
    save_model(tmp_path / "tiny.safetensors", shaken())
    assert create_mobileviclip("tiny", tmp_path / "tiny.safetensors", num_frames=4).config == TINY
    for name, frames in (("small", 4), ("tiny", 8)):
        with pytest.raises(CheckpointError, match="not mobileviclip"):
            create_mobileviclip(name, tmp_path / "tiny.safetensors", num_frames=frames)
    theirs = write(tmp_path / "theirs.pt", apple_state(shaken()))
    assert "apple" in create_mobileviclip("tiny", theirs, num_frames=4).weights
    with pytest.raises(CheckpointError, match=rf"is a folder; .* such as {tmp_path}/tiny\.safetensors"):
        create_mobileviclip("tiny", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match=rf"such as {tmp_path}/model\.safetensors"):
        create_mobileviclip("tiny", tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        create_mobileviclip("tiny", tmp_path / "absent.pt")


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_unavailable_weights_are_reported_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    monkeypatch.setitem(VARIANTS, "small", SMALL)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match="--pretrained none"):
        create_mobileviclip(name, "datacompdr")
