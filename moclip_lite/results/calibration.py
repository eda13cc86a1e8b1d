"""Temperatures and thresholds of a run's streams, from its validation clips, for long videos.

A classifier of a closed set names one of its classes whatever it sees. In a long video most windows show none
of them. They are told apart by two measures that validation clips give: the class probability after
temperature scaling (Guo et al. 2017), and the amount of motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError
from ..storage.files import read_json, write_json
from .fitted_for import FittedFor, noted_weights, refuse_other_weights

__all__ = ["Calibration", "StreamCalibration", "fit_stream", "read_calibration", "still_energy", "temper"]

_RECALL: Final = 0.95  # share of the right answers on validation clips that stay above the threshold
_MAX_THRESHOLD: Final = 0.4  # the windows at the ends of an action lie partly beside it
_TEMPERATURES: Final = np.geomspace(0.25, 16.0, 97)
_STILL_SHARE: Final = 0.5  # of the motion of the stillest validation clips
_TINY: Final = 1e-9

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class StreamCalibration:
    """Calibration of one stream.

    Attributes:
        temperature: by which the logarithms of class probabilities are divided.
        threshold: probability, so scaled, below which an answer is none of the classes.
        clips: validation clips that both come from.
        accuracy: percent of them that are answered right.
    """

    temperature: float = 1.0
    threshold: float = 0.4
    clips: int = 0
    accuracy: float | None = None


@dataclass(frozen=True)
class Calibration:
    """What a run folder's timeline.json holds.

    Attributes:
        window: median length of the training clips in seconds; None if it could not be measured.
        energy: mean length of motion vectors (pixels per frame, short side 240)
            below which a window is still.
        streams: by the stream's name.
        weights: that it was fitted for.
    """

    window: float | None = None
    energy: float = 0.0
    streams: Mapping[str, StreamCalibration] = field(default_factory=dict)
    weights: FittedFor = field(default_factory=dict)

    def of(self, stream: str) -> StreamCalibration:
        """A stream's calibration; where there is none, temperature 1 and a threshold of 0.4."""
        return self.streams.get(stream, StreamCalibration())

    def write(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))


def read_calibration(path: Path) -> Calibration | None:
    """Read what :meth:`Calibration.write` wrote; None if there is no such file.

    Raises:
        CheckpointError: damaged, or fitted for other weights than lie beside it.
    """
    if not path.is_file():
        return None
    values = read_json(path)
    try:
        streams = {str(name): _stream(entry) for name, entry in values["streams"].items()}
        window = values["window"]
        calibration = Calibration(
            None if window is None else float(window), float(values["energy"]), streams, noted_weights(values)
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: it is no calibration of a run") from error
    if not (calibration.window is None or 0 < calibration.window < 1e6) or not 0 <= calibration.energy < 1e6:
        raise CheckpointError(f"{path} is damaged: its window or its energy is out of range")
    refuse_other_weights(path, calibration.weights)
    return calibration


def _stream(entry: Mapping[str, Any]) -> StreamCalibration:
    accuracy = entry["accuracy"]
    stream = StreamCalibration(
        float(entry["temperature"]),
        float(entry["threshold"]),
        int(entry["clips"]),
        None if accuracy is None else float(accuracy),
    )
    shares = (stream.threshold, 0.0 if stream.accuracy is None else stream.accuracy / 100)
    if not (0 < stream.temperature < 1e3 and stream.clips >= 0 and all(0 <= share <= 1 for share in shares)):
        raise ValueError("out of range")
    return stream


def temper(scores: Scores, temperature: float) -> Scores:
    """Class probabilities [..., C] at another temperature."""
    logits = np.log(np.maximum(scores.astype(np.float64), _TINY)) / temperature
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)


def fit_stream(scores: Scores, targets: npt.NDArray[np.int64]) -> StreamCalibration:
    """Calibrate a stream on validation clips.

    The temperature has the least cross-entropy with Platt's targets (1999): a clip's own class counts
    (n + 1) / (n + 2), so that a stream without errors keeps a finite temperature. At least 95 % of
    the right answers reach the threshold, which is at most 0.4.

    Args:
        scores: class probabilities [N, C], N at least 1.
        targets: the classes, [N].
    """
    count, classes = scores.shape
    own = (count + 1) / (count + 2) if classes > 1 else 1.0
    wanted = np.full((count, classes), (1 - own) / max(classes - 1, 1))
    wanted[np.arange(count), targets] = own
    losses = [-(wanted * np.log(np.maximum(temper(scores, t), _TINY))).sum() for t in _TEMPERATURES]
    temperature = float(_TEMPERATURES[int(np.argmin(losses))])
    sure = temper(scores, temperature)
    right = sure.argmax(axis=1) == targets
    best = sure.max(axis=1)[right]
    # One of the answers: a number between two of them would leave out more than 5 % of a few answers.
    reached = np.quantile(best, 1 - _RECALL, method="lower") if right.any() else 1.0
    threshold = min(float(reached), _MAX_THRESHOLD)
    return StreamCalibration(temperature, threshold, count, 100 * float(right.mean()))


def still_energy(energies: npt.NDArray[np.float64]) -> float:
    """Energy below which a window is still: half of what all but 1 % of the validation clips have."""
    moving = energies[energies > 0]
    return _STILL_SHARE * float(np.quantile(moving, 0.01)) if len(moving) else 0.0
