"""Zero-shot classification: frames against sentences, nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mv_tools import MotionDecoder

from ..appearance.frames import file_energy, read_frames
from ..appearance.zero_shot import zero_shot_scores
from ..datasets import Fold
from ..errors import DataError
from ..results.fold_result import join_scores
from ..results.metrics import Metrics
from ..streams import Stream
from .fold.features import FoldFeatures
from .fold.one_pass import FoldPass
from .session import Session

__all__ = ["zero_shot_dataset", "zero_shot_file"]


def zero_shot_dataset(session: Session) -> Metrics:
    """Classify the test clips of all folds by the class names alone, each clip once.

    Raises:
        MoclipError: the data or the model can't be used.
    """
    by_name = {clip.name: clip for fold in session.folds for clip in fold.test}
    fold = Fold("test", (), (), tuple(by_name.values()))
    extraction = session.extract(fold.test)
    failures = extraction.failures
    if not extraction.appearance.keys:
        first = failures[0].reason if failures else "there is none"
        raise DataError(f"none of {len(fold.test)} test clips could be read; the first: {first}")
    features = FoldFeatures(session, fold, extraction)
    result = FoldPass(features).test({Stream.ZERO_SHOT}, ())
    streams = join_scores([result])
    return Metrics(streams, failures=tuple(vars(failure) for failure in failures))


def zero_shot_file(session: Session, path: Path, labels: Sequence[str]) -> list[tuple[str, float]]:
    """Rank free-text labels for one file.

    Raises:
        ConfigError: two labels share a sentence.
        FileNotFoundError: no such file.
        mv_tools.MotionError: it can't be read.
    """
    session.encoder.require_text()
    session.prompts.check(labels).refuse_shared(labels)
    session.encoder.warn_if_random()
    encoder, settings = session.encoder.lazy.encoder, session.experiment.clip
    motion, energy = session.experiment.motion, None
    if settings.needs_motion:
        energy = file_energy(MotionDecoder(path, backend=motion.backend, on_damage="skip"), motion)
    frames = encoder.encode_images(read_frames(path, settings, energy=energy).pictures)
    classes = encoder.class_vectors(labels, session.prompts)
    scores = zero_shot_scores(frames[None], classes)[0]
    order = np.argsort(-scores, kind="stable")
    return [(labels[i], float(scores[i])) for i in order]
