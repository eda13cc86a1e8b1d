"""Jobs: videos that wait for analysis, are analysed, or have a result; all bounded."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from ..errors import MoclipError, report_bug
from .http.refusal import Refusal
from .metrics import Metrics
from .root_files import RootFile
from .settings import ServeSettings
from .worker import Worker
from .workplace import Workplace

__all__ = ["STOPPING", "Job", "Jobs", "State"]

State: TypeAlias = Literal["waiting", "running", "done", "failed", "cancelled"]
STOPPING: Final = "the server is stopping"
_SWEEP: Final = 1.0  # seconds between removals of results that are no longer requested


@dataclass(eq=False)
class Job:
    """A video and what became of it.

    Attributes:
        name: of the video, for people only.
        video: the file.
        folder: where its results are written.
        source: the file below the root; None for an upload, which is removed after the analysis.
        options: for the analysing process.
        client: address of who asked.
        id: random; it is all that is needed to read the result.
        stage, done, total: progress.
        answer: what the analysing process answered.
        refusal: why there is none.
    """

    name: str
    video: Path
    folder: Path
    source: RootFile | None
    options: dict[str, Any]
    client: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    state: State = "waiting"
    stage: str = ""
    done: int = 0
    total: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    refusal: Refusal | None = None
    touched: float = field(default_factory=time.monotonic)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def upload(self) -> bool:
        """Whether the file is ours."""
        return self.source is None

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    def file(self, name: str) -> Path:
        """A file of its result."""
        return self.folder / name


class Jobs:
    """Queue of jobs with one analysing process, and the results that are kept.

    Args:
        settings: bounds.
        worker: the analysing process.
        workplace: folders of the jobs.
        metrics: counters.
    """

    def __init__(
        self, settings: ServeSettings, worker: Worker, workplace: Workplace, metrics: Metrics
    ) -> None:
        self._settings, self._worker = settings, worker
        self._workplace, self._metrics = workplace, metrics
        self._jobs: dict[str, Job] = {}
        self._reserved: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._current: asyncio.Task[dict[str, Any]] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False

    def start(self) -> None:
        """Begin to work on the queue; call it in the event loop."""
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._sweep())]

    async def stop(self) -> None:
        """End all work, and take no more."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for job in self._jobs.values():
            job.finished.set()

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Reserve a place in the queue while an upload is received.

        Raises:
            Refusal: 429, this client has too many jobs; 503, the queue is full, or the server stops.
        """
        if self._stopped:
            raise Refusal(503, STOPPING)
        active = [job for job in self._jobs.values() if job.active]
        mine = sum(job.client == client for job in active) + self._reserved[client]
        if mine >= self._settings.per_client:
            sentence = f"you have {mine} videos in work already; wait for one of them"
            raise Refusal(429, sentence, retry_after=10)
        if len(active) + self._reserved.total() >= self._settings.queue:
            raise Refusal(503, f"all {self._settings.queue} places of the queue are taken", retry_after=30)
        self._reserved[client] += 1
        try:
            yield
        finally:
            self._reserved[client] -= 1
            self._reserved += Counter()  # drops zeros

    def add(self, job: Job) -> Job:
        """Put a job into the queue; call it within :meth:`place`."""
        self._jobs[job.id] = job
        self._wake.set()
        return job

    def find(self, name: str) -> Job:
        """The job with this id.

        Raises:
            Refusal: 404.
        """
        job = self._jobs.get(name)
        if job is None:
            raise Refusal(404, "there is no such job; results are removed when they are no longer asked for")
        job.touched = time.monotonic()
        return job

    def remove(self, job: Job) -> None:
        """Cancel a job if it is active, and remove its files."""
        if self._jobs.pop(job.id, None) is None:
            return
        if job.active:
            running = job.state == "running"
            self._end(job, "cancelled", Refusal(409, "the job was cancelled"))
            if running and self._current is not None:
                self._current.cancel()
                return  # the files are removed when its process has ended
        self._workplace.remove(job.folder)

    def counts(self) -> tuple[int, int, int]:
        """Jobs that wait, run, and are kept with a result."""
        states = Counter(job.state for job in self._jobs.values())
        return states["waiting"], states["running"], states["done"] + states["failed"]

    def position(self, job: Job) -> int:
        """How many jobs are before it."""
        ids = [other.id for other in self._jobs.values() if other.active]
        return ids.index(job.id) if job.id in ids else 0

    def _end(self, job: Job, state: State, refusal: Refusal | None = None) -> None:
        job.state, job.refusal, job.touched = state, refusal, time.monotonic()
        self._metrics.jobs.labels(state).inc()
        if job.upload:
            with contextlib.suppress(OSError):
                job.video.unlink(missing_ok=True)
        job.finished.set()

    async def _work(self) -> None:
        """Analyse one job after the other."""
        while True:
            job = next((job for job in self._jobs.values() if job.state == "waiting"), None)
            if job is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            job.state = "running"
            started, starts = time.monotonic(), self._worker.starts
            await self._analyse(job)
            if job.state in ("done", "failed"):
                self._metrics.analysis_seconds.observe(time.monotonic() - started)
            self._metrics.restarts.inc(self._worker.starts - starts)
            if job.id not in self._jobs:  # removed meanwhile
                self._workplace.remove(job.folder)

    def _task(self, job: Job) -> dict[str, Any]:
        """What the analysing process is told; a file below the root is looked up once more.

        Raises:
            Refusal: 404, it lies no longer below the root.
        """
        if job.source is not None:
            job.source = job.source.again()
            job.video = job.source.path
        settings = self._settings
        return {
            "video": str(job.video),
            "name": job.name,
            "folder": str(job.folder),
            "max_length": settings.max_length,
            "max_pixels": settings.max_pixels,
            "time_limit": settings.time_limit,
            **job.options,
        }

    async def _analyse(self, job: Job) -> None:
        def progress(stage: str, done: int, total: int) -> None:
            job.stage, job.done, job.total = stage, done, total

        try:
            self._current = asyncio.create_task(self._worker.run(self._task(job), progress))
            job.answer = await self._current
            if job.source is not None:
                job.source.unchanged()  # it is read several times, and a name may mean several files
            state, refusal = "done", None
        except asyncio.CancelledError:
            if job.state == "running":  # the server stops
                assert self._current is not None
                self._current.cancel()
                await asyncio.gather(self._current, return_exceptions=True)
                raise
            return
        except Refusal as error:
            state, refusal = "failed", error
        except MoclipError as error:
            state, refusal = "failed", Refusal(503, str(error))
        except Exception as error:
            report_bug(job.name, error)
            state, refusal = "failed", Refusal(500, "a bug in this program; the server's log has the details")
        finally:
            self._current = None
        if job.state == "running":
            self._end(job, "done" if state == "done" else "failed", refusal)

    async def _sweep(self) -> None:
        """Remove results that were not asked for, and the oldest when there are too many."""
        while True:
            await asyncio.sleep(_SWEEP)
            now = time.monotonic()
            idle = [job for job in self._jobs.values() if not job.active]
            idle.sort(key=lambda job: job.touched)
            surplus = len(idle) - self._settings.results
            for place, job in enumerate(idle):
                if place < surplus or now - job.touched > self._settings.keep:
                    self.remove(job)
