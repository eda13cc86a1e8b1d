"""Jobs on the nodes of a Ray cluster; nodes may join and leave while they are done.

Workers are placed on nodes one by one, so that a node that can't help (another version of the code, no access
to the cache) is left out by name. A node that is lost takes no result with it: its jobs are done again
elsewhere. Results are files on storage that all nodes share; Ray carries jobs and short answers only.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Final, TextIO, TypeVar, cast
from uuid import uuid4

from ..errors import MoclipError, report_bug, require_packages
from .cluster_crew import Answer, ClusterError, Crew, nodes_now
from .cluster_queue import JobQueue
from .cluster_worker import Outcome
from .pool import CRASHED

__all__ = ["RayRunner"]

Job = TypeVar("Job")
Result = TypeVar("Result")

_CONNECT_SECONDS: Final = 5.0
_CONNECTIONS: Final[list[str]] = []
"""The cluster that this module has connected the process to, if any."""


class _RemoteBug(Exception):
    """An unexpected exception on a node; its text is the traceback."""


class RayRunner:
    """The nodes of a Ray cluster.

    Args:
        address: of its head, HOST:PORT; None for $RAY_ADDRESS or the cluster that this machine belongs to.
        workers: at most so many processes in all; 0 for one per core of the nodes.
        note: told which nodes take part, and which are left out.

    Raises:
        MissingPackage: Ray is not installed.
        ClusterError: there is no such cluster.
    """

    def __init__(self, address: str | None, workers: int, note: Callable[[str], None]) -> None:
        self._address, self._workers, self._note = address, workers, note
        _connect(address)

    @property
    def processes(self) -> int:
        """How many jobs are done at the same time: one per core of the nodes that are there now."""
        _connect(self._address)
        cores = sum(node.cores for node in nodes_now())
        return max(1, min(cores, self._workers or cores))

    @property
    def remote(self) -> bool:
        """True."""
        return True

    def run(
        self,
        work: Callable[[Job], Result],
        jobs: Sequence[Job],
        *,
        folder: Path | None = None,
        cores: int = 1,
        gpu: bool = False,
    ) -> Iterator[tuple[Job, Result | str]]:
        """See :class:`moclip_lite.parallel.runner.JobRunner`.

        Raises:
            ClusterError: no node can help, or none sees the files of the jobs.
        """
        if not jobs:
            return
        queue = JobQueue(len(jobs), self.processes)
        with _token(folder) as token, redirect_stdout(_WithoutMessages(sys.stdout)):
            crew = Crew(token, cores, gpu, self._workers, self._note)
            try:
                while queue or crew.busy:
                    crew.grow()
                    for worker in crew.free():
                        if queue:
                            numbers = queue.take()
                            crew.give(worker, work, [jobs[number] for number in numbers], numbers)
                    for answer in crew.answers():
                        for number, outcome in _sorted_out(answer, crew, queue):
                            yield jobs[number], _result(work, jobs[number], outcome)
                    queue.put_back(crew.returned())
            finally:
                crew.dismiss()
                _disconnect()


def _sorted_out(answer: Answer, crew: Crew, queue: JobQueue) -> Iterator[tuple[int, Outcome]]:
    """The outcomes that count; other jobs go back into the queue."""
    if answer.outcomes is None:
        if not answer.suspect:
            queue.put_back(answer.jobs)
            return
        for number in queue.died(answer.jobs):
            yield number, ("done", CRASHED)
        return
    queue.learn(len(answer.jobs), answer.seconds)
    for number, outcome in zip(answer.jobs, answer.outcomes, strict=True):
        if outcome[0] == "unseen" and Path(str(outcome[1])).exists():
            crew.leave_out(answer.worker, f"it does not see {outcome[1]}")
            queue.put_back([number])
        else:
            yield number, outcome


def _result(work: Callable[[Job], Result], job: Job, outcome: Outcome) -> Result | str:
    """The result of a job."""
    kind, text = outcome
    if kind == "done":
        return cast("Result", text)
    if kind == "unseen":  # nobody sees the file: the work itself says so
        return work(job)
    if kind == "stops all":
        raise MoclipError(str(text))
    report_bug(str(getattr(job, "name", job)), _RemoteBug(text))
    last = str(text).strip().splitlines()[-1]
    return f"a bug in this program ({last}); the file may be sound"


@contextmanager
def _token(folder: Path | None) -> Iterator[Path | None]:
    """A file by which nodes prove that they see the same folder."""
    if folder is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".cluster-{uuid4().hex}"
    token.touch()
    try:
        yield token
    finally:
        token.unlink(missing_ok=True)


def _connect(address: str | None) -> None:
    """Join the cluster.

    Raises:
        MissingPackage: Ray is not installed.
        ClusterError: there is no such cluster.
    """
    require_packages(["ray"])
    import ray

    where = address or os.environ.get("RAY_ADDRESS") or "auto"
    if _CONNECTIONS and where not in _CONNECTIONS:
        _disconnect()
    if ray.is_initialized():
        joined = ray.get_runtime_context().gcs_address
        if not _CONNECTIONS and where != "auto" and not _same_head(where, joined):
            raise ClusterError(f"this process belongs to the cluster at {joined}, so it can't join {where}")
        return
    _refuse_unreachable(where)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        _CONNECTIONS.append(where)
        ray.init(address=where, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        _CONNECTIONS.clear()
        reason = " ".join(str(error).split())
        if where == "auto":
            reason = (
                "no Ray cluster runs on this machine; start one with ray start --head, "
                "or join one with ray start --address=HEAD:PORT"
            )
        raise ClusterError(f"the cluster can't be joined: {reason}") from error


def _same_head(asked: str, joined: str) -> bool:
    """Whether two addresses, HOST:PORT, are those of one head; `joined` is how Ray names it."""
    (host, _, port), (other, _, its_port) = asked.rpartition(":"), joined.rpartition(":")
    try:
        number = socket.gethostbyname(host)
    except (OSError, UnicodeError):
        return False
    return port == its_port and (number == other or (number.startswith("127.") and _is_here(other)))


def _is_here(address: str) -> bool:
    """Whether an IP address is one of this machine."""
    with socket.socket() as own:
        try:
            own.bind((address, 0))
        except OSError:
            return False
    return True


def _disconnect() -> None:
    """Leave the cluster: its messages would come at any time. A connection of somebody else's stays."""
    import ray

    if _CONNECTIONS:
        _CONNECTIONS.clear()
        ray.shutdown()


class _WithoutMessages(io.TextIOBase):
    """stdout for all threads but those of Ray, whose messages on lost nodes would be among results."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout

    def write(self, text: str) -> int:
        ray = threading.current_thread().name.startswith("ray_")
        return (sys.stderr if ray else self._stdout).write(text)

    def flush(self) -> None:
        self._stdout.flush()


def _refuse_unreachable(address: str) -> None:
    """Refuse an address that nothing listens at; Ray itself would try for a minute."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdigit():
        raise ClusterError(
            f"the address of a cluster's head is HOST:PORT, such as 10.0.0.1:6379; got {address!r}"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"no Ray head answers at {address} ({error}); ray start --head prints its address"
        ) from error
