"""The temporary folder of a server: locked while it runs, removed at its end or at the next start."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

__all__ = ["Workplace"]

_PREFIX: Final = "moclip-serve-"
_YOUNG: Final = 60.0  # seconds
log = logging.getLogger("moclip")


class Workplace:
    """A folder that only this user can read, with a folder per job.

    Args:
        parent: where to create it; the system's folder for temporary files by default.
    """

    def __init__(self, parent: Path | None = None) -> None:
        base = parent or Path(tempfile.gettempdir())
        remove_abandoned(base)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))  # mode 0700
        self._lock = FileLock(self.path / "lock", thread_local=False)
        self._lock.acquire(timeout=0)

    def new_folder(self) -> Path:
        """An empty folder with a random name."""
        folder = self.path / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        return folder

    @property
    def scratch(self) -> Path:
        """Folder of the temporary files of the process that analyses videos."""
        return self.path / "process"

    def remove(self, folder: Path) -> None:
        """Remove a folder that :meth:`new_folder` made."""
        shutil.rmtree(folder, ignore_errors=True)

    def free_bytes(self) -> int:
        """Free space of its disk."""
        return shutil.disk_usage(self.path).free

    def close(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def remove_abandoned(base: Path) -> None:
    """Remove folders that servers of this user left behind when they were killed."""
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
                continue
            if not (folder / "lock").exists() and time.time() - status.st_mtime < _YOUNG:
                continue  # its server is just starting
            with FileLock(folder / "lock", timeout=0):
                shutil.rmtree(folder)
        except Timeout:
            continue  # its server runs
        except OSError as error:
            log.warning("%s can't be removed: %s", folder, error.strerror or error)
