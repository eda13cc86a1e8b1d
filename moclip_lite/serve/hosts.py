"""Names and addresses of hosts, in the form in which they are compared."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

__all__ = ["bare_host", "comparable_host", "is_address", "is_loopback"]

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_MAX_NAME: Final = 253  # characters


def comparable_host(host: str) -> str:
    """A name without its final dot, an address in its shortest form without brackets, both in lower case."""
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return str(ipaddress.ip_address(inside))
    except ValueError:
        return host.lower().removesuffix(".")


def is_address(host: str) -> bool:
    """Whether this is an IP address, with or without brackets."""
    try:
        ipaddress.ip_address(comparable_host(host))
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine alone."""
    name = comparable_host(host)
    return ipaddress.ip_address(name).is_loopback if is_address(name) else name == "localhost"


def bare_host(text: str) -> str:
    """A name or an address that a Host header may hold, in the form in which it is compared.

    Raises:
        ValueError: it is something else, which no Host header would equal; a sentence.
    """
    host = comparable_host(text)
    if is_address(host) and "%" not in host:
        return host
    labels = host.split(".")
    # Browsers read a name whose last part is a number as an address.
    if len(host) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ValueError(
            f"{text!r} is no host name; write the name or address alone, such as videos.example.org, without "
            "scheme, port, path or wildcard, and an international name in its ASCII form (xn--...)"
        )
    return host
