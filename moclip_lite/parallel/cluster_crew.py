"""Workers on the nodes of a Ray cluster: started where nodes are, fed with jobs, replaced when they end."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import MoclipError
from .cluster_worker import ClusterWorker, Greeting, Outcome, code_versions

__all__ = ["Answer", "ClusterError", "Crew", "Node", "Worker", "nodes_now"]

_POLL: Final = 1.0  # seconds between two listings of the cluster's nodes
_PATIENCE: Final = 120.0  # seconds without any node before the work is given up
_AHEAD: Final = 2  # chunks at a worker: it need not wait for the next one
_STARTS: Final = 3  # failed starts of workers on a node before it is left out


class ClusterError(MoclipError):
    """The cluster can't be reached, or none of its nodes can help; the message says why."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster that lives."""

    id: str
    host: str
    cores: int
    gpus: int

    def room(self, cores: int, gpu: bool) -> int:
        """How many workers of `cores` cores it has room for; a worker never asks for more than it has."""
        return self.gpus if gpu else self.cores // min(cores, self.cores)


def nodes_now() -> list[Node]:
    """The nodes that live and have cores."""
    import ray

    nodes = []
    for node in ray.nodes():  # type: ignore[no-untyped-call]
        resources = node["Resources"]
        cores = math.floor(resources.get("CPU", 0))
        if node["Alive"] and cores:
            nodes.append(
                Node(node["NodeID"], node["NodeManagerHostname"], cores, math.floor(resources.get("GPU", 0)))
            )
    return nodes


@dataclass(eq=False)
class Worker:
    """A process on a node; it gets jobs once it has answered the greeting, and does its chunks in order."""

    actor: Any
    node: Node
    greeting: Any
    ready: bool = False
    ended: bool = False
    last: Any = None  # reference of the chunk that it was doing when it ended
    chunks: dict[Any, list[int]] = field(default_factory=dict)  # reference of an answer -> its jobs


@dataclass(frozen=True)
class Answer:
    """What a worker answered to a chunk of jobs.

    Attributes:
        worker: who.
        jobs: numbers of the jobs.
        outcomes: one a job; None if the process ended.
        seconds: that they took.
        suspect: whether one of the jobs may have ended it: it was being done, and the node is still there.
    """

    worker: Worker
    jobs: list[int]
    outcomes: list[Outcome] | None
    seconds: float = 0.0
    suspect: bool = False


