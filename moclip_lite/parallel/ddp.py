"""Training of one model in several processes: gathered rows, averaged gradients, batch statistics of all.

DistributedDataParallel averages gradients. Operations on a whole batch (contrastive losses, BatchNorm) take
the rows of all processes, so that the result equals that of one process with the whole batch.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from .ranks import local_device, share

__all__ = ["gather_all", "gather_notes", "in_parallel", "synchronize_norms"]


def gather_all(local: torch.Tensor) -> torch.Tensor:
    """[B, ...] of this process -> [P B, ...] of all in rank order; gradients flow back to their process.

    If every process computes the same loss from it, DDP's average of gradients is the gradient of one
    process with the whole batch.
    """
    if share().world == 1:
        return local
    gathered: torch.Tensor = _Gather.apply(local)
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(local, memory_format=torch.contiguous_format) for _ in range(share().world)]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Sum of the gradients, since every process' loss depends on this part."""
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.chunk(share().world)[share().rank]


def gather_notes(note: Any) -> list[Any]:
    """Send a plain value of each process to all, in the order of ranks; as JSON, without pickle."""
    text = torch.tensor(list(json.dumps(note).encode()), dtype=torch.uint8, device=local_device())
    sizes = gather_all(torch.tensor([len(text)], device=text.device)).tolist()
    row = torch.zeros(1, max(sizes), dtype=torch.uint8, device=text.device)
    row[0, : len(text)] = text
    rows = gather_all(row).cpu().numpy()
    return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]


def in_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """The module to train: gradients are averaged over all processes, BatchNorm sees all parts of a batch.

    With several processes it is a copy of the model that shares its tensors; set training mode on the copy.
    """
    if share().world == 1:
        return model
    tensors = [*model.parameters(), *model.buffers()]
    clone = synchronize_norms(copy.deepcopy(model, {id(tensor): tensor for tensor in tensors}), device)
    device_ids = [local_device()] if device.type == "cuda" else None
    return DistributedDataParallel(clone, device_ids=device_ids, find_unused_parameters=True)


def synchronize_norms(model: nn.Module, device: torch.device) -> nn.Module:
    """Replace each BatchNorm by one over all processes: torch's on GPUs, ours on CPUs (torch has none)."""
    if device.type == "cuda":
        from timm.layers.norm_act import convert_sync_batchnorm  # torch's drops timm's activations

        converted: nn.Module = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for name, child in model.named_children():
        norm = isinstance(child, nn.modules.batchnorm._BatchNorm)
        setattr(model, name, _SyncBatchNorm(child) if norm else synchronize_norms(child, device))
    return model


class _SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose statistics in training are those of equal parts in all processes.

    Args:
        norm: provides the tensors; timm's norms also contain dropout and activation.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.after = nn.Sequential(*(getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)))
        self.train(norm.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, ...] -> the same."""
        normalized: torch.Tensor = self.after(self._by_batch(x) if self.training else self._by_running(x))
        return normalized

    def _by_running(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance = self.running_mean, self.running_var
        return functional.batch_norm(x, mean, variance, self.weight, self.bias, mean is None, eps=self.eps)

    def _by_batch(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(x, [d for d in range(x.ndim) if d != 1], correction=0)
        means, variances = gather_all(torch.stack([mean, variance]).unsqueeze(0)).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            step = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            count = len(means) * x.numel() // len(mean)
            self.running_mean.lerp_(mean.detach(), step)
            self.running_var.lerp_(variance.detach() * count / (count - 1), step)
        scale = (variance + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        shape = (-1, *(1,) * (x.ndim - 2))
        return x * scale.view(shape) + shift.view(shape)
