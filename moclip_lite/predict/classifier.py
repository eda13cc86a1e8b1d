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

from ..appearance.clip_arrays import ClipArrays, read_clip_arrays
from ..appearance.create import make_encoder
from ..appearance.encoder import AppearanceEncoder
from ..appearance.zero_shot import unit
from ..errors import CheckpointError, DataError
from ..experiment.config import Experiment, load_experiment
from ..experiment.stored import load_head, load_motion_network
from ..fusion.base import Head
from ..fusion.features import head_scores
from ..fusion.tables import FeatureTable
from ..motion.network import MotionNet
from ..motion.scores import batch_motion_scores
from ..results.run_folder import FoldFolder, RunFolder
from ..results.trained_on import check_sources
from ..storage.files import read_json
from ..streams import ANSWERS, Source, Stream
from ..training.checkpoint import weights_digest
from ..training.device import pick_device
from .read_file import read_file

__all__ = ["Classifier", "Prediction"]

Ranking: TypeAlias = list[tuple[str, float]]
PathLikeStr: TypeAlias = "str | PathLike[str]"
Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """The answer for one file.

    Attributes:
        path: as given.
        ranking: labels with scores (probabilities), best first.
        stream: the stream that gave it: "fusion", "appearance" or "motion".
        streams: the ranking of each stream that could be asked.
        notes: what a reader should know (where the motion comes from, which stream is missing and why).
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

    Attributes:
        experiment: the configuration.
        labels: class names.
        motion: the motion network, or None.
        heads: the heads that answer.
        device: where they run.

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
        heads: dict[Stream, Head],
        folder: FoldFolder,
    ) -> None:
        self.experiment, self.labels = experiment, tuple(labels)
        self.device = pick_device(experiment.run.device)
        self.motion = None if motion is None else motion.to(self.device)
        self.heads = {stream: head.to(self.device) for stream, head in heads.items()}
        self._folder = folder

    @classmethod
    def load(cls, run: PathLikeStr, *, device: str = "auto", overrides: Sequence[str] = ()) -> Classifier:
        """Load a run folder; no pickle is involved.

        Args:
            run: the folder.
            device: "auto", "cpu" or "cuda".
            overrides: "section.key=value", such as where clip.pretrained lies now.

        Raises:
            ConfigError: an override that no configuration has.
            CheckpointError: not a run folder, incomplete, damaged, or its parts don't belong together.
        """
        folder = RunFolder(Path(run))
        folder.require()
        if folds := folder.fold_folders():
            raise CheckpointError(
                f"{folder.path} holds {len(folds)} folds, each with its own weights; name one, such as "
                f"{folds[0].path}"
            )
        experiment = load_experiment(folder.config, [f"run.device={device}", *overrides])
        if experiment.data.kind == "features":
            raise CheckpointError(_explain_features(folder))
        labels = folder.read_labels()
        motion = load_motion_network(folder, experiment, labels)
        answering = [stream for stream in ANSWERS if stream.sources and folder.has(stream)]
        heads = {stream: load_head(folder, stream, experiment, labels) for stream in answering}
        if motion is None and not heads:
            raise CheckpointError(f"{folder.path} holds no trained weights")
        network = None if motion is None else weights_digest(motion)
        for stream in heads:
            check_sources(folder, stream, {Source.MOTION_NETWORK: network})
        return cls(experiment, labels, motion, heads, folder)

    @cached_property
    def encoder(self) -> AppearanceEncoder:
        """The frozen appearance encoder of the heads, loaded on first use.

        Raises:
            CheckpointError: other weights than the heads were trained on.
            WeightsUnavailable: its weights can't be loaded.
        """
        if self.own_appearance is not None:
            raise CheckpointError(self._explain_own())
        encoder = make_encoder(self.experiment.clip, self.experiment.run.seed, self.device)
        for stream in self.heads:
            check_sources(self._folder, stream, {Source.ENCODER: encoder.weights_digest})
        return encoder

    @cached_property
    def own_appearance(self) -> ClipArrays | None:
        """Appearance features of one's own, by file, which the heads were trained on; None where an encoder gives them.

        Raises:
            DataError: the file is missing: what is needed is said.
            CheckpointError: it can't be used, or is of another backbone.
        """
        path = self.experiment.data.appearance
        if path is None or not self.heads:
            return None
        if not path.is_file():
            raise DataError(self._explain_own())
        arrays = read_clip_arrays(path)
        for stream in self.heads:
            check_sources(self._folder, stream, {Source.ENCODER: arrays.identity["digest"]})
        return arrays

    def _explain_own(self) -> str:
        """What prediction needs where the appearance features are one's own."""
        return (
            f"{self._folder.path} was trained on appearance features of {self.experiment.data.appearance}, which can't "
            "be computed from a video here: compute them with the same backbone, save an array under each video's "
            "name, and name the file with --set data.appearance=FILE"
        )

    def _own_features(self, path: PathLikeStr) -> Floats | None:
        """Features [frames, D] of a file, as the heads take them, where they are one's own."""
        own = self.own_appearance
        if own is None:
            return None
        if own.find(Path(path).as_posix()) is None:
            raise DataError(f"{own.path} holds no features of {path}; {self._explain_own()}")
        return self._as_heads_take(own.features(Path(path).as_posix()))

    @property
    def warnings(self) -> list[str]:
        """What to tell before the first answer."""
        if self.own_appearance is not None:
            return (
                []
                if self.own_appearance.model
                else [f"{self.own_appearance.path} does not name its backbone"]
            )
        if self.heads and self.experiment.clip.random:
            return [f"this model's CLIP ({self.experiment.clip.model}) has RANDOM weights"]
        if self.heads and self.encoder.random:
            return [f"this model's appearance encoder is {self.encoder.describe()}"]
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
        motion = self.experiment.motion if self.motion is not None else None
        own = self._own_features(path)
        pictures = self.experiment.clip if self.heads and own is None else None
        reading = read_file(Path(path), motion, pictures)
        notes = list(reading.notes)
        scores: dict[Stream, Floats] = {}
        tokens = None
        if reading.motion is not None and reading.motion.empty:
            notes.append("no motion in this file (only I pictures): classified by appearance alone")
        elif reading.motion is not None:
            tokens, scores[Stream.MOTION] = self.motion_features(reading.motion.motion)
        if reading.pictures is not None or own is not None:
            appearance = own if reading.pictures is None else self.appearance_features(reading.pictures)
            assert appearance is not None
            for stream in self.heads:
                if tokens is not None or Source.MOTION_NETWORK not in stream.sources:
                    scores[stream] = self.head_scores(stream, tokens, appearance)
        if not scores:
            raise MalformedStream(f"{path}: {'; '.join(notes) or 'nothing to classify'}")
        stream = next(stream for stream in ANSWERS if stream in scores)
        rankings = {str(name): self._rank(row, top_k) for name, row in scores.items()}
        seconds = time.perf_counter() - started
        return Prediction(str(path), rankings[str(stream)], str(stream), rankings, notes, seconds)

    def motion_features(self, motion: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        """Tokens [T, D] and class probabilities [C] of motion [segments, frames, 2, rows, columns]."""
        assert self.motion is not None
        tokens, scores = batch_motion_scores(self.motion, motion[None], self.experiment.test, self.device)
        return tokens[0], scores[0]

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """Features [frames, D] of pictures uint8 [frames, H, W, 3], as the heads take them."""
        return self._as_heads_take(self.encoder.encode_images(pictures))

    def _as_heads_take(self, rows: Floats) -> Floats:
        """Features of frames [frames, D], normalised if the configuration says so."""
        return np.asarray(unit(rows) if self.experiment.clip.normalize else rows, np.float32)

    def head_scores(self, stream: Stream, tokens: Floats | None, appearance: Floats) -> Floats:
        """Class probabilities [C] of a head.

        Args:
            stream: of the head.
            tokens: [T, D], or None without motion.
            appearance: [frames, D].
        """
        head = self.heads[stream]
        motion = head.motion_norm.mean.cpu() if tokens is None else torch.from_numpy(tokens)
        table = FeatureTable(
            motion[None], torch.from_numpy(appearance[None]), torch.zeros(1, dtype=torch.int64)
        )
        return np.asarray(head_scores(head, table)[0], np.float32)

    def _rank(self, scores: Floats, top_k: int) -> Ranking:
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [(self.labels[i], float(scores[i])) for i in order]


def _explain_features(folder: RunFolder) -> str:
    """How to predict where heads were trained on a file of features."""
    message = f"{folder.path} was trained on a file of features; it can't read videos"
    try:
        run = read_json(folder.features).get("run")
    except (CheckpointError, AttributeError):
        run = None
    if not run:
        return message
    return (
        f"{message}: the features are those of {run}; `moclip predict FILE --model {run}` answers with its "
        f"own heads, and `moclip run {run} --set fusion.head=NAME` trains this run's head there"
    )
