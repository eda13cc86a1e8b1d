"""A model trained by several processes at once: gathered rows, shared gradients, whole statistics.

DistributedDataParallel averages gradients; what depends on a whole batch (contrastive losses, BatchNorm)
takes the rows of all processes, so that training comes to what one process with the whole batch comes to.
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

__all__ = ["gather_all", "gather_notes", "in_parallel", "with_whole_norms"]


def gather_all(local: torch.Tensor) -> torch.Tensor:
    """[B, ...] of this process -> [P B, ...] of all, in the order of ranks; gradients go back to their process.

    Where every process computes the same loss from it, DDP's average of gradients is the gradient of
    one process with the whole batch.
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
        """Every process' loss hangs on this part: the gradients' sum."""
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient.chunk(share().world)[share().rank]


def gather_notes(note: Any) -> list[Any]:
    """A plain value of each process, in the order of ranks, on all; as JSON, nothing is pickled."""
    text = torch.tensor(list(json.dumps(note).encode()), dtype=torch.uint8, device=local_device())
    sizes = gather_all(torch.tensor([len(text)], device=text.device)).tolist()
    row = torch.zeros(1, max(sizes), dtype=torch.uint8, device=text.device)
    row[0, : len(text)] = text
    rows = gather_all(row).cpu().numpy()
    return [json.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]


def in_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """The module to train through: gradients become the mean over all processes, BatchNorm sees all parts of a batch.

    Where there are several, it is a twin of the model with the same tensors; modes are set on it.
    """
    if share().world == 1:
        return model
    tensors = [*model.parameters(), *model.buffers()]
    twin = with_whole_norms(copy.deepcopy(model, {id(tensor): tensor for tensor in tensors}), device)
    places = [local_device()] if device.type == "cuda" else None
    return DistributedDataParallel(twin, device_ids=places, find_unused_parameters=True)


def with_whole_norms(model: nn.Module, device: torch.device) -> nn.Module:
    """Replace each BatchNorm by one over the parts of all processes: torch's on GPUs, ours on CPUs, which it lacks."""
    if device.type == "cuda":
        from timm.layers.norm_act import convert_sync_batchnorm  # torch's drops timm's activations

        converted: nn.Module = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    for name, child in model.named_children():
        norm = isinstance(child, nn.modules.batchnorm._BatchNorm)
        setattr(model, name, _WholeBatchNorm(child) if norm else with_whole_norms(child, device))
    return model


class _WholeBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose statistics in training are those of equal parts on all processes.

    Args:
        norm: whose tensors it takes; timm's norms also drop and activate.
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
        out: torch.Tensor = self.after(self._whole(x) if self.training else self._running(x))
        return out

    def _running(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance = self.running_mean, self.running_var
        return functional.batch_norm(x, mean, variance, self.weight, self.bias, mean is None, eps=self.eps)

    def _whole(self, x: torch.Tensor) -> torch.Tensor:
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
