"""Motion without decoding: the native parsers of H.264 and HEVC (rust/h264mv, rust/h265mv).

Pictures are parsed down to their vectors; no sample is reconstructed. Each vector comes with its
reference index and the reference's PicOrderCnt. Each field picture is a picture.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from ...errors import MalformedStream
from ...metadata import VideoMetadata, read_metadata
from ...motion import MotionFrame
from ...pictures.index import PictureIndex
from ...pictures.native_headers import NATIVE_CODECS, native_problem
from ...pictures.numbering import index_pictures
from ...pictures.packets import PacketIndex
from ...pictures.scan import StreamScan, scan_demuxed, scan_stream
from ...pictures.tables import TabledPackets, UnfitTables
from ...stream_info import (
    AnyPictureStatistics,
    HevcPictureStatistics,
    PictureHeader,
    PictureStatistics,
    StreamParameters,
)
from ..base import Backend, OtherBackend
from .chosen import ChosenPictures
from .parse import ParsedFrame, parse_all, parse_chosen
from .presentation import UNREADABLE, PresentedPictures

if TYPE_CHECKING:
    from ..._native import PictureInfo, StreamIndex
    from .saved_index import SavedIndex

__all__ = ["NativeBackend"]

log = logging.getLogger(__name__)


class NativeBackend(Backend):
    """H.264 and HEVC through the native module.

    A long MP4 file is scanned when something other than chosen pictures is asked for.
    """

    name: ClassVar[str] = "native"
    _chosen: ChosenPictures | None = None  # pictures of a file that was not scanned
    _tables: TabledPackets | None = None
    _unfit: str | None = None  # why pictures are not read by tables
    _saved: SavedIndex | None = None

    @classmethod
    def why_unavailable(cls) -> str | None:
        return native_problem()

    @classmethod
    def reads(cls, codec: str) -> bool:
        return codec in NATIVE_CODECS

    @property
    def index(self) -> PacketIndex:
        self._headers  # noqa: B018  # another codec is refused here
        return self.scan.packets

    @cached_property
    def _headers(self) -> StreamIndex:
        """Headers of all pictures.

        Raises:
            OtherBackend: another codec, an unsupported feature, or no header can be read.
            MalformedStream: no picture can be decoded.
        """
        scan, name = self.scan, self.source.name
        if scan.headers is not None:
            return scan.headers
        codec = scan.packets.stream.codec
        if codec not in NATIVE_CODECS:
            raise OtherBackend(
                f"{name}: the native backend reads H.264, HEVC and MPEG-4 Part 2, "
                f"this is {codec!r}; use backend='libav' or 'auto'",
                expected=True,
            )
        if scan.unsupported is not None:
            raise OtherBackend(f"{name}: {scan.unsupported}", expected=False)
        _ = self.pictures  # raises the cause if libavcodec can't read it either
        raise OtherBackend(f"{name}: {scan.malformed}", expected=False)

    def save_index(self, path: Path) -> None:
        from .saved_index import save_scan  # needs safetensors

        save_scan(self.scan, self.pictures, self.source, path)

    def load_index(self, path: Path) -> None:
        from .saved_index import SavedIndex  # needs safetensors

        self._saved = SavedIndex.read(path, self.source)
        # Where the tables of an MP4 file number the pictures alike,
        # the index waits until all headers are needed.
        chosen = self._open_tables()
        if chosen is not None and np.array_equal(chosen.packet, self._saved.packet):
            self._chosen = chosen
        else:
            self.scan, self.pictures = self._saved.loaded

    @property
    def _infos(self) -> list[PictureInfo]:
        """Headers of all pictures in decoding order."""
        _ = self._headers  # refuses a stream without them
        return self.scan.infos

    @cached_property
    def _presented(self) -> PresentedPictures:
        return PresentedPictures(self._headers, self.scan, self.pictures)

    def open(self) -> None:
        if self._saved is None and "scan" not in vars(self):
            self._chosen = self._open_tables()
        if self._chosen is None:
            super().open()

    def _open_tables(self) -> ChosenPictures | None:
        """Pictures by the tables of a long MP4 file; None if all of the file is scanned."""
        try:
            self._tables = TabledPackets.open(self.source)
            return ChosenPictures.open(self.source, self._tables)
        except UnfitTables as error:
            log.debug("%s: the whole file is scanned: %s", self.source.name, error)
            self._unfit = str(error)
            return None

    @cached_property
    def scan(self) -> StreamScan:
        if self._saved is not None:
            return self._saved.loaded[0]
        if self._tables is None and self._unfit is not None:
            return scan_demuxed(self.source, unfit=self._unfit)
        return scan_stream(self.source, self._tables)

    @cached_property
    def pictures(self) -> PictureIndex:
        if self._saved is None:
            pictures = index_pictures(self.source, self.scan)
        else:
            self.scan, pictures = self._saved.loaded
        chosen, self._chosen = self._chosen, None
        if chosen is not None and chosen.used and not np.array_equal(pictures.packet, chosen.packet):
            raise MalformedStream(
                f"{self.source.name}: pictures were read by the numbers of the file's tables, "
                f"and a scan of the whole file numbers them otherwise ({len(pictures)} pictures, "
                f"not {len(chosen)}); from now on the numbers are those of the scan, read the pictures again"
            )
        return pictures

    @property
    def _tabled(self) -> ChosenPictures | None:
        """Pictures by the numbers of the file's tables; None once the file was scanned."""
        return None if "scan" in vars(self) else self._chosen

    def __len__(self) -> int:
        chosen = self._tabled
        return super().__len__() if chosen is None else len(chosen)

    def _holding(self, indices: Sequence[int]) -> PresentedPictures | ChosenPictures:
        """The pictures, with the headers that parsing chosen ones needs."""
        chosen = self._tabled
        if chosen is not None:
            try:
                chosen.read_headers(indices)
                return chosen
            except UnfitTables as error:
                log.debug("%s: the whole file is scanned: %s", self.source.name, error)
        return self._presented

    @property
    def frame_of(self) -> npt.NDArray[np.int64]:
        return self._presented.frame_of

    @property
    def decode_rank(self) -> npt.NDArray[np.int64]:
        return self._presented.decode_rank

    @cached_property
    def keyframes(self) -> list[int]:
        position = self._presented.position
        keyframe = self.scan.columns["keyframe"][position] & (position != UNREADABLE)
        return np.flatnonzero(keyframe).tolist()

    @cached_property
    def metadata(self) -> VideoMetadata:
        first, parameters = self._infos[0], self.parameters
        height = first.coded_height * (1 if first.structure == "frame" else 2)
        metadata = read_metadata(
            self.source,
            self.index,
            self.pictures,
            self.display,
            coded=(first.coded_width, height),
            entropy=parameters.entropy_coding,
        )
        # An MP4 file is opened without decoding, which leaves the profile unknown.
        profile = metadata.profile or parameters.profile
        return replace(metadata, num_frames=len(self), profile=profile)

    @property
    def parameters(self) -> StreamParameters:
        first = self._infos[0]
        return StreamParameters(
            profile_idc=first.profile_idc,
            profile=first.profile,
            level=first.level,
            num_ref_frames=first.num_ref_frames,
            entropy_coding="cabac" if first.cabac else "cavlc",
        )

    @property
    def headers(self) -> list[PictureHeader | None]:
        return [None if info is None else _header(info) for info in self._presented.infos_presented]

    def frames(self) -> Iterator[MotionFrame]:
        for frame, _ in parse_all(self, self._presented, intra=False):
            yield frame

    def frames_at(self, indices: Sequence[int]) -> Iterator[MotionFrame]:
        for frame, _ in self._parse_at(indices, intra=False):
            yield frame

    def described(
        self, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[MotionFrame, AnyPictureStatistics]]:
        is_hevc = self.scan.packets.stream.codec == "hevc"
        statistics = HevcPictureStatistics if is_hevc else PictureStatistics
        if indices is None:
            parsed = parse_all(self, self._presented, intra=True)
        else:
            parsed = self._parse_at(indices, intra=True)
        for frame, picture in parsed:
            yield frame, statistics(**picture.statistics())

    def _parse_at(self, indices: Sequence[int], *, intra: bool) -> Iterator[ParsedFrame]:
        """Chosen pictures in presentation order."""
        if 2 * len(indices) <= len(self):
            yield from parse_chosen(self, self._holding(indices), list(indices), intra=intra)
            return
        chosen = set(indices)  # most of the file: one pass in order
        for frame, picture in parse_all(self, self._presented, intra=intra):
            if frame.index in chosen:
                yield frame, picture
            if frame.index == indices[-1]:
                return


def _header(info: PictureInfo) -> PictureHeader:
    return PictureHeader(
        pict_type=info.pict_type,
        reference=info.reference,
        structure=info.structure,
        mbaff=info.mbaff,
        slices=info.slices,
        bits=info.nal_bits,
    )
