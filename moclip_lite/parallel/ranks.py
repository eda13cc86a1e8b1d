"""Processes that torchrun started: rank of this process, its share of the work, and agreement among all.

The processes share the run folder and the cache (on several machines: a shared file system). Each reads a
part of the clips and a part of every batch; the first one writes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = [
    "SINGLE",
    "Share",
    "add_up",
    "agree",
    "joined",
    "local_device",
    "share",
    "share_weights",
    "wait_for_all",
]

Item = TypeVar("Item")
Rows = TypeVar("Rows", "torch.Tensor", npt.NDArray[np.int64])
_TIMEOUT: Final = timedelta(hours=6)  # one process may be reading clips while the others wait


@dataclass(frozen=True)
class Share:
    """A process' share of the work: number `rank` of `world`, counted from 0."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def even(self, rows: Rows) -> Rows:
        """This process' part of a batch; up to `world` - 1 rows are left out so that all parts are equal.

        The mean of the parts' gradients is then the gradient of the mean loss.
        """
        if self.world == 1:
            return rows
        return rows[: len(rows) // self.world * self.world][self.rank :: self.world]

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process' part of a sequence; the parts of all processes cover it."""
        return items[self.rank :: self.world] if self.world > 1 else items


SINGLE: Final = Share()


def share() -> Share:
    """This process' share of the work; all of it where there is one process."""
    dist = sys.modules.get("torch.distributed")  # without this import there is one process
    if dist is None or not (dist.is_available() and dist.is_initialized()):
        return SINGLE
    return Share(dist.get_rank(), dist.get_world_size())


@contextmanager
def joined() -> Iterator[Share]:
    """Join the processes that torchrun started; without torchrun there is nothing to join.

    Raises:
        ConfigError: torchrun's environment is set, but the other processes can't be reached, or torchrun
            started more processes than this machine has GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or share() != SINGLE:
        yield share()
        return
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        _take_gpu(torch.cuda.device_count())
    backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        dist.init_process_group(backends, timeout=_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"torchrun's processes can't reach each other: {error}") from error
    try:
        yield share()
    finally:
        dist.destroy_process_group()


def _take_gpu(gpus: int) -> None:
    """Choose the GPU of this process' rank on its machine; NCCL needs one for each process."""
    import torch

    rank = int(os.environ.get("LOCAL_RANK", "0"))
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if processes > gpus or rank >= gpus:
        raise ConfigError(
            f"torchrun started {processes} processes on a machine with {gpus} GPU{'s' if gpus > 1 else ''}, "
            f"and each needs one of its own; start it with --nproc-per-node {gpus}, "
            "or set CUDA_VISIBLE_DEVICES= (empty) to train on the CPU"
        )
    torch.cuda.set_device(rank)


def local_device() -> torch.device:
    """This process' GPU if there is one, else the CPU."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device()) if share().world > 1 else torch.device("cuda")


def agree(values: Sequence[float]) -> tuple[float, ...]:
    """Send the numbers of the first process to all."""
    if share().world == 1:
        return tuple(values)
    import torch
    import torch.distributed as dist

    numbers = torch.tensor(list(values), dtype=torch.float64, device=local_device())
    dist.broadcast(numbers, src=0)
    return tuple(numbers.tolist())


def add_up(values: Sequence[float]) -> tuple[float, ...]:
    """Sums of numbers over all processes."""
    if share().world == 1:
        return tuple(values)
    import torch
    import torch.distributed as dist

    numbers = torch.tensor(list(values), dtype=torch.float64, device=local_device())
    dist.all_reduce(numbers)
    return tuple(numbers.tolist())


def share_weights(model: nn.Module) -> None:
    """Send the first process' weights and statistics to all."""
    if share().world > 1:
        import torch.distributed as dist

        for value in model.state_dict().values():
            dist.broadcast(value, src=0)


def wait_for_all() -> None:
    """Return when every process has called this function."""
    if share().world > 1:
        import torch.distributed as dist

        dist.barrier()
