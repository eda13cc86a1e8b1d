"""Motion networks."""

from __future__ import annotations

import pytest
import torch

from moclip_lite.errors import ConfigError
from moclip_lite.motion.network import create_motion_net, list_motion_nets
from moclip_lite.training.costs import count_cost


@pytest.mark.parametrize("name", list_motion_nets())
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
