"""Opening untrusted video files through libavformat."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

import av
import av.container
import av.error
import av.packet
import av.stream
import av.video.stream
from av.stream import Disposition

from .errors import ArgumentError, MalformedStream, UnsupportedStream
from .remote import RemoteFile, RemoteReader
from .urls import is_url, refuse_other_scheme, spelled

__all__ = [
    "FORMATS",
    "Source",
    "SourceLike",
    "demuxed",
    "file_stamp",
    "open_video",
    "utf8_path",
    "video_tracks",
]

SourceLike: TypeAlias = "str | os.PathLike[str] | bytes | IO[bytes] | Source"

# Only self-contained formats: playlists (HLS, concat, DASH) name other files and addresses.
FORMATS: Final = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,"
    "flv,asf,ogg,ivf,obu,nut,mxf,gxf,wtv,gif,wav,mp3,aac,flac,yuv4mpegpipe,rm,dv,vob,"
    "mjpeg,jpeg_pipe,h261,h263,vc1,dirac,dnxhd"
)

# Tags that are not UTF-8 must not end the reading of a file; PyAV 19 takes them as they are and has no option
# for it.
_METADATA: Final[dict[str, Any]] = (
    {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
)


@dataclass(frozen=True)
class Source:
    """A video given as a path, a URL or the bytes of a whole file.

    Raises:
        FileNotFoundError: the path does not exist.
        IsADirectoryError: the path is a folder.
        TypeError: the source is something else.
    """

    name: str
    path: Path | None = None
    data: bytes | None = None
    remote: RemoteFile | None = None

    @classmethod
    def of(cls, source: SourceLike) -> Source:
        """Make a Source of a path, a URL, bytes or a binary file object, which is read from its beginning."""
        if isinstance(source, Source):
            return source
        if isinstance(source, (bytes, bytearray, memoryview)):
            return cls(name="<bytes>", data=bytes(source))
        if isinstance(source, (str, os.PathLike)):
            if is_url(source):
                url = spelled(source)  # a path would join its slashes
                return cls(name=url, remote=RemoteFile(url))
            path = Path(source)
            if not path.exists():
                refuse_other_scheme(source)
                raise FileNotFoundError(errno.ENOENT, "no such video file", str(path))
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "this is a folder, not a video file", str(path))
            return cls(name=str(path), path=path)
        if hasattr(source, "read"):
            seekable = getattr(source, "seekable", None)
            if seekable is not None and seekable():
                source.seek(0)
            data = source.read()
            if not isinstance(data, bytes):
                raise TypeError("a file object must be opened in binary mode ('rb')")
            return cls(name=str(getattr(source, "name", "<file object>")), data=data)
        raise TypeError(f"source must be a path, bytes or a binary file object, got {type(source).__name__}")

    def refuse_overwriting(self, target: Path) -> None:
        """Refuse to write over the video itself.

        Raises:
            ArgumentError: `target` is its file.
        """
        if self.path is not None and target.exists() and target.samefile(self.path):
            raise ArgumentError(f"{target}: source and destination are the same file")

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self.stamp[0] if self.remote is None else self.remote.size

    @property
    def content(self) -> Path | bytes | RemoteFile:
        """Where the bytes are: a path, bytes, or an object with `size` and ``read_at(offset, size)``."""
        return self.path or self.remote or self.data or b""

    @property
    def stamp(self) -> tuple[int, ...]:
        """Numbers that change with the file on this machine; the size in bytes is the first."""
        if self.remote is not None:
            return self.remote.stamp
        return (len(self.data or b""),) if self.path is None else file_stamp(self.path)

    def open_raw(self) -> IO[bytes]:
        """Open the bytes of the file."""
        if self.remote is not None:
            return io.BufferedReader(RemoteReader(self.remote))
        return io.BytesIO(self.data or b"") if self.path is None else self.path.open("rb")

    def _is_mp4(self) -> bool:
        """Whether it begins like an ISO base media file (ISO/IEC 14496-12, 4.3)."""
        with self.open_raw() as file:
            return file.read(8)[4:] == b"ftyp"

    def open(self, *, packets_only: bool = False) -> av.container.InputContainer:
        """Open with libavformat.

        Args:
            packets_only: nothing will be decoded. The tables of an MP4 file hold all that demuxing
                needs, so libavformat is kept from decoding pictures to find more, which takes as long
                as parsing dozens of them.

        Raises:
            MalformedStream: empty, not a media file, or its header is damaged.
            PermissionError: the file can't be read.
        """
        if self.path is not None and not self.path.is_file():
            raise MalformedStream(f"{self.name}: this is a pipe or a device; save the video as a file first")
        if self.size == 0:
            raise MalformedStream(f"{self.name}: the file is empty (0 bytes)")
        # "file:" keeps a file named like a URL a file.
        target = f"file:{self.path}" if self.path is not None else self.open_raw()
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        try:
            if packets_only and self._is_mp4():
                options |= {"codec_whitelist": "none", "probesize": "32"}
            container: av.container.InputContainer = av.open(target, mode="r", options=options, **_METADATA)
            return container
        except av.error.PermissionError as error:
            raise PermissionError(errno.EACCES, "not readable", self.name) from error
        except av.error.FFmpegError as error:
            raise MalformedStream(
                f"{self.name}: not a video file that can be opened; it is damaged, cut short before "
                f"its index, or of another kind ({str(error.strerror or error).lower()})"
            ) from error


def file_stamp(path: Path) -> tuple[int, int, int, int]:
    """Size, times of modification and of change in nanoseconds, and inode of a file.

    Programs that copy files set the second one back, and none can set the third.

    Raises:
        OSError, ValueError: it is absent, or has an impossible name.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def video_tracks(container: av.container.Container) -> list[av.video.stream.VideoStream]:
    """The video streams that are not cover pictures; the first one is read."""
    return [stream for stream in container.streams.video if not _is_cover(stream)]


