"""How many cores this process may use, and how OpenMP's threads wait.

PyTorch's wheels bring GNU OpenMP, whose threads spin while they wait for each other. With another process
on the machine a spinning thread takes the core that the one it waits for needs: two threads then train
several times slower than one. Threads that sleep cost little where the machine is free.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_cores", "set_thread_policy"]


def available_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: its affinity, and the CPU quota of its container, rounded up.

    Args:
        root: of the file system that holds /proc and /sys.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """CPU quotas, in cores, of this process' control groups and of those around them (cgroup v1 and v2)."""
    base = root / "sys/fs/cgroup"
    for folder in _groups(root, base):
        try:
            if (folder / "cpu.max").is_file():
                limit, period = (folder / "cpu.max").read_text().split()
            else:
                limit = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            if limit.strip() != "max" and int(limit) > 0:  # -1: no limit (v1)
                yield int(limit) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue  # not there, or not of this form: no quota is known


def _groups(root: Path, base: Path) -> Iterator[Path]:
    """Folders of the control groups, from the process' own up to the root.

    In a container the paths of /proc/self/cgroup can be the host's, which do not exist inside: there the root is the
    container's own group.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for top in (
            (base / controllers, base / "cpu", base / "unified") if controllers else (base, base / "unified")
        ):
            group = top / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def set_thread_policy() -> None:
    """For a program of our own, before torch is imported: threads that wait sleep, and no more than the quota allows.

    What the user has set in the environment stays. Processes that are started later inherit it.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    cores = available_cores()
    if "OMP_NUM_THREADS" not in os.environ and cores < (os.cpu_count() or 1):
        os.environ["OMP_NUM_THREADS"] = str(cores)