class Crew:
    """All workers of one call.

    Args:
        token: a file in the folder that jobs write into, which every node must see;
            None if they write nothing.
        cores: of a worker.
        gpu: whether a worker takes a GPU, where the cluster has any.
        limit: workers at most; 0 for as many as there is room for.
        note: told which nodes take part, and which are left out.
    """

    def __init__(
        self, token: Path | None, cores: int, gpu: bool, limit: int, note: Callable[[str], None]
    ) -> None:
        self._token, self._cores, self._gpu, self._limit, self._note = token, cores, gpu, limit, note
        self.workers: list[Worker] = []
        self._left_out: dict[str, str] = {}
        self._known: set[str] = set()
        self._failed_starts: Counter[str] = Counter()
        self._returned: list[int] = []
        self._looked, self._empty_since = -math.inf, time.monotonic()

    @property
    def busy(self) -> bool:
        """Whether jobs are being done."""
        return any(worker.chunks for worker in self.workers)

    def grow(self) -> None:
        """Start workers on the nodes that have room for more.

        Raises:
            ClusterError: there is no node that can help.
        """
        now = time.monotonic()
        if now - self._looked < _POLL:
            return
        self._looked = now
        nodes = nodes_now()
        self._refuse_none(nodes)
        gpu = self._gpu and any(node.gpus for node in nodes)
        placed = Counter(worker.node.id for worker in self.workers)
        for node in nodes:
            if node.id in self._left_out:
                continue
            room = node.room(self._cores, gpu) - placed[node.id]
            if self._limit:
                room = min(room, self._limit - len(self.workers))
            self.workers += [self._start(node, gpu) for _ in range(room)]

    def _refuse_none(self, nodes: Sequence[Node]) -> None:
        if any(node.id not in self._left_out for node in nodes):
            self._empty_since = time.monotonic()
        elif nodes:
            raise ClusterError(f"no node of the cluster can help: {'; '.join(self._left_out.values())}")
        elif time.monotonic() - self._empty_since > _PATIENCE:
            raise ClusterError(
                f"the cluster has had no node with free cores for {_PATIENCE:.0f} seconds; start one with "
                "ray start --address=HEAD:PORT, then run the command again: finished work is kept"
            )

    def _start(self, node: Node, gpu: bool) -> Worker:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options = {
            "num_cpus": min(self._cores, node.cores),
            "num_gpus": 1 if gpu else 0,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False),
            "max_restarts": 0,
            "max_task_retries": 0,
        }
        actor: Any = ray.remote(ClusterWorker).options(**options).remote()
        return Worker(actor, node, actor.greet.remote(self._token))

    def free(self) -> list[Worker]:
        """Workers that can take another chunk, the idle ones first."""
        ready = [one for one in self.workers if one.ready and not one.ended and len(one.chunks) < _AHEAD]
        return sorted(ready, key=lambda worker: len(worker.chunks))

    def give(self, worker: Worker, work: Any, jobs: Sequence[Any], numbers: list[int]) -> None:
        """Let a worker do jobs of these numbers."""
        worker.chunks[worker.actor.run.remote(work, jobs)] = numbers

    def answers(self) -> list[Answer]:
        """What has come in; waits for up to a second."""
        import ray

        owners = {worker.greeting: worker for worker in self.workers if not worker.ready}
        owners |= {reference: worker for worker in self.workers for reference in worker.chunks}
        if not owners:
            time.sleep(_POLL / 10)
            return []
        references, _ = ray.wait(list(owners), num_returns=len(owners), timeout=0)
        if not references:
            references, _ = ray.wait(list(owners), num_returns=1, timeout=_POLL)
        answers = [self._answer(owners[reference], reference) for reference in references]
        return [answer for answer in answers if answer is not None]

    def _answer(self, worker: Worker, reference: Any) -> Answer | None:
        import ray
        from ray.exceptions import RayError

        try:
            value = ray.get(reference)
        except RayError as error:
            return self._ended(worker, reference, error)
        if reference in worker.chunks:
            return Answer(worker, worker.chunks.pop(reference), *value)
        self._greeted(worker, value)
        return None

    def _ended(self, worker: Worker, reference: Any, error: Exception) -> Answer | None:
        """A worker whose process or node is gone."""
        lives = worker.node.id in {node.id for node in nodes_now()}
        if not worker.ready and lives:
            self._failed_starts[worker.node.id] += 1
            if self._failed_starts[worker.node.id] >= _STARTS:
                self.leave_out(worker, f"no process starts on it: {' '.join(str(error).split())[:300]}")
        if not lives and worker.node.id in self._known:
            self._known.discard(worker.node.id)
            self._note(f"node {worker.node.host} is lost; its jobs are done elsewhere")
        if not worker.ended:
            worker.ready, worker.ended, worker.last = True, True, next(iter(worker.chunks), None)
        chunk = worker.chunks.pop(reference, None)
        if not worker.chunks and worker in self.workers:
            self.workers.remove(worker)
        self._looked = -math.inf
        return (
            None if chunk is None else Answer(worker, chunk, None, suspect=lives and reference == worker.last)
        )

    def _greeted(self, worker: Worker, greeting: Greeting) -> None:
        worker.ready = True
        here = code_versions()
        differing = sorted(name for name, value in here.items() if greeting.versions.get(name) != value)
        if differing:
            words = ", ".join(
                f"{name} {greeting.versions.get(name)} (here {here[name]})" for name in differing
            )
            self.leave_out(worker, f"it has {words}")
        elif self._token is not None and not greeting.sees_folder:
            self.leave_out(worker, f"it does not see {self._token.parent}, which must be on shared storage")
        elif worker.node.id not in self._known:
            self._known.add(worker.node.id)
            self._note(f"node {greeting.host}: {worker.node.cores} cores")

    def leave_out(self, worker: Worker, reason: str) -> None:
        """Give a worker's node no more jobs; those that it has are returned."""
        import ray

        node = worker.node
        if node.id not in self._left_out:
            self._left_out[node.id] = f"node {node.host}: {reason}"
            self._note(f"node {node.host} is left out: {reason}")
        for one in [other for other in self.workers if other.node.id == node.id]:
            self.workers.remove(one)
            self._returned += [number for chunk in one.chunks.values() for number in chunk]
            one.chunks.clear()
            ray.kill(one.actor)
        self._looked = -math.inf

    def returned(self) -> list[int]:
        """Jobs of nodes that were left out, since the last call."""
        jobs, self._returned = self._returned, []
        return jobs

    def dismiss(self) -> None:
        """End all workers; jobs that they are doing are broken off."""
        import ray

        for worker in self.workers:
            ray.kill(worker.actor)
        self.workers.clear()
