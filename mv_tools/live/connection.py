"""One connection to a live source: its packets, as long as it lasts."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from fractions import Fraction
from threading import Event
from typing import Any, Final, NamedTuple, cast

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from ..display import Display, read_display
from ..errors import MalformedStream, MotionError, SourceUnavailable, UnsupportedStream
from ..pictures.native_headers import NATIVE_CODECS
from ..source import Source, demuxed, video_tracks
from .address import Address, Transport
from .byte_stream import ByteStream, Pipe, open_bytes, standard_input
from .network_bytes import NetworkBytes

__all__ = ["Connection", "LivePacket", "open_connection"]

_USUAL_STEP: Final = 1 / 25
_STREAMS_MAY_APPEAR: Final = "mpegts"
_OVERHEAD: Final = 1.1  # bytes of MPEG-TS to a byte of a packet
_HTTP: Final = ("http", "https")

_REASONS: Final = {
    errno.ECONNREFUSED: "nothing listens there",
    errno.ETIMEDOUT: "it does not answer",
    errno.EHOSTUNREACH: "the host can't be reached",
    errno.ENETUNREACH: "the network can't be reached",
    errno.EADDRINUSE: "the port is in use",
}


class LivePacket(NamedTuple):
    """A packet of a live source.

    Attributes:
        data: an access unit.
        seconds: presentation time by the source's clock, or None.
        keyframe: whether the demuxer takes it for a keyframe.
        corrupt: whether the transport reports missing data in or before it.
        decoding: decoding time by the source's clock, or None.
        shown: whether a player shows its picture: an edit list of MP4 leaves some out, to which others refer.
    """

    data: bytes
    seconds: float | None
    keyframe: bool
    corrupt: bool
    decoding: float | None = None
    shown: bool = True


class Connection:
    """An opened source with H.264 or HEVC video.

    Attributes:
        codec, extradata: of the video.
        choice: which of several video streams is read, as a sentence; empty where there is one.
        display: how pictures are shown, as far as a file's container states it.
        step: seconds between pictures, by the stream's frame rate; for pictures without time stamps.
    """

    def __init__(self, address: Address, container: InputContainer, file: ByteStream | None = None) -> None:
        self._address, self._container, self._file = address, container, file
        self._stream = _video(address, container)
        context = self._stream.codec_context
        self.codec = context.codec.canonical_name
        self.extradata = None if context.extradata is None else bytes(context.extradata)
        self.choice = _choice(container, self._stream)
        self.display = _display_of(address, file, self._stream)
        # The average rate of raw streams is that of libavformat's option, 25, whatever they state.
        rate = context.framerate or self._stream.guessed_rate or self._stream.average_rate
        self.step = float(1 / rate) if rate else _USUAL_STEP

    def packets(self) -> Iterator[LivePacket | None]:
        """The packets of the video up to the end, None for those of other streams, such as sound.

        Raises:
            SourceUnavailable: the connection broke, or no data came for too long.
            MalformedStream: it is MP4 in a pipe or in the making, out of whose reach the pictures lie.
        """
        watched = self._file is not None and self._container.format.name == _STREAMS_MAY_APPEAR
        base = self._stream.time_base or Fraction(0)
        numerator, denominator = base.numerator, base.denominator
        try:
            for packet in demuxed(self._container, *self._container.streams):
                if packet.stream_index != self._stream.index:
                    yield None
                else:
                    pts, dts = packet.pts, packet.dts
                    yield LivePacket(
                        bytes(packet),
                        None if pts is None else pts * numerator / denominator,
                        bool(packet.is_keyframe),
                        bool(packet.is_corrupt),
                        None if dts is None else dts * numerator / denominator,
                        not packet.is_discard,
                    )
                if watched:
                    self._reach(packet)
        except av.error.FFmpegError as error:
            if self._file is not None and _is_passing_mp4(self._file):
                raise _not_a_video(self._address.name, self._file) from None
            self._break(error)
        if isinstance(self._file, NetworkBytes):
            if self._file.error is not None:
                self._break(self._file.error)
            if self._file.changed:
                raise SourceUnavailable(f"{self._address.name}: {self._file.changed}")

    def _break(self, error: av.error.FFmpegError) -> None:
        """Take an error of libavformat for the end, where it says no more.

        Raises:
            SourceUnavailable: it says that the connection broke.
        """
        # libavformat reports the end of an HTTP stream of unknown length as an input/output error.
        if not (error.errno == errno.EIO and self._address.scheme in _HTTP):
            raise SourceUnavailable(f"{self._address.name}: {_broken(error)}") from None

    def _reach(self, packet: Packet[Any]) -> None:
        """Note how far packets were found in a file or pipe."""
        assert self._file is not None
        if packet.pos is not None:
            end = packet.pos + round(packet.size * _OVERHEAD)
            self._file.reached = max(self._file.reached, end)
            self._file.asked = time.monotonic()

    @property
    def end(self) -> str:
        """What is to be said of the end of a file or pipe; empty if it is one like others."""
        if self._file is not None and (self._file.changed or self._file.foreign):
            return self._file.changed or self._file.foreign
        if not isinstance(self._file, Pipe) or not self._file.stalled:
            return ""
        return f"no data came for {self._file.timeout:g} s: reading ended (a longer timeout waits longer)"

    def close(self) -> None:
        """Close the connection."""
        self._container.close()
        if self._file is not None:
            self._file.close()


def open_connection(address: Address, *, transport: Transport, timeout: float, stop: Event) -> Connection:
    """Connect to a network source, or open a file or standard input.

    Args:
        address: the source.
        transport: of RTP behind RTSP.
        timeout: seconds without an answer or data.
        stop: ends reading of a file or standard input.

    Raises:
        FileNotFoundError: no such file.
        SourceUnavailable: the source can't be reached; says why, without user name and password.
        UnsupportedStream: it holds no H.264 or HEVC video.
        MalformedStream: it is no video.
    """
    file: ByteStream | None = None
    if address.kind == "file":
        file = open_bytes(address.target, timeout, stop)
    elif address.kind == "stdin":
        file = standard_input(timeout, stop)
    try:
        # Errors of libavformat hold the address with its password: they are not chained.
        try:
            if address.sends_bytes:
                file = NetworkBytes(address, timeout, stop)
            if file is not None:
                container = av.open(file, mode="r", options=address.format_options())
            else:
                options = address.options(transport, timeout)
                container = av.open(address.target, mode="r", options=options, timeout=(timeout, timeout))
        except (av.error.FFmpegError, OSError) as error:
            raise _refused(address, error, file) from None
        try:
            return Connection(address, container, file)
        except BaseException:
            container.close()
            raise
    except BaseException:
        if file is not None:
            file.close()
        raise


def _display_of(address: Address, file: ByteStream | None, stream: VideoStream) -> Display:
    """How the pictures of a file are shown; other sources state nothing of it, or can't be opened twice."""
    if address.kind != "file" or isinstance(file, Pipe):
        return Display()
    return read_display(Source.of(address.target), stream)


