"""Linear classifiers: strongly regularised, and joined with weights and temperature from held-out clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor, nn

from ..tables import pool_tokens
from .base import Head, HeadSize, Standardize, as_tokens
from .late_average import pool_weights
from .linear import STRENGTHS, Array, fit_logistic, put_coefficients, require_classes

if TYPE_CHECKING:
    from ..tables import FeatureTable, Split

__all__ = ["LinearAppearance", "LinearMotion", "LinearOneFrame", "LinearPool", "MiddleFrame"]

_ROUNDING: Final = 1e-5  # of float32 in a mean of frames, relative to their length
_LINEAR: Final = ("motion", "appearance")  # streams with a logistic regression; derived heads have others


class LinearPool(Head):
    """Scores w_m log p_motion + w_a log p_appearance of two logistic regressions: a logarithmic opinion pool.

    Few clips determine little: a linear classifier on each stream with the L2 penalty of least cross-entropy,
    and one weight per stream, whose sum is the inverse temperature of the pool (Guo et al. 2017; see
    :func:`~.late_average.pool_weights`). All is chosen on clips that neither the motion
    network nor the classifiers were trained on, so that a stream is weighted by its accuracy there: the
    classifier of one without information gets a strong penalty and nearly uniform scores, and the fusion
    falls back to the other.

    The motion network was trained for the mean of its tokens, and that is what is used of them. Frames are
    described by the mean and the standard deviation of their features: a short action shows in few of the
    frames, and the mean hides it.

    There is no hidden layer, and the optimum depends on no seed: ``fusion.hidden``, ``fusion.dropout`` and
    the schedule in ``train_head`` are without effect.
    """

    tokens = True
    closed_form = True
    several_splits = True
    streams: ClassVar[tuple[str, ...]] = ("motion", "appearance")
    weights: Tensor
    strengths: Tensor

    def __init__(self, size: HeadSize) -> None:
        super().__init__(size)
        self._classes = size.classes
        self.spread_norm = Standardize(size.appearance)
        self.classifiers = nn.ModuleDict()
        for stream in self.streams:
            if stream in _LINEAR:
                length = size.motion if stream == "motion" else 2 * size.appearance
                self.classifiers[stream] = nn.Linear(length, size.classes)
        count = len(self.streams)
        self.register_buffer("weights", torch.full((count,), 1 / count))
        self.register_buffer("strengths", torch.full((count,), STRENGTHS[0], dtype=torch.float64))

    def fit_statistics(self, motion: Tensor, appearance: Tensor) -> None:
        super().fit_statistics(motion, appearance)
        self.spread_norm.fit(_spread(self.frames(appearance)))

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        return self.stream_scores(motion, appearance) @ self.weights

    def stream_scores(self, motion: Tensor, appearance: Tensor) -> Tensor:
        """Log-probabilities of each stream, [B, C, streams]."""
        logits = [self.logits(stream, motion, appearance) for stream in self.streams]
        return torch.stack(logits, dim=-1).log_softmax(dim=1)

    def logits(self, stream: str, motion: Tensor, appearance: Tensor) -> Tensor:
        """Scores of a stream's classifier, [B, C]."""
        scores: Tensor = self.classifiers[stream](self.described(stream, motion, appearance))
        return scores

    def frames(self, appearance: Tensor) -> Tensor:
        """The frames that are looked at, [B, N, Da]."""
        return as_tokens(appearance)

    def described(self, stream: str, motion: Tensor, appearance: Tensor) -> Tensor:
        """What the classifier of a stream sees, standardised: [B, Dm] or [B, 2 Da].

        The deviation of a single frame is unknown: it gets the mean of the training clips, which is 0. So
        does that of frames that are all alike, up to rounding.
        """
        if stream == "motion":
            feature: Tensor = self.motion_norm(pool_tokens(motion))
            return feature
        frames = self.frames(appearance)
        deviation = _spread(frames)
        known = deviation.norm(dim=-1, keepdim=True) > _ROUNDING * frames[:, 0].norm(dim=-1, keepdim=True)
        spread = self.spread_norm(deviation) * known
        return torch.cat([self.appearance_norm(frames.mean(dim=1)), spread], dim=-1)

    def solve(self, splits: Sequence[Split]) -> None:
        """Choose penalties and weights on the held-out clips of all splits, and fit to the first split.

        Raises:
            DataError: the training clips are of one class.
        """
        require_classes(splits[0].train.labels, "linear_pool")
        usable = [split for split in splits if len(torch.unique(split.train.labels)) > 1]
        labels = torch.cat([split.held_out.labels for split in usable]).numpy()
        shares = _shares(labels, self.balanced)
        chosen = []
        for stream in self.streams:
            scores = np.concatenate([self.path(stream, split) for split in usable], axis=1)
            losses = -scores[:, np.arange(len(labels)), labels] @ shares
            best = int(losses.argmin())
            self.choose(stream, best)
            chosen.append(scores[best])
        self.weights.copy_(torch.from_numpy(pool_weights(np.stack(chosen, axis=-1), labels)))
        self.restandardize(splits[0].train)
        self.refit(splits[0].train)

    def refit(self, table: FeatureTable) -> None:
        for stream in self.streams:
            self.fit_stream(stream, table)

    def choices(self) -> dict[str, Any]:
        values = zip(self.streams, self.weights.tolist(), strict=True)
        return {"pool": {stream: {"weight": weight, **self.chosen(stream)} for stream, weight in values}}

    def path(self, stream: str, split: Split) -> Array:
        """Log-probabilities of a split's held-out clips by each candidate of a stream, [candidates, N, C]."""
        self.restandardize(split.train)
        features, labels = self._features(stream, split.train), split.train.labels.numpy()
        held_out = self._features(stream, split.held_out)
        fits = fit_logistic(features, labels, self._classes, STRENGTHS, self.balanced)
        return np.stack([coefficients.log_probabilities(held_out) for coefficients in fits])

    def choose(self, stream: str, best: int) -> None:
        """Take the candidate of that number in :meth:`path`."""
        self.strengths[self.streams.index(stream)] = STRENGTHS[best]

    def chosen(self, stream: str) -> dict[str, float]:
        """What :meth:`choose` took, by name."""
        return {"C": float(self.strengths[self.streams.index(stream)])}

    def fit_stream(self, stream: str, table: FeatureTable) -> None:
        """Fit the classifier of a stream with what was chosen for it."""
        strength = float(self.strengths[self.streams.index(stream)])
        features, labels = self._features(stream, table), table.labels.numpy()
        layer = self.classifiers[stream]
        assert isinstance(layer, nn.Linear)
        put_coefficients(
            layer, next(fit_logistic(features, labels, self._classes, [strength], self.balanced))
        )

    @torch.no_grad()
    def _features(self, stream: str, table: FeatureTable) -> Array:
        return self.described(stream, table.motion, table.appearance).double().numpy()


