"""A scan of an H.264 file kept beside it: written, bound to that very file, read back.

An index is a .safetensors file. It may come from anybody: whatever it says is checked before use.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ..demux import PacketIndex, StreamFacts
from ..drafts import draft_of
from ..errors import MalformedStream
from ..source import Source
from .native_index import Framing, StreamScan

if TYPE_CHECKING:
    from .._h264mv import StreamIndex

__all__ = ["load_scan", "save_scan"]

_KIND: Final = "mv_tools H.264 index 3"
_PROBES: Final = 64  # places of the file that its fingerprint looks at
_PROBE_BYTES: Final = 4096
_ENDS: Final = 65536
_ARRAYS: Final = {
    "pts": np.int64, "keyframe": np.bool_, "shown": np.bool_, "size": np.int64, "position": np.int64,
    "units": np.uint8, "extradata": np.uint8,
}  # fmt: skip


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


def save_scan(scan: StreamScan, source: Source, path: Path) -> None:
    """Write a scan as .safetensors; the file appears when it is complete."""
    index = scan.packets
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "pts": index.pts,
        "keyframe": index.keyframe,
        "shown": index.shown,
        "size": index.size,
        "position": index.position,
        "units": np.frombuffer(scan.headers.log(), np.uint8),
        "extradata": np.frombuffer(scan.framing["extradata"] or b"", np.uint8),
    }
    about = {
        "kind": _KIND,
        "fingerprint": _fingerprint(source),
        "time_base": index.time_base.hex(),
        "timestamps": str(int(index.timestamps)),
        "cut": index.cut or "",
        "tail": "" if index.tail is None else index.tail.hex(),
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
            pts=tensors["pts"],
            keyframe=tensors["keyframe"],
            shown=tensors["shown"],
            size=tensors["size"],
            position=tensors["position"],
            time_base=float.fromhex(about["time_base"]),
            timestamps=about["timestamps"] == "1",
            cut=about["cut"] or None,
            tail=float.fromhex(about["tail"]) if about["tail"] else None,
        )
        corrupt = int(about["corrupt"]) if about["corrupt"] else None
        _check(packets, headers)
    except (SafetensorError, H264Error, ValueError, KeyError, OverflowError, AttributeError) as error:
        raise MalformedStream(f"{path}: not an index that can be used: {error}") from error
    return StreamScan(packets, headers, framing, None, corrupt, stamp)


def _metadata(data: bytes) -> dict[str, str]:
    """The header's __metadata__ of a .safetensors file that was already checked."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header["__metadata__"])


def _check(packets: PacketIndex, headers: StreamIndex) -> None:
    """What holds for each scan, whatever the digest says."""
    count = len(packets.pts)
    lengths = {len(a) for a in (packets.keyframe, packets.shown, packets.size, packets.position)}
    if not count or lengths != {count} or not math.isfinite(packets.time_base) or not math.isfinite(packets.tail or 0):
        raise ValueError("its tables disagree")
    if not len(headers) or max(headers.picture_samples()) >= count:
        raise ValueError("its pictures lie outside of the file")
    if packets.timestamps and len(np.unique(packets.pts)) != count:
        raise ValueError("two packets have one time")
