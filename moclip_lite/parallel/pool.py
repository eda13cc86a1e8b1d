"""Spawned workers for many files: results one at a time, safe to interrupt."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

from mv_tools import ArgumentError

from ..errors import MoclipError, bug_reason, report_bug
from .threads import available_cores, set_thread_policy

__all__ = ["CRASHED", "default_workers", "run_jobs", "worker_pool"]

Job = TypeVar("Job")
Result = TypeVar("Result")

CRASHED: Final = "reading it ended the process (the decoder crashed or memory ran out)"


def default_workers(workers: int) -> int:
    """The number of workers; 0 means one per core that this process may use (affinity and quota)."""
    return workers or available_cores()


def run_jobs(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Result | str]]:
    """Yield (job, result of `work`) as jobs end, in no fixed order.

    A job that kills its process fails alone, with ``CRASHED``. An unexpected exception fails its job alone
    too, and is reported as a bug with its traceback. When the consumer stops (on Ctrl-C, for example),
    running jobs are finished and the others dropped.

    Args:
        work: a function of a module, which says by its result why a job could not be done.
        jobs: its arguments.
        workers: processes; with 1 the work is done in this process.

    Raises:
        MoclipError, ArgumentError, OSError: from `work`, where it concerns all jobs.
    """
    if workers <= 1 or len(jobs) <= 2:
        for job in jobs:
            yield job, _outcome(job, partial(work, job))
        return
    finished: set[int] = set()
    pool = worker_pool(workers)
    try:
        futures: dict[Future[Result], int] = {pool.submit(work, job): i for i, job in enumerate(jobs)}
        for future in as_completed(futures):
            position = futures[future]
            outcome = _outcome(jobs[position], future.result)
            finished.add(position)
            yield jobs[position], outcome
    except BrokenProcessPool:
        yield from _one_by_one(work, [job for i, job in enumerate(jobs) if i not in finished])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(job: object, get_result: Callable[[], Result]) -> Result | str:
    """The result of a job; an unexpected error is reported and becomes the reason of its failure."""
    try:
        return get_result()
    except (MoclipError, ArgumentError, OSError, BrokenProcessPool):
        raise
    except Exception as error:
        report_bug(str(getattr(job, "name", job)), error)
        return bug_reason(error)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    set_thread_policy()
    threading.Thread(target=_exit_with_parent, name="parent watch", daemon=True).start()


def _exit_with_parent() -> None:
    """End this process when its parent ends, even if that was killed.

    Without this, workers of the executor would wait for jobs forever, and a busy one would go on writing.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """Spawned workers that ignore SIGINT and end with this process, even if it is killed.

    Their OpenMP threads sleep while they wait.
    """
    spawn = multiprocessing.get_context("spawn")  # not fork: libav and torch have threads
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker)
    with _blocked_interrupts():  # processes import for seconds before `_start_worker` runs
        pool.submit(_no_work)
    return pool


def _no_work() -> None:
    """First job of a pool, which starts its processes."""


@contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Block SIGINT, also in processes that are started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _one_by_one(work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result | str]]:
    """Run jobs in a single worker, replaced whenever a job kills it."""
    pool = worker_pool(1)
    try:
        for job in jobs:
            try:
                yield job, _outcome(job, pool.submit(work, job).result)
            except BrokenProcessPool:
                pool.shutdown(wait=False)
                pool = worker_pool(1)
                yield job, CRASHED
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
