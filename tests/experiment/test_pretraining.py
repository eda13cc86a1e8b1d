"""Pre-training on generated motion: its file, its refusals, and going on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from moclip_lite.errors import CheckpointError, ConfigError
from moclip_lite.experiment import pretraining
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.pretraining import pretrain
from moclip_lite.motion.network import build_motion_net, create_motion_net
from moclip_lite.motion.pretrained import other_reading
from moclip_lite.motion.settings import GENERATED, PRETRAIN_STEPS, MotionSettings
from moclip_lite.progress import Silent
from moclip_lite.storage.files import read_description

from support.cli import FOLDER_YAML, assert_ok, assert_refused, moclip

SMALL = MotionSettings(grid=(8, 12), frames=2, width=4, train_segments=1)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_BATCH", 4), ("_VALIDATION_BATCHES", 2), ("_STEPS_BETWEEN_VALIDATIONS", 25)):
        monkeypatch.setattr(pretraining, name, value)


def test_the_file_starts_a_network_and_names_what_made_it(tmp_path: Path) -> None:
    out = tmp_path / "new" / "pretrained.safetensors"
    result = pretrain(SMALL, out, Silent(), seed=3, device="cpu", steps=50)
    assert [row["epoch"] for row in result.history] == [0, 1]
    assert result.history[1]["loss"] < result.history[0]["loss"]
    description = read_description(out)
    assert description is not None
    assert (description["pretraining"]["seed"], description["pretraining"]["steps"]) == (3, 50)
    assert other_reading(out, SMALL) is None
    coarser = SMALL.model_copy(update={"grid": (4, 6), "crop_side": 0.5})
    assert "motion.grid=8x12 (here 4x6)" in (other_reading(out, coarser) or "")
    started = create_motion_net("motion_small", 5, frames=2, width=4, pretrained=out)
    random = create_motion_net("motion_small", 5, frames=2, width=4)
    assert not torch.equal(next(started.parameters()), next(random.parameters()))
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    with pytest.raises(CheckpointError, match="motion_small"):
        create_motion_net("motion_small", 5, frames=3, width=4, pretrained=out)


def test_weights_of_half_precision_take_half_the_space(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    for path in (whole, half):
        pretrain(SMALL, path, Silent(), seed=3, device="cpu", steps=25, half=path == half)
    assert half.stat().st_size < 0.75 * whole.stat().st_size
    networks = [
        create_motion_net("motion_small", 5, frames=2, width=4, pretrained=path) for path in (whole, half)
    ]
    for exact, rounded in zip(*(network.encoder.parameters() for network in networks), strict=True):
        assert exact.dtype == rounded.dtype == torch.float32
        torch.testing.assert_close(rounded, exact, rtol=1e-3, atol=1e-6)


def test_the_weights_that_come_with_the_program_are_those_of_its_recipe() -> None:
    known = load_experiment(FOLDER_YAML, ["motion.pretrained=false"])
    description = read_description(GENERATED)
    assert description is not None
    assert description["pretraining"] == {
        "motion": json.loads(json.dumps(known.motion.deciding())),
        "seed": 0,
        "steps": PRETRAIN_STEPS,
        "version": pretraining._VERSION,
    }
    settings = MotionSettings()
    assert settings.start == MotionSettings(pretrained="generated").start == GENERATED
    network, same = (build_motion_net(settings, classes) for classes in (5, 3))
    for (name, value), other in zip(
        network.encoder.named_parameters(), same.encoder.parameters(), strict=True
    ):
        assert torch.equal(value, other), name
    assert settings.deciding()["pretrained"] not in (True, False, "auto", str(GENERATED))


@pytest.mark.parametrize(
    "other",
    [
        *({"field": "compensated"}, {"frames": 7}, {"stride": 2}, {"grid": (12, 16)}, {"crop": "actor"}),
        *({"normalize_distance": False}, {"net": "motion_shift"}, {"width": 16}),
    ],
    ids=lambda other: next(iter(other)),
)
def test_weights_of_other_motion_are_not_taken(other: dict[str, object]) -> None:
    name = next(iter(other))
    assert MotionSettings(**other).start is False
    with pytest.raises(ValidationError, match=rf"needs motion\.{name}="):
        MotionSettings(**{**other, "pretrained": "generated"})


def test_an_interrupted_pretraining_ends_like_any_other(tmp_path: Path) -> None:
    class Interrupting(Silent):
        def progress(self, stage: str, done: int, total: int) -> None:
            if done == 1:
                raise KeyboardInterrupt

    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    pretrain(SMALL, whole, Silent(), seed=0, device="cpu", steps=50)
    with pytest.raises(KeyboardInterrupt):
        pretrain(SMALL, parts, Interrupting(), seed=0, device="cpu", steps=50)
    assert not parts.exists()
    pretrain(SMALL, parts, Silent(), seed=0, device="cpu", steps=50)
    assert _tensors(parts) == _tensors(whole)


def _tensors(path: Path) -> dict[str, list[float]]:
    from safetensors.torch import load_file

    return {name: value.flatten().tolist() for name, value in load_file(path).items()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"field": "accumulated"}, "not generated"),
        ({"pretrained": Path("some.safetensors")}, "random weights"),
    ],
)
def test_what_can_not_be_pretrained_is_refused(
    settings: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        pretrain(
            SMALL.model_copy(update=settings), tmp_path / "x.safetensors", Silent(), seed=0, device="cpu"
        )


def test_a_box_that_follows_the_actor_is_told_of(tmp_path: Path) -> None:
    class Warned(Silent):
        def __init__(self) -> None:
            self.warnings: list[str] = []

        def warn(self, text: str) -> None:
            self.warnings.append(text)

    for crop, count in (("none", 0), ("actor", 1)):
        settings, reporter = SMALL.model_copy(update={"crop": crop}), Warned()
        pretrain(settings, tmp_path / f"{crop}.safetensors", reporter, seed=0, device="cpu", steps=25)
        assert len(reporter.warnings) == count


def test_command(tmp_path: Path) -> None:
    out = tmp_path / "007"
    words = ("pretrain", FOLDER_YAML, "-o", out, "--steps", "25", "--set", "motion.grid=[8,12]")
    said = assert_ok(moclip(*words, "--set", "motion.width=4", "--set", "motion.frames=2")).out
    assert "generated actions" in said
    assert f"motion.pretrained={out}" in said
    assert_refused(moclip("pretrain", FOLDER_YAML, "-o", tmp_path, "--steps", "25"), str(tmp_path))


def test_a_section_whose_settings_do_not_go_together_is_one_sentence(tmp_path: Path) -> None:
    words = ("run", FOLDER_YAML, "--set", "motion.pretrained=generated", "--set", "motion.grid=[12,16]")
    refused = moclip(*words, "--set", f"data.root={tmp_path}")
    assert_refused(
        refused, "motion: pretrained=generated needs motion.grid=[24, 32]; set motion.pretrained=auto"
    )
    assert "{" not in refused.err
