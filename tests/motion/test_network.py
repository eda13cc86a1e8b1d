"""Motion networks."""

from __future__ import annotations

import pytest
import torch

from moclip_lite.errors import ConfigError
from moclip_lite.motion.network import create_motion_net, list_motion_nets
from moclip_lite.motion.settings import MotionSettings
from moclip_lite.training.costs import count_cost


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name == "efficientnet_b0" else name
        for name in list_motion_nets()
    ],
)
def test_motion_networks(name: str) -> None:
    net = create_motion_net(name, 7, frames=5).eval()
    motion = torch.randn(2, 3, 5, 2, 12, 16)
    assert net(motion).shape == (2, 7)
    assert net.features(motion).shape == (2, net.feature_dim)
    cost = count_cost(net, [motion[:1]])
    assert cost["gflops"] > 0
    if name == "efficientnet_b0":
        assert net.feature_dim == 1280
    else:
        assert cost["parameters"] < 1_000_000


def test_the_small_network_sees_direction() -> None:
    """Reversed motion gives other features."""
    net = create_motion_net("motion_small", 3).eval()
    motion = torch.randn(1, 2, 5, 2, 12, 16)
    assert not torch.allclose(net.features(motion), net.features(-motion))


def test_unknown_networks_are_refused() -> None:
    with pytest.raises(ConfigError, match="motion_small"):
        create_motion_net("resnet", 2)


def test_configurations_of_versions_with_pretraining_are_read_where_they_did_without() -> None:
    assert MotionSettings.model_validate({"pretrain_epochs": 0, "width": 8}) == MotionSettings(width=8)
    with pytest.raises(ValueError, match="pretrain_epochs"):
        MotionSettings.model_validate({"pretrain_epochs": 3})


def test_reduced_precision_gives_finite_gradients_on_every_grid() -> None:
    """oneDNN's bfloat16 convolutions are wrong where maps shrink to a cell; those grids stay in float32."""
    for rows, columns in ((4, 4), (4, 16), (8, 12), (16, 16), (24, 32)):
        for seed in range(3):
            torch.manual_seed(seed)
            network = create_motion_net("motion_small", 2, frames=2, width=4)
            motion = torch.randn(4, 2, 2, 2, rows, columns)
            with torch.autocast("cpu", torch.bfloat16):
                scores = network(motion)
            scores.float().square().mean().backward()
            gradients = [p.grad for p in network.parameters() if p.grad is not None]
            assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
