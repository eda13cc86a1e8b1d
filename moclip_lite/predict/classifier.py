"""Labels for video files that the training never saw."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from mv_tools import ArgumentError, MalformedStream

from ..appearance.clip_arrays import ClipArrays
from ..appearance.pooling import FrameFacts
from ..engine.base import Engine, EngineName, Floats
from ..engine.choose import open_engine
from ..errors import CheckpointError
from ..experiment.config import Experiment
from ..results.calibration import Calibration, read_calibration
from ..results.cascade import MIN_CLIPS, Cascade, read_cascade
from ..results.run_folder import RunFolder
from ..streams import ANSWERS, Stream
from ..timeline.options import TimelineFrames, TimelineOptions, TimelineProgress, silent
from ..timeline.timeline import Timeline
from ..timeline.video import make_timeline
from .costs import PredictionCosts
from .encoder_note import trained_recipes
from .open_run import open_run
from .own_features import explain_own_features, own_features, read_own_features
from .prediction import Prediction, Ranking
from .read_file import FileReader
from .steps import score_all, score_in_steps

__all__ = ["Classifier", "Prediction"]

PathLikeStr: TypeAlias = "str | PathLike[str]"


class Classifier:
    """A trained run folder, ready to label files.

    Attributes:
        folder: the run folder.
        experiment: the configuration.
        labels: class names.
        engine: computes the networks.
        engine_note: why ONNX Runtime does not answer although it could be expected;
            "" where there is no reason.
        notes: sentences on weights and settings after which the answers mean something else.

    Example:
        >>> clf = Classifier.load("runs/x")        # doctest: +SKIP
        >>> clf.predict("clip.mp4", top_k=2)        # doctest: +SKIP
        [('water_pan_left', 0.97), ('water_pan_right', 0.01)]
    """

    def __init__(
        self,
        folder: RunFolder,
        experiment: Experiment,
        labels: Sequence[str],
        engine: Engine,
        engine_note: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        self.folder, self.experiment, self.labels = folder, experiment, tuple(labels)
        self.engine, self.engine_note = engine, engine_note
        self._notes = list(notes)  # on weights and settings, which make the answers mean something else

    @classmethod
    def load(
        cls,
        run: PathLikeStr,
        *,
        device: str = "auto",
        overrides: Sequence[str] = (),
        engine: EngineName = "auto",
    ) -> Classifier:
        """Load a run folder; no pickle is involved.

        Args:
            run: the folder, its URL, or "hf://USER/NAME" for one of the hub.
            device: "auto", "cpu", "cuda" or "mps".
            overrides: "section.key=value", such as where clip.pretrained lies now.
            engine: "onnx" for the run's ONNX files, which need no PyTorch, "onnx-int8" for the same with the
                image encoder in 8-bit integers; "torch" for PyTorch; "auto" takes the ONNX files where they
                belong to the weights and the device is auto or cpu, in int8 where validation clips showed
                that it loses nothing.

        Raises:
            ConfigError: an override that no configuration has, or that has no effect on predictions.
            HubError: the hub refuses, or can't be reached.
            CheckpointError: not a run folder, incomplete, damaged, or its parts don't belong together.
        """
        folder, experiment, changes = open_run(Path(run), [f"run.device={device}", *overrides])
        labels = folder.read_labels()
        opened, note = open_engine(folder, experiment, labels, engine)
        return cls(folder, experiment, labels, opened, note, changes)

    @property
    def motion(self) -> Engine | None:
        """What computes motion features; None without a motion network."""
        return self.engine if self.engine.has_motion else None

    @property
    def heads(self) -> Mapping[Stream, Any]:
        """The heads that answer, by stream."""
        return self.engine.heads

    @property
    def encoder(self) -> Any:
        """The frozen appearance encoder of the heads, loaded on first use.

        Raises:
            CheckpointError: other weights than the heads were trained on.
            WeightsUnavailable: its weights can't be loaded.
        """
        if self.own_appearance is not None:
            raise CheckpointError(explain_own_features(self.folder, self.experiment))
        return self.engine.encoder

    @cached_property
    def own_appearance(self) -> ClipArrays | None:
        """Precomputed appearance features that the heads were trained on, by file; None with an encoder.

        Raises:
            DataError: the file is missing; says what is needed.
            CheckpointError: it can't be used, or is of another backbone.
        """
        if self.experiment.data.appearance is None or not self.heads:
            return None
        return read_own_features(self.folder, self.experiment, list(self.heads))

    def own_features(self, path: PathLikeStr) -> Floats | None:
        """Features [frames, D] of a file, as the heads take them, where they are precomputed."""
        own = self.own_appearance
        return None if own is None else own_features(own, Path(path), self.folder, self.experiment)

    @property
    def warnings(self) -> list[str]:
        """What to tell before the first answer."""
        own = self.own_appearance
        if own is None:
            return [*self._notes, *self.engine.warnings]
        return self._notes + ([] if own.model else [f"{own.path} does not name its backbone"])

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

    def explain(self, path: PathLikeStr, top_k: int = 5, *, cascade: bool = False) -> Prediction:
        """Like :meth:`predict`, with the answer of each stream and remarks.

        Args:
            path: the file.
            top_k: how many labels, at least 1.
            cascade: read no pictures where motion reaches its threshold, and encode one frame before all:
                streams that were not needed are absent.

        Raises:
            FileNotFoundError: no such file.
            mv_tools.MotionError: it can't be read.
            mv_tools.ArgumentError: top_k is below 1.
            CheckpointError: `cascade`, and the run has no thresholds.
        """
        if top_k < 1:
            raise ArgumentError(f"top_k must be at least 1, got {top_k}")
        started, cpu = time.perf_counter(), time.process_time()
        motion = self.experiment.motion if self.motion is not None else None
        pictures = self.experiment.clip if self.heads and self.own_appearance is None else None
        recipes = trained_recipes(self.experiment.data)
        reader = FileReader(Path(path), motion, pictures, recipes, spec=self.experiment.motion)
        notes: list[str] = []
        if cascade:
            scores, frames = score_in_steps(self, reader, self.cascade, notes)
        else:
            scores, frames = score_all(self, reader, notes)
        if not scores:
            raise MalformedStream(f"{path}: {'; '.join(notes) or 'nothing to classify'}")
        notes += self.engine.notes if frames else ()
        stream = next(stream for stream in ANSWERS if stream in scores)
        rankings = {str(name): self._rank(row, top_k) for name, row in scores.items()}
        return Prediction(
            str(path),
            rankings[str(stream)],
            str(stream),
            rankings,
            notes,
            seconds=time.perf_counter() - started,
            cpu_seconds=time.process_time() - cpu,
            frames=frames,
            engine=self.engine.name,
            gflops=self.costs.gflops(Stream.MOTION in scores, frames),
        )

    @cached_property
    def cascade(self) -> Cascade:
        """The thresholds of the run's cascade.

        Raises:
            CheckpointError: damaged, or the run has none.
        """
        thresholds = read_cascade(self.folder.cascade)
        if thresholds is None:
            raise CheckpointError(
                f"{self.folder.path} has no thresholds for a cascade (cascade.json): they need motion, "
                f"fusion and at least {MIN_CLIPS} validation clips"
            )
        return thresholds

    @cached_property
    def costs(self) -> PredictionCosts:
        """Operations of the streams, as the run measured them."""
        return PredictionCosts.of(self.folder, self.experiment)

    @cached_property
    def calibration(self) -> Calibration | None:
        """Temperatures, thresholds and length of windows from the run's clips; None in folders of older runs.

        Raises:
            CheckpointError: damaged.
        """
        return read_calibration(self.folder.timeline)

    def timeline(
        self,
        path: PathLikeStr,
        *,
        window: float | None = None,
        stride: float | None = None,
        threshold: float | None = None,
        frames: TimelineFrames = "keyframes",
        progress: TimelineProgress = silent,
    ) -> Timeline:
        """Label the parts of a long video.

        Windows slide over it and are scored as :meth:`explain` scores a clip. Neighbours with one label are
        joined; where no class reaches the threshold, or nothing moves for a model that looks at motion, there
        is no segment. Memory does not grow with the video's length, but for the list of its pictures.

        Args:
            path: the video.
            window: seconds; by default the median length of the run's training clips.
            stride: seconds from one window to the next; by default a quarter of `window`.
            threshold: least calibrated probability of a label; by default the run's own.
            frames: "keyframes" takes keyframes where frames between them would be slow to decode; "clip"
                takes those that :meth:`explain` takes of such a clip.
            progress: called with ("timeline", windows done, windows), such as ``Reporter.progress``.

        Returns:
            Segments (start, end, label, score, scores of each stream) and the windows that they come from.

        Raises:
            FileNotFoundError: no such file.
            mv_tools.MotionError: it can't be read.
            mv_tools.ArgumentError: an option is out of range.
            CheckpointError: the run does not tell the length of windows and `window` is None.
        """
        options = TimelineOptions(window=window, stride=stride, threshold=threshold, frames=frames)
        return make_timeline(self, Path(path), self.calibration, options, progress)

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        """Features [frames, D] of pictures uint8 [frames, H, W, 3], as the heads take them."""
        return self.engine.appearance_features(pictures)

    def head_scores(
        self, stream: Stream, tokens: Floats | None, appearance: Floats, facts: FrameFacts | None = None
    ) -> Floats:
        """Class probabilities [C] of a head.

        Args:
            stream: of the head.
            tokens: [T, D], or None without motion.
            appearance: [frames, D], before they are pooled.
            facts: where the frames stand; even ones by default.
        """
        return self.engine.head_scores(stream, tokens, appearance, facts)

    def _rank(self, scores: Floats, top_k: int) -> Ranking:
        order = np.argsort(-scores, kind="stable")[:top_k]
        return [(self.labels[i], float(scores[i])) for i in order]
