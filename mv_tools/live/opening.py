"""Opening of a connection in a thread of its own, which the one that reads need not wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Opening"]


class Opening:
    """Opens a connection in the background.

    Args:
        opens: returns the connection, which has `close`.
    """

    def __init__(self, opens: Callable[[], Any]) -> None:
        self._opens = opens
        self._lock = threading.Lock()
        self._connection: Any = None
        self._error: BaseException | None = None
        self._left = False  # nobody takes it any more
        # A host that does not answer holds up nobody who ends the program.
        self._thread = threading.Thread(target=self._run, name="mv_tools.live.opening", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            connection = self._opens()
        except BaseException as error:
            self._error = error
            return
        with self._lock:
            self._connection = connection
            if not self._left:
                return
        connection.close()

    def wait(self, seconds: float) -> bool:
        """Wait; returns whether opening has ended."""
        self._thread.join(max(seconds, 0.0))
        return not self._thread.is_alive()

    def take(self) -> Any:
        """The connection, once it is open.

        Raises:
            BaseException: what opening raised.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        connection, self._connection = self._connection, None
        return connection

    def leave(self) -> None:
        """Close the connection, unless it was taken, as soon as it is open."""
        with self._lock:
            self._left = True
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
