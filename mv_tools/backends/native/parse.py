"""Parsing the pictures of a stream, all in one pass or chosen ones; damaged pictures are reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

from ...errors import MalformedStream
from ...motion import MotionFrame
from ...pictures.scan import StreamScan
from ..base import Backend
from .chosen import ChosenPictures
from .packet_reader import PacketReader, packet_groups
from .presentation import PresentedPictures

if TYPE_CHECKING:
    from ..._native import Picture, PictureInfo

__all__ = ["ParsedFrame", "parse_all", "parse_chosen"]

_CHOSEN_GROUP: Final = 16  # chosen pictures parsed together

ParsedFrame: TypeAlias = "tuple[MotionFrame, Picture]"


def parse_all(backend: Backend, presented: PresentedPictures, *, intra: bool) -> Iterator[ParsedFrame]:
    """All pictures in presentation order; damaged ones are reported in their places.

    Args:
        backend: told which pictures are damaged.
        presented: the pictures.
        intra: read slice data of I pictures as well, which hold no motion.
    """
    unreadable = presented.unreadable
    waiting: dict[int, ParsedFrame | None] = dict.fromkeys(unreadable)
    lost = presented.lost[::-1]
    index_of = presented.index_of
    upcoming = 0
    for picture in _decode_order(backend, presented.scan, intra):
        info = picture.info
        while lost and lost[-1][0] < info.sample:
            backend.report(None, lost.pop()[1])
        index = index_of.get(info.decode_index)
        if index is None:  # the decoder does not output it
            continue
        waiting[index] = _usable(backend, picture, info, index, presented)
        while upcoming in waiting:
            ready = waiting.pop(upcoming)
            if upcoming in unreadable:
                backend.report(upcoming, unreadable[upcoming])
            upcoming += 1
            if ready is not None:
                yield ready
    for _, reason in reversed(lost):
        backend.report(None, reason)
    for index in range(upcoming, len(backend)):
        backend.report(index, unreadable.get(index, f"picture {index} could not be read"))


def _decode_order(backend: Backend, scan: StreamScan, intra: bool) -> Iterator[Picture]:
    """All pictures in decoding order."""
    from ..._native import Decoder, NativeError

    parser = Decoder(threads=backend.threads, intra=intra, **scan.framing)
    number = 0
    try:
        for packets in packet_groups(backend.source, scan, backend.threads):
            yield from parser.push_many(packets, number)
            number += len(packets)
        yield from parser.finish()
    except NativeError as error:
        raise MalformedStream(f"{backend.source.name}: {error}") from error


def parse_chosen(
    backend: Backend, holder: PresentedPictures | ChosenPictures, indices: list[int], *, intra: bool
) -> Iterator[ParsedFrame]:
    """Parse groups of chosen pictures, reading the file from front to back.

    Args:
        backend: told which pictures are damaged.
        holder: the pictures, with the headers that parsing these needs.
        indices: which, in presentation order.
        intra: as in :func:`parse_all`.
    """
    from ..._native import NativeError

    headers, unreadable = holder.scan.headers, holder.unreadable
    assert headers is not None
    with PacketReader(backend.source, holder.scan) as reader:
        for start in range(0, len(indices), _CHOSEN_GROUP):
            group = indices[start : start + _CHOSEN_GROUP]
            for index in unreadable.keys() & set(group):
                backend.report(index, unreadable[index])
                group.remove(index)
            try:
                with holder.lock:
                    positions = holder.positions(group)
                    packets = reader.read(sorted(headers.samples(positions, intra=intra)))
                    pictures = headers.parse(positions, packets, threads=backend.threads, intra=intra)
            except NativeError as error:
                raise MalformedStream(f"{backend.source.name}: {error}") from error
            for index, picture in zip(group, pictures, strict=True):
                usable = _usable(backend, picture, picture.info, index, holder)
                if usable is not None:
                    yield usable


def _usable(
    backend: Backend,
    picture: Picture,
    info: PictureInfo,
    index: int,
    holder: PresentedPictures | ChosenPictures,
) -> ParsedFrame | None:
    """The picture as a frame; None if it is damaged, which is reported."""
    packets = holder.scan.packets
    last = info.sample == len(packets) - 1
    if last and packets.truncation is not None and packets.corrupt[info.sample]:
        backend.report(index, packets.truncation)
        return None
    if picture.damage is not None:
        backend.report(index, picture.damage)
        return None
    if picture.lost_reference:
        backend.guessed[index] = None
    return holder.builder.build(picture, info, index), picture
