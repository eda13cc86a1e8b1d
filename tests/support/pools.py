"""A pool without processes, for tests in which the process proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class InlinePool:
    """Does the work of `submit` at once, in this process."""

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:  # as a pool's future holds it
            future.set_exception(error)
        return future

    def shutdown(self, **options: object) -> None:
        pass
