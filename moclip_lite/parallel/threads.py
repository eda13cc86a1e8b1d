"""Number of usable cores, the wait policy of OpenMP's threads, and the threads of NumPy's products.

PyTorch's wheels include GNU OpenMP, whose threads spin while they wait for each other. On a busy machine a
spinning thread occupies the core that the thread it waits for needs: two threads then train several times
slower than one. Sleeping threads cost little on an idle machine.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

__all__ = ["available_cores", "product_threads", "set_thread_policy"]

_SHARED_PRODUCT: Final = 50_000_000  # multiplications from which several threads share a product


def available_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: its affinity, and the CPU quota of its container, rounded up.

    Args:
        root: of the file system with /proc and /sys.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """CPU quotas, in cores, of this process' control groups and their parents (cgroup v1 and v2)."""
    for folder in _control_groups(root, root / "sys/fs/cgroup"):
        try:
            if (folder / "cpu.max").is_file():
                limit, period = (folder / "cpu.max").read_text().split()
            else:
                limit = (folder / "cpu.cfs_quota_us").read_text()
                period = (folder / "cpu.cfs_period_us").read_text()
            if limit.strip() != "max" and int(limit) > 0:  # -1: no limit (v1)
                yield int(limit) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue  # absent or of an unknown format


def _control_groups(root: Path, base: Path) -> Iterator[Path]:
    """Folders of this process' control groups and their parents, up to the root.

    In a container /proc/self/cgroup can show paths of the host, which do not exist inside; the root is then
    the container's group.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        v1_roots = (base / controllers, base / "cpu") if controllers else (base,)
        for top in (*v1_roots, base / "unified"):
            group = top / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def set_thread_policy() -> None:
    """Let waiting threads sleep, and start no more than the CPU quota allows; call before importing torch.

    Variables that the user has set are kept. Processes that are started later inherit them.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    cores = available_cores()
    if "OMP_NUM_THREADS" not in os.environ and cores < (os.cpu_count() or 1):
        os.environ["OMP_NUM_THREADS"] = str(cores)


def product_threads(multiplications: int) -> AbstractContextManager[Any]:
    """Let one thread compute the matrix products of a solver that makes thousands of small ones.

    OpenBLAS, which NumPy and SciPy include, starts a thread per core for products of any size. Threads that
    meet thousands of times a second take several times the CPU of one, and 40 times on a busy machine.

    Args:
        multiplications: of one product; large ones keep the threads that they have.
    """
    from threadpoolctl import threadpool_limits

    threads = 1 if multiplications < _SHARED_PRODUCT else None
    limits: AbstractContextManager[Any] = threadpool_limits(threads, user_api="blas")
    return limits
