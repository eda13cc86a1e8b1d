"""Several processes at one training: who this one is, and how they agree.

Started by ``torchrun``, processes share the run folder and the cache (on several machines: a shared
file system). Each reads a part of the clips and a part of every batch; the first one writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .errors import ConfigError

__all__ = [
    "SINGLE",
    "Share",
    "agree",
    "gather_all",
    "gather_notes",
    "in_parallel",
    "joined",
    "local_device",
    "share",
    "share_weights",
    "wait_for_all",
]

Item = TypeVar("Item")
Rows = TypeVar("Rows", torch.Tensor, npt.NDArray[np.int64])
_PATIENCE: Final = timedelta(hours=6)  # one process may be reading clips while the others wait


@dataclass(frozen=True)
class Share:
    """A process' part of the work: `rank` of `world`, counted from 0."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def even(self, rows: Rows) -> Rows:
        """This process' part of a batch; a few rows are left out where the parts would differ in size.

        The mean of the parts' gradients is then the gradient of the mean.
        """
        if self.world == 1:
            return rows
        return rows[: len(rows) // self.world * self.world][self.rank :: self.world]

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process' part of a sequence; the parts of all make the whole."""
        return items[self.rank :: self.world] if self.world > 1 else items


SINGLE: Final = Share()


def share() -> Share:
    """This process' share; the whole where there is only one process."""
    if not (dist.is_available() and dist.is_initialized()):
        return SINGLE
    return Share(dist.get_rank(), dist.get_world_size())


@contextmanager
def joined() -> Iterator[Share]:
    """Join the processes that torchrun started; alone without it.

    Raises:
        ConfigError: torchrun's environment is there, but the others can't be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or share() != SINGLE:
        yield share()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    try:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"torchrun's processes can't reach each other: {error}") from error
    try:
        yield share()
    finally:
        dist.destroy_process_group()


def local_device() -> torch.device:
    """The GPU of this process where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device()) if share().world > 1 else torch.device("cuda")


def agree(values: Sequence[float]) -> tuple[float, ...]:
    """The numbers of the first process, on all."""
    if share().world == 1:
        return tuple(values)
    numbers = torch.tensor(list(values), dtype=torch.float64, device=local_device())
    dist.broadcast(numbers, src=0)
    return tuple(numbers.tolist())


def gather_all(local: torch.Tensor) -> torch.Tensor:
    """[B, ...] of this process -> [P B, ...] of all, in the order of ranks; gradients go back to their process.

    Where every process computes the same loss from it, DDP's average of gradients is the gradient of
    one process with the whole batch.
    """
    world = share().world
    if world == 1:
        return local
    if local.requires_grad:
        from torch.distributed.nn.functional import all_gather

        return torch.cat(list(all_gather(local)))  # type: ignore[no-untyped-call]
    parts = [torch.empty_like(local) for _ in range(world)]
    dist.all_gather(parts, local.contiguous())
    return torch.cat(parts)


def gather_notes(note: Any) -> list[Any]:
    """A plain value of each process, in the order of ranks, on all; as JSON, nothing is pickled."""
    text = torch.tensor(list(json.dumps(note).encode()), dtype=torch.uint8, device=local_device())
    sizes = gather_all(torch.tensor([len(text)], device=text.device)).tolist()
    row = torch.zeros(1, max(sizes), dtype=torch.uint8, device=text.device)
    row[0, : len(text)] = text
    rows = gather_all(row).cpu().numpy()
    return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]


def in_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """The module to train through: gradients become the mean over all processes.

    BatchNorm sees all parts of a batch on GPUs; on CPUs, for which torch has no such norm, each
    process its own part.
    """
    if share().world == 1:
        return model
    if device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    places = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=places, find_unused_parameters=True)


def share_weights(model: nn.Module) -> None:
    """The first process' weights and statistics, on all."""
    if share().world > 1:
        for value in model.state_dict().values():
            dist.broadcast(value, src=0)


def wait_for_all() -> None:
    """Return when every process has come here."""
    if share().world > 1:
        dist.barrier()
