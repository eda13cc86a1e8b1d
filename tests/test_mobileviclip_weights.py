"""Weights: our own files, files in others' layouts, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mobileviclip_fixtures import (
    SMALL,
    TINY,
    apple_state,
    clip_of,
    open_clip_state,
    published_state,
    shaken,
    timm_state,
)
from safetensors.torch import load_file, save_file
from torch import Tensor

from moclip_lite.errors import CheckpointError, WeightsUnavailable
from moclip_lite.mobileviclip import (
    VARIANTS,
    MobileViCLIP,
    MobileViClipConfig,
    build,
    create_mobileviclip,
    import_checkpoint,
    load_model,
    save_model,
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
def test_our_files_come_back_whole(tmp_path: Path, folded: bool) -> None:
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


def spoil_key(about: dict[str, object]) -> None:
    about["config"]["dimensions"] = 3  # type: ignore[index]


@pytest.mark.parametrize("how", ["cut", "other", "config", "key", "nan", "lacking"])
def test_damaged_files_of_ours_are_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / "m.safetensors"
    model = shaken()
    if how == "nan":
        model.log_temperature.data.fill_(float("nan"))
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
    elif how in ("config", "key"):
        (spoil_config if how == "config" else spoil_key)(about)
        save_file(state, path, {"format": "mobileviclip-1", "about": json.dumps(about)})
    with pytest.raises(CheckpointError, match=r"m\.safetensors|description"):
        load_model(path)


LAYOUTS: list[tuple[MobileViClipConfig, Callable[[MobileViCLIP], State], str]] = [
    (TINY, apple_state, "apple"), (SMALL, apple_state, "apple"), (SMALL, open_clip_state, "open_clip"),
    (TINY, published_state, "mobileviclip"), (SMALL, published_state, "mobileviclip"),
]  # fmt: skip
RENAME = ((r"temporal_conv", "temporal"),)


@pytest.mark.parametrize(("config", "layout", "name"), LAYOUTS)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_layouts_of_others(
    tmp_path: Path,
    config: MobileViClipConfig,
    layout: Callable[[MobileViCLIP], State],
    name: str,
    suffix: str,
) -> None:
    source = shaken(config, seed=5)
    source.video.trunk.head.fc.bias.data.zero_()  # their projection has none
    if name != "mobileviclip":  # an image model: temporal tensors at their beginning
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


def test_nothing_is_lost_in_silence(tmp_path: Path) -> None:
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
    assert len(report.missing) == 5 * sum(TINY.depths[:3])  # taps, and four of a norm
    picture = write(tmp_path / "timm.safetensors", timm_state(source))
    with pytest.raises(CheckpointError, match=r"missing.*text"):
        import_checkpoint(model, picture)
    assert import_checkpoint(model, picture, partial=True).layout == "timm"


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


def test_names_take_files_of_their_own_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    monkeypatch.setitem(VARIANTS, "small", SMALL)
    save_model(tmp_path / "tiny.safetensors", shaken())
    assert create_mobileviclip("tiny", tmp_path / "tiny.safetensors", num_frames=4).config == TINY
    for name, frames in (("small", 4), ("tiny", 8)):
        with pytest.raises(CheckpointError, match="asked for"):
            create_mobileviclip(name, tmp_path / "tiny.safetensors", num_frames=frames)
    theirs = write(tmp_path / "theirs.pt", apple_state(shaken()))
    assert "apple" in create_mobileviclip("tiny", theirs, num_frames=4).weights
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        create_mobileviclip("tiny", tmp_path / "absent.pt")


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_weights_that_cannot_be_had_are_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY)
    monkeypatch.setitem(VARIANTS, "small", SMALL)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match="--pretrained none"):
        create_mobileviclip(name, "datacompdr")
