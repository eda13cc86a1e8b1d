"""What one pass over an H.264 file tells the native backend, and how it is kept and read back."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ..demux import PacketIndex, StreamFacts, scan_packets
from ..drafts import draft_of
from ..errors import MalformedStream
from ..source import Source, open_video
from .base import OtherBackend

if TYPE_CHECKING:
    from .._h264mv import StreamIndex

__all__ = ["Framing", "PacketReader", "StreamScan", "load_scan", "save_scan", "scan_stream"]

_KEEP: Final = 32 << 20
"""Bytes of packets that stay in memory after the scan: files up to this size are read once."""

_KIND: Final = "mv_tools H.264 index 1"
_PROBES: Final = 64  # places of the file that its fingerprint looks at
_PROBE_BYTES: Final = 4096
_ENDS: Final = 65536
_ARRAYS: Final = {"pts": np.int64, "keyframe": np.bool_, "shown": np.bool_, "size": np.int64, "units": np.uint8, "extradata": np.uint8}  # fmt: skip


class Framing(TypedDict):
    """How NAL units are delimited: by `length_size` bytes of length (0: start codes)."""

    length_size: int
    extradata: bytes | None


@dataclass(frozen=True)
class StreamScan:
    """Packets and headers of a file.

    Attributes:
        packets: in decoding order.
        headers: of the pictures in them.
        framing: for the parser.
        kept: the packets themselves, if the file is small.
        corrupt: number of the first packet that is cut short.
    """

    packets: PacketIndex
    headers: StreamIndex
    framing: Framing
    kept: list[bytes] | None
    corrupt: int | None


def _framing(stream: VideoStream) -> Framing:
    """avcC (ISO/IEC 14496-15, 5.2.4.1) has lengths, everything else start codes."""
    extradata = stream.codec_context.extradata
    if extradata is None or len(extradata) < 7 or extradata[0] != 1:
        return {"length_size": 0, "extradata": None}  # parameter sets come within the stream
    return {"length_size": (extradata[4] & 3) + 1, "extradata": bytes(extradata)}


class _Visitor:
    """Shown all packets of a file; makes the headers of them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.headers: StreamIndex | None = None
        self.framing: Framing = {"length_size": 0, "extradata": None}
        self.kept: list[bytes] | None = []
        self.corrupt: int | None = None
        self._bytes = 0

    def __call__(self, packet: Packet[VideoStream], number: int) -> None:
        if self.headers is None:
            self.headers = self._start(packet.stream)
        data = bytes(packet)
        if packet.is_corrupt and self.corrupt is None:
            self.corrupt = number
        self.headers.push(data, number)
        self._bytes += len(data)
        if self._bytes > _KEEP:
            self.kept = None
        if self.kept is not None:
            self.kept.append(data)

    def _start(self, stream: VideoStream) -> StreamIndex:
        from .._h264mv import StreamIndex as Headers

        if stream.codec_context.name != "h264":
            raise OtherBackend(
                f"{self.source.name}: the native backend reads H.264, this is {stream.codec_context.name!r}; "
                "use backend='libav' or 'auto'",
                expected=True,
            )
        self.framing = _framing(stream)
        return Headers(**self.framing)


def scan_stream(source: Source) -> StreamScan:
    """Read all packets and the headers of their pictures; no slice data is parsed.

    Raises:
        OtherBackend: not H.264, or it uses a feature that is not parsed.
        MalformedStream: damaged, or there is no picture.
    """
    from .._h264mv import H264Error, UnsupportedError

    visitor = _Visitor(source)
    try:
        packets = scan_packets(source, visitor)
    except UnsupportedError as error:
        raise OtherBackend(f"{source.name}: {error}", expected=False) from error
    except H264Error as error:
        raise MalformedStream(f"{source.name}: {error}") from error
    headers = visitor.headers
    if headers is None or not len(headers):
        why = (headers and headers.first_error) or "the video stream holds no picture"
        raise MalformedStream(f"{source.name}: {why}")
    return StreamScan(packets, headers, visitor.framing, visitor.kept, visitor.corrupt)


