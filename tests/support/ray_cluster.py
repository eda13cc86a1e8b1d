"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "10000",
    "RAY_health_check_failure_threshold": "3",
}


def node_options(cores: int) -> dict[str, Any]:
    """Options of a node. Its agents get ports of ours: a node waits only 15 seconds for one that an agent chooses."""
    agents = tuple(
        f"{name}_port"
        for name in ("metrics_agent", "metrics_export", "dashboard_agent_listen", "runtime_env_agent")
    )
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in agents]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in sockets]
    return {"num_cpus": cores, "include_dashboard": False, **dict(zip(agents, ports, strict=True))}


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
    running = Cluster(initialize_head=True, head_node_args=node_options(0))
    try:
        for _ in range(nodes):
            running.add_node(**node_options(1))
        yield running
    finally:
        ray.shutdown()
        running.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
