"""The trainings of a fold: the motion network, then heads on cached features.

Each is skipped when its weights are there and were made from the same settings and clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import torch

from ..datasets import Clip
from ..fusion import build_head
from ..fusion.base import Head
from ..fusion.features import HeadFeed, head_scores, middle_frame
from ..fusion.tables import FeatureTable, Split, join_tables
from ..motion.network import MotionNet
from ..parallel.ranks import share
from ..results.run_folder import FoldFolder
from ..results.write import FoldResult
from ..storage.digest import digest_bytes
from ..streams import Source, Stream
from ..training.checkpoint import weights_digest
from ..training.device import seed_all
from .features import Floats, FoldFeatures
from .motion_networks import MotionNetworks
from .session import Session
from .stages import Stage, Trainer

__all__ = ["TrainedModels", "new_head", "prepare_head"]

_RESULT: Final = "with one frame"
"""What a head's training leaves; part of its fingerprint, because the cascade needs all of it."""


def new_head(features: FoldFeatures, stream: Stream, like: FeatureTable) -> Head:
    """An untrained head for features of the sizes of a table; the same at each call."""
    experiment = features.session.experiment
    seed_all(features.seed)
    dims = like.motion.shape[-1], like.appearance.shape[-1]
    return build_head(experiment.fusion, experiment.head_of(stream), *dims, len(features.labels))


def prepare_head(head: Head, features: FoldFeatures, train: FeatureTable) -> None:
    """Give a head the statistics of its training features, and the text that it starts from."""
    if features.session.experiment.fusion.standardize:
        head.fit_statistics(train.motion, train.appearance)
    if head.from_text:
        head.start_from_text(torch.from_numpy(features.session.class_vectors))


class TrainedModels:
    """Models of a fold that are trained, where their weights are not there yet.

    Args:
        features: of the fold.
        folder: where weights go.

    Attributes:
        one_frame: probabilities of the validation clips by the fusion with the middle frame alone, by weights that
            were not fitted to them; None where there is one frame only.
    """

    def __init__(self, features: FoldFeatures, folder: FoldFolder) -> None:
        self.features, self.folder = features, folder
        self.result = FoldResult(features.fold.name, notes=list(features.fold.notes))
        self.session: Session = features.session
        self._trainer = Trainer(self.session, self.result, features.seed)
        self._networks: MotionNetworks | None = None
        self._val_scores: dict[Stream, Floats] = {}
        self.one_frame: Floats | None = None

    def motion_network(self) -> MotionNet:
        """Train the motion network, after its encoder on masked motion if the settings say so."""
        self._networks = MotionNetworks(self.features, self.folder, self._trainer)
        if self._networks.refits:
            self.result.refitted.add(Stream.MOTION)
        return self._networks.answering()

    def head(
        self, stream: Stream, tables: Mapping[str, FeatureTable], clips: Mapping[str, Sequence[Clip]]
    ) -> Head:
        """Train a head on tables of features; chosen on validation.

        Args:
            stream: of the head.
            tables: features of "train" and "val" by the network that answers.
            clips: those of the tables.
        """
        experiment, features = self.session.experiment, self.features
        fusion, settings, seed = experiment.fusion, experiment.train_head, features.seed
        name, head = experiment.head_of(stream), new_head(features, stream, tables["train"])
        splits = self._splits(head, stream, tables, clips)
        first = splits[0]
        prepare_head(head, features, first.train)
        every = join_tables([tables["train"], tables["val"]])
        used = [table for split in splits for table in (split.train, split.held_out)] + [every]
        arrays = [array.numpy() for table in used for array in (table.motion, table.appearance)]
        if head.from_text:
            arrays.append(self.session.class_vectors)
        digest = digest_bytes(np.ascontiguousarray(array).tobytes() for array in arrays)
        sources = {str(s.value): str(d) for s, d in features.source_digests(stream.sources).items()}
        size = fusion.model_dump(mode="json", exclude={"head"})  # controls are the same beside every head
        made_from = (digest, sources, size, settings.model_dump(mode="json"), seed, _RESULT)
        stage = Stage(stream, self.folder, features.fingerprint(name, *made_from), features.labels, sources)
        feed = HeadFeed(head, first.train, first.held_out, settings.batch, seed, share(), splits[1:])
        refit = every if settings.refits(features.fold.known) else None
        result = self._trainer.train_head(stage, head, feed, settings, refit)
        if refit is not None:
            self.result.refitted.add(stream)
        if head.closed_form:
            held_out = sum(len(split.held_out.labels) for split in splits)
            self.result.training[stream]["held_out"] = held_out
        if result.val_scores:
            self._val_scores[stream] = np.array(result.val_scores, np.float32)
        head = head.to(self.session.device)
        if stream is Stream.FUSION:
            middle = None if refit is not None else middle_frame(tables["val"])
            scores = result.val_one_frame if middle is None else head_scores(head, middle)
            self.one_frame = np.array(scores, np.float32) if len(scores) else None
        return head

    def validation_scores(self, stream: Stream) -> Floats | None:
        """Class probabilities of the validation clips by weights that were not fitted to them, float32 [N, C].

        None where the weights that answer were not fitted to them either.
        """
        if stream is Stream.MOTION and self._networks is not None and self._networks.refits:
            network = self._networks.left_out(0)[0].network
            clips = self.features.clips("val", motion=True)
            motion = self.features.motion(network, clips, digest=weights_digest(network))
            return motion.scores_of(clips, len(self.features.labels))
        return self._val_scores.get(stream)

    def _splits(
        self,
        head: Head,
        stream: Stream,
        tables: Mapping[str, FeatureTable],
        clips: Mapping[str, Sequence[Clip]],
    ) -> list[Split]:
        """Divisions into clips to train on and clips that the motion network of the division has not seen."""
        plain = Split(tables["train"], tables["val"])
        if self._networks is None or Source.MOTION_NETWORK not in stream.sources:
            return [plain]
        cross_fit = self.session.experiment.train_head.cross_fit if head.several_splits else 0
        if not cross_fit and not self._networks.refits:
            return [plain]
        known, splits = [*clips["train"], *clips["val"]], []
        for network, names in self._networks.left_out(cross_fit):
            division = {
                "train": [clip for clip in known if clip.name not in names],
                "held out": [clip for clip in known if clip.name in names],
            }
            if all(division.values()):
                tokens = self.features.motion(network, known, digest=weights_digest(network)).tokens
                parts = self.features.tables(division, tokens)
                splits.append(Split(parts["train"], parts["held out"]))
        return splits or [plain]
