"""Flips are switched off where classes are mirror images of each other."""

from __future__ import annotations

from ..datasets.clip import shorten
from ..motion.mirrors import mirrored
from .features import FoldFeatures
from .session import Session

__all__ = ["keep_directions"]


def keep_directions(session: Session) -> list[str]:
    """Switch the flips of a session off, in training and in testing, where they would join classes.

    Classes are compared by their names, and by what validation clips of the first fold look like when
    mirrored; test clips are not looked at. ``motion.mirrors=ignore`` leaves flips as they are.

    Returns:
        Notes for the report.
    """
    experiment = session.experiment
    motion, streams = experiment.motion, set(experiment.run.streams)
    flips = motion.flip > 0 or experiment.test.flips > 1
    if motion.mirrors == "ignore" or not flips or not streams & {"motion", "fusion"} or session.feature_file:
        return []
    features = FoldFeatures(session, session.folds[0], session.extraction)
    train, val = (
        [clip for clip in features.clips(part, motion=True) if not features.store.empty(clip)]
        for part in ("train", "val")
    )
    pairs, reason = mirrored(features.store, train, val, session.labels)
    if not pairs:
        return []
    session.without_flips()
    words = shorten([f"{one} and {other}" for one, other in pairs])
    note = (
        f"flips are off: classes mirror each other {reason} ({words}); motion.mirrors=ignore leaves them on"
    )
    session.reporter.say(note)
    return [note]
