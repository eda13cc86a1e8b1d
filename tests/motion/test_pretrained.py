"""motion.pretrained=PATH: weights of a file, read strictly; the content decides a training, not the path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import adapt_input_conv

from moclip_lite.errors import CheckpointError, ConfigError
from moclip_lite.experiment.config import load_experiment, with_absolute_paths
from moclip_lite.motion.network import build_motion_net, create_motion_net, list_motion_nets
from moclip_lite.motion.pretrained import other_reading
from moclip_lite.motion.settings import MotionSettings
from moclip_lite.training.checkpoint import save_weights

from support.cli import FOLDER_YAML, MOTION_ONLY, assert_ok, assert_refused, class_folders, moclip, sets


def state_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone().contiguous() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("name", list_motion_nets())
def test_a_motion_network_gives_all_but_its_classifier(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    known = create_motion_net(name, 7, width=8)
    path = tmp_path / "motion.safetensors"
    save_file(state_of(known), path)
    torch.manual_seed(2)
    network = create_motion_net(name, 3, width=8, pretrained=path)
    for key, value in network.state_dict().items():
        if key.startswith("classifier."):
            assert value.shape[0] == 3
        else:
            assert torch.equal(value, known.state_dict()[key])
    del (state := state_of(known))[next(key for key in known.state_dict() if key.endswith("weight"))]
    save_file(state, path)
    with pytest.raises(CheckpointError, match="are missing"):
        create_motion_net(name, 3, width=8, pretrained=path)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_image_network_gives_what_timm_downloads(prefix: str, tmp_path: Path) -> None:
    images = timm.create_model("efficientnet_b0")
    path = tmp_path / "efficientnet_b0.pth"
    torch.save({"state_dict": {f"{prefix}{key}": value for key, value in images.state_dict().items()}}, path)
    network = create_motion_net("efficientnet_b0", 3, pretrained=path)
    given = images.state_dict()
    for key, value in network.encoder.net.state_dict().items():
        expected = adapt_input_conv(2, given[key].clone()) if key == "conv_stem.weight" else given[key]
        assert torch.equal(value, expected)


def test_of_two_networks_without_counters_the_one_that_is_used_is_taken(tmp_path: Path) -> None:
    """Files of old programs lack the counters of batches; what is complete does not depend on them."""
    state = {
        k: v for k, v in timm.create_model("efficientnet_b0").state_dict().items() if "num_batches" not in k
    }
    both = {f"module.encoder_q.{k}": v for k, v in state.items()}
    torch.save(both | {f"module.encoder_k.{k}": v + 1 for k, v in state.items()}, tmp_path / "moco.pth")
    network = create_motion_net("efficientnet_b0", 3, pretrained=tmp_path / "moco.pth")
    assert torch.equal(network.encoder.net.state_dict()["conv_head.weight"], state["conv_head.weight"])
    torch.save({f"{part}.{k}": v for part in ("a", "b") for k, v in state.items()}, tmp_path / "two.pth")
    with pytest.raises(
        CheckpointError, match=r"two\.pth: it holds 2 networks of these tensors, behind 'a\.' and"
    ):
        create_motion_net("efficientnet_b0", 3, pretrained=tmp_path / "two.pth")


@pytest.mark.parametrize("content", ["text", "other network", "port", "absent"])
def test_files_that_do_not_fit_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    if content == "text":
        path.write_text("x")
    elif content == "other network":
        torch.save(timm.create_model("test_resnet").state_dict(), path)
    elif content == "port":
        torch.save({"_blocks.0._depthwise_conv.weight": torch.zeros(2)}, path)
    for name in ("efficientnet_b0", "motion_small"):
        with pytest.raises(CheckpointError, match=r"w\.pth"):
            create_motion_net(name, 3, pretrained=path)


@pytest.mark.parametrize(("word", "value"), [("true", True), ("false", False), ("w.pth", Path("w.pth"))])
def test_the_setting_is_a_switch_or_a_path(word: str, value: bool | Path, tmp_path: Path) -> None:
    experiment = load_experiment(None, [f"motion.pretrained={word}"])
    assert experiment.motion.pretrained == value
    saved = with_absolute_paths(experiment)
    (tmp_path / "e.yaml").write_text(saved.to_yaml())
    again = load_experiment(tmp_path / "e.yaml").motion.pretrained
    assert again == (value.absolute() if isinstance(value, Path) else value)
    with pytest.raises(ConfigError, match=r"has no pretrained weights"):
        build_motion_net(MotionSettings(pretrained=True), 3)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"grid": (12, 16)}, "motion.grid=24x32 (here 12x16)"),
        ({"stride": 2}, "motion.stride=1 (here 2)"),
        ({"field": "compensated"}, "motion.field=raw (here compensated)"),
        ({"normalize_distance": False}, "motion.normalize_distance=true (here false)"),
        ({"crop": "actor"}, "motion.crop=none (here actor)"),
        ({"segments": 4, "dropout": 0.1, "crop_side": 0.5}, None),
    ],
)
@pytest.mark.parametrize("kind", ["generated", "run"])
def test_weights_of_motion_that_is_read_otherwise_are_told(
    kind: str, change: dict[str, Any], named: str | None, tmp_path: Path
) -> None:
    """Networks take any grid, stride and field: nothing else would tell."""
    path, motion = tmp_path / "w.safetensors", MotionSettings()
    made = {"pretraining": {"motion": motion.deciding()}} if kind == "generated" else {}
    save_weights(path, torch.nn.Linear(1, 1), ["a"], made)
    if kind == "run":
        (tmp_path / "config.yaml").write_text(load_experiment(None, ["data.recipe=gop12_fps15"]).to_yaml())
    sentence = other_reading(path, motion.model_copy(update=change), "gop12_fps15")
    assert (sentence is None) == (named is None)
    assert named is None or named in str(sentence)
    other_rate = other_reading(path, motion, "gop12")
    assert (other_rate is not None and "gop12_fps15" in other_rate) == (kind == "run")


def test_a_file_that_says_nothing_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    for text in ("", "motion: 7", "data: [1", "motion: {grid: {a: b}}"):
        (tmp_path / "config.yaml").write_text(text)
        save_weights(path, torch.nn.Linear(1, 1), ["a"], {"pretraining": "x"})
        assert ("grid" in text) == (other_reading(path, MotionSettings()) is not None)
    assert other_reading(tmp_path / "absent.pth", MotionSettings()) is None


def test_the_content_decides(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_text("a")
    before = MotionSettings(pretrained=path).deciding()
    path.rename(tmp_path / "v.pth")
    assert MotionSettings(pretrained=tmp_path / "v.pth").deciding() == before
    path.write_text("b")
    assert MotionSettings(pretrained=path).deciding() != before


def test_a_run_starts_from_another_but_not_from_one_that_saw_its_clips(tmp_path: Path) -> None:
    """The network of one data set starts that of another; test clips that trained it are refused."""
    first, second = class_folders(tmp_path / "a", frames=6), class_folders(tmp_path / "b", frames=8)
    quick = [*MOTION_ONLY, "run.streams=[motion]", f"cache.dir={tmp_path / 'cache'}", "train_motion.epochs=1"]
    assert_ok(
        moclip("run", FOLDER_YAML, *sets([*quick, f"data.root={first}", f"run.dir={tmp_path / 'one'}"]))
    )
    weights = f"motion.pretrained={tmp_path / 'one' / 'motion.safetensors'}"
    more = [*quick, weights, f"run.dir={tmp_path / 'two'}"]
    same = assert_ok(moclip("run", FOLDER_YAML, *sets([*more, f"data.root={second}"])))
    assert "was trained on" not in same.err
    assert_ok(moclip("predict", next(second.rglob("*.mp4")), "--model", tmp_path / "two"))
    other = [*more, f"data.root={first}", "run.seed=5", "data.test_fraction=0.5"]
    assert_refused(moclip("run", FOLDER_YAML, *sets(other)), "its run used")
    stride = [*more, f"data.root={second}", "motion.stride=2", f"run.dir={tmp_path / 'three'}"]
    told = assert_ok(moclip("run", FOLDER_YAML, *sets(stride)))
    assert "motion.stride=1 (here 2)" in told.err
    assert "motion.stride=1 (here 2)" in (tmp_path / "three" / "report.md").read_text()
    generated = tmp_path / "one" / "generated.safetensors"  # beside a division that says nothing of it
    state = load_file(tmp_path / "one" / "motion.safetensors")
    save_file(state, generated, metadata={"description": json.dumps({"pretraining": {"steps": 1}})})
    other = [line for line in other if line != weights]
    assert_ok(moclip("run", FOLDER_YAML, *sets([*other, f"motion.pretrained={generated}"])))
