"""Which pictures can be decoded: from an entry picture on, up to the next loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._native import Picture, PictureInfo

__all__ = ["EntryGate"]


class EntryGate:
    """Leaves out pictures before the first entry picture and from a loss on to the next one.

    Entry pictures are IDR pictures and I pictures with a recovery point of recovery_frame_cnt 0 (H.264,
    D.2.8), and intra random access point pictures (HEVC). Behind a recovery point with a larger count,
    as of periodic intra refresh, pictures are exact after that many frames.

    A loss is: a damaged picture, except one of H.264 that no other refers to; a frame_num that skips
    frames or is repeated (7.4.3); a reference picture set with a missing picture (HEVC, 8.3.2); a block
    that refers to a missing frame; and what the caller reports. Headers of a deferred picture are sound and
    none of its references is lost; damage inside its slice data is not seen here.

    Attributes:
        losses: times that pictures were lost.
        interruptions: those of them that end at an entry picture only.
        skipped: pictures left out from a loss on, and those that refer to pictures before an entry picture.
        before_first: pictures left out before the first entry picture.
        last_reason: why the last loss was one.
    """

    def __init__(self, *, hevc: bool) -> None:
        self._hevc = hevc
        self._open = False
        self._started = False
        self._recovery: tuple[int, int] | None = None  # frames to go, the frame counted last
        self._leading: tuple[int, int] | None = None  # period and order of an entry picture amid a sequence
        self._previous: PictureInfo | None = None
        self._reference_frame_num: int | None = None
        self.losses = 0
        self.interruptions = 0
        self.skipped = 0
        self.before_first = 0
        self.last_reason: str | None = None

    @property
    def started(self) -> bool:
        """Whether an entry picture was met."""
        return self._started

    @property
    def waiting(self) -> bool:
        """Whether pictures are left out up to the next entry picture."""
        return not self._open

    def lose(self, reason: str) -> None:
        """Leave out pictures up to the next entry picture."""
        if self._open:
            self.losses += 1
            self.interruptions += 1
            self.last_reason = reason
        self._open = False
        self._recovery = None

    def admit(self, picture: Picture, info: PictureInfo) -> bool:
        """Whether the next picture in decoding order is sound and can be decoded."""
        previous, self._previous = self._previous, info
        reason = self._loss_before(info)
        self._note_reference(info, previous)
        if self._is_leading(info):
            return self.leave_out()
        if reason is not None:
            self.lose(reason)
        damage = None if picture.deferred else picture.damage
        if damage is not None:
            if self._hevc or info.reference:
                self.lose(damage)
            elif self._open:
                self.losses += 1
                self.last_reason = damage
            return self.leave_out()
        if not self._open:
            self._enter(info, previous)
        if self._open and not picture.deferred and picture.lost_reference:
            self.lose("a block refers to a lost frame")
        return True if self._open else self.leave_out()

    def leave_out(self) -> bool:
        """Count a picture that is not admitted; False."""
        if self._started:
            self.skipped += 1
        else:
            self.before_first += 1
        return False

    def _is_leading(self, info: PictureInfo) -> bool:
        """Whether it precedes, in output order, the entry picture at which decoding started amid a sequence.

        It may refer to pictures before that.
        """
        if self._leading is None or info.second_field:
            return False
        period, order = self._leading
        if info.period != period:
            self._leading = None
            return False
        return info.order_poc < order

    def _loss_before(self, info: PictureInfo) -> str | None:
        if info.gap and not info.gaps_allowed:
            if self._hevc:
                return "a picture of the reference picture set is missing"
            return f"frame_num skips frames before {info.frame_num}"
        if self._hevc or info.second_field:
            return None
        # PrevRefFrameNum; that of a picture with memory_management_control_operation 5 is 0 afterwards.
        repeats = not info.idr and info.frame_num == self._reference_frame_num
        return f"frame_num {info.frame_num} is repeated" if repeats else None

    def _note_reference(self, info: PictureInfo, previous: PictureInfo | None) -> None:
        if info.reference:
            new_period = previous is not None and info.period != previous.period
            self._reference_frame_num = 0 if new_period else info.frame_num

    def _enter(self, info: PictureInfo, previous: PictureInfo | None) -> None:
        """Start at an entry picture, or count the frames of a recovery."""
        if info.idr or (info.recovery_frame_cnt == 0 and info.pict_type == "I"):
            self._open = self._started = True
            self._recovery = None
            starts_sequence = (
                info.idr if not self._hevc else previous is None or info.period != previous.period
            )
            self._leading = None if starts_sequence else (info.period, info.order_poc)
        elif self._recovery is not None:
            to_go, counted = self._recovery
            if info.frame_num != counted:
                to_go -= 1
            self._recovery = (to_go, info.frame_num)
            if to_go <= 0:
                self._open = self._started = True
                self._recovery = None
                self._leading = (info.period, info.order_poc)
        elif info.recovery_frame_cnt:
            self._recovery = (info.recovery_frame_cnt, info.frame_num)
