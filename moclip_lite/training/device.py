"""Choice of the device, and seeding of torch."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..errors import ConfigError
from ..parallel.ranks import local_device, share

__all__ = ["pick_device", "put_random_state", "random_state", "repeatable", "seed_all"]


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of a name.

    Args:
        name: "cpu", "cuda", "cuda:N", "mps", or "auto": CUDA if available, else the CPU.

    Raises:
        ConfigError: an unknown name, a device that is not available, or one GPU for several processes.
    """
    if name == "auto":
        return local_device()
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"the device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(f"there is no device {name!r} on this machine; take auto or cpu")
    if number and share().world > 1:
        raise ConfigError(f"the processes of torchrun can't share the device {name!r}; take auto or cuda")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("there is no device 'mps' on this machine; take auto or cpu")
    return torch.device(name)


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Let operations on a GPU give the same result each time, as those of the CPU do.

    An operation that has no such form is used nevertheless; torch warns of it. Attention is computed by the
    plain product of matrices: the faster forms (flash, memory-efficient, cuDNN) repeat only where torch may
    refuse operations instead of warning.
    """
    if device.type != "cuda":
        yield
        return
    # cuBLAS reads it when it starts; without it, its sums may differ where several streams run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    enabled = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    searches = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        torch.backends.cudnn.benchmark = searches


def seed_all(seed: int) -> None:
    """Seed torch on all devices."""
    torch.manual_seed(seed % 2**63)


def random_state(device: torch.device) -> dict[str, str]:
    """State of torch's generators for the CPU and a device, as text."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return {name: base64.b64encode(state.numpy().tobytes()).decode() for name, state in states.items()}


def put_random_state(states: Mapping[str, str], device: torch.device) -> None:
    """Put back what :func:`random_state` returned; on another kind of device, the CPU's state alone."""
    for name, text in states.items():
        state = torch.from_numpy(np.frombuffer(base64.b64decode(text), np.uint8).copy())
        if name == "cpu":
            torch.set_rng_state(state)
        elif name == device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
        elif name == device.type == "mps":
            torch.mps.set_rng_state(state)
