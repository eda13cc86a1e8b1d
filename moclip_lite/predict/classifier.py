"""Labels for video files that the training never saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TypeAlias, overload

import numpy as np
import numpy.typing as npt
import torch

from mv_tools import ArgumentError, MalformedStream

from ..appearance.open_clip import AppearanceEncoder
from ..appearance.zero_shot import unit
from ..errors import CheckpointError
from ..experiment.config import Experiment, load_experiment
from ..experiment.session import make_encoder
from ..experiment.stages import SOURCES
from ..fusion import build_head
from ..fusion.base import Head
from ..fusion.features import FeatureTable, head_scores
from ..motion.network import MotionNet, build_motion_net
from ..motion.read import MotionClip
from ..motion.scores import batch_motion_scores
from ..results.run_folder import RunFolder
from ..storage.files import read_json, read_tensors
from ..training.checkpoint import check_sources, load_weights, weights_digest
from ..training.freeze import freeze
from ..training.loop import pick_device
from .read_file import read_file

__all__ = ["Classifier", "Prediction"]

Ranking: TypeAlias = list[tuple[str, float]]
PathLikeStr: TypeAlias = "str | PathLike[str]"


@dataclass(frozen=True)
class Prediction:
    """One file's answer.

    Attributes:
        path: as given.
        ranking: labels with scores (probabilities), best first.
        stream: which head gave it: "fusion", "appearance" or "motion".
        streams: the ranking of each stream that could be asked.
        notes: what a reader should know (how motion was had, which stream is missing and why).
        seconds: wall time.
    """

    path: str
    ranking: Ranking
    stream: str
    streams: dict[str, Ranking]
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Classifier:
    """A trained run folder, ready to label files.

    Example:
        >>> clf = Classifier.load("runs/x")        # doctest: +SKIP
        >>> clf.predict("clip.mp4", top_k=2)        # doctest: +SKIP
        [('water_pan_left', 0.97), ('water_pan_right', 0.01)]
    """

    def __init__(
        self,
        experiment: Experiment,
        labels: Sequence[str],
        motion: MotionNet | None,
        heads: dict[str, Head],
        folder: Path,
    ) -> None:
        self.experiment, self.labels = experiment, tuple(labels)
        self._folder = folder
        self.motion, self.heads = motion, heads
        self.device = pick_device(experiment.run.device)

    @classmethod
    def load(cls, run: PathLikeStr, *, device: str = "auto", overrides: Sequence[str] = ()) -> Classifier:
        """Load a run folder; no pickle is involved.

        Args:
            run: the folder.
            device: "auto", "cpu" or "cuda".
            overrides: "section.key=value", such as where clip.pretrained lies now.

        Raises:
            ConfigError: an override that no configuration has.
            CheckpointError: not a run folder, incomplete, damaged, or its parts don't belong
                together.
        """
        folder = Path(run)
        if not (folder / "config.yaml").is_file():
            raise CheckpointError(f"{folder} is not a run folder (it has no config.yaml)")
        folds = RunFolder(folder).fold_folders()
        if folds:
            raise CheckpointError(
                f"{folder} holds {len(folds)} folds, each with its own weights; name one, such as {folds[0]}"
            )
        experiment = load_experiment(folder / "config.yaml", [f"run.device={device}", *overrides])
        if experiment.data.kind == "features":
            raise CheckpointError(_of_features(folder))
        labels = read_json(folder / "labels.json")
        if not isinstance(labels, list) or not labels or not all(isinstance(x, str) for x in labels):
            raise CheckpointError(f"{folder / 'labels.json'} is not a list of labels")
        motion = _load_motion(folder, experiment, labels)
        heads = {
            stage: _load_head(folder / f"{stage}.safetensors", experiment, name, labels)
            for stage, name in (("fusion", experiment.fusion.head), ("appearance", "appearance_only"))
            if (folder / f"{stage}.safetensors").is_file()
        }
        if motion is None and not heads:
            raise CheckpointError(f"{folder} holds no trained weights")
        network = None if motion is None else weights_digest(motion)
        for stage in heads:
            check_sources(folder / f"{stage}.safetensors", {"motion_network": network}, SOURCES[stage])
        return cls(experiment, labels, motion, heads, folder)

    @cached_property
    def _encoder(self) -> AppearanceEncoder:
        encoder = make_encoder(self.experiment, self.device)
        for stage in self.heads:
            path = self._folder / f"{stage}.safetensors"
            check_sources(path, {"encoder": encoder.weights_digest}, SOURCES[stage])
        return encoder

    @property
    def encoder(self) -> AppearanceEncoder:
        """The frozen appearance encoder of the heads, loaded on first use.

        Raises:
            CheckpointError: other weights than the heads were trained on.
            WeightsUnavailable: its weights can't be loaded.
        """
        return self._encoder

    @property
    def warnings(self) -> list[str]:
        """What to tell before the first answer."""
        if self.heads and self.experiment.clip.pretrained == "none":
            return [f"this model's CLIP ({self.experiment.clip.model}) has RANDOM weights"]
        if self.heads and self._encoder.random:
            return [f"this model's appearance encoder is {self._encoder.describe()}"]
        return []

    @overload
    def predict(self, source: PathLikeStr, top_k: int = 5) -> Ranking: ...
    @overload
    def predict(
        self, source: list[str] | list[Path] | tuple[PathLikeStr, ...], top_k: int = 5
    ) -> list[Ranking]: ...
    def predict(self, source: PathLikeStr | Sequence[PathLikeStr], top_k: int = 5) -> Ranking | list[Ranking]:
        """Ranked labels of a file, or of each of several files.

        Args:
            source: a path, or a list of paths.
            top_k: how many labels, at least 1; all of them if it is more than there are.

        Returns:
            [(label, probability), ...], best first; for a list of paths a list of such lists.

        Raises:
            FileNotFoundError: no such file.
            mv_tools.MotionError: it can't be read.
            mv_tools.ArgumentError: top_k is below 1.
        """
        if isinstance(source, (str, PathLike)):
            return self.explain(source, top_k).ranking
        return [self.explain(path, top_k).ranking for path in source]

    def explain(self, path: PathLikeStr, top_k: int = 5) -> Prediction:
        """Like :meth:`predict`, with the answer of each stream and remarks.

        Raises:
            FileNotFoundError: no such file.
            mv_tools.MotionError: it can't be read.
            mv_tools.ArgumentError: top_k is below 1.
        """
        if top_k < 1:
            raise ArgumentError(f"top_k must be at least 1, got {top_k}")
        started = time.perf_counter()
        spec = self.experiment.motion if self.motion is not None else None
        reading = read_file(Path(path), spec, self.experiment.clip if self.heads else None)
        notes = list(reading.notes)
        scores: dict[str, npt.NDArray[np.float32]] = {}
        feature = None
        if reading.motion is not None and reading.motion.empty:
            notes.append("no motion in this file (only I pictures): classified by appearance alone")
        elif reading.motion is not None:
            feature, scores["motion"] = self._motion_scores(reading.motion)
        if reading.pictures is not None:
            self._head_scores(reading.pictures, feature, scores)
        if not scores:
            raise MalformedStream(f"{path}: {'; '.join(notes) or 'nothing to classify'}")
        stream = next(name for name in ("fusion", "appearance", "motion") if name in scores)
        streams = {name: self._rank(row, top_k) for name, row in scores.items()}
        return Prediction(str(path), streams[stream], stream, streams, notes, time.perf_counter() - started)

    def _motion_scores(self, clip: MotionClip) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        assert self.motion is not None
        features, scores = batch_motion_scores(
            self.motion, clip.motion[None], self.experiment.test, self.device
        )
        return features[0], scores[0]

    def _head_scores(
        self,
        pictures: npt.NDArray[np.uint8],
        feature: npt.NDArray[np.float32] | None,
        scores: dict[str, npt.NDArray[np.float32]],
    ) -> None:
        rows = self._encoder.encode_images(pictures)
        if self.experiment.clip.normalize:
            rows = unit(rows)
        appearance = torch.from_numpy(rows[None].astype(np.float32))
        for stage, head in self.heads.items():
            if stage == "fusion" and feature is None:
                continue
            blank = head.motion_norm.mean.cpu() if feature is None else torch.from_numpy(feature)
            table = FeatureTable(blank[None], appearance, torch.zeros(1, dtype=torch.int64))
            scores[stage] = head_scores(head, table)[0]

    def _rank(self, scores: npt.NDArray[np.float32], top_k: int) -> Ranking:
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [(self.labels[i], float(scores[i])) for i in order]


def _of_features(folder: Path) -> str:
    """How to predict where heads were trained on a file of features."""
    said = f"{folder} was trained on a file of features; it can't read videos"
    try:
        run = read_json(folder / "features.json").get("run")
    except (CheckpointError, AttributeError):
        run = None
    if not run:
        return said
    return (
        f"{said}: the features are those of {run}; `moclip predict FILE --model {run}` answers with its own heads, "
        f"and `moclip run {run} --set fusion.head=NAME` trains this run's head there"
    )


def _load_motion(folder: Path, experiment: Experiment, labels: Sequence[str]) -> MotionNet | None:
    path = folder / "motion.safetensors"
    if not path.is_file():
        return None
    model = build_motion_net(experiment.motion, len(labels), pretrained=False)
    load_weights(path, model, labels)
    freeze(model)
    return model.to(pick_device(experiment.run.device))


def _load_head(path: Path, experiment: Experiment, name: str, labels: Sequence[str]) -> Head:
    arrays, _ = read_tensors(path)
    try:
        motion_dim, appearance_dim = (len(arrays[f"{s}_norm.mean"]) for s in ("motion", "appearance"))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path} does not hold a head") from error
    head = build_head(experiment.fusion, name, motion_dim, appearance_dim, len(labels))
    load_weights(path, head, labels)
    freeze(head)
    return head.to(pick_device(experiment.run.device))
