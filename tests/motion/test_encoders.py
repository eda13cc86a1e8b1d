"""The motion networks in time, and masked-motion pre-training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moclip_lite.errors import ConfigError
from moclip_lite.motion.encoders.shift import Shift
from moclip_lite.motion.network import TemporalMix, create_motion_net
from moclip_lite.motion.pretrain import TOKENS, MaskedMotion, hide, tokens

from support.cli import QUICK, assert_ok, assert_refused, class_folders, moclip, sets


def test_channels_are_shifted_by_one_step_within_a_window() -> None:
    x = torch.arange(2 * 3 * 8, dtype=torch.float32).reshape(6, 8, 1, 1) + 1
    moved = Shift(3)(x).reshape(2, 3, 8)
    x = x.reshape(2, 3, 8)
    torch.testing.assert_close(moved[:, :2, :2], x[:, 1:, :2])
    torch.testing.assert_close(moved[:, 1:, 2:4], x[:, :2, 2:4])
    torch.testing.assert_close(moved[..., 4:], x[..., 4:])
    assert not moved[:, 2, :2].any()  # nothing comes from the other window
    assert not moved[:, 0, 2:4].any()


def test_the_shift_network_sees_the_order_of_fields() -> None:
    net = create_motion_net("motion_shift", 3, frames=8, width=8).eval()
    motion = torch.randn(2, 2, 8, 2, 12, 16)
    features = net.features(motion)
    assert not torch.allclose(features, net.features(motion.flip(2)))
    torch.testing.assert_close(features, net.features(motion.flip(1)))  # windows are averaged


def test_the_control_does_not() -> None:
    net = create_motion_net("motion_fields", 3, frames=8, width=8).eval()
    shift = create_motion_net("motion_shift", 3, frames=8, width=8)
    assert [x.shape for x in net.parameters()] == [x.shape for x in shift.parameters()]
    motion = torch.randn(2, 2, 8, 2, 12, 16)
    torch.testing.assert_close(net.features(motion), net.features(motion.flip(2)))


def test_the_mix_of_segments_starts_as_identity_and_learns() -> None:
    mix = TemporalMix(6)
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(mix(x), x)
    step = torch.optim.SGD(mix.parameters(), 0.5)
    before = mix.conv.weight.detach().clone()
    for _ in range(3):
        step.zero_grad()
        (mix(x) - x.cumsum(dim=1)).square().mean().backward()
        step.step()
    assert not torch.equal(mix.conv.weight, before)


def test_tokens_tell_direction_and_speed() -> None:
    vectors = torch.tensor([[0.1, 0.2], [1, 0], [0, 1], [-1, 0], [0, -1], [3, 0], [1, 1], [-5, -5]]).float()
    token_ids = tokens(vectors.T.reshape(2, 1, 8)).ravel().tolist()
    assert token_ids == [0, 1, 3, 5, 7, 9, 2, 14]
    assert max(token_ids) < TOKENS


def test_only_hidden_cells_are_asked_for() -> None:
    motion = torch.full((2, 1, 3, 2, 12, 16), 1.0)
    masked, labels = hide(motion, torch.Generator().manual_seed(0))
    assert labels.shape == (2 * 1 * 3, 6, 8)
    hidden = (masked == 0).all(dim=3).reshape(6, 12, 16)
    assert torch.equal(hidden[:, ::2, ::2], labels != -100)
    assert set(labels.unique().tolist()) == {-100, 2}  # (1, 1) is down and right
    assert 0.2 < hidden.float().mean() < 0.8
    assert torch.equal(hidden[0], hidden[1])  # the same in all fields of a window
    assert not torch.equal(hidden[0], hidden[3])


@pytest.mark.parametrize("name", ["motion_small", "motion_shift", "motion_fields"])
def test_hidden_motion_is_learnt(name: str) -> None:
    """A field that moves as one: what is hidden can be told from what is seen."""
    torch.manual_seed(0)
    net = create_motion_net(name, 2, frames=3, width=8)
    model, generator = MaskedMotion(net, 3), torch.Generator().manual_seed(0)
    step = torch.optim.AdamW(model.parameters(), 5e-3)
    losses = []
    for _ in range(40):
        angle = torch.randint(0, 8, (8,), generator=generator) * torch.pi / 4
        vectors = torch.stack([angle.cos(), angle.sin()], dim=1)[:, None, None, :, None, None]
        masked, labels = hide(vectors.expand(8, 1, 3, 2, 12, 16).contiguous(), generator)
        loss = torch.nn.functional.cross_entropy(model(masked), labels)
        step.zero_grad()
        loss.backward()
        step.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert model.encoder is net.encoder


def test_pretraining_is_a_stage_of_a_run(tmp_path: Path) -> None:
    data, folder = class_folders(tmp_path / "data"), tmp_path / "run"
    quick = (*QUICK, "motion.net=motion_shift", "motion.frames=4", "motion.pretrain_epochs=2")
    words = ("run", data, *sets((*quick, f"run.dir={folder}", f"cache.dir={tmp_path / 'cache'}")))
    first = assert_ok(moclip(*words))
    assert "motion_pretrained" in first.err + first.out
    assert (folder / "motion_pretrained.safetensors").is_file()
    weights = (folder / "motion.safetensors").read_bytes()
    (folder / "metrics.json").unlink()
    again = assert_ok(moclip(*words))
    assert "motion_pretrained" not in again.err + again.out  # the network itself is there
    assert (folder / "motion.safetensors").read_bytes() == weights


def test_pretraining_needs_one_of_our_networks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pretrain_epochs"):
        MaskedMotion(create_motion_net("efficientnet_b0", 2, frames=1), 1)
    outcome = moclip("run", tmp_path, *sets(("motion.pretrain_epochs=-1",)))
    assert_refused(outcome, "motion.pretrain_epochs")
