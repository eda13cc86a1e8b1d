"""The encoders of motion networks: how they compress motion, and how they see time."""

from __future__ import annotations

import torch

from moclip_lite.motion.encoders.blocks import compress
from moclip_lite.motion.encoders.shift import Shift
from moclip_lite.motion.network import TemporalMix, create_motion_net


def test_motion_is_compressed_by_asinh_over_its_whole_range() -> None:
    motion = torch.cat([torch.linspace(-8192, 8192, 4001), torch.linspace(-0.01, 0.01, 4001), torch.zeros(1)])
    torch.testing.assert_close(compress(motion), torch.asinh(motion.double()).float(), atol=1e-9, rtol=1e-6)
    assert compress(torch.zeros(1)).item() == 0


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
