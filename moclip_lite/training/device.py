"""Choice of the device, and seeding of torch."""

from __future__ import annotations

import torch

from ..errors import ConfigError
from ..parallel.ranks import local_device

__all__ = ["pick_device", "seed_all"]


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name.

    Args:
        name: "cpu", "cuda", "cuda:N", "mps", or "auto": CUDA if available, else the CPU.

    Raises:
        ConfigError: an unknown name, or a device that is not available.
    """
    if name == "auto":
        return local_device()
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"the device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(f"there is no device {name!r} on this machine; take auto or cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("there is no device 'mps' on this machine; take auto or cpu")
    return torch.device(name)


def seed_all(seed: int) -> None:
    """Seed torch on all devices."""
    torch.manual_seed(seed % 2**63)
