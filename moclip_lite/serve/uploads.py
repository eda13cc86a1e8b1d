"""Request bodies that bring a video: written to a file as they come, within bounds."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .http.forms import MAX_FIELD, Form
from .http.received import Received, display_name, file_of, given_twice, parsed_json, too_large
from .http.refusal import Refusal
from .metrics import Metrics
from .models import Options
from .settings import ServeSettings

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["receive"]

_RESERVE: Final = 200_000_000  # bytes of the disk that uploads leave free


async def receive(
    request: Request, folder: Path, settings: ServeSettings, metrics: Metrics, free_bytes: int
) -> Received:
    """Read the body of a request.

    It is multipart/form-data with a part `file` or `path`, a JSON object with `path`, or the bytes of a video
    under any other type (its name is then the query's `name`). Other keys of the query count as fields.

    Args:
        request: not read yet.
        folder: where to write the upload.
        settings: bounds.
        metrics: count the bytes.
        free_bytes: of the disk.

    Raises:
        Refusal: 400, 408, 411, 413, 507; 400 also for a name beside a path.
        ClientDisconnect: the client went away; what was written is the caller's to remove.
    """
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    limit = MAX_FIELD if kind == "application/json" else settings.max_upload
    _check_declared(request, kind, settings, free_bytes)
    chunks = _bounded(request, limit + (MAX_FIELD * 2 if "multipart" in kind else 0), settings, metrics)
    name, options = _query(request)
    try:
        if kind == "application/json":
            received = _from_json(b"".join([chunk async for chunk in chunks]))
        elif kind == "multipart/form-data":
            form = Form(folder, settings.max_upload, name)
            received = await form.receive(chunks, request.headers["content-type"])
        elif kind == "application/x-www-form-urlencoded":
            raise Refusal(415, "send multipart/form-data, a JSON object, or the bytes of a video")
        else:
            received = await _from_bytes(chunks, folder, name)
        received = _with_options(received, options)
        if name and received.video is None and "path" in received.fields:
            raise Refusal(400, "`name` is for an upload; a `path` names its video")
        return received
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refusal(507, "the server's disk is full", retry_after=60) from error
        raise


def _query(request: Request) -> tuple[str, dict[str, str]]:
    """A video's name and the other keys of the query.

    Raises:
        Refusal: 400, a key is given twice.
    """
    options: dict[str, str] = {}
    for key, value in request.query_params.multi_items():
        if key in options:
            raise given_twice(key)
        options[key] = value
    return options.pop("name", ""), options


def _with_options(received: Received, options: dict[str, str]) -> Received:
    """What was received, with the keys of the query among its fields."""
    for key in options:
        if key in received.fields:
            raise given_twice(key)
    received.fields |= options
    return received


def _check_declared(request: Request, kind: str, settings: ServeSettings, free_bytes: int) -> None:
    """Refuse by the headers alone what need not be read."""
    declared = request.headers.get("content-length", "0")
    length = int(declared) if declared.isascii() and declared.isdigit() else -1
    if length < 0:
        raise Refusal(400, "Content-Length is not a number")
    if kind == "application/json" and length > MAX_FIELD:
        raise Refusal(413, f"a JSON body has at most {MAX_FIELD} bytes")
    if length > settings.max_upload + 2 * MAX_FIELD:
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
        metrics.upload_bytes.inc(len(chunk))
        if total > limit:
            raise too_large(settings.max_upload)
        if chunk:
            yield chunk


def _from_json(body: bytes) -> Received:
    fields = parsed_json(body)
    if not isinstance(fields, dict):
        raise Refusal(400, 'the body is not a JSON object such as {"path": "clip.mp4"}')
    Options.of(fields, strict=True)  # text counts as a number in forms and queries alone
    return Received(fields=fields)


async def _from_bytes(chunks: AsyncIterator[bytes], folder: Path, name: str) -> Received:
    video = file_of(folder, name)
    empty = True
    with video.open("xb") as file:
        async for chunk in chunks:
            file.write(chunk)
            empty = False
    if empty:
        raise Refusal(400, "the body is empty; send a video")
    return Received(video=video, name=display_name(name))
