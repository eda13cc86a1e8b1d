"""Work that is repeated in the background while something else goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["repeated"]


@contextmanager
def repeated(work: Callable[[], bool], seconds: float, name: str) -> Iterator[None]:
    """Call `work` every so many seconds in a thread until the block ends or it returns False.

    The last call has returned when the block is left. `work` must not raise.
    """
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds) and work():
            pass

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
