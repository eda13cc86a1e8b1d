"""The streams of a fold that can be trained and tested, of those that a run asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import DataError
from ..results.fold_result import FoldResult
from ..streams import Stream
from .feature_file import FeatureFile
from .feature_storage import REFITTED
from .features import FoldFeatures

__all__ = ["PARTS", "trainable_streams"]

PARTS: Final = ("train", "val", "test")

Note = Callable[[str], None]


def trainable_streams(features: FoldFeatures, result: FoldResult) -> set[Stream]:
    """The requested streams that the clips or the file of features allow, with their controls.

    Args:
        features: of the fold.
        result: of the fold; its notes tell which are left out and why.

    Raises:
        DataError: none.
    """
    session = features.session

    def note(text: str) -> None:
        result.notes.append(text)
        session.reporter.warn(text)

    requested = {Stream(name) for name in session.experiment.run.streams}
    if session.feature_file is None:
        streams = _of_videos(features, requested, note)
    else:
        streams = _of_file(session.feature_file, requested, note)
    if Stream.APPEARANCE not in streams:
        return streams
    streams.add(Stream.APPEARANCE_FRAME)
    if session.inputs.has_text:
        return streams | {Stream.ZERO_SHOT}
    if session.feature_file is None:
        own, model = session.experiment.data.appearance, session.experiment.clip.model
        reason = f"{model} has no text encoder" if own is None else f"{own} holds no text embeddings"
        result.notes.append(f"zero-shot is left out: {reason}")
    return streams


def _of_videos(features: FoldFeatures, requested: set[Stream], note: Note) -> set[Stream]:
    """Streams that the clips allow, and the control of the fusion."""
    streams = set(requested)
    if not features.appearance_keys:
        streams -= {Stream.APPEARANCE, Stream.FUSION, Stream.ZERO_SHOT}
    if streams & {Stream.MOTION, Stream.FUSION}:
        readable = {part: features.clips(part, motion=True) for part in PARTS}
        still = {clip.name for clips in readable.values() for clip in clips if features.store.empty(clip)}
        if still:
            note(f"{len(still)} clips hold no motion at all (only I pictures)")
        if len({clip.label for clip in readable["train"] if clip.name not in still}) < 2:
            note("motion and fusion are left out: no motion to train on in at least two classes")
            streams -= {Stream.MOTION, Stream.FUSION}
    if not streams:
        raise DataError(f"fold {features.fold.name}: no stream can be trained on these clips")
    return streams | {Stream.MOTION_HEAD} if Stream.FUSION in streams else streams


def _of_file(file: FeatureFile, requested: set[Stream], note: Note) -> set[Stream]:
    """Streams that a file of features allows.

    The motion stream is its control head here: there is no motion network to test.
    """
    present = {Stream.MOTION: file.has_motion, Stream.APPEARANCE: file.has_appearance}
    for stream, there in present.items():
        if not there and requested & {stream, Stream.FUSION}:
            note(f"fusion is left out: the file of features holds no features of {stream}")
    if file.has_motion and file.origin is not None and file.origin.refitted:
        note(REFITTED)
    streams = requested - {Stream.MOTION}
    if not file.has_motion:
        streams -= {Stream.FUSION}
    elif requested & {Stream.MOTION, Stream.FUSION}:
        streams.add(Stream.MOTION_HEAD)
    if not file.has_appearance:
        streams -= {Stream.APPEARANCE, Stream.FUSION, Stream.ZERO_SHOT}
    if not streams:
        held = " and ".join(stream for stream, there in present.items() if there)
        raise DataError(f"{file.dataset.root} holds features of {held}; run.streams asks for none of that")
    return streams
