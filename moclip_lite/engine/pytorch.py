"""Networks run by PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from ..appearance.create import make_encoder
from ..appearance.encoder import AppearanceEncoder
from ..appearance.pooling import FrameFacts, pool_frames
from ..appearance.zero_shot import unit
from ..errors import CheckpointError
from ..experiment.config import Experiment
from ..experiment.fold.stored import load_head, load_motion_network
from ..fusion.features import head_scores
from ..fusion.heads.base import Head
from ..fusion.tables import FeatureTable
from ..motion.network import MotionNet
from ..motion.scores import batch_motion_scores, scores_of_segments, segment_features
from ..results.fold_folder import FoldFolder
from ..results.trained_on import check_sources
from ..streams import Source, Stream
from ..training.checkpoint import weights_digest
from ..training.device import pick_device
from .base import Engine, Floats
from .files import answering_heads

__all__ = ["TorchEngine"]


class TorchEngine(Engine):
    """Networks of a run folder by PyTorch.

    Args:
        folder: holds the weights.
        experiment: the configuration.
        labels: class names.

    Attributes:
        network: the motion network, or None.
        heads: the heads that answer.
        device: where they run.

    Raises:
        CheckpointError: no weights, damaged ones, or some that don't belong together.
    """

    name = "torch"

    def __init__(self, folder: FoldFolder, experiment: Experiment, labels: Sequence[str]) -> None:
        self._folder, self._experiment = folder, experiment
        network = load_motion_network(folder, experiment, labels)
        heads = {stream: load_head(folder, stream, experiment, labels) for stream in answering_heads(folder)}
        if network is None and not heads:
            raise CheckpointError(f"{folder.path} holds no trained weights")
        digest = None if network is None else weights_digest(network)
        for stream in heads:
            check_sources(folder, stream, {Source.MOTION_NETWORK: digest})
        self.device = pick_device(experiment.run.device)
        self.network: MotionNet | None = None if network is None else network.to(self.device)
        self.heads: dict[Stream, Head] = {stream: head.to(self.device) for stream, head in heads.items()}
        self.has_motion = network is not None

    @cached_property
    def encoder(self) -> AppearanceEncoder:
        encoder = make_encoder(self._experiment.clip, self._experiment.run.seed, self.device)
        for stream in self.heads:
            check_sources(self._folder, stream, {Source.ENCODER: encoder.weights_digest})
        return encoder

    @property
    def warnings(self) -> list[str]:
        clip = self._experiment.clip
        if self.heads and clip.random:
            return [f"this model's CLIP ({clip.model}) has RANDOM weights"]
        if self.heads and self.encoder.random:
            return [f"this model's appearance encoder is {self.encoder.describe()}"]
        return []

    def motion_features(self, motion: npt.NDArray[np.float16]) -> tuple[Floats, Floats]:
        assert self.network is not None
        tokens, scores = batch_motion_scores(self.network, motion[None], self._experiment.test, self.device)
        return tokens[0], scores[0]

    @property
    def encodes_segments(self) -> bool:
        return self.network is not None and not self._experiment.test.segments

    def segment_features(self, motion: npt.NDArray[np.float16]) -> Floats:
        assert self.network is not None
        return segment_features(self.network, motion, self._experiment.test, self.device)

    def window_features(self, segments: Floats) -> tuple[Floats, Floats]:
        assert self.network is not None
        return scores_of_segments(self.network, segments, self.device)

    def appearance_features(self, pictures: npt.NDArray[np.uint8]) -> Floats:
        rows = self.encoder.encode_images(pictures)
        return np.asarray(unit(rows) if self._experiment.clip.normalize else rows, np.float32)

    def head_scores(
        self, stream: Stream, tokens: Floats | None, appearance: Floats, facts: FrameFacts | None = None
    ) -> Floats:
        pooled = pool_frames(appearance, self._experiment.clip.pooling, facts)
        head = self.heads[stream]
        motion = head.motion_norm.mean.cpu() if tokens is None else torch.from_numpy(tokens)
        table = FeatureTable(motion[None], torch.from_numpy(pooled[None]), torch.zeros(1, dtype=torch.int64))
        return np.asarray(head_scores(head, table)[0], np.float32)