class LinearMotion(LinearPool):
    """The motion classifier of :class:`LinearPool` alone, calibrated likewise."""

    streams = ("motion",)


class LinearAppearance(LinearPool):
    """The appearance classifier of :class:`LinearPool` alone, calibrated likewise."""

    streams = ("appearance",)


class MiddleFrame(LinearPool):
    """A head of this kind on the middle frame: the control for the use of several frames."""

    def fit_statistics(self, motion: Tensor, appearance: Tensor) -> None:
        super().fit_statistics(motion, self.frames(appearance))

    def frames(self, appearance: Tensor) -> Tensor:
        frames = as_tokens(appearance)
        middle = frames.shape[1] // 2
        return frames[:, middle : middle + 1]


class LinearOneFrame(MiddleFrame, LinearAppearance):
    """:class:`LinearAppearance` on the middle frame."""


def _shares(labels: Array, balanced: bool) -> Array:
    """Weights of clips in a loss, of sum 1: alike, or so that classes count alike."""
    counts = np.bincount(labels)[labels] if balanced else np.ones(len(labels))
    return np.asarray((1 / counts) / (1 / counts).sum())


def _spread(tokens: Tensor) -> Tensor:
    """Standard deviation over tokens: [B, N, D] -> [B, D]; 0 of a single one."""
    deviation = tokens - tokens.mean(dim=1, keepdim=True)
    return deviation.square().mean(dim=1).sqrt()