def _is_cover(stream: av.stream.Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _video_stream(container: av.container.InputContainer, name: str) -> av.video.stream.VideoStream:
    """The stream to read.

    Raises:
        UnsupportedStream: there is none.
    """
    for stream in video_tracks(container):
        return stream
    kinds = sorted({"cover picture" if _is_cover(s) else str(s.type) for s in container.streams}) or [
        "nothing"
    ]
    raise UnsupportedStream(f"{name}: no video stream (the file holds: {', '.join(kinds)})")


def demuxed(
    container: av.container.InputContainer, *streams: av.stream.Stream
) -> Iterator[av.packet.Packet[Any]]:
    """The packets of streams that hold data, up to the end of the container.

    PyAV ends with an empty packet for each stream, for decoders. It is not asked for them: a container such
    as MPEG-TS may have gained streams while it was read, and PyAV fails on those it did not know at first.

    Raises:
        av.error.FFmpegError: the container can't be read further.
    """
    packets: Any = container.demux(*streams)
    for packet in packets:
        if packet.size:
            yield packet
        elif packet.pts is None and packet.dts is None:
            packets.close()
            return


@contextmanager
def open_video(
    source: SourceLike, *, packets_only: bool = False
) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """Open a source and choose its video stream; the container is closed at the end.

    Args:
        source: the file.
        packets_only: nothing will be decoded (see :meth:`Source.open`).

    Raises:
        FileNotFoundError: the path does not exist.
        MalformedStream: the file can't be opened.
        UnsupportedStream: it has no video stream, or libav has no decoder for it.
    """
    source = Source.of(source)
    with source.open(packets_only=packets_only) as container:
        stream = _video_stream(container, source.name)
        if stream.codec_context is None:
            raise UnsupportedStream(f"{source.name}: no decoder for this video codec")
        yield container, stream


@contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """The path, or a link to it if its name is not UTF-8, for libraries that refuse such names."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"link{path.suffix.encode('ascii', 'ignore').decode()}"
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path
