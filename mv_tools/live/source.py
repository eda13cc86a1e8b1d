"""Live sources as iterators, which close promptly."""

from __future__ import annotations

import logging
import os
import queue
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, get_args

from ..decoder import Order
from ..errors import ArgumentError
from .address import Address, Transport
from .items import LiveItem, LiveOptions, LiveStatistics
from .reader import LiveReader

__all__ = ["LiveSource", "open_live"]

_log = logging.getLogger("mv_tools.live")

_QUEUED: Final = 64  # frames and pictures that wait for the caller
_POLL: Final = 0.1  # seconds, after which Ctrl-C is noticed
_JOIN: Final = 0.5  # seconds that `close` waits for the thread that reads

_END: Final = object()


class LiveSource:
    """Motion frames of a live source, as :func:`open_live` returns.

    A thread reads ahead: iterating waits at most a tenth of a second at a time, so that Ctrl-C and
    :meth:`close` are prompt while a camera is silent. Where the caller is slower than a camera, the oldest
    waiting frames are dropped and counted; those of a file or standard input wait.

    Attributes:
        name: the address without user name, password and query.
    """

    def __init__(self, address: Address, options: LiveOptions) -> None:
        self.name = address.name
        self._stop = threading.Event()
        self._reader = LiveReader(address, options, self._stop, _log.warning)
        self._ahead = _ReadAhead(self._reader, self._stop, waits=address.kind != "network")
        self._end: object = None  # `_END` or an error, once the items ended
        opened: queue.Queue[BaseException | None] = queue.Queue()
        self._thread = threading.Thread(
            target=self._ahead.run, args=(opened,), name="mv_tools.live", daemon=True
        )
        weakref.finalize(self, self._stop.set)  # of a source that is dropped, not closed
        self._thread.start()
        try:
            error = _take(opened)
        except BaseException:
            self._stop.set()
            raise
        if error is not None:
            raise error

    @property
    def statistics(self) -> LiveStatistics:
        """Counts so far."""
        return replace(self._reader.statistics, dropped=self._ahead.dropped)

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the coded picture, cropped on the right and below; None before the first."""
        return self._reader.size

    def __iter__(self) -> Iterator[LiveItem]:
        while not self._stop.is_set() and self._end is None:
            try:
                item = self._ahead.queue.get(timeout=_POLL)
            except queue.Empty:
                continue
            if item is _END or isinstance(item, BaseException):
                self._end = item
            else:
                yield item
        if isinstance(self._end, BaseException) and not self._stop.is_set():
            raise self._end

    def close(self) -> None:
        """End reading. A connection that does not answer is given up in the background."""
        self._stop.set()
        self._thread.join(_JOIN)

    def __enter__(self) -> LiveSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _ReadAhead:
    """What the thread does. It does not hold the source, so that one nobody holds any more ends.

    Args:
        reader: what is read.
        stop: ends reading.
        waits: whether items wait for a slow caller; else the oldest are dropped.

    Attributes:
        queue: of the items, and at last `_END` or an error.
        dropped: number of items.
    """

    def __init__(self, reader: LiveReader, stop: threading.Event, *, waits: bool) -> None:
        self._reader, self._stop, self._waits = reader, stop, waits
        self.queue: queue.Queue[Any] = queue.Queue(_QUEUED)
        self.dropped = 0

    def run(self, opened: queue.Queue[BaseException | None]) -> None:
        """Connect, which `opened` is told, and read up to the end."""
        try:
            self._reader.connect()
        except Exception as error:
            opened.put(error)
            return
        opened.put(None)
        end: object = _END
        try:
            for item in self._reader.items():
                self._put(item)
        except Exception as error:
            end = error
        self._put(end)

    def _put(self, item: object) -> None:
        while not self._stop.is_set():
            try:
                self.queue.put(item, timeout=_POLL if self._waits else 0)
            except queue.Full:
                if not self._waits:
                    self._drop_oldest()
            else:
                return

    def _drop_oldest(self) -> None:
        try:
            self.queue.get_nowait()
        except queue.Empty:
            return
        self.dropped += 1


def _take(opened: queue.Queue[BaseException | None]) -> BaseException | None:
    """Wait, so that Ctrl-C is noticed."""
    while True:
        try:
            return opened.get(timeout=_POLL)
        except queue.Empty:
            continue


def open_live(
    url: str | os.PathLike[str],
    *,
    transport: Transport = "tcp",
    timeout: float = 5.0,
    reconnect: bool = True,
    pictures: bool = False,
    picture_interval: float = 0.0,
    order: Order = "presentation",
) -> LiveSource:
    """Open a live source of H.264 or HEVC video and iterate over its motion frames.

    This is the only function that opens cameras and streams: :class:`~mv_tools.MotionDecoder` and all others
    read files, those at ``s3://`` and ``https://`` too; to them ``rtsp://`` addresses are names of files.

    Times (`pts_seconds`) count from the first picture that comes, though it may lie before the first keyframe
    and be left out, and never jump: where a camera was reconnected or its time stamps jump, they continue by
    the time that passed here. `index` grows over all connections. Frames
    behind lost data are left out up to the next keyframe, see :class:`~mv_tools.MotionStream`.

    Args:
        url: rtsp:// or rtsps:// (a camera), rtp://, udp://, tcp://, http:// or https:// (MPEG-TS), a file,
            which is read as it grows, or ``-`` for standard input. Other schemes and playlists are refused. A
            user name and password in it are shown nowhere. A path object is a file.
        transport: "tcp" or "udp", of RTP behind RTSP.
        timeout: seconds without an answer or data, after which a network source is connected again (after 0.5
            s, and after twice as long each time, up to 30 s), and a file or standard input ends.
        reconnect: False: a network source that breaks raises SourceUnavailable.
        pictures: decode keyframes too: items are motion frames and :class:`~mv_tools.LivePicture`.
        picture_interval: seconds; keyframes sooner after the last one are not decoded.
        order: "presentation" or "decode".

    Returns:
        An iterator and context manager.

    Raises:
        FileNotFoundError: no such file.
        SourceUnavailable: the source can't be reached the first time, and why.
        UnsupportedStream: it holds no H.264 or HEVC video.
        MalformedStream: it is no video.
        ArgumentError: a scheme that is not allowed, another transport, a timeout that is not positive, or an
            interval that is negative.

    Example:
        >>> with open_live("rtsp://camera/stream") as camera:     # doctest: +SKIP
        ...     for frame in camera:
        ...         print(frame.pts_seconds, frame.pict_type)
    """
    if transport not in get_args(Transport):
        raise ArgumentError(f"transport must be one of {get_args(Transport)}, got {transport!r}")
    if order not in get_args(Order):
        raise ArgumentError(f"order must be one of {get_args(Order)}, got {order!r}")
    if not 0 < timeout < float("inf"):
        raise ArgumentError(f"timeout must be above 0 seconds, got {timeout:g}")
    if not 0 <= picture_interval < float("inf"):
        raise ArgumentError(f"picture_interval must be 0 seconds or more, got {picture_interval:g}")
    options = LiveOptions(
        transport=transport,
        timeout=timeout,
        reconnect=reconnect,
        pictures=pictures,
        picture_interval=picture_interval,
        order=order,
    )
    place = os.fspath(url)
    address = Address.parse(url) if isinstance(url, str) else Address("file", place, place)
    if address.kind == "device":
        raise ArgumentError(f"{address.name}: pictures of a device are encoded by `moclip watch` only")
    return LiveSource(address, options)
