"""Files at URLs, read by ranges."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, TypeVar

from .errors import SourceChanged
from .server_errors import ObjectFault
from .urls import ServerFailure, file_system, is_web, reported

__all__ = ["RangeReader", "RemoteFile", "RemoteReader"]

_VERSIONS: Final = ("ETag", "etag", "generation", "LastModified", "Last-Modified", "mtime", "created")
_NO_VERSION: Final = '"no version of any file"'
_BLOCK: Final = 8 << 10
_HELD: Final = 4096  # blocks, 32 MB
_WHOLE: Final = 2 << 20  # bytes, which take about as long to arrive as an object store to answer at all
_RETRY_AFTER: Final = (0.1, 0.4)  # seconds; the clients of object stores retry by themselves
_Answer = TypeVar("_Answer")
_MOST_AHEAD: Final = 128  # blocks that are read ahead in sequential reading


class RemoteFile:
    """A file at a URL that is read by ranges.

    Args:
        url: of the file.

    Attributes:
        url: of the file.
        size: in bytes.
        version: what changes with the content of this URL: ETag, version or time of modification;
            "" where the server tells none. Files at two URLs may have the same one (RFC 9110, 8.8.3):
            web servers make it of size and time.
        fetched: bytes that were requested from the server so far.

    Raises:
        FileNotFoundError, PermissionError, OSError: it can't be read.
        BackendUnavailable: a package is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._system, self._path = file_system(url)
        self._told: tuple[int, str] | None = None  # by the server; None once more was read
        self.size, self.version = self.status()
        self.fetched = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        # The block behind the last request, and blocks of the next request that goes on there.
        self._next, self._ahead = -1, 1
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[RemoteFile], tuple[str]]:
        return type(self), (self.url,)

    @property
    def identity(self) -> str:
        """A name of the content, unique among URLs, from the ETag; "" where the server sends none such.

        S3's ETag is made of the content. That of another object store is made anew with each version of an
        object, so that it is one along with the URL.
        """
        scheme = self.url.partition(":")[0]
        if is_web(self.url) or scheme == "memory" or not self.version:
            return ""
        if scheme == "s3":
            return f"{self.size} {self.version}" if self.version.startswith('"') else ""
        return f"{self.url} {self.size} {self.version}"

    @property
    def keeps_versions_apart(self) -> bool:
        """Whether another content of this URL has another version: an ETag that is not weak, and no time."""
        return self.version.startswith('"')

    @property
    def stamp(self) -> tuple[int, int]:
        """(size, number of the version), which change with the file; asked for again once it was read."""
        size, version = self._told or self.status()
        return size, int.from_bytes(hashlib.blake2b(version.encode(), digest_size=7).digest(), "big")

    def status(self) -> tuple[int, str]:
        """(size, version) as the server says now.

        Raises:
            FileNotFoundError, OSError: it is gone, or can't be asked for.
        """
        facts = self._asked(self._facts)
        if facts.get("type") == "directory":
            raise IsADirectoryError(21, "this is a folder, not a file", self.url)
        if facts.get("size") is None:
            raise ServerFailure(errno.EIO, "the server does not tell its size", self.url)
        versions = (facts.get(name) for name in _VERSIONS)
        self._told = int(facts["size"]), str(next((v for v in versions if v), ""))
        return self._told

    def _facts(self) -> dict[str, Any]:
        self._system.invalidate_cache(self._system._parent(self._path))
        return dict(self._system.info(self._path))

    def _asked(self, request: Callable[[], _Answer]) -> _Answer:
        """The answer to a request, which is repeated where a web server fails."""
        for seconds in _RETRY_AFTER if is_web(self.url) else ():
            try:
                with reported(self.url):
                    return request()
            except ObjectFault:
                time.sleep(seconds)
        with reported(self.url):
            return request()

    def read_at(self, offset: int, size: int) -> bytes:
        """`size` bytes at an offset, or those up to the end of the file.

        A short file is read whole and kept, so that later reads are of the same version without a request.

        Raises:
            SourceChanged: the object is another one than when it was opened.
            OSError: it can't be read.
        """
        with self._lock:
            return self._read(offset, min(offset + size, self.size))

    def read_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, in one request, and none of them kept.

        Raises:
            SourceChanged, OSError: see :meth:`read_at`.
        """
        with self._lock:
            return self._fetch(start, end)

    def _read(self, offset: int, end: int) -> bytes:
        if offset >= end:
            return b""
        if self.size <= _WHOLE and not self._blocks:
            self._keep(0, self._fetch(0, self.size))
        first, last = offset // _BLOCK, (end - 1) // _BLOCK
        missing = [number for number in range(first, last + 1) if number not in self._blocks]
        if len(missing) * _BLOCK > _HELD * _BLOCK // 2:  # more than is kept
            return self._fetch(offset, end)
        while missing:
            run = 1
            while run < len(missing) and missing[run] == missing[0] + run:
                run += 1
            # Who reads on gets more at a time.
            self._ahead = min(2 * self._ahead, _MOST_AHEAD) if missing[0] == self._next else 1
            self._next = missing[0] + max(run, self._ahead)
            self._keep(missing[0], self._fetch(missing[0] * _BLOCK, min(self._next * _BLOCK, self.size)))
            missing = missing[run:]
        data = b"".join(self._blocks[number] for number in range(first, last + 1))
        while len(self._blocks) > _HELD:
            self._blocks.popitem(last=False)
        return data[offset - first * _BLOCK : end - first * _BLOCK]

    def _keep(self, first: int, data: bytes) -> None:
        for place, start in enumerate(range(0, len(data), _BLOCK)):
            self._blocks[first + place] = data[start : start + _BLOCK]

    def _fetch(self, start: int, end: int) -> bytes:
        data = self._asked(lambda: self._ranges[self.url.partition(":")[0]](start, end))
        self.fetched += len(data)
        self._told = None
        if len(data) > end - start:
            what = "the server answers no ranges; download the file and give its path"
            raise ServerFailure(errno.EIO, what, self.url)
        if len(data) < end - start:
            raise SourceChanged(f"{self.url} was changed or cut while it was read; start again")
        return data

    @cached_property
    def _ranges(self) -> Mapping[str, Callable[[int, int], bytes]]:
        """How a range is asked for, by scheme: with the version, where the protocol knows one."""
        return defaultdict(
            lambda: self._plain_range,
            {"s3": self._s3_range, "http": self._http_range, "https": self._http_range},
        )

    def _s3_range(self, start: int, end: int) -> bytes:
        from fsspec.asyn import sync

        bucket, key, version = self._system.split_path(self._path)
        asked = {"IfMatch": self.version} if self.version.startswith('"') else {}
        asked |= {"VersionId": version} if version else {}
        answer = self._system.call_s3(
            "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", **asked
        )
        if asked and answer.get("ETag", self.version) != self.version:  # of servers that ignore If-Match
            raise SourceChanged(f"{self.url} was changed while it was read; start again")
        return bytes(sync(self._system.loop, answer["Body"].read))

    def _http_range(self, start: int, end: int) -> bytes:
        whole = end - start == self.size  # one request either way: the version, or a test of conditions
        if whole or not (self.version.startswith('"') and self._heeds_conditions):
            return self._plain_range(start, end)
        return self._http_get(start, end, self.version)

    def _http_get(self, start: int, end: int, version: str) -> bytes:
        return bytes(self._system.cat_file(self._path, start=start, end=end, headers={"If-Match": version}))

    @cached_property
    def _heeds_conditions(self) -> bool:
        """Whether the server refuses a version that it does not have (RFC 9110, 13.1.1); some ignore it."""
        from aiohttp import ClientResponseError

        try:
            self._http_get(0, 1, _NO_VERSION)
        except ClientResponseError as error:
            if error.status != HTTPStatus.PRECONDITION_FAILED:
                raise
            return True
        return False

    def _plain_range(self, start: int, end: int) -> bytes:
        """Of file systems that take no condition: the version is asked for after the content."""
        data = bytes(self._system.cat_file(self._path, start=start, end=end))
        if self.status() != (self.size, self.version):
            raise SourceChanged(f"{self.url} was changed while it was read; start again")
        return data


class RangeReader(io.RawIOBase, ABC):
    """A seekable binary file over what is read by ranges."""

    def __init__(self) -> None:
        super().__init__()
        self._place = 0

    @property
    @abstractmethod
    def size(self) -> int:
        """In bytes."""

    @abstractmethod
    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from `offset` on, as many as are asked for and there."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = self.read_at(self._place, len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


class RemoteReader(RangeReader):
    """A remote file as a seekable binary file, which libavformat reads."""

    def __init__(self, file: RemoteFile) -> None:
        super().__init__()
        self._remote = file
        self.name = file.url

    @property
    def size(self) -> int:
        return self._remote.size

    def read_at(self, offset: int, size: int) -> bytes:
        return self._remote.read_at(offset, size)
