"""Features of a fold's clips, read through the cache, and tables of them for heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ...appearance.pooling import FrameFacts, pool_frames
from ...appearance.zero_shot import unit
from ...datasets import Clip, Fold
from ...datasets.clip import class_numbers
from ...errors import CheckpointError, DataError
from ...fusion.streamed import StreamedTable
from ...fusion.tables import FeatureTable, Rows
from ...motion.network import MotionNet
from ...motion.scores import motion_scores
from ...motion.store import MotionStore
from ...parallel.ranks import share, wait_for_all
from ...storage.cache_keys import cache_key
from ...storage.digest import digest_bytes
from ...streams import Source
from ...training.checkpoint import weights_digest
from ..config import Experiment
from ..extraction import Extraction
from ..session import Session

__all__ = ["FoldFeatures", "MotionFeatures"]

_HAIR: Final = np.float32(1e-6)  # of a probability

Floats = npt.NDArray[np.float32]


class MotionFeatures(NamedTuple):
    """Features by a motion network, by clip name; clips without motion are absent.

    Attributes:
        tokens: float32 [T, D].
        scores: class probabilities, float32 [C].
    """

    tokens: dict[str, Floats]
    scores: dict[str, Floats]

    def scores_of(self, clips: Sequence[Clip], classes: int) -> Floats:
        """Class probabilities of clips, float32 [N, C]; those without motion get a guess by their name."""
        rows = [self.scores.get(clip.name) for clip in clips]
        return np.stack(
            [
                _guess(clip.name, classes) if row is None else row
                for clip, row in zip(clips, rows, strict=True)
            ]
        )


def _guess(name: str, classes: int) -> Floats:
    """Equal probabilities, but for a hair that a digest of the name gives to one class.

    Of equal ones the first class would be the answer, which would be right wherever that class is.
    """
    guess = np.full(classes, 1 / classes, np.float32)
    guess[int(digest_bytes([name.encode()])[:8], 16) % classes] += _HAIR
    return guess


class FoldFeatures:
    """A fold's clips, as far as the streams could read them, and their features.

    Args:
        session: the experiment.
        fold: the fold.
        extraction: what could be read of the clips.
    """

    def __init__(self, session: Session, fold: Fold, extraction: Extraction) -> None:
        self.session, self.fold, self.labels = session, fold, session.labels
        self.motion_keys, self.appearance_keys = extraction.motion.keys, extraction.appearance.keys
        self.network_digest: str | None = None  # of the motion network, once it is trained or loaded

    @property
    def experiment(self) -> Experiment:
        """The configuration, as it holds for this fold."""
        return self.session.directions.of(self.session.experiment, self.fold.name)

    @cached_property
    def store(self) -> MotionStore:
        """Motion of the clips."""
        return MotionStore(self.session.cache, self.motion_keys, self.session.experiment.motion)

    @cached_property
    def training_store(self) -> MotionStore:
        """Motion of the encodings that training draws from and validates on; reads them."""
        session = self.session
        if not session.experiment.data.train_recipes:
            return self.store
        return MotionStore(
            session.cache, self.motion_keys, session.experiment.motion, encodings=session.encodings
        )

    @property
    def seed(self) -> int:
        """Seed of the fold's trainings."""
        return self.session.experiment.run.seed if self.fold.seed is None else self.fold.seed

    def clips(self, part: str, *, motion: bool = False, appearance: bool = False) -> list[Clip]:
        """Clips of "train", "val" or "test" that could be read by the streams asked for."""
        return [
            clip
            for clip in getattr(self.fold, part)
            if (not motion or clip.name in self.motion_keys)
            and (not appearance or clip.name in self.appearance_keys)
        ]

    def fingerprint(self, *settings: Any) -> str:
        """Digest of settings, labels and the motion of all train and validation clips."""
        rows: list[list[Any]] = [
            [part, clip.name, clip.label, self.motion_keys.get(clip.name)]
            for part in ("train", "val")
            for clip in getattr(self.fold, part)
        ]
        for row in rows if self.session.experiment.data.train_recipes else ():
            row.append([key for _, key in self.session.encodings.get(str(row[1]), ())])
        return cache_key("trained", "", {"settings": settings, "labels": self.labels, "clips": rows})

    def source_digests(self, sources: Sequence[Source]) -> dict[Source, str | None]:
        """Digests of what gives the features; None for a motion network that is missing."""
        return {
            source: self.network_digest
            if source is Source.MOTION_NETWORK
            else self.session.encoder_identity["digest"]
            for source in sources
        }

    def use_network(self, network: MotionNet) -> None:
        """Take motion features from this network from now on."""
        self.network_digest = weights_digest(network)

    def motion(
        self,
        network: MotionNet,
        clips: Sequence[Clip],
        tick: Callable[[], None] = lambda: None,
        digest: str | None = None,
    ) -> MotionFeatures:
        """Motion features through the cache.

        Args:
            network: computes them.
            clips: which ones.
            tick: called after each clip that is computed.
            digest: of the network's weights, where it is not the network of :meth:`use_network`.
        """
        session, views = self.session, self.experiment.test
        weights = digest or self.network_digest
        settings = {"net": session.experiment.motion.net, "weights": weights} | views.model_dump()
        keys = {c.name: cache_key("motion_tokens", self.motion_keys[c.name], settings) for c in clips}
        features = MotionFeatures({}, {})
        moving = self.store.moving(clips)
        absent = [clip for clip in moving if not self._cached_motion(clip, keys, features)]
        part = share().of(absent)
        for done, clip in enumerate(part, start=1):
            # Clip by clip: in a batch with others the last bits would depend on which others are still to do.
            tokens, scores = motion_scores(network, self.store, [clip], views, session.device)
            session.cache.put("motion_tokens", keys[clip.name], {"tokens": tokens[0], "scores": scores[0]})
            features.tokens[clip.name], features.scores[clip.name] = tokens[0], scores[0]
            tick()
            session.reporter.progress("motion features", done, len(part))
        wait_for_all()
        for clip in absent:  # parts of other processes
            if clip.name not in features.scores and not self._cached_motion(clip, keys, features):
                raise CheckpointError(f"the motion features of {clip.name} are not seen by all processes")
        return features

    def _cached_motion(self, clip: Clip, keys: Mapping[str, str], features: MotionFeatures) -> bool:
        arrays = self.session.cache.get("motion_tokens", keys[clip.name])
        if arrays is None:
            return False
        features.tokens[clip.name], features.scores[clip.name] = arrays["tokens"], arrays["scores"]
        return True

    def appearance(self, clips: Sequence[Clip], *, pooled: bool = False) -> Floats:
        """Appearance features of clips; zeros where a file has none.

        Args:
            clips: the clips.
            pooled: whether frames are pooled as the configuration says, as heads take them.

        Returns:
            float32 [N, frames, D], or as :func:`moclip_lite.appearance.pooling.pool_frames` gives them,
            normalised if the configuration says so.
        """
        file = self.session.feature_file
        facts: list[FrameFacts | None] = [None] * len(clips)
        if file is None:
            known = [self._cached_appearance(clip) for clip in clips]
            rows, facts = np.stack([features for features, _ in known]), [places for _, places in known]
        elif file.stream is not None:
            return self._streamed_appearance(file.rows(clips), pooled)
        elif file.appearance is None:
            rows = np.zeros((len(clips), 1, 1), np.float32)
        else:
            rows = file.appearance[file.rows(clips)]
        return self._prepared(rows, pooled, facts)

    def _prepared(self, rows: Floats, pooled: bool, facts: Sequence[FrameFacts | None]) -> Floats:
        """Appearance features [N, frames, D] normalised, and pooled where that is asked for."""
        settings = self.session.experiment.clip
        rows = np.asarray(unit(rows) if settings.normalize else rows, np.float32)
        if not pooled or settings.pooling == "head":
            return rows
        return np.stack(
            [pool_frames(row, settings.pooling, places) for row, places in zip(rows, facts, strict=True)]
        )

    @property
    def buffer(self) -> int | None:
        """Clips in memory at once, where features are streamed; else None."""
        return None if self.session.feature_file is None else self.session.feature_file.buffer

    def _streamed_appearance(self, positions: npt.NDArray[np.int64], pooled: bool) -> Floats:
        parts = [(places, rows) for places, _, rows in self._read_rows(positions, pooled)]
        features = np.empty((len(positions), *parts[0][1].shape[1:]), np.float32)
        for places, rows in parts:
            features[places] = rows
        return features

    def _read_rows(self, positions: Rows, pooled: bool) -> Iterator[tuple[Rows, Floats, Floats]]:
        """Features of clips from a streamed file, see :data:`moclip_lite.fusion.streamed.ReadRows`."""
        file = self.session.feature_file
        assert file is not None
        assert file.stream is not None
        motion = file.motion_column(self.fold.division)
        names = [name for name in (motion, "appearance" if file.has_appearance else None) if name]
        for places, arrays in file.stream.read(names, positions):
            columns = dict(zip(names, arrays, strict=True))
            tokens = columns[motion] if motion else np.zeros((len(places), 1), np.float32)
            frames = columns.get("appearance", np.zeros((len(places), 1, 1), np.float32))
            yield places, tokens, self._prepared(frames, pooled, [None] * len(places))

    def _cached_appearance(self, clip: Clip) -> tuple[Floats, FrameFacts | None]:
        """Features of a clip's frames and where they stand."""
        own = self.session.inputs.own_appearance
        if own is not None:
            return own.features(clip), None
        arrays = self.session.cache.get("clip", self.appearance_keys[clip.name])
        if arrays is None:  # damaged: computed again
            self.appearance_keys.update(self.session.extractor.appearance([clip]).keys)
            arrays = self.session.cache.get("clip", self.appearance_keys[clip.name])
            if arrays is None:
                raise CheckpointError(f"the cache entry of {clip.name} can't be computed again")
        facts = FrameFacts(arrays["times"], arrays["weights"])
        return np.asarray(arrays["features"], np.float32), facts

    def head_tables(
        self, parts: Mapping[str, Sequence[Clip]], tokens: Mapping[str, Floats], *, pooled: bool = True
    ) -> Mapping[str, FeatureTable | StreamedTable]:
        """As :meth:`tables`; where the features are streamed, tables that read them as they are needed."""
        file = self.session.feature_file
        if file is None or file.stream is None or file.buffer is None:
            return self.tables(parts, tokens, pooled=pooled)
        _refuse_empty(parts)
        clip = self.session.experiment.clip
        digest = f"{file.digest} {self.fold.division} {clip.normalize} {clip.pooling if pooled else None}"

        def read(positions: Rows) -> Iterator[tuple[Rows, Floats, Floats]]:
            return self._read_rows(positions, pooled)

        return {
            name: StreamedTable(
                read,
                np.asarray(file.rows(clips), np.int64),
                torch.from_numpy(class_numbers(clips, self.labels)),
                file.buffer,
                digest,
            )
            for name, clips in parts.items()
        }

    def tables(
        self, parts: Mapping[str, Sequence[Clip]], tokens: Mapping[str, Floats], *, pooled: bool = True
    ) -> dict[str, FeatureTable]:
        """Features of both streams for the clips of each part.

        Args:
            parts: name -> clips; must hold "train".
            tokens: motion tokens by clip name; clips without motion get the mean of the training clips.
            pooled: whether frames are pooled as the configuration says.

        Raises:
            DataError: a part has no clip.
        """
        _refuse_empty(parts)
        absent = mean_tokens(parts["train"], tokens)
        if absent is None:  # no clip has motion, or none of the training part
            absent = np.zeros_like(next(iter(tokens.values()), np.zeros(1, np.float32)))
        return {
            name: FeatureTable(
                torch.from_numpy(np.stack([tokens.get(c.name, absent) for c in clips]).astype(np.float32)),
                torch.from_numpy(self.appearance(clips, pooled=pooled)),
                torch.from_numpy(class_numbers(clips, self.labels)),
            )
            for name, clips in parts.items()
        }


def _refuse_empty(parts: Mapping[str, Sequence[Clip]]) -> None:
    for name, clips in parts.items():
        if not clips:
            raise DataError(f"no clip of the {name} part could be read")


def mean_tokens(clips: Sequence[Clip], tokens: Mapping[str, Floats]) -> Floats | None:
    """Mean over the clips that have motion tokens; None if there are none."""
    known = [tokens[clip.name] for clip in clips if clip.name in tokens]
    return np.mean(known, axis=0) if known else None
