"""Reading ahead on a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")


class _Ahead(Generic[T]):
    """An iterator that another thread runs, at most `depth` items ahead."""

    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[T | None, BaseException | None, bool]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put((item, None, False)):
                    return
        except BaseException as caught:  # raised again by the reader
            error = caught
        self._put((None, error, True))

    def _put(self, entry: tuple[T | None, BaseException | None, bool]) -> bool:
        """Wait for room; False if the reader has stopped."""
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[T]:
        while True:
            item, error, last = self._queue.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]

    def stop(self) -> None:
        """End the thread; what it has read is dropped."""
        self._stopped.set()
        self._thread.join()


@contextmanager
def prefetched(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    """Run an iterator on a thread, at most `depth` items ahead; its errors are raised where it is read.

    The thread ends with the block. The iterator must not be shared with other threads.
    """
    ahead = _Ahead(items, depth)
    try:
        yield iter(ahead)
    finally:
        ahead.stop()
