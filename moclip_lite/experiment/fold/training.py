"""The trainings of a fold: the motion network, then heads on cached features.

Each is skipped when its weights are there and were made from the same settings and clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from ...datasets import Clip
from ...errors import ConfigError
from ...fusion import build_head
from ...fusion.features import HeadFeed, one_frame_scores
from ...fusion.heads.base import Head
from ...fusion.streamed import StreamedTable
from ...fusion.tables import FeatureTable, Split, join_tables
from ...motion.network import MotionNet
from ...motion.pretrained import other_reading
from ...motion.settings import GENERATED
from ...parallel.ranks import share
from ...results.fold_folder import FoldFolder
from ...results.fold_result import FoldResult
from ...storage.digest import digest_bytes
from ...streams import Source, Stream
from ...training.checkpoint import weights_digest
from ...training.device import seed_all
from ..session import Session
from ..settings.used import features_of, meaning_of
from ..stages import Stage
from .features import Floats, FoldFeatures
from .motion_networks import MotionNetworks, refuse_seen_weights

__all__ = ["TrainedModels", "new_head", "prepare_head"]

_RESULT: Final = "with one frame"
"""What a head's training leaves; part of its fingerprint, because the cascade needs all of it."""


def new_head(features: FoldFeatures, stream: Stream, like: FeatureTable | StreamedTable) -> Head:
    """An untrained head for features of the sizes of a table; the same at each call."""
    experiment = features.session.experiment
    seed_all(features.seed)
    name = experiment.head_of(stream)
    return build_head(experiment.fusion, name, *like.lengths, len(features.labels))


def prepare_head(head: Head, features: FoldFeatures, train: FeatureTable | StreamedTable) -> None:
    """Give a head the statistics of its training features, and the text that it starts from."""
    if features.session.experiment.fusion.standardize:
        head.standardize_to(train)
    if head.from_text:
        head.start_from_text(torch.from_numpy(features.session.class_vectors))


