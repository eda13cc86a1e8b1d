"""Filling the cache with what an experiment needs from its clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from ..appearance.clip_arrays import ClipArrays
from ..appearance.extract import extract_appearance
from ..appearance.frame_reader import ClipMotion
from ..appearance.remote import WorkerDevice
from ..datasets import Clip
from ..datasets.clip_notes import ClipNote, notes_in_words
from ..datasets.extraction import ExtractReport, Failure, Progress
from ..errors import WeightsUnavailable
from ..motion.extract import extract_motion
from ..parallel.ranks import share, wait_for_all
from ..parallel.runner import JobRunner
from ..progress import Reporter
from ..results.ledger import SecondsLedger
from ..storage.cache import FeatureCache
from ..streams import Stream
from .config import Experiment
from .encoder import ExperimentEncoder

__all__ = ["Extraction", "Extractor"]

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
    def clip_notes(self) -> list[ClipNote]:
        """Notes on clips whose features are used."""
        return [*self.motion.notes, *self.appearance.notes]

    @property
    def notes(self) -> set[str]:
        """What a reader of the results should know."""
        return {*notes_in_words(self.clip_notes), *([self.unavailable] if self.unavailable else [])}

    @property
    def failures(self) -> list[Failure]:
        """Clips that could not be read, by stage."""
        return self.motion.failures + self.appearance.failures


class Extractor:
    """Reads clips into the cache.

    Args:
        experiment: the configuration, with absolute paths.
        encoder: of the appearance stream.
        cache: where features are kept.
        workers: run the jobs that read clips.
        reporter: told what happens.
        own: precomputed appearance features, in place of the encoder's.

    Attributes:
        ledger: of the run whose time is counted: reports then hold the seconds of all its attempts.
    """

    def __init__(
        self,
        experiment: Experiment,
        encoder: ExperimentEncoder,
        cache: FeatureCache,
        workers: JobRunner,
        reporter: Reporter,
        own: ClipArrays | None = None,
    ) -> None:
        self._own = own
        self._experiment, self._encoder, self._cache = experiment, encoder, cache
        self._workers, self._reporter = workers, reporter
        self.ledger: SecondsLedger | None = None

    def read(self, clips: Sequence[Clip], streams: Collection[str]) -> Extraction:
        """Read what streams need.

        Raises:
            MoclipError: the clips or the model can't be used.
        """
        motion = Extraction()
        if not {"motion", "fusion"}.isdisjoint(streams):
            motion = Extraction(self.motion(clips))
        if _PICTURE_STREAMS.isdisjoint(streams):
            return motion
        try:
            return replace(motion, appearance=self.appearance(clips))
        except WeightsUnavailable as error:  # the motion stream still runs
            if "motion" not in streams:
                raise
            reason = f"appearance and fusion are left out: {error}"
            self._reporter.warn(reason)
            return replace(motion, unavailable=reason)

    def motion(self, clips: Sequence[Clip]) -> ExtractReport:
        """Fill the cache with the motion of clips.

        Raises:
            MoclipError: the disk is full.
        """
        settings = self._experiment.motion

        def extract(part: Sequence[Clip], progress: Progress) -> ExtractReport:
            return extract_motion(
                part,
                settings,
                self._cache,
                workers=self._workers,
                progress=progress,
                announce=lambda text: self._reporter.say(f"motion: {text}"),
            )

        report = self._timed("extract_motion", settings.key_settings(), clips, extract)
        self._reporter.say(report.summary())
        return report

    def appearance(self, clips: Sequence[Clip]) -> ExtractReport:
        """Fill the cache with the appearance features of clips, or look up precomputed ones.

        Raises:
            MoclipError: the disk is full, or the model is unavailable.
            DataError: the precomputed features fit no clip.
        """
        if self._own is not None:
            report = self._own.report(clips, self._reporter.warn)
            self._reporter.say(
                f"clip: {report.reused} of {len(clips)} clips have features in {self._own.path}"
            )
            return report
        settings, run = self._experiment.clip, self._experiment.run
        motion = None
        if settings.needs_motion:
            spec = self._experiment.motion
            motion = ClipMotion(self._cache, self.motion(clips).keys, spec)

        def extract(part: Sequence[Clip], progress: Progress) -> ExtractReport:
            return extract_appearance(
                part,
                settings,
                self._encoder.lazy,
                self._cache,
                motion=motion,
                workers=self._workers,
                device=WorkerDevice(run.device, run.threads),
                progress=progress,
            )

        report = self._timed("extract_clip", settings, clips, extract)
        self._encoder.warn_if_random()
        self._reporter.say(report.summary())
        return report

    def _timed(
        self,
        stage: str,
        settings: object,
        clips: Sequence[Clip],
        extract: Callable[[Sequence[Clip], Progress], ExtractReport],
    ) -> ExtractReport:
        """Extract, adding up the seconds of all attempts; under torchrun each process reads a part first."""
        with self._stopwatch(stage, settings) as (tick, seconds):

            def progress(name: str, done: int, total: int) -> None:
                tick()
                self._reporter.progress(name, done, total)

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
        self, stage: str, settings: object
    ) -> Iterator[tuple[Callable[[], None], Callable[[], float]]]:
        """(what to call after each clip that is computed, the seconds up to now)."""
        if self.ledger is None:
            started = time.perf_counter()
            yield lambda: None, lambda: time.perf_counter() - started
            return
        with self.ledger.timing(stage, {"data": self._experiment.data, "section": settings}) as attempt:
            yield attempt.tick, lambda: attempt.seconds


def _without_path(reason: str, path: str) -> str:
    """The reason alone: tables of failures name the clip in a column of its own."""
    name = path.rpartition("/")[2]
    for prefix in (f"{path}: ", f"{name}: "):
        reason = reason.removeprefix(prefix)
    return reason
