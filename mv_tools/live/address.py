"""Addresses of live sources, which protocols each may use, and their form for messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from ..errors import ArgumentError
from ..source import FORMATS

__all__ = ["PROTOCOLS", "Address", "Kind", "Transport", "shown_place", "split_url"]

Kind = Literal["network", "file", "stdin", "device"]
Transport = Literal["tcp", "udp"]

STDIN: Final = "-"

PROTOCOLS: Final = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsp,rtp,udp,tcp,tls",
    "rtp": "rtp,udp",
    "udp": "udp",
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
}
"""libavformat's protocols that a live source of each scheme may use. A video file never uses any of them."""

_NETWORK_FORMATS: Final = {
    "rtsp": "rtsp,rtp,sdp,mpegts",
    "rtsps": "rtsp,rtp,sdp,mpegts",
    "rtp": "rtp,sdp,mpegts",
}
_STREAMED_FORMATS: Final = "mpegts,h264,hevc"

_DEVICES: Final = {"v4l2": "v4l2", "lavfi": "lavfi"}
_IN_BRACKETS: Final = re.compile(r"\[[^\]]*\]")  # IPv6


def split_url(text: str) -> SplitResult:
    """Split a URL that may hold a password; the beginning of one is never taken for the port.

    Raises:
        ArgumentError: what looks like the host may be a user name. The message holds nothing of the URL.
        ValueError: it is damaged.
    """
    parts = urlsplit(text)
    if _starts_with_a_user(parts):
        raise ArgumentError(
            "an address has an @ behind its host: in a user name or password write / as %2F, ? as %3F, "
            "# as %23 and @ as %40; if it has none, write an @ before the host, as in rtsp://@HOST:PORT/PATH"
        )
    return parts


def _starts_with_a_user(parts: SplitResult) -> bool:
    """Whether host and port may be a user name and the beginning of a password that has / ? or # in it."""
    _, colon, port = _IN_BRACKETS.sub("", parts.netloc).partition(":")
    if "@" in parts.netloc or not colon:
        return False
    fields = bool(parts.path) and port.isdigit() and "=" in parts.query.partition("@")[0]
    return "@" in parts.path + ("" if fields else parts.query) + parts.fragment


def shown_place(parts: SplitResult) -> str:
    """Host, port and path for messages; of what may be a password with an @, only what follows it.

    Raises:
        ValueError: the port is none.
    """
    host, port = parts.hostname or "", parts.port
    before, _, behind = (parts.netloc + parts.path).rpartition("@")
    if "@" in parts.path and ":" in _IN_BRACKETS.sub("", before) and not parts.netloc.startswith("@"):
        return f"***@{behind}"
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}{'' if port is None else f':{port}'}{parts.path}"


@dataclass(frozen=True)
class Address:
    """Where a live source is.

    Attributes:
        kind: "network", "file" (which may grow), "stdin", or "device" (pictures that are encoded here).
        target: what is opened. It may hold a password; show :attr:`name` instead.
        scheme: of a network source or a device; empty for others.
        name: for messages: without user name, password and query.
        host: of a network source.
        allowed: formats and protocols, as libavformat's options.
    """

    kind: Kind
    target: str
    name: str
    scheme: str = ""
    host: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address: a URL, a path, ``-`` for standard input, ``v4l2:/dev/video0`` or ``lavfi:GRAPH``.

        Raises:
            ArgumentError: a scheme that is not allowed, a URL that is damaged, or one in which a password is
                not told from a path.
        """
        if text == STDIN:
            return cls("stdin", text, "standard input")
        scheme, colon, rest = text.partition(":")
        if colon and scheme in _DEVICES:
            return cls("device", rest, text, scheme)
        if "://" not in text:
            return cls("file", text, text)
        scheme = scheme.lower()
        if scheme not in PROTOCOLS:
            known = ", ".join((*PROTOCOLS, *_DEVICES))
            raise ArgumentError(
                f"live sources of the kind {scheme!r} are not opened; known are {known}, files and -"
            )
        try:
            parts = split_url(text)
            host, place = parts.hostname or "", shown_place(parts)
        except ArgumentError:
            raise
        except ValueError:
            raise ArgumentError(f"the address of a {scheme} source is damaged (host or port)") from None
        if not host and scheme not in ("udp", "rtp"):
            raise ArgumentError(f"the address of a {scheme} source names no host; write {scheme}://HOST/PATH")
        return cls("network", text, f"{scheme}://{place}", scheme, host)

    @property
    def sends_bytes(self) -> bool:
        """Whether it is a network source of bytes and not of packets."""
        return self.kind == "network" and self.scheme not in _NETWORK_FORMATS

    def buffered(self, transport: Transport) -> bool:
        """Whether a network source waits while nobody reads: over UDP packets would be lost."""
        over_udp = self.scheme in ("udp", "rtp") or (self.scheme in ("rtsp", "rtsps") and transport == "udp")
        return self.kind == "network" and not over_udp

    def options(self, transport: Transport, timeout: float) -> dict[str, str]:
        """libavformat's options for RTSP and RTP: only their own protocols and formats are opened."""
        options = {
            "protocol_whitelist": PROTOCOLS[self.scheme],
            "format_whitelist": _NETWORK_FORMATS[self.scheme],
            "probesize": "500000",
            "analyzeduration": "1000000",
            "fpsprobesize": "0",
        }
        if self.scheme in ("rtsp", "rtsps"):
            options |= {"rtsp_transport": transport, "allowed_media_types": "video", "max_delay": "200000"}
            options["timeout"] = str(round(timeout * 1e6))
        return options

    def byte_options(self, timeout: float) -> dict[str, str]:
        """libavformat's options for the bytes of a network source."""
        options = {
            "protocol_whitelist": PROTOCOLS[self.scheme],
            "format_whitelist": "data",
            "probesize": "32",
        }
        return options if self.scheme == "udp" else {**options, "rw_timeout": str(round(timeout * 1e6))}

    def format_options(self) -> dict[str, str]:
        """libavformat's options for the format of bytes that are read here."""
        options = {"protocol_whitelist": "file", "probesize": "500000", "fpsprobesize": "0"}
        if self.kind == "network":
            return {**options, "format_whitelist": _STREAMED_FORMATS, "analyzeduration": "1000000"}
        return {**options, "format_whitelist": FORMATS}