class TrainedModels:
    """Models of a fold that are trained, where their weights are not there yet.

    Args:
        features: of the fold.
        folder: where weights go.
    """

    def __init__(self, features: FoldFeatures, folder: FoldFolder) -> None:
        self.features, self.folder = features, folder
        self.result = FoldResult(features.fold.name, notes=list(features.fold.notes))
        self.session: Session = features.session
        self._networks: MotionNetworks | None = None
        self._val_scores: dict[Stream, Floats] = {}

    def motion_network(self) -> MotionNet:
        """Train the motion network."""
        self._note_start()
        self.result.from_generated = self.session.experiment.motion.start == GENERATED
        self._networks = MotionNetworks(self.features, self.folder, self.result)
        if self._networks.refits:
            self.result.refitted.add(Stream.MOTION)
        return self._networks.answering()

    def _note_start(self) -> None:
        """Say once, and in the report, where pretrained weights are of motion that is read otherwise, or may
        have seen the clips.

        Raises:
            CheckpointError: they have seen validation or test clips.
        """
        motion, fold = self.session.experiment.motion, self.features.fold
        if not isinstance(motion.pretrained, Path):
            return
        seen = refuse_seen_weights(self.session, [*fold.val, *fold.test])
        for note in (seen, other_reading(motion.pretrained, motion, self.session.experiment.data.recipe)):
            if note is not None:
                self.result.notes.append(note)
                if fold.name == self.session.folds[0].name:
                    self.session.reporter.warn(note)

    def head(
        self,
        stream: Stream,
        tables: Mapping[str, FeatureTable | StreamedTable],
        clips: Mapping[str, Sequence[Clip]],
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
        train, held_out, further, every = self._training_tables(head, stream, tables, clips)
        prepare_head(head, features, train)
        more = [table for split in further for table in (split.train, split.held_out)]
        parts = [part for table in (train, held_out, *more, every) for part in table.digest_parts()]
        if head.from_text:
            parts.append(np.ascontiguousarray(self.session.class_vectors).tobytes())
        digest = digest_bytes(parts)
        sources = {str(s.value): str(d) for s, d in features.source_digests(stream.sources).items()}
        size = fusion.model_dump(mode="json", exclude={"head"})  # controls are the same beside every head
        made_from = (digest, sources, size, settings.model_dump(mode="json"), seed, _RESULT)
        stage = Stage(
            stream,
            self.folder,
            features.fingerprint(name, *made_from),
            features.labels,
            seed,
            sources,
            meaning=meaning_of(experiment, stream),
            features=features_of(experiment, stream, self.session.inputs.packed_versions),
            fold=features.fold.division,
        )
        feed = HeadFeed(head, train, held_out, settings.batch, seed, share(), further)
        refit = every if settings.refits(features.fold.known) else None
        result = self.session.trainer.train_head(stage, head, feed, settings, refit)
        self.result.record(stream, result)
        self.result.training[stream] |= head.choices()
        if refit is not None:
            self.result.refitted.add(stream)
        if head.closed_form:
            known = [held_out.labels, *(split.held_out.labels for split in further)]
            self.result.training[stream]["held_out"] = sum(map(len, known))
        if result.val_scores:
            self._val_scores[stream] = np.array(result.val_scores, np.float32)
        head = head.to(self.session.device)
        if stream is Stream.FUSION:
            scores = np.array(result.val_one_frame, np.float32) if result.val_one_frame else None
            self.result.one_frame = one_frame_scores(head, tables["val"]) if refit is None else scores
        return head

    def validation_scores(self, stream: Stream) -> Floats | None:
        """Class probabilities of the validation clips, float32 [N, C], by weights not fitted to them.

        None where the weights that answer were not fitted to them either.
        """
        if stream is Stream.MOTION and self._networks is not None and self._networks.refits:
            network = self._networks.left_out(0)[0].network
            clips = self.features.clips("val", motion=True)
            motion = self.features.motion(network, clips, digest=weights_digest(network))
            return motion.scores_of(clips, len(self.features.labels))
        return self._val_scores.get(stream)

    def _training_tables(
        self,
        head: Head,
        stream: Stream,
        tables: Mapping[str, FeatureTable | StreamedTable],
        clips: Mapping[str, Sequence[Clip]],
    ) -> tuple[
        FeatureTable | StreamedTable, FeatureTable | StreamedTable, list[Split], FeatureTable | StreamedTable
    ]:
        """(clips to train on, clips to choose on, further divisions, both together).

        Raises:
            ConfigError: the head needs all features in memory, and they are streamed.
        """
        train, val = tables["train"], tables["val"]
        if isinstance(train, StreamedTable) and isinstance(val, StreamedTable):
            self._refuse_whole(head, stream, val)
            return train, val, [], train.joined(val)
        in_memory = {name: table for name, table in tables.items() if isinstance(table, FeatureTable)}
        splits = self._splits(head, stream, in_memory, clips)
        every = join_tables([in_memory["train"], in_memory["val"]])
        return splits[0].train, splits[0].held_out, splits[1:], every

    def _refuse_whole(self, head: Head, stream: Stream, val: StreamedTable) -> None:
        """Refuse heads that look at more features at once than the buffer holds.

        Raises:
            ConfigError: such a head.
        """
        name, clips = self.session.experiment.head_of(stream), len(self.session.dataset.clips)
        calibrated = type(head).calibrate is not Head.calibrate and len(val.labels) > val.buffer
        if head.closed_form or calibrated:
            what = "solved for" if head.closed_form else "calibrated on"
            part = "all training clips" if head.closed_form else "all validation clips"
            raise ConfigError(
                f"the head {name} is {what} {part} at once, "
                f"and of {clips} clips data.buffer={val.buffer} are in memory: "
                "take one that is trained in batches, such as fusion.head=concat_mlp, or raise data.buffer"
            )

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
