"""Middleware for every request: Host and Origin, token, short bodies, response headers, counters.

The Host header is checked because a page of another site can give its own name this server's address (DNS
rebinding); Origin and Sec-Fetch-Site because it can post forms here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ..hosts import comparable_host, is_address, is_loopback
from ..metrics import Metrics
from ..settings import ServeSettings
from .answers import ErrorsInJson, refusal_response
from .bodies import replayed, small_body
from .ranges import ignore_invalid_range
from .refusal import Refusal

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "SECURITY_HEADERS", "Guard", "Tokens", "cookie_name"]

COOKIE: Final = "moclip"
SECURITY_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' "
        "blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_OPEN_PATHS: Final = frozenset(("/", "/docs", "/openapi.json", "/healthz", "/favicon.ico", "/api/session"))
_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


class Tokens:
    """Checks the token of requests: Authorization: Bearer, or the cookie of a session.

    Args:
        token: None to accept all.
        port: part of the cookie's name, since cookies do not tell ports apart.
    """

    def __init__(self, token: str | None, port: int = 0) -> None:
        self._digest = None if token is None else _digest(token)
        self._session = secrets.token_urlsafe(32)
        self.cookie = cookie_name(port)

    @property
    def required(self) -> bool:
        """Whether a token is needed."""
        return self._digest is not None

    @property
    def session(self) -> str:
        """The value of the cookie; it ends with the server."""
        return self._session

    def matches(self, token: str) -> bool:
        """Whether this is the token; takes the same time for all wrong ones."""
        return self._digest is not None and hmac.compare_digest(_digest(token), self._digest)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether the headers of a request hold the token or the cookie."""
        if self._digest is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.matches(token.strip()):
            return True
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(_digest(morsel.value), _digest(self._session))


def cookie_name(port: int) -> str:
    """Name of the session's cookie."""
    return f"{COOKIE}_{port}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


class Guard:
    """ASGI middleware.

    Args:
        app: what it guards.
        settings: host names that are accepted.
        tokens: of clients that are admitted.
        metrics: counts requests.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, tokens: Tokens, metrics: Metrics) -> None:
        self._app, self._settings, self._tokens, self._metrics = app, settings, tokens, metrics
        self._names = {"localhost", *settings.allow_host}
        if not settings.local:
            self._names |= {comparable_host(socket.gethostname()), comparable_host(settings.host)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self._app(scope, receive, send)
            return
        status = 500
        body_read = False

        async def counted_receive() -> Message:
            nonlocal body_read
            message = await receive()
            body_read = body_read or not message.get("more_body", False)
            scope["moclip.body_read"] = body_read
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_security(message.get("headers", []))}
            await send(message)

        answer = ErrorsInJson(send_with_headers)
        try:
            self._check(scope)
            body = await small_body(scope, counted_receive, self._settings.idle_limit)
        except Refusal as refusal:
            await refusal_response(refusal, scope, counted_receive, answer)
        else:
            ignore_invalid_range(scope)
            given = counted_receive if body is None else replayed(body, counted_receive)
            await self._app(scope, given, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "DELETE") else "other"
            self._metrics.requests.labels(route, method, status).inc()

    def _check(self, scope: Scope) -> None:
        """Refuse requests from elsewhere.

        Raises:
            Refusal: 421 for an unknown Host, 403 for another site, 401 without the token.
        """
        pairs = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]]
        headers = dict(pairs)
        hosts = [value for key, value in pairs if key == "host"]
        if len(hosts) != 1 or not self._knows(hosts[0]):
            sentence = "the Host header names another server; start moclip with --allow-host to accept a name"
            raise Refusal(421, sentence)
        if scope["method"] not in _SAFE_METHODS and not _same_site(headers, hosts[0]):
            raise Refusal(403, "requests that other sites send are refused")
        path = scope["path"]
        if path in _OPEN_PATHS or path.startswith("/static/"):
            return
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise Refusal(403, "requests that other sites send are refused")
        if not self._tokens.admits(headers):
            raise Refusal(401, "a token is required: Authorization: Bearer TOKEN")

    def _knows(self, host: str) -> bool:
        """Whether the Host header may name this server. Addresses can't be rebound, names can."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        name = comparable_host(name)
        if name in self._names:
            return True
        return is_address(name) and (is_loopback(name) or not self._settings.local)


def _same_site(headers: Mapping[str, str], host: str) -> bool:
    """Whether a request comes from this server's own page, or from no page at all."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or (
        origin.startswith(("http://", "https://")) and origin.split("://", 1)[1] == host
    )


def _with_security(headers: Any) -> list[tuple[bytes, bytes]]:
    given = {key.lower() for key, _ in headers}
    own = [(key.encode(), value.encode()) for key, value in SECURITY_HEADERS.items()]
    added = [(key, value) for key, value in own if key not in given]
    if b"cache-control" not in given:
        added.append((b"cache-control", b"no-store"))
    return [*headers, *added]
