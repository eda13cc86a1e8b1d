"""Error responses: always a JSON object with one sentence."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from .refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["ErrorsInJson", "has_body", "refusal_response"]

_LINGER: Final = 2.0  # seconds in which the rest of a refused upload is read, so that the answer arrives
_MAX_TEXT: Final = 1000  # bytes of an error text that are kept
_SENTENCES: Final = {
    400: "the request is malformed: {text}",
    416: "the range lies outside of the file, whose size Content-Range says",
}


def has_body(scope: Scope) -> bool:
    """Whether the headers of a request announce a body."""
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""


class ErrorsInJson:
    """Turns error texts of libraries, such as those of bad ranges, into JSON on the way to the client.

    Args:
        send: to the client.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: Message | None = None
        self._text = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_text(message):
            self._held = message
            return
        if self._held is None:
            await self._send(message)
            return
        self._text = (self._text + message.get("body", b""))[:_MAX_TEXT]
        if not message.get("more_body", False):
            held, self._held = self._held, None
            await self._replace(held)

    async def _replace(self, start: Message) -> None:
        from starlette.responses import JSONResponse

        text = self._text.decode("utf-8", "replace").strip().rstrip(".").lower()
        status = start["status"]
        sentence = _SENTENCES.get(status, "{text}").format(text=text) or f"the request failed with {status}"
        response = JSONResponse({"error": sentence}, status)
        own = {key for key, _ in response.raw_headers}
        kept = [pair for pair in start.get("headers", []) if pair[0].lower() not in own]
        await self._send({**start, "headers": [*kept, *response.raw_headers]})
        await self._send({"type": "http.response.body", "body": response.body, "more_body": False})


def _is_text(start: Any) -> bool:
    """Whether a response is an error that is not JSON."""
    kinds = [value for key, value in start.get("headers", []) if key.lower() == b"content-type"]
    return start["status"] >= 400 and not any(kind.startswith(b"application/json") for kind in kinds)


async def refusal_response(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a refusal; where the body was not read to its end, also end the connection.

    What the client still sends is then read for a moment: a connection that is closed on unread data is
    reset, and the client would not see the answer.
    """
    from starlette.responses import JSONResponse

    unread = not scope.get("moclip.body_read", False) and has_body(scope)
    waits = any(key == b"expect" for key, _ in scope["headers"])  # for the answer, before it sends the body
    headers = {**refusal.headers, **({"connection": "close"} if unread else {})}
    response = JSONResponse({"error": refusal.sentence}, refusal.status, headers)
    await send({"type": "http.response.start", "status": refusal.status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": unread})
    if unread:
        with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(_drain(receive), 0 if waits else _LINGER)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
