"""Bodies of requests that are no uploads: short, and read before anything works on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from ...progress import size_in_words
from .answers import has_body
from .refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

__all__ = ["MAX_BODY", "UPLOAD_PATHS", "replayed", "small_body"]

MAX_BODY: Final = 64_000
"""Bytes of a body that is no upload."""
UPLOAD_PATHS: Final = ("/api/predict", "/api/jobs")
"""Where POST brings a video; :mod:`moclip_lite.serve.uploads` bounds it."""


async def small_body(scope: Scope, receive: Receive, limit_s: float) -> bytes | None:
    """The whole body of a request, or None where there is none, it is an upload, or the client went away.

    Args:
        scope: of the request.
        receive: not called yet.
        limit_s: seconds in which all of it must come.

    Raises:
        Refusal: 413, it is or says that it is too large; 408, it did not come in time.
    """
    if not has_body(scope) or (scope["method"] == "POST" and scope["path"] in UPLOAD_PATHS):
        return None
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 20 or int(declared) > MAX_BODY:
        raise _too_large()
    try:
        return await asyncio.wait_for(_read(receive), limit_s)
    except (asyncio.TimeoutError, TimeoutError):
        raise Refusal(408, f"the body did not come within {limit_s:g} s") from None


async def _read(receive: Receive) -> bytes | None:
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _too_large()
        more = message.get("more_body", False)
    return bytes(body)


def _too_large() -> Refusal:
    paths = " and ".join(UPLOAD_PATHS)
    return Refusal(413, f"the body is larger than {size_in_words(MAX_BODY)}; only {paths} take videos")


def replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """A `receive` that gives a body that was read already, and then what `receive` gives."""
    first: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return first.pop() if first else await receive()

    return receive_again
