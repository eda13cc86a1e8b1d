"""Jobs for workers of a cluster: functions of a module, so that other processes find them."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from moclip_lite.errors import MoclipError


@dataclass(frozen=True)
class Job:
    """Write a file `name` into `folder`; `what` else is to happen; `path` is read."""

    name: str
    folder: Path
    what: str = ""
    path: Path | None = None


def write(job: Job) -> str | None:
    """Do the job."""
    if job.what == "fail":
        return "asked to fail"
    if job.what == "stop all":
        raise MoclipError("the disk is full")
    if job.what == "bug":
        raise RuntimeError("unexpected")
    if job.what == "killed once":  # as the system ends a process where memory runs out
        first = not (job.folder / f"{job.name}.killed").exists()
        (job.folder / f"{job.name}.killed").touch()
        if first:
            os.kill(os.getpid(), signal.SIGKILL)
    if job.what == "exit":
        os._exit(1)
    if job.what == "slow":
        (job.folder / f"{job.name}.begun").touch()
        time.sleep(0.2)
    if job.path is not None and not job.path.exists():
        return "the file is missing"
    (job.folder / job.name).write_text(f"{job.name} {os.environ.get('RAY_NODE', '')}", encoding="utf-8")
    return None
