"""The scan of an H.264 or HEVC file saved beside it: written, bound to the file's content, read back.

An index is a .safetensors file. It is untrusted: all fields are validated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ...atomic import atomic_write
from ...display import Display
from ...errors import MalformedStream, SourceChanged, UnsupportedStream
from ...pictures.index import PictureIndex, picture_index
from ...pictures.native_headers import NATIVE_CODECS, Framing
from ...pictures.packets import NO_PACKET, NO_PTS, PacketIndex, StreamProperties
from ...pictures.scan import StreamScan
from ...source import Source

if TYPE_CHECKING:
    from ..._native import StreamIndex

__all__ = ["SavedIndex", "save_scan"]

Tensors: TypeAlias = dict[str, npt.NDArray[np.generic]]

_KIND: Final = "mv_tools index 6"
_FINGERPRINT_PARTS: Final = 64  # places of the file that its fingerprint covers
_PART_BYTES: Final = 4096
_END_BYTES: Final = 65536
_MAX_TICK_SECONDS: Final = 1e6
_MAX_TICKS: Final = 1 << 62
_MAX_SIDE: Final = 1 << 16  # samples
_PACKET_COLUMNS: Final = ("pts", "dts", "duration", "keyframe", "displayed", "corrupt", "size", "position")
_FLAGS: Final = ("keyframe", "displayed", "corrupt", "picture_entry", "picture_corrupt")
_INT64_TENSORS: Final = (*_PACKET_COLUMNS, "picture_packet", "damaged_packets")
_DTYPES: Final[dict[str, type[np.generic]]] = {
    **dict.fromkeys(_INT64_TENSORS, np.int64),
    **dict.fromkeys(_FLAGS, np.bool_),
    "units": np.uint8,
    "extradata": np.uint8,
}
_STREAM_TYPES: Final = {
    "codec": str,
    "profile": (str, type(None)),
    "width": int,
    "height": int,
    "rate": (list, type(None)),
    "seconds": (float, type(None)),
    "reorder_depth": int,
    "probed": bool,
}


def save_scan(scan: StreamScan, pictures: PictureIndex, source: Source, path: Path) -> None:
    """Write a scan as .safetensors; the file appears when it is complete.

    Raises:
        UnsupportedStream: not an H.264 or HEVC stream.
        SourceChanged: the file is not the one that was scanned any more.
    """
    if scan.stamp != source.stamp:
        raise SourceChanged(f"{source.name}: the file changed after it was scanned; open it again")
    if scan.headers is None:
        raise UnsupportedStream(f"{source.name}: only an H.264 or HEVC stream has an index to save")
    packets = scan.packets
    tensors: Tensors = {
        **{name: getattr(packets, name) for name in _PACKET_COLUMNS},
        "picture_packet": pictures.packet,
        "picture_entry": pictures.entry,
        "picture_corrupt": pictures.corrupt,
        "damaged_packets": pictures.damaged_packets,
        "units": np.frombuffer(scan.headers.log(), np.uint8),
        "extradata": np.frombuffer(scan.framing["extradata"] or b"", np.uint8),
    }
    metadata = {
        "kind": _KIND,
        "fingerprint": _fingerprint(source),
        "time_base": packets.time_base.hex(),
        "exact_seeks": str(int(packets.exact_seeks)),
        "truncation": packets.truncation or "",
        "codec": scan.framing["codec"],
        "length_size": str(scan.framing["length_size"]),
        "stream": _stream_to_json(packets.stream),
        "display": json.dumps(scan.display.to_json()),
        "decoded": str(int(pictures.decoded)),
        "needs_first_packet": str(int(pictures.needs_first_packet)),
        "refused": json.dumps(pictures.refused),
    }
    metadata["digest"] = _digest(tensors, metadata)
    with atomic_write(path) as draft:
        draft.write_bytes(save_tensors(tensors, metadata))


@dataclass(frozen=True)
class SavedIndex:
    """What :func:`save_scan` wrote, found to be of a file.

    Attributes:
        path: of the index.
    """

    path: Path
    _tensors: Tensors
    _metadata: dict[str, str]
    _stamp: tuple[int, ...]

    @classmethod
    def read(cls, path: Path, source: Source) -> SavedIndex:
        """Read an index.

        Raises:
            FileNotFoundError: there is no such file.
            MalformedStream: not an index, damaged, or of another file than `source`.
        """
        data, stamp = path.read_bytes(), source.stamp
        with _refusing(path):
            tensors, metadata = load_tensors(data), _metadata(data)
            _check_identity(tensors, metadata, source)
            return cls(path, tensors, metadata, stamp)

    @property
    def packet(self) -> npt.NDArray[np.generic]:
        """The packet of each picture, as the index says."""
        return self._tensors["picture_packet"]

    @cached_property
    def loaded(self) -> tuple[StreamScan, PictureIndex]:
        """The scan and the pictures, whose headers are parsed again: half the time of a scan.

        Raises:
            MalformedStream: damaged although its digest matches.
        """
        with _refusing(self.path):
            return _scan(self._tensors, self._metadata, self._stamp)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    from ..._native import NativeError

    try:
        yield
    except (
        SafetensorError,
        NativeError,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        AttributeError,
    ) as error:
        raise MalformedStream(f"{path}: not an index that can be used: {error}") from error


def _scan(
    tensors: Tensors, metadata: dict[str, str], stamp: tuple[int, ...]
) -> tuple[StreamScan, PictureIndex]:
    """The scan and the pictures that an index describes."""
    from ..._native import StreamIndex

    extradata = tensors["extradata"].tobytes() or None
    framing: Framing = {
        "codec": metadata["codec"],
        "length_size": int(metadata["length_size"]),
        "extradata": extradata,
    }
    headers = StreamIndex.from_log(
        tensors["units"].tobytes(), codec=framing["codec"], length_size=framing["length_size"]
    )
    packets = PacketIndex(
        stream=_stream_from_json(metadata["stream"]),
        **{name: tensors[name] for name in _PACKET_COLUMNS},  # type: ignore[arg-type]
        time_base=float.fromhex(metadata["time_base"]),
        exact_seeks=metadata["exact_seeks"] == "1",
        truncation=metadata["truncation"] or None,
    )
    display = Display.from_json(json.loads(metadata["display"]))
    _check_packets(packets, headers)
    _check_pictures(packets, tensors)
    pictures = picture_index(
        packets,
        tensors["picture_packet"],  # type: ignore[arg-type]
        tensors["picture_entry"],  # type: ignore[arg-type]
        corrupt=tensors["picture_corrupt"] if metadata["decoded"] == "1" else None,  # type: ignore[arg-type]
        damaged_packets=tensors["damaged_packets"].tolist(),
        needs_first_packet=metadata["needs_first_packet"] == "1",
        refused=tuple((int(number), str(reason)) for number, reason in json.loads(metadata["refused"])),
    )
    scan = StreamScan(packets=packets, headers=headers, framing=framing, stamp=stamp, display=display)
    return scan, pictures


def _metadata(data: bytes) -> dict[str, str]:
    """The header's __metadata__ of a .safetensors file whose header is valid."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header["__metadata__"])


