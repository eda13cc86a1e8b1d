"""Interface of fusion heads, and the parts that several of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn

from ..streamed import StreamedTable
from ..tables import FeatureTable, Split, pool_tokens

__all__ = ["Head", "HeadSize", "Moments", "Standardize", "as_tokens", "mlp"]

_STATISTICS_BLOCK: Final = 1024


@dataclass(frozen=True)
class HeadSize:
    """Dimensions of a head.

    Attributes:
        motion: length of a motion token.
        appearance: length of a frame's feature.
        classes: length of the scores.
        hidden: width of the hidden layer.
        dropout: before the classifier.
    """

    motion: int
    appearance: int
    classes: int
    hidden: int
    dropout: float


class Moments:
    """Mean and squared deviations of rows that come a block at a time (Chan et al. 1983), in float64.

    Attributes:
        count: rows.
        mean: float64 [D].
        squares: sums of squared deviations, float64 [D].
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.mean, self.squares = torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Add a block [N, D]."""
        block = rows.double()
        mean = block.mean(dim=0)
        total = self.count + len(block)
        away = mean - self.mean
        self.squares += (block - mean).square().sum(dim=0) + away.square() * (self.count * len(block) / total)
        self.mean += away * (len(block) / total)
        self.count = total


class Standardize(nn.Module):
    """Zero mean and unit variance by statistics of the training features; the identity until fitted.

    Streams differ in scale by orders of magnitude; without this the larger one drowns the other.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def fit(self, features: Tensor) -> None:
        """Take the statistics of [N, dim]."""
        self.mean.copy_(features.mean(dim=0))
        self._scale_by(features.std(dim=0, unbiased=False))

    def take(self, moments: Moments) -> None:
        """Take the statistics of features that were seen a block at a time."""
        self.mean.copy_(moments.mean)
        self._scale_by((moments.squares / max(1, moments.count)).sqrt().to(self.scale.dtype))

    def _scale_by(self, spread: Tensor) -> None:
        self.scale.copy_(1 / spread.clamp_min(1e-6 + 1e-3 * float(spread.max())))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) * self.scale


class Head(nn.Module):
    """(motion [B, T, Dm] or [B, Dm], appearance [B, N, Da] or [B, Da]) -> scores [B, C].

    In training a head may return the scores of several classifiers, [B, C, K]: each has its own loss.

    A head is fitted in this order: :meth:`fit_statistics` on the training features, :meth:`start_from_text`
    where `from_text` is set, then its weights, by :meth:`solve` where `closed_form` is set and by gradient
    descent in the training loop elsewhere; the loop calls :meth:`calibrate` before each validation. Where it
    is fitted again to all clips, what was chosen on held-out clips stays: by :meth:`refit` where
    `closed_form` is set, elsewhere by gradient descent without validation and :meth:`take_calibration`.

    Attributes:
        tokens: whether the head looks at single frames and segments; if not, features may be averaged over
            them once before training.
        from_text: whether the head starts from text embeddings of the class names.
        closed_form: whether :meth:`solve` fits all weights.
        several_splits: whether :meth:`solve` uses more than the first split.
    """

    tokens: ClassVar[bool] = False
    from_text: ClassVar[bool] = False
    closed_form: ClassVar[bool] = False
    several_splits: ClassVar[bool] = False

    def __init__(self, size: HeadSize) -> None:
        super().__init__()
        self.motion_norm = Standardize(size.motion)
        self.appearance_norm = Standardize(size.appearance)
        self._standardizes = False
        self.balanced = False  # whether :meth:`solve` and :meth:`refit` weigh classes alike

    def take_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Make room for tensors whose size is that of the training clips; most heads have none."""

    def restandardize(self, table: FeatureTable | StreamedTable) -> None:
        """Fit the standardisation again, where it was fitted before."""
        if self._standardizes:
            self.standardize_to(table)

    def standardize_to(self, table: FeatureTable | StreamedTable) -> None:
        """Fit the standardisation to a table of training features."""
        if isinstance(table, FeatureTable):
            self.fit_statistics(table.motion, table.appearance)
            return
        self._standardizes = True
        norms = self.motion_norm, self.appearance_norm
        moments = [Moments(len(norm.mean)) for norm in norms]
        for block in table.blocks(_STATISTICS_BLOCK):
            for part, rows in zip(
                moments, self.standardized_rows(block.motion, block.appearance), strict=True
            ):
                part.add(rows)
        for norm, part in zip(norms, moments, strict=True):
            norm.take(part)

    def fit_statistics(self, motion: Tensor, appearance: Tensor) -> None:
        """Fit the standardisation to the training features."""
        self._standardizes = True
        motion, appearance = self.standardized_rows(motion, appearance)
        self.motion_norm.fit(motion)
        self.appearance_norm.fit(appearance)

    def standardized_rows(self, motion: Tensor, appearance: Tensor) -> tuple[Tensor, Tensor]:
        """What the standardisation is fitted to, [N, Dm] and [N, Da]."""
        return pool_tokens(motion), pool_tokens(appearance)

    def start_from_text(self, classes: Tensor) -> None:
        """Take the class names' text embeddings [C, Da], L2-normalised; ignored by most heads."""

    def calibrate(self, motion: Tensor, appearance: Tensor, labels: Tensor) -> None:
        """Fit the parameters that need held-out clips; most heads have none."""

    def take_calibration(self, other: Head) -> None:
        """Take what :meth:`calibrate` fitted of a head of the same class."""

    def solve(self, splits: Sequence[Split]) -> None:
        """Fit all weights to the first split's training clips; held-out clips choose hyperparameters."""
        raise TypeError(f"{type(self).__name__} is trained by gradient descent")

    def refit(self, table: FeatureTable) -> None:
        """Fit all weights to these clips with the hyperparameters that :meth:`solve` chose."""
        raise TypeError(f"{type(self).__name__} is trained by gradient descent")

    def choices(self) -> dict[str, Any]:
        """What was chosen on held-out clips, in plain values for training.json; {} for most heads."""
        return {}

    def forward(self, motion: Tensor, appearance: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no forward")

    def standardized(self, motion: Tensor, appearance: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised features of both streams, averaged over segments and frames: [B, Dm] and [B, Da]."""
        return self.motion_norm(pool_tokens(motion)), self.appearance_norm(pool_tokens(appearance))


def as_tokens(features: Tensor) -> Tensor:
    """[B, D] -> [B, 1, D]; [B, N, D] stays."""
    return features if features.ndim == 3 else features[:, None]


def mlp(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, Dropout, Linear: the paper's classifier."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, outputs)
    )
