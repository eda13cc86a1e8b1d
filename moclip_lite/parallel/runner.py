"""Who does many independent jobs: processes of this machine, or the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar

from .pool import default_workers, run_jobs

__all__ = ["JobRunner", "LocalRunner", "RunnerName", "make_runner", "runner_of"]

Job = TypeVar("Job")
Result = TypeVar("Result")
RunnerName: TypeAlias = Literal["local", "ray"]


class JobRunner(Protocol):
    """Does jobs in several processes."""

    @property
    def processes(self) -> int:
        """How many jobs are done at the same time."""

    @property
    def remote(self) -> bool:
        """Whether jobs run on other machines, which see only what is on shared storage."""

    def run(
        self,
        work: Callable[[Job], Result],
        jobs: Sequence[Job],
        *,
        folder: Path | None = None,
        cores: int = 1,
        gpu: bool = False,
    ) -> Iterator[tuple[Job, Result | str]]:
        """Yield (job, result of `work`) as jobs end, in no fixed order.

        A job that kills its process, and one that raises an unexpected exception, fails alone:
        its result is the reason.

        Args:
            work: a function of a module, which says by its result why a job could not be done. A job that is
                done twice must end like one that is done once.
            jobs: its arguments; where one has an attribute `path`, that file is what it reads.
            folder: where `work` writes, if it does.
            cores: that a job keeps busy.
            gpu: whether a job computes on a GPU where there is one.

        Raises:
            MoclipError, ArgumentError, OSError: from `work`, where it concerns all jobs.
        """


@dataclass(frozen=True)
class LocalRunner:
    """Processes of this machine.

    Attributes:
        workers: how many; 0 for one per core.
    """

    workers: int = 0

    @property
    def processes(self) -> int:
        """How many jobs are done at the same time."""
        return default_workers(self.workers)

    @property
    def remote(self) -> bool:
        """False."""
        return False

    def run(
        self,
        work: Callable[[Job], Result],
        jobs: Sequence[Job],
        *,
        folder: Path | None = None,
        cores: int = 1,
        gpu: bool = False,
    ) -> Iterator[tuple[Job, Result | str]]:
        """See :class:`JobRunner`; `folder`, `cores` and `gpu` concern clusters."""
        return run_jobs(work, jobs, self.processes)


def runner_of(workers: int | JobRunner) -> JobRunner:
    """A number of processes of this machine (0 for one per core) as a runner; a runner as it is."""
    return LocalRunner(workers) if isinstance(workers, int) else workers


def make_runner(
    engine: RunnerName, workers: int, address: str | None, note: Callable[[str], None]
) -> JobRunner:
    """The runner of a name.

    Args:
        engine: "local" or "ray".
        workers: processes; 0 for one per core of this machine, or of all nodes.
        address: of the cluster's head, HOST:PORT; None for $RAY_ADDRESS or the cluster of this machine.
        note: told which nodes take part.

    Raises:
        MoclipError: Ray is not installed, or there is no such cluster.
    """
    if engine == "local":
        return LocalRunner(workers)
    from .cluster import RayRunner

    return RayRunner(address, workers, note)
