"""Request bodies that bring a video: written to a file as they come, within bounds."""

from __future__ import annotations

import asyncio
import errno
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final

from ..datasets.walk import VIDEO_SUFFIXES
from ..progress import size_in_words
from .metrics import Metrics
from .refusal import Refusal
from .settings import ServeSettings

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Received", "display_name", "receive"]

_MAX_FIELD: Final = 4096  # bytes of a text field, and of a JSON body
_MAX_FIELDS: Final = 16
_RESERVE: Final = 200_000_000  # bytes of the disk that uploads leave free
_MAX_NAME: Final = 120  # characters of a name for people


@dataclass
class Received:
    """What a request brought.

    Attributes:
        fields: text fields, such as path and top_k.
        video: the uploaded file, None if there is none.
        name: its name for people; it is never part of a path.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    video: Path | None = None
    name: str = ""


def display_name(name: str) -> str:
    """The last part of a client's file name, in printable characters and of bounded length."""
    last = re.split(r"[/\\]", name)[-1]
    clean = "".join(c if c.isprintable() else "_" for c in last.encode("utf-8", "replace").decode())
    return clean.strip()[-_MAX_NAME:] or "video"


def _file_of(folder: Path, name: str) -> Path:
    """Where an upload is written: only a known ending is taken from its name."""
    suffix = PurePosixPath(name).suffix.lower()
    return folder / f"upload{suffix if suffix in VIDEO_SUFFIXES else ''}"


async def receive(
    request: Request, folder: Path, settings: ServeSettings, metrics: Metrics, free_bytes: int
) -> Received:
    """Read the body of a request.

    It is multipart/form-data with a part `file` or `path`, a JSON object with `path`, or the bytes of a video
    under any other type (its name is then the query's `name`).

    Args:
        request: not read yet.
        folder: where to write the upload.
        settings: bounds.
        metrics: count the bytes.
        free_bytes: of the disk.

    Raises:
        Refusal: 400, 408, 411, 413, 507.
        ClientDisconnect: the client went away; what was written is the caller's to remove.
    """
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    limit = _MAX_FIELD if kind == "application/json" else settings.max_upload
    _check_declared(request, kind, settings, free_bytes)
    chunks = _bounded(request, limit + (_MAX_FIELD * 2 if "multipart" in kind else 0), settings, metrics)
    try:
        if kind == "application/json":
            return _from_json(b"".join([chunk async for chunk in chunks]))
        if kind == "multipart/form-data":
            return await _from_parts(chunks, request.headers["content-type"], folder, settings.max_upload)
        if kind == "application/x-www-form-urlencoded":
            raise Refusal(415, "send multipart/form-data, a JSON object, or the bytes of a video")
        return await _from_bytes(chunks, folder, request.query_params.get("name", ""))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal(507, "the server's disk is full", retry_after=60) from error
        raise


def too_large(limit: int) -> Refusal:
    """The refusal of an upload that exceeds the limit."""
    return Refusal(413, f"the upload is larger than {size_in_words(limit)}, the limit of this server")


def _check_declared(request: Request, kind: str, settings: ServeSettings, free_bytes: int) -> None:
    """Refuse by the headers alone what need not be read."""
    declared = request.headers.get("content-length", "0")
    length = int(declared) if declared.isascii() and declared.isdigit() else -1
    if length < 0:
        raise Refusal(400, "Content-Length is not a number")
    if kind == "application/json" and length > _MAX_FIELD:
        raise Refusal(413, f"a JSON body has at most {_MAX_FIELD} bytes")
    if length > settings.max_upload + 2 * _MAX_FIELD:
        raise too_large(settings.max_upload)
    if length + _RESERVE > free_bytes:
        raise Refusal(507, "the server's disk is too full for this upload", retry_after=60)


async def _bounded(
    request: Request, limit: int, settings: ServeSettings, metrics: Metrics
) -> AsyncIterator[bytes]:
    """Chunks of the body; refuses one byte above the limit, and a client that sends nothing for long."""
    stream, total = request.stream().__aiter__(), 0
    while True:
        try:
            chunk = await asyncio.wait_for(stream.__anext__(), settings.idle_limit)
        except StopAsyncIteration:
            return
        except (asyncio.TimeoutError, TimeoutError):
            raise Refusal(408, f"nothing came for {settings.idle_limit:g} s") from None
        total += len(chunk)
        metrics.upload_bytes += len(chunk)
        if total > limit:
            raise too_large(settings.max_upload)
        if chunk:
            yield chunk


def _from_json(body: bytes) -> Received:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, 'the body is not a JSON object such as {"path": "clip.mp4"}')
    return Received(fields=value)


async def _from_bytes(chunks: AsyncIterator[bytes], folder: Path, name: str) -> Received:
    video = _file_of(folder, name)
    empty = True
    with video.open("xb") as file:
        async for chunk in chunks:
            file.write(chunk)
            empty = False
    if empty:
        raise Refusal(400, "the body is empty; send a video")
    return Received(video=video, name=display_name(name))


async def _from_parts(
    chunks: AsyncIterator[bytes], content_type: str, folder: Path, max_upload: int
) -> Received:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary or len(boundary) > 200:
        raise Refusal(400, "multipart/form-data without a boundary")
    form = _Form(folder, max_upload)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        async for chunk in chunks:
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(400, f"the multipart body is damaged: {error}") from error
    finally:
        form.close()
    if not form.complete:
        raise Refusal(400, "the multipart body is cut short")
    return form.received()


class _Form:
    """Receives the parts of a multipart body: one file, a few short fields."""

    def __init__(self, folder: Path, max_upload: int) -> None:
        self._folder, self._max_upload = folder, max_upload
        self._header: tuple[bytes, bytes] = (b"", b"")
        self._headers: dict[bytes, bytes] = {}
        self._fields: dict[str, bytes] = {}
        self._field = ""
        self._file: IO[bytes] | None = None
        self._video: Path | None = None
        self._name, self._size = "", 0
        self.complete = False

    def callbacks(self) -> Any:
        """For python_multipart's parser."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, a, b: self._add_header(0, data[a:b]),
            "on_header_value": lambda data, a, b: self._add_header(1, data[a:b]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._begin_data,
            "on_part_data": lambda data, a, b: self._data(data[a:b]),
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def received(self) -> Received:
        """The result."""
        fields = {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}
        return Received(fields, self._video, display_name(self._name) if self._video else "")

    def close(self) -> None:
        """Close the file if one is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        self.complete = True

    def _begin_part(self) -> None:
        self._headers, self._header = {}, (b"", b"")

    def _add_header(self, side: int, data: bytes) -> None:
        name, value = self._header
        self._header = (name + data, value) if side == 0 else (name, value + data)

    def _end_header(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = (b"", b"")

    def _begin_data(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")[:64]
        if b"filename" not in options:
            if len(self._fields) >= _MAX_FIELDS:
                raise Refusal(400, f"more than {_MAX_FIELDS} fields")
            self._fields[self._field] = b""
            return
        if self._video is not None:
            raise Refusal(400, "send one file per request")
        self._name = options[b"filename"].decode("utf-8", "replace")
        self._video = _file_of(self._folder, self._name)
        self._file = self._video.open("xb")

    def _data(self, data: bytes) -> None:
        if self._file is not None:
            self._size += len(data)
            if self._size > self._max_upload:
                raise too_large(self._max_upload)
            self._file.write(data)
            return
        value = self._fields[self._field] + data
        if len(value) > _MAX_FIELD:
            raise Refusal(413, f"the field {self._field!r} is longer than {_MAX_FIELD} bytes")
        self._fields[self._field] = value
