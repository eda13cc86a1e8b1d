"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import secrets
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
        try:
            running.add_node(**node_options(cores))
            return
        except Exception as error:
            if "timed out during startup" not in str(error) or attempt == STARTS - 1:
                raise
            _end(error)


def _end(error: Exception) -> None:
    """End the processes of the node whose start raised: nothing but the traceback holds it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        trace.tb_frame.f_locals["self"].kill_all_processes(check_alive=False)


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
