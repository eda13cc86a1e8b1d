"""Headers of an H.264 or HEVC stream, read by packet through the native module, without slice data."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np
import numpy.typing as npt

from ..errors import BackendUnavailable

if TYPE_CHECKING:
    from .._native import ByteSource, StreamIndex

__all__ = [
    "NATIVE_CODECS",
    "Framing",
    "HeaderReader",
    "annex_b_framing",
    "native_available",
    "native_problem",
]

NATIVE_CODECS: Final = ("h264", "hevc")
"""libavcodec's names of the codecs that the native module parses."""

_MAX_CACHED_BYTES: Final = 32 << 20
"""Packets of files up to this size stay in memory after the scan: such files are read once."""

_BATCH: Final = 128  # packets whose headers are read in one call


@lru_cache(maxsize=1)
def native_problem() -> str | None:
    """Why the native module can't be used, and what to do; None where it can."""
    if importlib.util.find_spec("mv_tools._native") is None:
        return "the native module is not built; pip install moclip-lite (a Rust toolchain builds it)"
    try:
        importlib.import_module("mv_tools._native")
    except ImportError as error:  # of another system, such as one with a newer glibc, or damaged
        return (
            f"the native module does not load on this system ({error}); pip install --force-reinstall "
            "moclip-lite takes the wheel for it, or builds one"
        )
    return None


def native_available() -> bool:
    """Whether the native module is built.

    Raises:
        BackendUnavailable: it is there and does not load: other backends would take its place unnoticed.
    """
    if importlib.util.find_spec("mv_tools._native") is None:
        return False
    if problem := native_problem():
        raise BackendUnavailable(problem)
    return True


class Framing(TypedDict):
    """A codec and how its NAL units are delimited: `length_size` bytes of length, 0 for start codes."""

    codec: str
    length_size: int
    extradata: bytes | None


def annex_b_framing(codec: str, extradata: bytes | None = None) -> Framing:
    """Framing with start codes."""
    return {"codec": codec, "length_size": 0, "extradata": extradata}


class PacketCache:
    """Keeps the packets of a small file.

    Attributes:
        packets: None once they are too large to stay in memory.
    """

    def __init__(self) -> None:
        self.packets: list[bytes] | None = []
        self._bytes = 0

    def push(self, packets: Sequence[bytes]) -> None:
        """Take the next packets."""
        self._bytes += sum(map(len, packets))
        if self._bytes > _MAX_CACHED_BYTES:
            self.packets = None
        if self.packets is not None:
            self.packets += packets


class HeaderReader:
    """Reads the headers of all packets of a stream.

    Attributes:
        framing: how NAL units are delimited.
        index: the headers read so far; None where the parser failed.
        unsupported, malformed: why it failed, as a sentence.
        cache: the packets.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        from .._native import NativeError, StreamIndex, UnsupportedError

        self.framing = annex_b_framing(codec, extradata)
        self.index: StreamIndex | None = None
        self.malformed: str | None = None
        self.unsupported: str | None = None
        try:
            self.index = StreamIndex(**self.framing)
            self.framing["length_size"] = self.index.length_size  # of an avcC or hvcC record
        except UnsupportedError as error:
            self.unsupported = str(error)
        except NativeError as error:
            self.malformed = str(error)
        self.cache = PacketCache()
        self._batch: list[bytes] = []
        self._packets = 0

    def push(self, packets: Sequence[bytes]) -> None:
        """Take the next packets."""
        self._batch += packets
        if len(self._batch) >= _BATCH:
            self._read_batch()
        self.cache.push(packets)

    def push_starts(
        self, source: ByteSource, position: npt.NDArray[np.int64], size: npt.NDArray[np.int64]
    ) -> None:
        """Take all packets of a file, reading the starts of their NAL units.

        Args:
            source: the file.
            position, size: int64 [N], where the packets lie.

        Raises:
            UnfitError: the packets have to be read completely.
        """
        self.cache.packets = None
        with self._failures():
            if self.index is not None:
                self.index.push_starts(source, position, size, 0)

    def finish(self) -> None:
        """Read the headers of the packets that are left; an index without pictures is malformed."""
        self._read_batch()
        if self.index is not None and not len(self.index):
            self.malformed = self.index.first_error or "the video stream holds no picture"
            self.index = None

    def _read_batch(self) -> None:
        with self._failures():
            if self.index is not None:
                self.index.push_many(self._batch, self._packets)
        self._packets += len(self._batch)
        self._batch = []

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Note an error that ends the stream."""
        from .._native import NativeError, UnfitError, UnsupportedError

        try:
            yield
        except UnfitError:
            raise
        except UnsupportedError as error:
            self.unsupported, self.index = str(error), None
        except NativeError as error:
            self.malformed, self.index = str(error), None
