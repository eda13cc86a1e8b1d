"""Connections: how many a client may hold, and how long one may stay without a request."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .answers import refusal_response
from .refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ..settings import ServeSettings

__all__ = ["ClientConnection", "protocol_for"]

_SURPLUS_LIMIT: Final = 2.0  # seconds for the request head on a connection that is only told to go away
_RETRY: Final = 10  # seconds


class ClientConnection(H11Protocol):
    """A connection that is closed unless a complete request head comes in time.

    Attributes:
        total: connections that are served at once.
        per_client: of those, connections of one address. Others are told to go away, and closed without an
            answer beyond twice as many.
        head_limit: seconds without a complete request head, from the start or from the last answer.
        admitted: whether this one is served.
    """

    total = 256
    per_client = 64
    head_limit = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.admitted = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        mine = sum(_host(other) == _host(self) for other in self.connections)
        if mine > 2 * self.per_client or len(self.connections) > 2 * self.total:
            self.admitted = False
            self.connections.discard(self)  # now: a burst of them must not count against others
            transport.abort()
            return
        refusal = self._surplus()
        if refusal is not None:
            self.admitted = False
            self.app = _refusing(refusal)
        self._arm(self.head_limit if self.admitted else min(self.head_limit, _SURPLUS_LIMIT))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._busy():
            self._disarm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._busy():
            self._arm(self.head_limit)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls it."""
        self._close_with(400, "this is no valid HTTP request")

    def _surplus(self) -> Refusal | None:
        """Why this connection is one too many, if it is."""
        admitted: list[Any] = [other for other in self.connections if getattr(other, "admitted", True)]
        if sum(_host(other) == _host(self) for other in admitted) > self.per_client:
            sentence = f"you hold {self.per_client} connections already; close some of them"
            return Refusal(429, sentence, retry_after=_RETRY)
        if len(admitted) > self.total:
            return Refusal(503, f"all {self.total} connections of this server are taken", retry_after=_RETRY)
        return None

    def _busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _arm(self, seconds: float) -> None:
        self._disarm()
        if not self.transport.is_closing():
            self._timer = self.loop.call_later(seconds, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        begun, _ = self.conn.trailing_data
        if begun:
            self._close_with(408, "no complete request head came in time")
        else:
            self.transport.close()

    def _close_with(self, status: int, sentence: str) -> None:
        """Answer with an error if none has begun, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": sentence}).encode()
            headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
            headers.append(("connection", "close"))
            events = [
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ]
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()


def _host(connection: Any) -> str:
    """Address of the client."""
    return str(connection.client[0]) if connection.client else ""


def _refusing(refusal: Refusal) -> Any:
    """An application that refuses all requests."""

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_last(message: Any) -> None:
            if message["type"] == "http.response.start":
                pairs = [pair for pair in message["headers"] if pair[0] != b"connection"]
                message = {**message, "headers": [*pairs, (b"connection", b"close")]}
            await send(message)

        await refusal_response(refusal, scope, receive, send_last)

    return refuse


def protocol_for(settings: ServeSettings) -> type[ClientConnection]:
    """The protocol with the bounds of these settings, for uvicorn."""
    bounds = {"per_client": settings.connections, "head_limit": settings.head_limit}
    return type("BoundedConnection", (ClientConnection,), bounds)