def _video(address: Address, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        context = cast("Any", stream).codec_context
        if context is not None and context.codec.canonical_name in NATIVE_CODECS:
            return stream
    held = sorted({_codec_name(stream) for stream in container.streams}) or ["nothing"]
    advice = "; set the camera to H.264" if address.kind == "network" and container.streams.video else ""
    raise UnsupportedStream(
        f"{address.name}: no H.264 or HEVC video (the source holds: {', '.join(held)}){advice}"
    )


def _choice(container: InputContainer, chosen: VideoStream) -> str:
    """Which of several video streams is read, as a sentence; empty where there is one."""
    tracks = video_tracks(container)
    if len(tracks) < 2:
        return ""
    held = ", ".join(_codec_name(stream) for stream in tracks)
    number = tracks.index(chosen) + 1 if chosen in tracks else 1
    return f"it has {len(tracks)} video streams ({held}); number {number} is read, the first of H.264 or HEVC"


def _codec_name(stream: Any) -> str:
    context = stream.codec_context
    return str(stream.type) if context is None else str(context.codec.canonical_name)


def _refused(address: Address, error: Any, file: ByteStream | None) -> MotionError:
    """Why a source can't be opened, as an error whose message holds no password."""
    if isinstance(file, NetworkBytes):
        if file.error is None and not file.received:
            return SourceUnavailable(f"{address.name}: it ended without any data")
        error = file.error or error
    elif file is not None:
        return _not_a_video(address.name, file)
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return SourceUnavailable(f"{address.name}: wrong user name or password")
    if isinstance(error, av.error.HTTPForbiddenError):
        return SourceUnavailable(f"{address.name}: access is forbidden")
    if isinstance(error, av.error.HTTPNotFoundError):
        return SourceUnavailable(f"{address.name}: there is no such stream")
    if isinstance(error, av.error.InvalidDataError):
        return MalformedStream(f"{address.name}: what it sends is no video stream of a known kind")
    if isinstance(error, av.error.ArgumentError) and isinstance(file, NetworkBytes):
        return MalformedStream(f"{address.name}: it sends neither MPEG-TS nor a raw stream of H.264 or HEVC")
    if isinstance(error, av.error.ExitError):
        return SourceUnavailable(f"{address.name}: it does not answer or sends no data")
    if error.errno == errno.EIO and not _resolves(address.host):
        return SourceUnavailable(f"{address.name}: no such host")
    if error.errno == errno.EIO and address.scheme in _HTTP:
        return SourceUnavailable(f"{address.name}: it sends no video stream of a known kind, or none at all")
    reason = _REASONS.get(error.errno or 0) or str(error.strerror or "it can't be opened").lower()
    return SourceUnavailable(f"{address.name}: {reason}")


def _not_a_video(name: str, file: ByteStream) -> MotionError:
    if not file.received:
        end = f"no data came in {file.timeout:g} s" if file.stalled else "it ended without any data"
        return SourceUnavailable(f"{name}: {end}")
    if _is_passing_mp4(file):
        return MalformedStream(
            f"{name}: of MP4 only fragments can be read from a pipe or while they are written, because the "
            "index lies at the end; write it with -movflags frag_keyframe+empty_moov, or use MPEG-TS"
        )
    return MalformedStream(f"{name}: not a video that can be read from its start")


def _is_passing_mp4(file: ByteStream) -> bool:
    """Whether it is MP4 that goes by, out of whose reach the index or the pictures may lie."""
    return not file.movable and file.head[4:] == b"ftyp"


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return False
    return True


def _broken(error: Any) -> str:
    if isinstance(error, av.error.ExitError):
        return "no data came for too long"
    return f"the connection broke ({str(error.strerror or 'unknown reason').lower()})"
