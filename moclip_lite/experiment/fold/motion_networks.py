"""The motion networks of a fold: the one that answers, and those that have not seen the clips they read.

A network is nearly always right on clips that it was trained on, so its features of these clips do not show
how far motion can be trusted. Heads choose what must be chosen on features of clips that a network left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ...datasets import Clip
from ...datasets.clip import shorten
from ...datasets.stratify import most_parts, stratified_parts
from ...errors import CheckpointError, DataError
from ...motion.batches import Batches, MotionFeed
from ...motion.network import MotionNet, build_motion_net
from ...motion.pretrained import is_generated
from ...parallel.ranks import share
from ...results.fold_folder import FoldFolder
from ...results.fold_result import FoldResult
from ...results.trained_on import clips_seen
from ...storage.digest import digest_bytes
from ...storage.files import read_description
from ...streams import Stream
from ...training.device import seed_all
from ...training.schedule import plan_epochs
from ...training.settings import TrainSettings
from ..session import Session
from ..settings.used import features_of, meaning_of
from ..stages import Stage
from .features import FoldFeatures

__all__ = ["LeftOut", "MotionNetworks", "parts_of", "refuse_seen_weights"]

_SELECTION: Final = "motion_selection"
"""The motion network of the training clips alone, where the one that answers has seen validation clips."""

_PART: Final = "motion_part"
"""Motion networks that were trained without a part of the training clips, for scores of these clips."""


class LeftOut(NamedTuple):
    """A motion network and the names of the training and validation clips that it was not trained on."""

    network: MotionNet
    clips: frozenset[str]


class MotionNetworks:
    """Trains the motion networks of a fold.

    The first is trained on the training clips and chosen on the validation clips. Where the settings say so,
    another is trained on both, as long as the first was, and answers in its place.

    Args:
        features: of the fold.
        folder: where weights go.
        result: of the fold; histories and wall times go there.
    """

    def __init__(self, features: FoldFeatures, folder: FoldFolder, result: FoldResult) -> None:
        self._features, self._folder, self._result = features, folder, result
        self._session = features.session
        self._passes = 0  # over the clips, of the first network once it is trained
        self._first: LeftOut | None = None

    @property
    def refits(self) -> bool:
        """Whether the network that answers is trained on the validation clips too."""
        return bool(self._moving("val")) and self._settings.refits(self._features.fold.known)

    def answering(self) -> MotionNet:
        """Train the network that answers."""
        network = self._train_first()
        if not self.refits:
            return network.to(self._session.device)
        clips = [*self._moving("train"), *self._moving("val")]
        return self._train_again(Stream.MOTION, clips).to(self._session.device)

    def left_out(self, parts: int) -> list[LeftOut]:
        """Networks that did not see some of the training and validation clips.

        Args:
            parts: of the training clips, each left out by a network of its own; 0 for none.

        Returns:
            The first network, which left out the validation clips, and the networks of the parts. Each clip
            is left out once at most.
        """
        assert self._first is not None
        networks = [self._first]
        train = self._features.clips("train", motion=True)
        for number, part in enumerate(parts_of(train, parts, self._features.seed), start=1):
            names = frozenset(clip.name for clip in part)
            rest = [clip for clip in (*self._moving("train"), *self._moving("val")) if clip.name not in names]
            if rest:
                networks.append(
                    LeftOut(self._train_again(f"{_PART}{number}", rest).to(self._session.device), names)
                )
        return networks

    def _train_first(self) -> MotionNet:
        """Train on the training clips."""
        settings = self._settings
        train, val = self._moving("train"), self._moving("val")
        name = _SELECTION if self.refits else Stream.MOTION
        network, stage = self._new(), self._stage(name, Stream.MOTION, train)
        feed = self._feed(train, val or train)
        result = self._session.trainer.train(stage, network, feed, settings)
        self._result.record(Stream.MOTION, result)
        self._passes = (result.best_epoch + 1) * plan_epochs(settings, feed.steps).passes
        names = frozenset(clip.name for clip in self._features.clips("val", motion=True))
        self._first = LeftOut(network.to(self._session.device), names)
        return network

    def _train_again(self, name: str, clips: Sequence[Clip]) -> MotionNet:
        """Train as long as the first network on other clips, without validation."""
        chosen = self._settings.model_copy(update={"epochs": self._passes})
        names = [clip.name for clip in clips]
        stage = self._stage(name, "motion again", clips, self._passes, names)
        network = self._new()
        feed = self._feed(clips, clips)
        result = self._session.trainer.train(stage, network, feed, chosen, validates=False)
        self._result.seconds[f"train_{name}_again"] = result.seconds
        return network

    @property
    def _settings(self) -> TrainSettings:
        return self._session.experiment.train_motion

    def _new(self) -> MotionNet:
        """An untrained network; the same at each call."""
        seed_all(self._features.seed)
        motion = self._session.experiment.motion
        return build_motion_net(motion, len(self._features.labels))

    def _stage(self, name: str, kind: str, train: Sequence[Clip], *more: object) -> Stage:
        experiment = self._features.experiment
        settings = self._settings.model_dump(mode="json", exclude={"refit"})
        made_from = (experiment.motion.deciding(), settings, self._features.seed)
        shuffling = self._session.inputs.shuffle_buffer(train)
        if shuffling is not None:  # the order in which the clips come
            more = (*more, shuffling.size, digest_bytes([shuffling.positions.tobytes()]))
        fingerprint = self._features.fingerprint(str(kind), *made_from, *more)
        in_run_folder = name == Stream.MOTION  # others have done their work with the run
        return Stage(
            name,
            self._folder,
            fingerprint,
            self._features.labels,
            self._features.seed,
            kept=in_run_folder,
            meaning=meaning_of(experiment, Stream.MOTION),
            features=features_of(experiment, Stream.MOTION, self._session.inputs.packed_versions),
            fold=self._features.fold.division,
        )

    def _moving(self, part: str) -> list[Clip]:
        return self._features.store.moving(getattr(self._features.fold, part))

    def _feed(self, train: Sequence[Clip], val: Sequence[Clip]) -> MotionFeed:
        experiment, features = self._features.experiment, self._features
        return MotionFeed(
            features.training_store,
            train,
            val,
            features.labels,
            Batches.of(experiment.motion, experiment.train_motion, features.seed),
            part=share(),
            loaders=experiment.run.loaders,
            shuffling=self._session.inputs.shuffle_buffer(train),
        )


def refuse_seen_weights(session: Session, clips: Sequence[Clip]) -> str | None:
    """Refuse to start from weights (``motion.pretrained``) of a run that used some of these clips.

    Its validation clips count too: runs train again on them.

    Args:
        session: of the configuration.
        clips: validation and test clips.

    Returns:
        What a reader of the scores should know, None if there is nothing.

    Raises:
        CheckpointError: it did.
    """
    weights = session.experiment.motion.pretrained
    if not isinstance(weights, Path) or not weights.is_file() or is_generated(weights):
        return None
    division = weights.parent / "division.json"
    if not division.is_file():
        if read_description(weights) is None:  # of another project
            return None
        return (
            f"motion.pretrained={weights}: it is not known which clips these weights were trained on; if "
            "validation or test clips are among them, scores are too high"
        )
    seen = clips_seen(division, clips, session.dataset.place, session.content_digests, ("train", "val"))
    if seen.surely:
        raise CheckpointError(
            f"motion.pretrained={weights}: its run used {len(seen.surely)} of the {len(clips)} clips to be "
            f"validated or tested on ({shorten(seen.surely, 3)}); start from weights of other clips"
        )
    if seen.by_name:
        return (
            f"motion.pretrained={weights}: its run used clips with the names of {len(seen.by_name)} to be "
            f"validated or tested on ({shorten(seen.by_name, 3)}); if they show the same, scores are too high"
        )
    return None


def parts_of(clips: Sequence[Clip], count: int, seed: int) -> list[list[Clip]]:
    """Divide clips into so many parts by group, classes alike; fewer where there are fewer groups, or clips
    of the largest class; [] for 0.

    Raises:
        DataError: fewer than two groups, or one clip of each class.
    """
    if not count:
        return []
    count = min(count, most_parts(clips))
    if count < 2:
        raise DataError(
            "train_head.cross_fit needs training clips of at least two groups, and two of a class; "
            "set it to 0"
        )
    return [[clips[i] for i in part] for _, part in stratified_parts(clips, count, seed)]
