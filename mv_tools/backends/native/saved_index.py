"""A scan of an H.264 file kept beside it: written, bound to that very file, read back.

An index is a .safetensors file. The file is untrusted: all fields are validated.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ...atomic import atomic_write
from ...display import Display
from ...errors import MalformedStream, UnsupportedStream
from ...pictures.index import NO_TAG, PictureIndex, picture_index
from ...pictures.packets import NO_PTS, PacketIndex, StreamFacts
from ...pictures.scan import Framing, StreamScan
from ...source import Source

if TYPE_CHECKING:
    from ..._h264mv import StreamIndex

__all__ = ["load_scan", "save_scan"]

_KIND: Final = "mv_tools H.264 index 3"
_PROBES: Final = 64  # places of the file that its fingerprint looks at
_LONGEST: Final = 1e6  # seconds a tick
_LATEST: Final = 1 << 62  # ticks
_PROBE_BYTES: Final = 4096
_ENDS: Final = 65536
_PACKETS: Final = ("pts", "dts", "duration", "keyframe", "shown", "corrupt", "size", "position")
_FLAGS: Final = ("keyframe", "shown", "corrupt", "entry", "damage")
_ARRAYS: Final[dict[str, type[np.generic]]] = {
    **{
        name: np.bool_ if name in _FLAGS else np.int64
        for name in (*_PACKETS, "packet", "entry", "damage", "doubts")
    },
    "units": np.uint8,
    "extradata": np.uint8,
}


def _fingerprint(source: Source) -> str:
    """Of a file's size, both ends and places between them: tells files apart without reading all."""
    size = source.size
    places = [(0, _ENDS), (max(0, size - _ENDS), _ENDS)]
    places += [(size * i // _PROBES, _PROBE_BYTES) for i in range(1, _PROBES)]
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    with source.open_raw() as file:
        for start, count in places:
            file.seek(start)
            digest.update(file.read(count))
    return digest.hexdigest()


def _digest(tensors: dict[str, npt.NDArray[np.generic]], about: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in _ARRAYS:
        digest.update(len(tensors[name]).to_bytes(8, "little") + tensors[name].tobytes())
    return digest.hexdigest()


def save_scan(scan: StreamScan, pictures: PictureIndex, source: Source, path: Path) -> None:
    """Write a scan as .safetensors; the file appears when it is complete."""
    if scan.headers is None:
        raise UnsupportedStream(f"{source.name}: only an H.264 stream has an index to keep")
    index = scan.packets
    tensors: dict[str, npt.NDArray[np.generic]] = {
        **{name: getattr(index, name) for name in _PACKETS},
        "packet": pictures.packet,
        "entry": pictures.entry,
        "damage": pictures.corrupt,
        "doubts": pictures.doubts,
        "units": np.frombuffer(scan.headers.log(), np.uint8),
        "extradata": np.frombuffer(scan.framing["extradata"] or b"", np.uint8),
    }
    about = {
        "kind": _KIND,
        "fingerprint": _fingerprint(source),
        "time_base": index.time_base.hex(),
        "exact_seeks": str(int(index.exact_seeks)),
        "cut": index.cut or "",
        "length_size": str(scan.framing["length_size"]),
        "stream": index.stream.to_json(),
        "display": json.dumps(scan.display.to_plain()),
        "decoded": str(int(pictures.decoded)),
        "head": str(int(pictures.head)),
        "damaged": json.dumps(pictures.damaged),
    }
    about["digest"] = _digest(tensors, about)
    with atomic_write(path) as draft:
        draft.write_bytes(save_tensors(tensors, about))


def load_scan(path: Path, source: Source) -> tuple[StreamScan, PictureIndex]:
    """Read what :func:`save_scan` wrote for this very file.

    Raises:
        FileNotFoundError: there is no such file.
        MalformedStream: not an index, damaged, or of another file.
    """
    from ..._h264mv import H264Error, StreamIndex

    data, stamp = path.read_bytes(), source.stamp
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
            **{name: tensors[name] for name in _PACKETS},
            time_base=float.fromhex(about["time_base"]),
            exact_seeks=about["exact_seeks"] == "1",
            cut=about["cut"] or None,
        )
        display = Display.from_plain(json.loads(about["display"]))
        _check(packets, headers)
        _check_pictures(packets, tensors)
        pictures = picture_index(
            packets,
            tensors["packet"],
            tensors["entry"],
            corrupt=tensors["damage"] if about["decoded"] == "1" else None,
            doubts=tensors["doubts"].tolist(),
            head=about["head"] == "1",
            damaged=tuple((int(number), str(why)) for number, why in json.loads(about["damaged"])),
        )
    except (
        SafetensorError,
        H264Error,
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        AttributeError,
    ) as error:
        raise MalformedStream(f"{path}: not an index that can be used: {error}") from error
    return StreamScan(packets, headers, framing, stamp, display), pictures


def _metadata(data: bytes) -> dict[str, str]:
    """The header's __metadata__ of a .safetensors file that was already checked."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header["__metadata__"])


def _check(packets: PacketIndex, headers: StreamIndex) -> None:
    """What holds for each scan, whatever the digest says."""
    count = len(packets)
    lengths = {len(getattr(packets, name)) for name in _PACKETS}
    if not count or lengths != {count} or not 0 < packets.time_base <= _LONGEST:
        raise ValueError("its tables disagree")
    if packets.stream.codec != "h264":
        raise ValueError("it is of another codec")
    for stamps in (packets.pts, packets.dts):
        if (np.abs(stamps[stamps != NO_PTS]) > _LATEST).any():
            raise ValueError("its times are out of range")
    if packets.duration.min() < 0 or packets.duration.max() > _LATEST or packets.size.min() < 0:
        raise ValueError("its packets are of negative size or length")
    if not len(headers) or max(headers.picture_samples()) >= count:
        raise ValueError("its pictures lie outside of the file")


def _check_pictures(packets: PacketIndex, tensors: dict[str, npt.NDArray[np.generic]]) -> None:
    picture, doubts = tensors["packet"].astype(np.int64), tensors["doubts"].astype(np.int64)
    if {len(tensors["entry"]), len(tensors["damage"])} != {len(picture)} or not len(picture):
        raise ValueError("its tables disagree")
    known = picture[picture != NO_TAG]
    if picture.min() < NO_TAG or picture.max() >= len(packets) or len(np.unique(known)) < len(known):
        raise ValueError("its numbering of pictures lies outside of the file")
    if not packets.shown[known].all() or (
        len(doubts) and not 0 <= doubts.min() <= doubts.max() < len(packets)
    ):
        raise ValueError("its numbering of pictures lies outside of the file")
