"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
STARTS = 3
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "3",
}


def node_options(cores: int) -> dict[str, Any]:
    """Options of a node. Its agents get ports of ours: a node waits only 15 seconds for one that an agent chooses.

    They lie below the ports that the system gives to connections, so none takes one before the agent does.
    """
    agents = ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")
    with ExitStack() as stack:
        ports = [_bind(stack.enter_context(socket.socket())) for _ in agents]
    options = {f"{agent}_port": port for agent, port in zip(agents, ports, strict=True)}
    return {"num_cpus": cores, "include_dashboard": False, **options}


def _bind(free: socket.socket) -> int:
    """The port that the socket was bound to, chosen at random among those that are free."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def add_node(running: Any, cores: int) -> None:
    """Start a node; one that is not up in the 30 seconds that Ray gives it is ended and started anew."""
    for attempt in range(STARTS):
        before = _children()
        try:
            running.add_node(**node_options(cores))
            return
        except Exception as error:
            if "timed out during startup" not in str(error) or attempt == STARTS - 1:
                raise
        _end(_children() - before)


def _children() -> set[int]:
    """Processes that this one started and that are not reaped, by /proc; workers of nodes are no children of ours."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            parent = file.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.add(int(file.parent.name))
    return found


def _end(processes: set[int]) -> None:
    """End what a failed start left; the processes that such a one started end with it."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        with suppress(ChildProcessError):  # reaped by the object that started it
            os.waitpid(process, 0)


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A head that does no work, and nodes of one core each; yields ray.cluster_utils.Cluster.

    What tests import is found by the nodes' processes too.
    """
    import ray
    from ray.cluster_utils import Cluster

    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", *ENVIRONMENT)}
    os.environ.update(ENVIRONMENT, PYTHONPATH=path)
    running = Cluster()
    try:
        for cores in [0] + nodes * [1]:
            add_node(running, cores)
        yield running
    finally:
        ray.shutdown()
        running.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
