"""Settings of the web server: where it listens, and the bounds of what it accepts."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from ..settings import Settings, UserPath
from .hosts import bare_host, is_loopback

__all__ = ["MIN_TOKEN", "ServeSettings"]

MIN_TOKEN: Final = 16
"""Characters of the shortest token that is accepted."""

_LONGEST: Final = 1e7  # seconds: some months


def _check_token(token: str | None) -> str | None:
    if token is None:
        return None
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(f"a token has at least {MIN_TOKEN} printable ASCII characters without spaces")
    return token


class ServeSettings(Settings):
    """Where the server listens and what it accepts.

    Attributes:
        host: the address to listen on.
        port: 0 for any free one.
        root: folder whose videos may be named by path; None for uploads alone.
        token: what clients must present; None for no token, on this machine alone.
        allow_host: names (and addresses, where only this machine can connect) in the Host header that are
            accepted beside this machine's own, in the form of :func:`moclip_lite.serve.hosts.bare_host`.
        max_upload: bytes of an upload.
        max_length: seconds of a video.
        max_pixels: of a picture.
        queue: videos that wait or are being analysed.
        per_client: of those, and of uploads under way, how many come from one address.
        time_limit: seconds for the analysis of a video; its process is then ended.
        idle_limit: seconds that an upload may stand still, and in which any other body must come.
        connections: that one address may hold.
        head_limit: seconds that a connection may stay open without a complete request head.
        keep: seconds that a result is kept after it was last asked for.
        results: results that are kept; the oldest goes first.
    """

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    root: UserPath | None = None
    token: Annotated[str | None, AfterValidator(_check_token)] = Field(None, repr=False)
    allow_host: tuple[Annotated[str, AfterValidator(bare_host)], ...] = ()
    max_upload: int = Field(1_000_000_000, ge=1, le=2**50)
    max_length: float = Field(3600.0, gt=0, le=_LONGEST)
    max_pixels: int = Field(8192 * 4352, ge=1, le=2**31)
    queue: int = Field(8, ge=1, le=1000)
    per_client: int = Field(4, ge=1, le=1000)
    time_limit: float = Field(900.0, gt=0, le=_LONGEST)
    idle_limit: float = Field(30.0, gt=0, le=_LONGEST)
    connections: int = Field(64, ge=1, le=256)
    head_limit: float = Field(10.0, gt=0, le=_LONGEST)
    keep: float = Field(900.0, gt=0, le=_LONGEST)
    results: int = Field(32, ge=1, le=10_000)

    @property
    def local(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)
