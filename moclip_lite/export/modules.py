"""Networks of a run as they are exported: with choice of windows, test views and both inputs of heads."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..motion.augment import views
from ..motion.network import MotionNet
from ..motion.settings import ViewSettings

__all__ = ["MotionScores", "SegmentEncoder", "SegmentMixer", "export_head"]


class MotionScores(nn.Module):
    """Scores and tokens, each the mean over the test views, as prediction computes them."""

    chosen: Tensor

    def __init__(self, network: MotionNet, segments: int, test: ViewSettings) -> None:
        super().__init__()
        self.network, self.test = network, test
        self.register_buffer("chosen", torch.from_numpy(test.chosen(segments)))

    def forward(self, motion: Tensor) -> tuple[Tensor, Tensor]:
        chosen = motion.index_select(1, self.chosen)
        seen = list(views(chosen, self.test.crops, self.test.flips))
        tokens = self.network.tokens(torch.cat(seen))
        logs = self.network.classifier(tokens.mean(dim=1)).log_softmax(dim=1)
        mean = torch.unflatten(logs, 0, (len(seen), -1)).logsumexp(dim=0) - math.log(len(seen))
        return mean, torch.unflatten(tokens, 0, (len(seen), -1)).mean(dim=0)


class SegmentEncoder(nn.Module):
    """Features [N, views, D] of segments [N, frames, 2, rows, columns], which see no other."""

    def __init__(self, network: MotionNet, test: ViewSettings) -> None:
        super().__init__()
        self.network, self.test = network, test

    def forward(self, segments: Tensor) -> Tensor:
        seen = list(views(segments.unsqueeze(1), self.test.crops, self.test.flips))
        return torch.cat([self.network.encode(view) for view in seen], dim=1)


class SegmentMixer(nn.Module):
    """What :class:`MotionScores` gives, from the features [B, T, views, D] of segments."""

    def __init__(self, network: MotionNet) -> None:
        super().__init__()
        self.mix, self.classifier = network.mix, network.classifier

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        seen = features.shape[2]
        tokens = torch.unflatten(self.mix(features.transpose(1, 2).flatten(0, 1)), 0, (-1, seen))
        logs = self.classifier(tokens.mean(dim=2)).log_softmax(dim=2)
        return logs.logsumexp(dim=1) - math.log(seen), tokens.mean(dim=1)


class _Head(nn.Module):
    """A head whose scores hang on both inputs, so that both stand in the file: controls ignore one."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        scores: Tensor = self.head(motion, appearance)
        return scores + 0 * (motion.sum(dim=(1, 2)) + appearance.sum(dim=(1, 2))).unsqueeze(1)


def export_head(head: nn.Module) -> nn.Module:
    """A head as it is exported, in evaluation mode."""
    return _Head(head).eval()
