"""Weights on disk: they come back as they were, and only where they belong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from moclip_lite.errors import CheckpointError
from moclip_lite.storage.files import read_description, read_tensors, write_tensors
from moclip_lite.training.checkpoint import load_arrays, load_weights, save_weights, weights_digest
from moclip_lite.training.weights_file import labels_digest

LABELS = ("jump", "run")


def network(seed: int = 0) -> nn.Module:
    """A layer and a BatchNorm: parameters, buffers and an integer scalar."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Saved weights in a run folder."""
    path = tmp_path / "run" / "fusion.safetensors"
    description = {"head": "film", "hidden": 8}
    save_weights(path, network(), LABELS, description, {"motion_network": "m" * 32, "encoder": "e" * 32})
    return path


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, str]], object]) -> None:
    """The same file with other tensors or metadata."""
    arrays, metadata = read_tensors(path)
    change(arrays, metadata)
    write_tensors(path, arrays, metadata)


def test_weights_come_back(path: Path) -> None:
    other = network(seed=1)
    load_weights(path, other, LABELS)
    for name, value in network().state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=0, atol=0)
    assert read_description(path) == {"head": "film", "hidden": 8}


def test_loaded_weights_can_be_trained(path: Path) -> None:
    """They are copies, not read-only views of the file."""
    model = network(seed=1)
    load_weights(path, model, LABELS)
    with torch.no_grad():
        model[0].weight.add_(1)  # type: ignore[index, operator, union-attr]
    assert weights_digest(model) != weights_digest(network())


def test_the_digest_follows_every_value_and_name() -> None:
    digest = weights_digest(network())
    assert digest == weights_digest(network())
    assert digest != weights_digest(network(seed=1))
    buffer = network()
    buffer[1].running_mean[0] = 1  # type: ignore[index]
    assert digest != weights_digest(buffer)
    assert digest != weights_digest(nn.Sequential(*network(), nn.Identity(), nn.BatchNorm1d(2)))
    renamed = nn.Sequential(nn.Identity(), *network())
    assert digest != weights_digest(renamed)


def test_the_digest_of_labels_looks_at_order_and_borders() -> None:
    assert labels_digest(LABELS) == labels_digest(list(LABELS))
    assert labels_digest(LABELS) != labels_digest(LABELS[::-1])
    assert labels_digest(["ab", "c"]) != labels_digest(["a", "bc"])


@pytest.mark.parametrize("labels", [LABELS[::-1], LABELS[:1], (*LABELS, "fall"), ("jump", "walk")])
def test_weights_for_other_labels_are_refused(labels: tuple[str, ...], path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"fusion\.safetensors.*other labels"):
        load_weights(path, network(), labels)


def test_weights_without_labels_are_refused(path: Path) -> None:
    rewrite(path, lambda arrays, metadata: metadata.pop("labels"))
    with pytest.raises(CheckpointError, match="other labels"):
        load_weights(path, network(), LABELS)


WRONG_ARRAYS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "missing": (lambda arrays: arrays.pop("0.weight"), r"another network: 1 tensors missing.*'0\.weight'"),
    "unexpected": (lambda arrays: arrays.update(x=np.zeros(1)), r"another network: 0 .*1 unexpected.*'x'"),
    "shape": (lambda arrays: arrays.update({"0.bias": np.zeros(3)}), r"'0\.bias' has shape \(3,\).*\(2,\)"),
    "rank": (lambda arrays: arrays.update({"0.bias": np.zeros((1, 2))}), r"'0\.bias' has shape \(1, 2\)"),
    "nan": (lambda arrays: arrays["0.weight"].fill(np.nan), r"'0\.weight' holds numbers that are not finite"),
    "infinite": (lambda arrays: arrays["1.running_var"].fill(np.inf), r"'1\.running_var' holds numbers"),
}


@pytest.mark.parametrize("wrong", WRONG_ARRAYS)
def test_weights_of_another_network_are_refused_and_change_nothing(wrong: str, path: Path) -> None:
    change, message = WRONG_ARRAYS[wrong]
    rewrite(path, lambda arrays, metadata: change(arrays))
    model = network(seed=1)
    before = weights_digest(model)
    with pytest.raises(CheckpointError, match=message):
        load_weights(path, model, LABELS)
    assert weights_digest(model) == before


def test_arrays_of_another_type_are_converted() -> None:
    arrays = {name: value.numpy() for name, value in network().state_dict().items()}
    arrays["0.weight"] = arrays["0.weight"].astype(np.float16)
    model = network(seed=1)
    load_arrays(Path("x"), arrays, model)
    weight = model.state_dict()["0.weight"]
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight, network().state_dict()["0.weight"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "description", [None, "", "[1]", "{", "null"], ids=["absent", "empty", "a list", "cut", "null"]
)
def test_no_description_is_none(description: str | None, path: Path) -> None:
    def change(arrays: dict[str, Any], metadata: dict[str, str]) -> None:
        del metadata["description"]
        if description is not None:
            metadata["description"] = description

    rewrite(path, change)
    assert read_description(path) is None


def test_a_damaged_file_has_no_description_and_is_not_loaded(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    assert read_description(path) is None
    with pytest.raises(CheckpointError, match=r"fusion\.safetensors is damaged"):
        load_weights(path, network(), LABELS)
    path.unlink()
    assert read_description(path) is None
    with pytest.raises(CheckpointError, match=r"fusion\.safetensors is missing"):
        load_weights(path, network(), LABELS)
