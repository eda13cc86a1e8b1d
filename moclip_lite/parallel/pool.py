"""Work on many files in several processes, one result at a time, safe to interrupt."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Final, TypeVar

from mv_tools import ArgumentError

from ..errors import MoclipError, bug_reason, report_bug
from .threads import available_cores, set_thread_policy

__all__ = ["CRASHED", "default_workers", "run_jobs", "worker_pool"]

Job = TypeVar("Job")

CRASHED: Final = "reading it ended the process (the decoder crashed or memory ran out)"


def default_workers(workers: int) -> int:
    """0 means one per core that this process may use (affinity and container quota)."""
    return workers or available_cores()


def run_jobs(
    work: Callable[[Job], str | None], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, str | None]]:
    """Yield (job, what `work` returned) as jobs end, in no fixed order.

    A job that kills its process costs only itself: it gets ``CRASHED``. So does one that raises what
    nothing expected: that is reported as a bug with its traceback. When the consumer stops (Ctrl-C among
    others), jobs under way are finished and the others dropped.

    Args:
        work: a function of a module; returns None, or why the job could not be done.
        jobs: what to hand to it.
        workers: processes; 1 works in this one.

    Raises:
        MoclipError, ArgumentError, OSError: of `work`, where it is no matter of one job.
    """
    if workers <= 1 or len(jobs) <= 2:
        for job in jobs:
            yield job, _problem(job, lambda job=job: work(job))  # type: ignore[misc]
        return
    finished: set[int] = set()
    pool = worker_pool(workers)
    try:
        futures: dict[Future[str | None], int] = {pool.submit(work, job): i for i, job in enumerate(jobs)}
        for future in as_completed(futures):
            position = futures[future]
            problem = _problem(jobs[position], future.result)
            finished.add(position)
            yield jobs[position], problem
    except BrokenProcessPool:
        yield from _one_by_one(work, [job for i, job in enumerate(jobs) if i not in finished])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _problem(job: object, result: Callable[[], str | None]) -> str | None:
    """What a job returned; an error that nothing expected becomes its problem and is reported."""
    try:
        return result()
    except (MoclipError, ArgumentError, OSError, BrokenProcessPool):
        raise
    except Exception as error:
        report_bug(str(getattr(job, "name", job)), error)
        return bug_reason(error)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    set_thread_policy()
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, however that ended.

    The executor's own workers wait for work forever, and one at work goes on writing.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Spawned processes that ignore SIGINT and end with this one, even if it is killed.

    Their OpenMP threads sleep while they wait.
    """
    spawn = multiprocessing.get_context("spawn")  # not fork: libav and torch have threads
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker)
    with _interrupts_held():  # the processes start with it, and import much before `_start_worker` runs
        pool.submit(_nothing)
    return pool


def _nothing() -> None:
    """A first job, with which the processes are started."""


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep SIGINT waiting; processes started meanwhile never see one."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _one_by_one(work: Callable[[Job], str | None], jobs: Sequence[Job]) -> Iterator[tuple[Job, str | None]]:
    pool = worker_pool(1)
    try:
        for job in jobs:
            try:
                yield job, _problem(job, pool.submit(work, job).result)
            except BrokenProcessPool:
                pool.shutdown(wait=False)
                pool = worker_pool(1)
                yield job, CRASHED
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
