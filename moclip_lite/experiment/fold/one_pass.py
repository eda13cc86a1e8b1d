"""One pass through a fold: networks are trained or loaded, give features, and are tested on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from ...appearance.zero_shot import zero_shot_scores
from ...datasets import Clip
from ...errors import DataError
from ...fusion.features import head_scores
from ...fusion.heads.base import Head
from ...fusion.streamed import StreamedTable
from ...fusion.tables import FeatureTable
from ...motion.network import MotionNet
from ...results.fold_result import FoldResult, Tests
from ...results.ledger import SecondsLedger
from ...results.metrics import Cost
from ...streams import Source, Stream
from ...training.costs import count_cost
from .features import Floats, FoldFeatures, MotionFeatures

__all__ = ["FoldPass", "Models", "with_sources"]


class Models(Protocol):
    """Models of a fold, trained or loaded.

    Attributes:
        result: of the fold; it holds the histories and wall times of trainings.
    """

    result: FoldResult

    def motion_network(self) -> MotionNet | None:
        """The motion network; None if there is none."""

    def head(
        self,
        stream: Stream,
        tables: Mapping[str, FeatureTable | StreamedTable],
        clips: Mapping[str, Sequence[Clip]],
    ) -> Head:
        """The head of a stream, for tables of features of these clips."""

    def validation_scores(self, stream: Stream) -> Floats | None:
        """Scores of the validation clips by weights not fitted to them; None if those that answer are not."""


class FoldPass:
    """One pass through a fold.

    Args:
        features: of the fold.
        models: its models; None where nothing is trained.
        part: the part that is tested, "test" or "val".
        ledger: of the run that the pass belongs to; costs and times are measured for a run only.
    """

    def __init__(
        self,
        features: FoldFeatures,
        models: Models | None = None,
        part: str = "test",
        ledger: SecondsLedger | None = None,
    ) -> None:
        self.features, self.models, self.part, self.ledger = features, models, part, ledger
        self.session = features.session
        self.result = models.result if models else FoldResult(features.fold.name)

    def test(self, streams: Collection[Stream], parts: Sequence[str]) -> FoldResult:
        """Test streams.

        Args:
            streams: the streams.
            parts: parts of the fold whose features are needed; "train" and the tested one at least.

        Returns:
            Their scores, and in a run their costs and times.

        Raises:
            DataError: no clip of a part could be read.
            CheckpointError: stored models are missing, damaged or do not belong together.
        """
        tokens: Mapping[str, Floats] = {}
        file = self.session.feature_file
        if file is not None:
            self.features.network_digest = file.network_digest(self.features.fold.division)
            tokens = {} if file.stream else file.motion_of(self.features.fold.division)
        elif Stream.MOTION in streams or Stream.FUSION in streams:
            for_heads = any(Source.MOTION_NETWORK in stream.sources for stream in streams)
            motion = self.motion([part for part in parts if for_heads or part != "train"])
            tokens = motion.tokens if motion is not None and for_heads else {}
            if motion is not None and Stream.MOTION in streams:
                self.result.tests[Stream.MOTION] = self._motion_tests(motion, self.part)
                if "val" in parts and self.features.clips("val", motion=True):  # none may be readable
                    tests = self._motion_tests(motion, "val")
                    self.result.validation[Stream.MOTION] = self._validation(Stream.MOTION, tests)
        heads = [stream for stream in Stream if stream in streams and stream.sources]
        if heads:
            self._test_heads(heads, parts, tokens)
        if Stream.ZERO_SHOT in streams:
            self._test_zero_shot()
        return self.result

    def motion(self, parts: Sequence[str]) -> MotionFeatures | None:
        """Features of the parts' clips by the fold's motion network; None if there is no network."""
        network, features = self.models.motion_network() if self.models else None, self.features
        if network is None:
            return None
        features.use_network(network)
        clips = [clip for part in parts for clip in features.clips(part, motion=True)]
        if self.ledger is None:
            return features.motion(network, clips)
        views = features.experiment.test
        settings = {"fold": features.fold.name, "weights": features.network_digest, "test": views}
        with self.ledger.timing("motion_features", settings) as attempt:
            motion = features.motion(network, clips, attempt.tick)
            self.result.seconds["motion_features"] = attempt.seconds
        self.result.costs[Stream.MOTION] = self._network_cost(network)
        return motion

    def _network_cost(self, network: MotionNet) -> Cost:
        """Cost of all test views of one clip."""
        motion, views = self.features.experiment.motion, self.features.experiment.test
        one = torch.zeros(1, views.segments or motion.segments, *motion.shape[1:], device=self.session.device)
        return Cost(**count_cost(network, [one], repeats=views.crops * views.flips))

    def _motion_tests(self, motion: MotionFeatures, part: str) -> Tests:
        """The network's own scores."""
        clips = self.features.clips(part, motion=True)
        return Tests(clips, self.features.labels, motion.scores_of(clips, len(self.features.labels)))

    def _validation(self, stream: Stream, tests: Tests) -> Tests:
        """Scores of validation clips by weights that were not fitted to them."""
        assert self.models is not None
        scores = self.models.validation_scores(stream)
        return tests if scores is None else tests._replace(scores=scores)

    def _test_heads(
        self, streams: Sequence[Stream], parts: Sequence[str], tokens: Mapping[str, Floats]
    ) -> None:
        assert self.models is not None
        sources = {source for stream in streams for source in stream.sources}
        clips = {
            part: self.features.clips(
                part, motion=Source.MOTION_NETWORK in sources, appearance=Source.ENCODER in sources
            )
            for part in parts
        }
        every = self.features.head_tables(clips, tokens)
        pooling = self.session.experiment.clip.pooling
        for stream in streams:
            tables = every
            if stream is Stream.APPEARANCE_FRAME:
                tables = (
                    every if pooling == "head" else self.features.head_tables(clips, tokens, pooled=False)
                )
                if tables["train"].frames == 1:
                    continue  # one frame is all that the appearance stream has
            head = self.models.head(stream, tables, clips)
            scores = head_scores(head, tables[self.part])
            self.result.tests[stream] = Tests(clips[self.part], self.features.labels, scores)
            if "val" in parts:
                tests = Tests(clips["val"], self.features.labels, head_scores(head, tables["val"]))
                self.result.validation[stream] = self._validation(stream, tests)
            if self.ledger is not None:
                first = next(iter(tables[self.part].blocks(1)))
                one = [first.motion.to(self.session.device), first.appearance.to(self.session.device)]
                self.result.costs[stream] = self._cost(stream, Cost(**count_cost(head, one)))

    def _cost(self, stream: Stream, head: Cost) -> Cost:
        """Cost of a stream for one clip; on a file of features what comes before the head is unknown."""
        if self.session.feature_file is not None or self.session.inputs.own_appearance is not None:
            return Cost(head.parameters, head.trainable)
        frame, frames = Cost(**self.session.encoder.lazy.cost), self.session.experiment.clip.frames
        return with_sources(stream, head, frame, frames, self.result.costs.get(Stream.MOTION))

    def _test_zero_shot(self) -> None:
        """Test the class names alone."""
        clips = self.features.clips(self.part, appearance=True)
        if not clips:
            raise DataError(f"no clip of the {self.part} part could be read")
        size = self.features.buffer or len(clips)
        parts = [
            self.features.appearance(clips[start : start + size]) for start in range(0, len(clips), size)
        ]
        scores = np.concatenate([zero_shot_scores(part, self.session.class_vectors) for part in parts])
        self.result.tests[Stream.ZERO_SHOT] = Tests(clips, self.features.labels, scores)
        if self.ledger is not None:
            self.result.costs[Stream.ZERO_SHOT] = self._cost(Stream.ZERO_SHOT, Cost(0, 0, 0.0, 0.0))


def with_sources(stream: Stream, head: Cost, frame: Cost, frames: int, network: Cost | None) -> Cost:
    """Cost of a stream: of its head, and of what gives the head its features.

    Args:
        stream: the stream.
        head: of its head.
        frame: of one frame in the image encoder.
        frames: per clip.
        network: of the motion network, where there is one.
    """
    total = head
    if stream.sees_pictures:
        total = total.plus_frozen(frame, 1 if stream is Stream.APPEARANCE_FRAME else frames)
    if network is not None and Source.MOTION_NETWORK in stream.sources:
        total = total.plus(network)
    return total