class PacketReader(AbstractContextManager["PacketReader"]):
    """Reads chosen packets, numbered in decoding order; seeks where the file has timestamps."""

    def __init__(self, source: Source, scan: StreamScan) -> None:
        self._source = source
        self._scan = scan
        self._opened: AbstractContextManager[tuple[InputContainer, VideoStream]] | None = None
        self._packets: Iterator[tuple[int, Packet[VideoStream]]] = iter(())
        self._number = -1  # of the packet read last
        order = np.argsort(scan.packets.pts, kind="stable")
        self._by_time = scan.packets.pts[order], order

    def __exit__(self, *exc: object) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)

    def read(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """The packets `numbers` (ascending).

        Raises:
            MalformedStream: one is cut short, or the file is not the one that was scanned.
        """
        if self._scan.kept is not None:
            found = {number: self._scan.kept[number] for number in numbers}
        else:
            found = {number: self._read_one(number) for number in numbers}
        for number, data in found.items():
            if number == self._scan.corrupt:
                name = self._source.name
                raise MalformedStream(
                    f"{name}: the file is cut short inside picture {number} (decoding order)"
                )
            if len(data) != self._scan.packets.size[number]:
                raise self._changed(number)
        return found

    def _changed(self, number: int) -> MalformedStream:
        return MalformedStream(
            f"{self._source.name}: packet {number} is not the one that was indexed; the file has changed, index it again"
        )

    def _read_one(self, number: int) -> bytes:
        self._approach(number)
        for found, packet in self._packets:
            self._number = found
            if found == number:
                return bytes(packet)
            if found > number:
                break
        raise self._changed(number)

    def _approach(self, number: int) -> None:
        """Be before packet `number`: go on, seek to the keyframe before it, or start again."""
        index = self._scan.packets
        keys = np.nonzero(index.keyframe[: number + 1])[0]
        key = int(keys[-1]) if len(keys) else 0
        if self._opened is not None and self._number < number and key <= self._number + 1:
            return
        if self._opened is None:
            self._opened = open_video(self._source, packets_only=True)
            self._container, self._stream = self._opened.__enter__()
            self._number, self._packets = -1, self._from_start()
        if index.timestamps and key > 0:
            try:
                self._container.seek(int(index.pts[key]), stream=self._stream)
            except av.error.FFmpegError:
                self._reopen()
                return
            self._packets = self._numbered()
            first = next(self._packets, None)
            if first is not None and first[0] <= number:
                self._number = first[0] - 1
                self._packets = _chain(first, self._packets)
                return
        if self._number >= number or index.timestamps:
            self._reopen()

    def _reopen(self) -> None:
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = open_video(self._source, packets_only=True)
        self._container, self._stream = self._opened.__enter__()
        self._number, self._packets = -1, self._from_start()

    def _from_start(self) -> Iterator[tuple[int, Packet[VideoStream]]]:
        whole = (packet for packet in self._container.demux(self._stream) if packet.size)
        yield from enumerate(whole)

    def _numbered(self) -> Iterator[tuple[int, Packet[VideoStream]]]:
        """Packets after a seek, told apart by their times."""
        times, order = self._by_time
        for packet in self._container.demux(self._stream):
            if not packet.size:
                continue
            at = int(np.searchsorted(times, packet.pts)) if packet.pts is not None else len(times)
            if at < len(times) and times[at] == packet.pts:
                yield int(order[at]), packet


def _chain(
    first: tuple[int, Packet[VideoStream]], rest: Iterator[tuple[int, Packet[VideoStream]]]
) -> Iterator[tuple[int, Packet[VideoStream]]]:
    yield first
    yield from rest


def _fingerprint(source: Source) -> str:
    """Of a file's size, both ends and places between them: tells files apart without reading all."""
    size = source.size
    places = [(0, _ENDS), (max(0, size - _ENDS), _ENDS)]
    places += [(size * i // _PROBES, _PROBE_BYTES) for i in range(1, _PROBES)]
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    if source.path is None:
        for start, count in places:
            digest.update((source.data or b"")[start : start + count])
    else:
        with source.path.open("rb") as file:
            for start, count in places:
                file.seek(start)
                digest.update(file.read(count))
    return digest.hexdigest()


def _digest(tensors: dict[str, npt.NDArray[np.generic]], about: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in _ARRAYS:
        digest.update(len(tensors[name]).to_bytes(8, "little") + tensors[name].tobytes())
    return digest.hexdigest()


def save_scan(scan: StreamScan, source: Source, path: Path) -> None:
    """Write a scan as .safetensors; the file appears when it is complete."""
    index = scan.packets
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "pts": index.pts,
        "keyframe": index.keyframe,
        "shown": index.shown,
        "size": index.size,
        "units": np.frombuffer(scan.headers.log(), np.uint8),
        "extradata": np.frombuffer(scan.framing["extradata"] or b"", np.uint8),
    }
    about = {
        "kind": _KIND,
        "fingerprint": _fingerprint(source),
        "time_base": index.time_base.hex(),
        "timestamps": str(int(index.timestamps)),
        "cut": index.cut or "",
        "corrupt": "" if scan.corrupt is None else str(scan.corrupt),
        "length_size": str(scan.framing["length_size"]),
        "stream": index.stream.to_json(),
    }
    about["digest"] = _digest(tensors, about)
    with draft_of(path) as draft:
        draft.write_bytes(save_tensors(tensors, about))


def load_scan(path: Path, source: Source) -> StreamScan:
    """Read what :func:`save_scan` wrote for this very file.

    Raises:
        FileNotFoundError: there is no such file.
        MalformedStream: not an index, damaged, or of another file.
    """
    from .._h264mv import H264Error, StreamIndex

    data = path.read_bytes()
    try:
        tensors = load_tensors(data)
        about = _metadata(data)
        digest = about.pop("digest")
        if about["kind"] != _KIND or {n: a.dtype for n, a in tensors.items()} != _ARRAYS:
            raise ValueError("it is of another kind or version")
        if any(a.ndim != 1 for a in tensors.values()) or digest != _digest(tensors, about):
            raise ValueError("its digest does not match")
        if about["fingerprint"] != _fingerprint(source):
            raise ValueError(f"it is the index of another file than {source.name}, or that file has changed")
        extradata = tensors["extradata"].tobytes() or None
        framing: Framing = {"length_size": int(about["length_size"]), "extradata": extradata}
        headers = StreamIndex.from_log(tensors["units"].tobytes(), length_size=framing["length_size"])
        packets = PacketIndex(
            stream=StreamFacts.from_json(about["stream"]),
            pts=tensors["pts"],
            keyframe=tensors["keyframe"],
            shown=tensors["shown"],
            size=tensors["size"],
            time_base=float.fromhex(about["time_base"]),
            timestamps=about["timestamps"] == "1",
            cut=about["cut"] or None,
        )
        corrupt = int(about["corrupt"]) if about["corrupt"] else None
        _check(packets, headers)
    except (SafetensorError, H264Error, ValueError, KeyError, OverflowError, AttributeError) as error:
        raise MalformedStream(f"{path}: not an index that can be used: {error}") from error
    return StreamScan(packets, headers, framing, None, corrupt)


def _metadata(data: bytes) -> dict[str, str]:
    """The header's __metadata__ of a .safetensors file that was already checked."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header["__metadata__"])


def _check(packets: PacketIndex, headers: StreamIndex) -> None:
    """What holds for each scan, whatever the digest says."""
    count = len(packets.pts)
    lengths = {len(packets.keyframe), len(packets.shown), len(packets.size)}
    if not count or lengths != {count} or not math.isfinite(packets.time_base):
        raise ValueError("its tables disagree")
    if not len(headers) or max(headers.picture_samples()) >= count:
        raise ValueError("its pictures lie outside of the file")
    if packets.timestamps and len(np.unique(packets.pts)) != count:
        raise ValueError("two packets have one time")
