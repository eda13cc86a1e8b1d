"""Nodes of the cluster that tests start: one that does not come up leaves no process behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.ray_cluster import STARTS, add_node


class Starting:
    """In place of Ray's cluster: nodes that are a process each, of which the first ones are not up in time."""

    def __init__(self, failures: int, reason: str = "The current node timed out during startup.") -> None:
        self.nodes: list[subprocess.Popen[bytes]] = []
        self._failures, self._reason = failures, reason

    def add_node(self, **_: Any) -> None:
        self.nodes.append(subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE))
        if len(self.nodes) <= self._failures:
            raise Exception(self._reason)

    def up(self) -> list[bool]:
        return [node.poll() is None for node in self.nodes]

    def close(self) -> None:
        for node in self.nodes:
            node.communicate(b"\n")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_what_a_failed_start_left_is_ended() -> None:
    """And nothing else that this process started."""
    running = Starting(failures=0)
    add_node(running, 1)
    running._failures = 2
    add_node(running, 1)
    assert running.up() == [True, False, True]
    running.close()


def test_a_node_that_never_comes_up_is_an_error() -> None:
    for failures, reason, starts in ((STARTS, "timed out during startup", STARTS), (1, "no memory", 1)):
        running = Starting(failures, reason)
        with pytest.raises(Exception, match=reason):
            add_node(running, 1)
        assert len(running.nodes) == starts
        running.close()
