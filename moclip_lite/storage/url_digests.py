"""Digests of files at URLs: of what the server says of a content where that names it, else of the content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from mv_tools import SourceChanged
from mv_tools.remote import RemoteFile
from mv_tools.urls import ObjectRefused, ServerFailure

from .digest import digest_bytes, digest_remote
from .stamps import UrlStamp

__all__ = ["UrlDigest", "digest_at_url", "digests_at_urls"]

_REQUESTS: Final = 16  # at once

Known = tuple[int | str, ...]
"""Size, version and digest that are remembered of a URL."""


class UrlDigest(NamedTuple):
    """Digest of a file at a URL.

    Attributes:
        digest: 32 hex digits.
        stamp: of the version that it is of.
        fresh: whether the content was read for it and the version tells when to read it again.
    """

    digest: str
    stamp: UrlStamp
    fresh: bool = False


def digest_at_url(url: str, known: Known | None) -> UrlDigest:
    """Digest of a file at a URL.

    Args:
        url: of the file.
        known: what is remembered of it.

    Raises:
        FileNotFoundError, OSError: it can't be read.
        SourceChanged: it was changed while it was read.
    """
    file = RemoteFile(url)
    stamp = UrlStamp.of(file)
    if file.identity:
        return UrlDigest(digest_bytes([f"remote {file.identity}".encode()]), stamp)
    if stamp.content:
        return UrlDigest(stamp.content, stamp)
    if known is not None and known[:2] == stamp[:2]:
        return UrlDigest(str(known[2]), stamp)
    return UrlDigest(digest_remote(file), stamp, fresh=True)


def digests_at_urls(urls: Sequence[str], known: Mapping[str, Known]) -> Iterator[tuple[str, UrlDigest]]:
    """Digest of each file that is there; several are asked for at once.

    A file that is absent, refused or changes meanwhile is left out: reading it raises the reason.

    Raises:
        ServerFailure: a server can't be reached or refuses all of the files, which is no property of one.
    """

    def attempt(url: str) -> UrlDigest | ObjectRefused | None:
        try:
            return digest_at_url(url, known.get(url))
        except ObjectRefused as error:
            return error
        except ServerFailure:
            raise
        except (FileNotFoundError, IsADirectoryError, SourceChanged):
            return None

    pool = ThreadPoolExecutor(_REQUESTS)
    try:
        refused: list[ObjectRefused] = []
        for url, found in zip(urls, pool.map(attempt, urls), strict=True):
            if isinstance(found, ObjectRefused):
                refused.append(found)
            elif found is not None:
                yield url, found
        if refused and len(refused) == len(urls):
            raise refused[0]
    finally:
        pool.shutdown(cancel_futures=True)