def _fingerprint(source: Source) -> str:
    """Digest of a file's size, both ends and parts between them: it tells files apart without a full read."""
    size = source.size
    parts = [(0, _END_BYTES), (max(0, size - _END_BYTES), _END_BYTES)]
    parts += [(size * i // _FINGERPRINT_PARTS, _PART_BYTES) for i in range(1, _FINGERPRINT_PARTS)]
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    with source.open_raw() as file:
        for start, count in parts:
            file.seek(start)
            digest.update(file.read(count))
    return digest.hexdigest()


def _digest(tensors: Tensors, metadata: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in _DTYPES:
        digest.update(len(tensors[name]).to_bytes(8, "little") + tensors[name].tobytes())
    return digest.hexdigest()


def _stream_to_json(stream: StreamProperties) -> str:
    rate = None if stream.rate is None else [stream.rate.numerator, stream.rate.denominator]
    return json.dumps({**asdict(stream), "rate": rate})


def _stream_from_json(text: str) -> StreamProperties:
    """Read what `_stream_to_json` returned.

    Raises:
        ValueError: the text has another form.
    """
    value: Any = json.loads(text)
    if not isinstance(value, dict) or value.keys() != _STREAM_TYPES.keys():
        raise ValueError("unexpected fields in its description of the stream")
    types = _STREAM_TYPES.items()
    if not all(isinstance(value[name], kind) for name, kind in types):  # type: ignore[arg-type]
        raise ValueError("unexpected types in its description of the stream")
    if not 0 <= value["width"] <= _MAX_SIDE or not 0 <= value["height"] <= _MAX_SIDE:
        raise ValueError("its picture size is beyond any stream's")
    rate = value["rate"]
    return StreamProperties(**{**value, "rate": None if rate is None else _rate(rate)})


def _rate(numbers: list[Any]) -> Fraction:
    integers = [type(number) for number in numbers] == [int, int]
    if not integers or not 0 <= numbers[0] < 1 << 31 or not 0 < numbers[1] < 1 << 31:
        raise ValueError("its frame rate is not a fraction")
    return Fraction(*numbers)


def _check_identity(tensors: Tensors, metadata: dict[str, str], source: Source) -> None:
    """Check that the index is of this kind, complete and of this file; removes its digest."""
    digest = metadata.pop("digest")
    if metadata["kind"] != _KIND or {name: array.dtype for name, array in tensors.items()} != _DTYPES:
        raise ValueError("it is of another kind or version")
    if any(array.ndim != 1 for array in tensors.values()) or digest != _digest(tensors, metadata):
        raise ValueError("its digest does not match")
    if metadata["fingerprint"] != _fingerprint(source):
        raise ValueError(f"it is the index of another file than {source.name}, or that file has changed")


def _check_packets(packets: PacketIndex, headers: StreamIndex) -> None:
    """Check properties of each valid scan, even if the digest matches."""
    count = len(packets)
    lengths = {len(getattr(packets, name)) for name in _PACKET_COLUMNS}
    if not count or lengths != {count} or not 0 < packets.time_base <= _MAX_TICK_SECONDS:
        raise ValueError("its tables disagree")
    if packets.stream.codec not in NATIVE_CODECS:
        raise ValueError("it is of another codec")
    for stamps in (packets.pts, packets.dts):
        if (np.abs(stamps[stamps != NO_PTS]) > _MAX_TICKS).any():
            raise ValueError("its times are out of range")
    if packets.duration.min() < 0 or packets.duration.max() > _MAX_TICKS or packets.size.min() < 0:
        raise ValueError("its packets are of negative size or length")
    if not len(headers) or max(headers.picture_samples()) >= count:
        raise ValueError("its pictures lie outside of the file")


def _check_pictures(packets: PacketIndex, tensors: Tensors) -> None:
    packet, damaged = tensors["picture_packet"].astype(np.int64), tensors["damaged_packets"].astype(np.int64)
    lengths = {len(tensors["picture_entry"]), len(tensors["picture_corrupt"])}
    if not len(packet) or lengths != {len(packet)}:
        raise ValueError("its tables disagree")
    known = packet[packet != NO_PACKET]
    in_file = packet.min() >= NO_PACKET and packet.max() < len(packets)
    damage_in_file = not len(damaged) or 0 <= damaged.min() <= damaged.max() < len(packets)
    unique = len(np.unique(known)) == len(known)
    if not (in_file and damage_in_file and unique and packets.displayed[known].all()):
        raise ValueError("its numbering of pictures lies outside of the file")
