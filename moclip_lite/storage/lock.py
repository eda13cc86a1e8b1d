"""A lock file that one process holds; it is removed when it is released."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["FolderLock"]


class FolderLock:
    """A lock that ends with its holder, however that ends.

    Args:
        path: of the lock file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._portable = FileLock(path) if fcntl is None else None

    def acquire(self) -> bool:
        """Take the lock; False if another process holds it. A file that can't be locked is free."""
        if self._portable is not None:
            try:
                self._portable.acquire(timeout=0)
            except Timeout:
                return False
            return True
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError:
                return True
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                return not isinstance(error, BlockingIOError)
            if self._is_at_path(descriptor):
                self._descriptor = descriptor
                return True
            os.close(descriptor)  # its last holder removed it between the two calls

    @contextmanager
    def held(self, refusal: Exception) -> Iterator[None]:
        """Hold the lock; raises `refusal` if another process holds it."""
        if not self.acquire():
            raise refusal
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self._portable is not None:
            self._portable.release()
        elif self._descriptor is not None:
            self._path.unlink(missing_ok=True)  # before it is unlocked: who opens it now makes a new one
            os.close(self._descriptor)
            self._descriptor = None

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False
