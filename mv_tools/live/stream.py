"""Packets in, motion frames out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from ..decoder import Order
from ..display import Display
from ..errors import ArgumentError, BackendUnavailable, MalformedStream, UnsupportedStream
from ..motion import MotionFrame
from ..pictures.native_headers import NATIVE_CODECS, native_problem
from .coded_frame import ParsedFrame, ParsedPicture
from .entry_gate import EntryGate
from .numbered_frames import NumberedFrames
from .output_order import OutputOrder

if TYPE_CHECKING:
    from .._native import Decoder, Picture, PictureInfo

__all__ = ["MotionStream", "StreamStatistics"]

Codec = Literal["h264", "hevc"]

_DEFAULT_INTERVAL: Final = {"h264": 2, "hevc": 1}  # PicOrderCnt from frame to frame
_MOST_WITHOUT_PICTURE: Final = 8  # packets at the start, of parameter sets alone
_MOST_HELD: Final = 8  # frames at the start, until the PicOrderCnt from frame to frame is known


@dataclass(frozen=True, kw_only=True)
class StreamStatistics:
    """Counts of a stream so far.

    After :meth:`MotionStream.flush` each packet with data of a picture, fields of one frame apart, is counted
    once: in `frames`, `skipped`, `before_first`, `late` or `hidden`.

    Attributes:
        packets: pushed.
        frames: motion frames given out.
        losses: times that pictures were lost or damaged.
        skipped: pictures left out from a loss on, up to the next entry picture, and those that refer to
            pictures before an entry picture.
        before_first: pictures left out before the first entry picture.
        late: frames left out because a later one, in presentation order, was given out already.
        hidden: pictures that the stream does not show (pic_output_flag, no_output_of_prior_pics_flag), or
            that were pushed as not shown.
        waiting: whether pictures are being left out now.
    """

    packets: int
    frames: int
    losses: int
    skipped: int
    before_first: int
    late: int
    hidden: int
    waiting: bool


class MotionStream:
    """Motion of an H.264 or HEVC stream, packet by packet.

    Frames are those of :class:`~mv_tools.MotionDecoder` and come out as soon as they are known: in decoding
    order with their packet, in presentation order once no frame to come can precede them. Up to 8 at the
    start wait until the PicOrderCnt from frame to frame is known, by which :func:`~mv_tools.flow` divides.

    How many frames wait for presentation order is `max_num_reorder_frames` of the sequence parameter set
    (H.264, E.2.1) or `sps_max_num_reorder_pics` (HEVC). Where H.264 does not code it: none for
    pic_order_cnt_type 2, else the decoded picture buffer of the level, and after 64 frames the number seen so
    far. At most that many frames (16), two fields each, are in memory.

    Decoding starts at the first entry picture. From a loss or damage on, pictures are left out up to the next
    entry picture (IDR, I picture with a recovery point, IRAP picture of HEVC), because what they refer to
    is unknown: :attr:`statistics` counts them and :attr:`notes` says so. The loss of a picture that no other
    refers to leaves no trace and changes no other picture. In H.264 the loss of a multiple of MaxFrameNum (16
    or more) pictures in a row leaves no trace either, nor does that of all up to the same place of a later
    group: a transport that numbers its packets or knows their times calls :meth:`mark_loss`.

    Args:
        codec: "h264" or "hevc".
        extradata: an avcC or hvcC record, whose packets hold NAL units with lengths, or parameter sets with
            start codes; None for a stream with start codes that holds its parameter sets.
        order: "presentation", or "decode", in which `index` and `frame_index` count decoding order.
        display: how pictures are shown; by default upright, with the stream's sample aspect ratio.
        first_index: where `index`, `decode_index` and `frame_index` begin, to continue another stream's.
        deferred: parse slice data of an H.264 picture when the motion of its frame is first asked for, which
            saves the work for frames that are not used. Frames then hold the coded data. Damage inside of
            slice data no longer ends the group of pictures: the motion of the damaged frame raises
            :class:`MalformedStream`. Pictures with lost references or damaged headers are parsed at once, and
            so are all from the first one on that derives motion from others (B pictures).
        sort_times: give the times of frames that wait for presentation order out in ascending order. Times
            of presentation have that order; those of AVI and raw streams are of decoding order.

    Attributes:
        size: (width, height) of the coded picture after cropping on the right and below, in samples; None
            before the first picture.
        second_field: whether the packet pushed last was the second field of a frame.

    Raises:
        ArgumentError: another codec or order.
        MalformedStream: `extradata` is damaged.
        UnsupportedStream: it uses an unsupported feature, which the message names.
        BackendUnavailable: the native module is not built.

    Example:
        >>> stream = MotionStream("h264")
        >>> for packet, seconds in packets:                # doctest: +SKIP
        ...     for frame in stream.push(packet, seconds):
        ...         print(frame.pts_seconds, frame.mv.shape)
    """

    def __init__(
        self,
        codec: Codec,
        extradata: bytes | None = None,
        *,
        order: Order = "presentation",
        display: Display | None = None,
        first_index: int = 0,
        deferred: bool = False,
        sort_times: bool = False,
    ) -> None:
        if codec not in NATIVE_CODECS:
            raise ArgumentError(f"codec must be one of {NATIVE_CODECS}, got {codec!r}")
        if order not in get_args(Order):
            raise ArgumentError(f"order must be one of {get_args(Order)}, got {order!r}")
        self._presentation = order == "presentation"
        self._parser = _parser(codec, extradata, deferred)
        self._gate = EntryGate(hevc=codec == "hevc")
        self._order = OutputOrder(_DEFAULT_INTERVAL[codec], sort_times=sort_times)
        self._frame: ParsedFrame | None = None  # its second field may follow
        self._period: int | None = None
        self._numbered = NumberedFrames(display or Display(), self._order.interval, first_index)
        self._first = first_index
        self.size: tuple[int, int] | None = None
        self.second_field = False
        self._ended = self._seen = False
        self._packets = self._presented = self._hidden = 0
        self._decoded = first_index

    def push(
        self, packet: bytes, pts_seconds: float | None = None, *, shown: bool = True
    ) -> list[MotionFrame]:
        """Take the next packet in decoding order; return the frames that are now known.

        Args:
            packet: an access unit, or one field of a frame.
            pts_seconds: presentation time, which its frame gets; with `sort_times`, also one of decoding.
            shown: whether the frame is given out; others only serve those that refer to them, as pictures
                that an edit list leaves out.

        Raises:
            UnsupportedStream: the stream uses an unsupported feature and no picture of it was readable.
            ValueError: after :meth:`flush`.
        """
        from .._native import NativeError

        if self._ended:
            raise ValueError("the stream was flushed; make a new MotionStream")
        number, self._packets = self._packets, self._packets + 1
        if not packet:
            return []
        try:
            pictures = [*self._parser.push(bytes(packet), number), *self._parser.release()]
            reason = self._parser.take_error()
        except NativeError as error:
            if not self._gate.started:
                raise UnsupportedStream(str(error)) from error
            pictures, reason = [], str(error)
        frames: list[MotionFrame] = []
        for picture in pictures:
            self._seen = True
            frames += self._add(picture, pts_seconds, shown=shown)
        if reason is not None and not any(picture.damage for picture in pictures):
            frames += self._lose(reason)
        if not pictures and self._parser.holds_picture(bytes(packet)):
            self._gate.leave_out()  # parameter sets or references of it are missing, or its header is damaged
        return frames

    def flush(self) -> list[MotionFrame]:
        """End the stream: return the frames that are left, in order."""
        if self._ended:
            return []
        self._ended = True
        frames = [frame for picture in self._parser.finish() for frame in self._add(picture, None)]
        frames += self._end_sequence()
        return frames + self._numbered.release()

    def mark_loss(self, reason: str = "packets are missing") -> list[MotionFrame]:
        """Report that packets before the next one are missing, as a transport's sequence numbers show.

        Returns:
            The frames that were waiting, which are sound. Those from the next packet on are left out up to
            the next entry picture.
        """
        return [] if self._ended else self._lose(reason)

    @property
    def statistics(self) -> StreamStatistics:
        """Counts so far."""
        gate = self._gate
        return StreamStatistics(
            packets=self._packets,
            frames=self._numbered.next_index - self._first,
            losses=gate.losses,
            skipped=gate.skipped,
            before_first=gate.before_first,
            late=self._order.late if self._presentation else 0,
            hidden=self._hidden,
            waiting=gate.waiting,
        )

    @property
    def next_index(self) -> int:
        """Behind all indices given out so far."""
        return max(self._numbered.next_index, self._decoded, self._numbered.frame_index + 1)

    @property
    def notes(self) -> list[str]:
        """Sentences, without a final period, about what is left out so far, or that no picture was found."""
        counts, notes = self.statistics, []
        if not self._seen and (self._ended or self._packets >= _MOST_WITHOUT_PICTURE):
            notes.append(
                f"no picture was found in {self._packets} packets: packets with start codes hold their "
                "parameter sets themselves, those with lengths need an avcC or hvcC record as `extradata`"
            )
        elif counts.before_first:
            notes.append(
                "the stream begins inside a group of pictures: "
                f"{counts.before_first} pictures before the first entry picture left out"
            )
        if counts.losses:
            notes.append(
                f"data were lost or damaged {counts.losses} times, {counts.skipped} pictures left out up to "
                f"the next entry pictures; the last time: {self._gate.last_reason}"
            )
        elif counts.skipped:
            notes.append(
                f"{counts.skipped} pictures left out because the pictures that they refer to are missing"
            )
        if counts.late:
            notes.append(f"{counts.late} frames left out because they came after later ones were given out")
        return notes

    def _add(self, picture: Picture, seconds: float | None, *, shown: bool = True) -> list[MotionFrame]:
        """Add the next picture in decoding order."""
        info = picture.info
        self.second_field = info.second_field
        interruptions = self._gate.interruptions
        admitted = self._gate.admit(picture, info)
        lost = self._gate.interruptions > interruptions
        frames = self._end_sequence(complete=False) if lost else []
        if not admitted:
            return frames
        if not info.output:
            self._hidden += 1
            return frames
        left, top, width, height = info.frame_cropping
        self.size = left + width, top + height
        limit, coded = info.max_reorder, _codes_reordering(info)
        frame = self._frame
        if frame is not None and frame.number == info.frame:
            self._frame = None
            frames += self._take(frame, picture, info)
            return frames + self._output(self._order.close(limit, coded=coded))
        if info.period != self._period:
            if info.no_output_of_prior_pics:
                discarded = self._order.discard()
                self._hidden += discarded if self._presentation else 0  # else they were given out already
            frames += self._end_sequence()
        self._period = info.period
        frame = ParsedFrame(info.frame, seconds, shown=shown)
        frames += self._take(frame, picture, info)
        self._frame = frame if frame.may_continue else None
        return frames + self._output(self._order.add(frame, limit=limit, coded=coded))

    def _take(self, frame: ParsedFrame, picture: Picture, info: PictureInfo) -> list[MotionFrame]:
        """Make a picture part of its frame; in decoding order it is given out."""
        parsed = ParsedPicture(picture, info, self._decoded)
        frame.pictures.append(parsed)
        self._decoded += frame.shown
        self._hidden += not frame.shown
        if self._presentation or not frame.shown:
            return []
        self._numbered.add(frame, [parsed])
        return self._release()

    def _output(self, in_order: list[ParsedFrame]) -> list[MotionFrame]:
        """Frames that are next in presentation order."""
        self._presented += len(in_order)
        if self._presentation:
            for frame in in_order:
                if frame.shown:
                    self._numbered.add(frame, frame.in_order)
        return self._release()

    def _release(self) -> list[MotionFrame]:
        """The frames that wait, once the PicOrderCnt from frame to frame is known."""
        known = self._presented >= _MOST_HELD or self._order.interval.known
        return self._numbered.release() if known else []

    def _end_sequence(self, *, complete: bool = True) -> list[MotionFrame]:
        """Give out all frames that wait: those that follow are presented later, or some are lost."""
        self._frame = None
        return self._output(self._order.start_sequence(complete=complete))

    def _lose(self, reason: str) -> list[MotionFrame]:
        self._gate.lose(reason)
        return self._end_sequence(complete=False)


def _codes_reordering(info: PictureInfo) -> bool:
    """Whether the stream itself says how many frames are reordered."""
    return info.num_reorder_frames is not None or info.max_reorder == 0


def _parser(codec: Codec, extradata: bytes | None, deferred: bool) -> Decoder:
    if problem := native_problem():
        raise BackendUnavailable(problem)
    from .._native import Decoder, NativeError, UnsupportedError

    try:
        # One thread: a picture comes out with its packet.
        return Decoder(codec=codec, threads=1, extradata=extradata, intra=False, deferred=deferred)
    except UnsupportedError as error:
        raise UnsupportedStream(f"extradata: {error}") from error
    except NativeError as error:
        raise MalformedStream(f"extradata: {error}") from error
