"""Work on many files in several processes, one result at a time, safe to interrupt."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeVar

__all__ = ["CRASHED", "default_workers", "run_jobs", "worker_pool"]

Job = TypeVar("Job")

CRASHED: Final = "reading it ended the process (the decoder crashed or memory ran out)"


def default_workers(workers: int) -> int:
    """0 means one per core that this process may use."""
    if workers:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    work: Callable[[Job], str | None], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, str | None]]:
    """Yield (job, what `work` returned) as jobs end, in no fixed order.

    A job that kills its process costs only itself: it gets ``CRASHED``. When the consumer stops
    (Ctrl-C among others), jobs under way are finished and the others dropped.

    Args:
        work: a function of a module; returns None, or why the job could not be done.
        jobs: what to hand to it.
        workers: processes; 1 works in this one.
    """
    if workers <= 1 or len(jobs) <= 2:
        for job in jobs:
            yield job, work(job)
        return
    finished: set[int] = set()
    pool = worker_pool(workers)
    try:
        futures: dict[Future[str | None], int] = {pool.submit(work, job): i for i, job in enumerate(jobs)}
        for future in as_completed(futures):
            problem, position = future.result(), futures[future]
            finished.add(position)
            yield jobs[position], problem
    except BrokenProcessPool:
        yield from _one_by_one(work, [job for i, job in enumerate(jobs) if i not in finished])
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _quiet() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
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
    """Processes of their own, deaf to Ctrl-C, that end with this one even if it is killed."""
    # Not fork: libav and torch have threads.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_quiet)


def _one_by_one(work: Callable[[Job], str | None], jobs: Sequence[Job]) -> Iterator[tuple[Job, str | None]]:
    pool = worker_pool(1)
    try:
        for job in jobs:
            try:
                yield job, pool.submit(work, job).result()
            except BrokenProcessPool:
                pool.shutdown(wait=False)
                pool = worker_pool(1)
                yield job, CRASHED
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
