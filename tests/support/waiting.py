"""Waiting for what other threads and processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["PATIENCE", "until"]

PATIENCE = 600.0
"""Seconds that a test waits before it fails: on a machine with other work everything is slow."""


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The value of a condition once it is true.

    Raises:
        AssertionError: it has not become true.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited for {seconds:g} s in vain")
