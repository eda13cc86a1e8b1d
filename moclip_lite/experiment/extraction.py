"""Filling the cache with what an experiment needs from its clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from ..appearance.extract import extract_appearance
from ..datasets import Clip
from ..datasets.extraction import ExtractReport, Failure, Progress
from ..errors import WeightsUnavailable
from ..motion.extract import extract_motion
from ..parallel.ranks import share, wait_for_all
from ..results.ledger import SecondsLedger
from ..results.run_folder import RunFolder
from ..streams import Stream
from .session import Session

__all__ = ["Extraction", "extract_clip_features", "extract_motion_fields", "fill_cache", "run_ledger"]

_PICTURE_STREAMS: Final = {str(stream) for stream in Stream if stream.sees_pictures}


@dataclass(frozen=True)
class Extraction:
    """What was read of the clips.

    Attributes:
        motion, appearance: keys in the cache, clips left out, and wall time.
        unavailable: why there are no appearance features, where their weights are unavailable.
    """

    motion: ExtractReport = field(default_factory=lambda: ExtractReport("motion"))
    appearance: ExtractReport = field(default_factory=lambda: ExtractReport("clip"))
    unavailable: str | None = None

    @property
    def failures(self) -> list[Failure]:
        """Clips that could not be read, by stage."""
        return self.motion.failures + self.appearance.failures


def fill_cache(
    session: Session, ledger: SecondsLedger | None = None, clips: Sequence[Clip] | None = None
) -> Extraction:
    """Read what the streams need from the clips: all that a run needs before it trains.

    Args:
        session: the experiment.
        ledger: of the run whose time is counted; the reports hold the seconds of all its attempts.
        clips: those of all folds by default.

    Raises:
        MoclipError: the clips or the model can't be used.
    """
    clips, streams = session.clips if clips is None else clips, set(session.experiment.run.streams)
    if session.feature_file is not None:
        keys = dict.fromkeys((clip.name for clip in clips), session.feature_file.digest)
        return Extraction(ExtractReport("motion", keys=keys), ExtractReport("clip", keys=keys))
    done = Extraction()
    if streams & {"motion", "fusion"}:
        done = replace(done, motion=extract_motion_fields(session, clips, ledger))
    if not streams & _PICTURE_STREAMS:
        return done
    try:
        return replace(done, appearance=extract_clip_features(session, clips, ledger))
    except WeightsUnavailable as error:  # the motion stream still runs
        if "motion" not in streams:
            raise
        reason = f"appearance and fusion are left out: {error}"
        session.reporter.warn(reason)
        return replace(done, unavailable=reason)


def extract_motion_fields(
    session: Session, clips: Sequence[Clip], ledger: SecondsLedger | None = None
) -> ExtractReport:
    """Fill the cache with the motion of clips.

    Args:
        session: the experiment.
        clips: the clips.
        ledger: as for :func:`fill_cache`.

    Raises:
        MoclipError: the disk is full.
    """
    motion = session.experiment.motion

    def extract(part: Sequence[Clip], progress: Progress) -> ExtractReport:
        return extract_motion(
            part,
            motion,
            session.cache,
            workers=session.workers,
            progress=progress,
            announce=lambda text: session.reporter.say(f"motion: {text}"),
        )

    report = _timed(session, "extract_motion", motion.key_settings(), ledger, clips, extract)
    session.reporter.say(report.summary())
    return report


def extract_clip_features(
    session: Session, clips: Sequence[Clip], ledger: SecondsLedger | None = None
) -> ExtractReport:
    """Fill the cache with the appearance features of clips; arguments as of :func:`extract_motion_fields`.

    Raises:
        MoclipError: the disk is full, or the model is unavailable.
    """
    clip = session.saved_experiment.clip

    def extract(part: Sequence[Clip], progress: Progress) -> ExtractReport:
        return extract_appearance(
            part,
            session.experiment.clip,
            session.encoder.lazy,
            session.cache,
            workers=session.workers,
            progress=progress,
        )

    report = _timed(session, "extract_clip", clip, ledger, clips, extract)
    session.encoder.warn_if_random()
    session.reporter.say(report.summary())
    return report


def run_ledger(session: Session) -> SecondsLedger | None:
    """The ledger of the run folder that the configuration names; None where it is left at its default."""
    run = session.experiment.run
    return RunFolder(run.dir).ledger if "dir" in run.model_fields_set else None


def _timed(
    session: Session,
    stage: str,
    section: object,
    ledger: SecondsLedger | None,
    clips: Sequence[Clip],
    extract: Callable[[Sequence[Clip], Progress], ExtractReport],
) -> ExtractReport:
    """Extract, and add up the seconds of all attempts; under torchrun each process reads its part first."""
    with _stopwatch(session, stage, section, ledger) as (tick, seconds):

        def progress(name: str, done: int, total: int) -> None:
            tick()
            session.reporter.progress(name, done, total)

        if share().world > 1 and len(clips) > 1:
            extract(share().of(clips), progress)
            wait_for_all()  # then all find the rest in the cache
        report = extract(clips, progress)
        report.seconds = seconds()
    paths = {clip.name: str(clip.path) for clip in clips}
    report.failures = [
        replace(failure, reason=_without_path(failure.reason, paths[failure.name]))
        for failure in report.failures
    ]
    return report


@contextmanager
def _stopwatch(
    session: Session, stage: str, section: object, ledger: SecondsLedger | None
) -> Iterator[tuple[Callable[[], None], Callable[[], float]]]:
    """(what to call after each clip that is computed, the seconds up to now)."""
    if ledger is None:
        started = time.perf_counter()
        yield lambda: None, lambda: time.perf_counter() - started
        return
    settings = {"data": session.saved_experiment.data, "section": section}
    with ledger.timing(stage, settings) as attempt:
        yield attempt.tick, lambda: attempt.seconds


def _without_path(reason: str, path: str) -> str:
    """The reason alone: tables of failures name the clip in a column of its own."""
    name = path.rpartition("/")[2]
    for prefix in (f"{path}: ", f"{name}: "):
        reason = reason.removeprefix(prefix)
    return reason
