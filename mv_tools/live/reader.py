"""Motion frames of a live source over all its connections, read in the calling thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any, Final, TypeAlias

from ..errors import MalformedStream, SourceUnavailable, UnsupportedStream
from .address import Address
from .arrivals import Arrivals, Notes
from .connection import LivePacket, open_connection
from .device import EncodedDevice
from .items import LiveItem, LiveOptions, LiveStatistics, Silence
from .keyframes import KeyframeDecoder, LivePicture
from .lag import Lag
from .opening import Opening
from .stream import MotionStream
from .waits import Wait, Waits

__all__ = ["LiveReader"]

Say: TypeAlias = Callable[[str], None]

_MOST_REORDERED: Final = 32  # packets in a row that give no picture, where pictures are reordered or fields
_LONGEST_GOP: Final = 30.0  # seconds to a keyframe, after a loss or from the start
_MOST_BEHIND: Final = 0.5  # seconds that reading is behind where it still pauses
_MOST_FAILURES: Final = 3  # keyframes in a row that give no picture and are not reported
_NO_PICTURES: Final = "its keyframes give no pictures: they can't be decoded alone"
_BEHIND: Final = "reading is behind: packets are skipped up to the next keyframe, and counted"
# Seconds before the first attempt to reconnect; each further one waits twice as long.
_FIRST_WAIT: Final = 0.5
_LEAST_WAIT: Final = 0.001
_RECOVERED_AFTER: Final = 10.0  # seconds of a connection after which waits start again from the shortest


class LiveReader:
    """Reads a live source, reconnecting with growing waits.

    Args:
        address: the source.
        options: see :class:`LiveOptions`.
        stop: ends reading.
        say: takes sentences about connections, without user names and passwords.

    Attributes:
        size: (width, height) of the pictures after cropping on the right and below; None before the first.
        arrived: when the packet of the last items arrived, by ``time.monotonic``.
    """

    def __init__(self, address: Address, options: LiveOptions, stop: Event, say: Say) -> None:
        self.address, self.options = address, options
        self._stop, self._say = stop, say
        self._notes = Notes(address.name, say)
        self._arrivals = Arrivals(address, options.max_lag, self._notes)
        self._connection: Any = None  # Connection or EncodedDevice
        self._index = 0
        self._given: float | None = None  # when the last frame was given out; None behind Silence
        self._resumed = float("-inf")  # when a frame came behind a silence that was not given
        self._fruitless, self._progress = 0, 0.0  # packets since the last frame, and when it came
        self._counts = LiveStatistics()
        self._stream: MotionStream | None = None
        self._pause = options.pause if address.buffered(options.transport) else 0.0
        self._waits = Waits(self._pause)
        self.size: tuple[int, int] | None = None
        self.arrived = time.monotonic()

    @property
    def lag(self) -> Lag:
        """How late pictures are."""
        return self._arrivals.lag

    def behind(self, now: float) -> float:
        """Seconds by which reading is behind what can be had at `now`, by ``time.monotonic``."""
        return self._arrivals.behind(now)

    @property
    def display(self) -> Any:
        """How pictures are shown, of the current connection."""
        assert self._connection is not None
        return self._connection.display

    @property
    def statistics(self) -> LiveStatistics:
        """Counts so far."""
        if self._stream is None:
            return self._counts
        counts = self._stream.statistics
        return replace(
            self._counts,
            frames=self._counts.frames + counts.frames,
            losses=self._counts.losses + counts.losses,
            skipped=self._counts.skipped + counts.skipped + counts.late,
        )

    def _open(self) -> Any:
        options = self.options
        if self.address.kind == "device":
            return EncodedDevice(self.address, self._stop)
        return open_connection(
            self.address, transport=options.transport, timeout=options.timeout, stop=self._stop
        )

    def connect(self) -> None:
        """Make the first connection; else :meth:`items` makes it.

        Raises:
            FileNotFoundError, SourceUnavailable, UnsupportedStream, MalformedStream: it failed, and why.
        """
        if self._connection is None:
            self._connected_to(self._open())

    def _connected_to(self, connection: Any) -> None:
        self._connection = connection
        self._counts = replace(self._counts, connections=self._counts.connections + 1)

    def _connect(self) -> Iterator[Silence]:
        """Make the next connection; a silence that begins meanwhile is given."""
        limit = self.options.silence
        if limit is None or self._given is None or self._connection is not None:
            self.connect()
            return
        opening = Opening(self._open)
        try:
            if not opening.wait(self._given + limit - time.monotonic()):
                self._given = None
                yield Silence()
            self._connected_to(opening.take())
        finally:
            opening.leave()

    def items(self) -> Iterator[LiveItem | Silence]:
        """Frames and pictures, over all connections, up to the end of a file or until `stop` is set.

        A source that was read is tried again whatever it sends later: cameras that start answer anything.

        Raises:
            MotionError, OSError: the source can't be opened and is not tried again.
        """
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                yield from self._connect()
                yield from self._connected()
                reason = f"{self.address.name}: the stream ended"
                if self.address.kind == "device":
                    return
            except (SourceUnavailable, MalformedStream, UnsupportedStream) as error:
                again = self.statistics.frames > 0 or not isinstance(error, UnsupportedStream)
                if not (again and self._tries_again):
                    raise
                reason = str(error)
            finally:
                self.close()
            if not self._tries_again or self._stop.is_set():
                return
            if time.monotonic() - started > _RECOVERED_AFTER:
                wait = _FIRST_WAIT
            self._say(f"{reason}; connecting again in {wait:g} s")
            yield from self._wait(wait)
            wait = min(2 * wait, self.options.max_wait)

    @property
    def _tries_again(self) -> bool:
        # What a graph gives does not change by trying it again.
        return self.options.reconnect and (self.address.kind == "network" or self.address.scheme == "v4l2")

    def _wait(self, seconds: float) -> Iterator[Silence]:
        """Wait before the next attempt."""
        limit, waited = self.options.silence, 0.0
        if limit is not None and self._given is not None:
            waited = min(max(self._given + limit + _LEAST_WAIT - time.monotonic(), 0.0), seconds)
            self._stop.wait(waited)
            yield from self._silence()
        self._stop.wait(seconds - waited)

    def _silence(self) -> Iterator[Silence]:
        """Once, where no frame came for long."""
        if self._is_silent(time.monotonic()):
            self._given = None
            yield Silence()

    def _resume_silence(self) -> None:
        """The connection is over: what it gave at last, behind a silence, came because it was given up."""
        limit = self.options.silence
        if limit is not None and self._given is not None and time.monotonic() < self._resumed + limit:
            self._given = self._resumed - limit

    def _is_silent(self, now: float) -> bool:
        """Whether no frame came for long."""
        limit = self.options.silence
        return limit is not None and self._given is not None and now >= self._given + limit

    def close(self) -> None:
        """Close the connection, from the thread that reads."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> Iterator[LiveItem | Silence]:
        connection = self._connection
        assert connection is not None
        stream: Any = MotionStream(
            connection.codec,
            connection.extradata,
            order=self.options.order,
            display=connection.display,
            first_index=self._index,
            deferred=self.options.deferred,
            sort_times=True,
        )
        self._stream = stream
        keyframes = None
        if self.options.pictures:
            interval = self.options.picture_interval
            keyframes = KeyframeDecoder(connection.codec, connection.extradata, interval)
        self._arrivals.restart(connection.step)
        self._waits.restart()
        self._notes.restart()
        if connection.choice:
            self._notes.once(connection.choice)
        done = asked = self._progress = time.monotonic()
        self._fruitless = 0
        try:
            for packet in connection.packets():
                if self._stop.is_set():
                    return
                self._require_pictures(time.monotonic())
                if packet is None:
                    self._require_video(done, time.monotonic())
                    yield from self._silence()
                    continue
                busy, self.arrived = done - self.arrived, time.monotonic()
                wait = self._waits.add(self.arrived - asked, busy, self._arrivals.step)
                yield from self._packet(stream, keyframes, packet, wait)
                asked = done = time.monotonic()
                if self._pause and wait.seconds and self.behind(done) < _MOST_BEHIND:
                    self._stop.wait(self._pause)
                    asked = time.monotonic()
            yield from stream.flush()
            if self._fruitless > _MOST_REORDERED:
                self._notes.add(f"its last {self._fruitless} packets gave no pictures: did its codec change?")
            if connection.end:
                self._notes.add(connection.end)
        except SourceUnavailable:
            yield from stream.flush()
            raise
        finally:
            self._counts, self._stream = self.statistics, None
            self._index = stream.next_index
            self._resume_silence()

    def _packet(
        self, stream: MotionStream, keyframes: KeyframeDecoder | None, packet: LivePacket, wait: Wait
    ) -> Iterator[LiveItem | Silence]:
        """What a packet gives."""
        if not packet.shown:
            self._arrivals.not_shown(self.arrived)
            yield from stream.push(packet.data, shown=False)
            return
        arrival = self._arrivals.of(packet, self.arrived, wait)
        if arrival.loss:
            yield from stream.mark_loss(arrival.loss)
        if arrival.late:
            yield from self._skip(stream)
            return
        if keyframes is not None:
            yield from self._picture(keyframes, packet, arrival.seconds)
        frames = stream.push(packet.data, arrival.seconds)
        if stream.second_field:
            self._arrivals.second_field(packet)
        self.size = stream.size
        yield from frames
        self._fruitless = 0 if frames else self._fruitless + 1
        if frames:
            self._progress = self.arrived
            if self._is_silent(self.arrived):
                self._resumed = self.arrived
            self._given = time.monotonic()
        else:
            yield from self._silence()

    def _require_video(self, last_packet: float, now: float) -> None:
        """Refuse a connection through which something comes, but no video.

        A new connection finds out anew which stream is the video, and its codec.

        Raises:
            SourceUnavailable: for too long.
        """
        limit = self.options.timeout
        if self.address.kind == "network" and now - last_packet > limit:
            raise SourceUnavailable(f"{self.address.name}: no video came for {limit:g} s, but other data")

    def _require_pictures(self, now: float) -> None:
        """Refuse a connection through which video comes that can't be read, as above.

        Raises:
            SourceUnavailable: for too long.
        """
        limit = max(self.options.timeout, _LONGEST_GOP)
        given = self._stream is not None and self._stream.statistics.frames > 0
        fruitless = given and self._fruitless > _MOST_REORDERED and now - self._progress > limit
        if self.address.kind == "network" and fruitless:
            raise SourceUnavailable(f"{self.address.name}: its packets gave no picture for {limit:g} s")

    def _picture(
        self, keyframes: KeyframeDecoder, packet: LivePacket, seconds: float
    ) -> Iterator[LivePicture]:
        """The picture of a keyframe, if that is known with a packet."""
        picture = keyframes.decode(packet.data, seconds, self.display, keyframe=packet.keyframe)
        if picture is not None:
            self._counts = replace(self._counts, pictures=self._counts.pictures + 1)
            yield picture
        elif keyframes.failures >= _MOST_FAILURES:
            self._notes.once(_NO_PICTURES)

    def _skip(self, stream: MotionStream) -> Iterator[LiveItem | Silence]:
        """Leave a packet out: this reader is behind."""
        self._notes.once(_BEHIND)
        self._counts = replace(self._counts, dropped=self._counts.dropped + 1)
        yield from stream.mark_loss("reading is behind the source")
        yield from self._silence()
