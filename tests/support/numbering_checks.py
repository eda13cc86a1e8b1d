"""Checks of the numbering of a file against a full decode by libavcodec on one thread."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import av
import av.error
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

import mv_tools
from mv_tools import MalformedStream, MotionDecoder, MotionFrame
from mv_tools.backends.exported import MOTION_CODECS
from mv_tools.blocks import BLOCK_COLUMNS, grid_from_blocks

__all__ = ["CHECKS", "Reference", "Shown", "check_motion", "sampled"]

_TYPES: Final = {1: "I", 2: "P", 3: "B", 4: "P", 5: "I", 6: "P", 7: "B"}

Picture = npt.NDArray[np.uint8]
Shown = Callable[[Picture], Picture]


@dataclass(frozen=True)
class Shot:
    """One picture as libavcodec outputs it.

    Attributes:
        rgb: uint8 [H, W, 3], as coded.
        pict_type: "I", "P", "B", or None if the decoder does not report it.
        key: the decoder's keyframe flag.
        corrupt: the decoder reports damage.
        seconds: presentation time, or None.
        packet: number of its packet.
        vectors: int32 [N, 10], the exported vectors.
        undefined: data are missing, and the decoder shows uninitialised memory in their place.
    """

    rgb: Picture
    pict_type: str | None
    key: bool
    corrupt: bool
    seconds: float | None
    packet: int
    vectors: npt.NDArray[np.int32]
    undefined: bool = False


@dataclass(frozen=True)
class Reference:
    """A file decoded from its start by one thread.

    Attributes:
        codec: name of the decoder.
        shots: pictures in the order of output.
        marked: numbers of the packets that the container marks as keyframes.
        damaged: bytes are missing, or the decoder reported damage.
        broken: numbers of the packets that are incomplete or refused.
        square: pixels are square, or of unknown aspect ratio.
    """

    codec: str
    shots: list[Shot]
    marked: frozenset[int]
    damaged: bool
    broken: frozenset[int]
    square: bool

    @property
    def timed(self) -> bool:
        """Whether every picture has a time and they ascend in the order of output."""
        times = [shot.seconds for shot in self.shots]
        return None not in times and all(a < b for a, b in pairwise(times))  # type: ignore[operator]

    @property
    def keys(self) -> list[int]:
        """Pictures that the decoder flags as keyframes; those of marked packets if it flags none."""
        flagged = [i for i, shot in enumerate(self.shots) if shot.key]
        return flagged or [i for i, shot in enumerate(self.shots) if shot.packet in self.marked] or [0]

    @property
    def suspect(self) -> set[int]:
        """Pictures that may be refused: damaged ones, and those up to the next keyframe behind damage."""
        broken = {shot.packet for shot in self.shots if shot.corrupt}
        if self.damaged:
            broken |= self.broken
        out: set[int] = set()
        for packet in broken:
            keys = [
                (shot.packet, i) for i, shot in enumerate(self.shots) if shot.key and shot.packet > packet
            ]
            end = min(keys)[1] if keys else len(self.shots)
            out |= {i for i, shot in enumerate(self.shots[:end]) if shot.packet >= packet}
        return out

    @classmethod
    def of(cls, path: Path, *, damaged: bool = False) -> Reference:
        """Decode twice: once for pictures and times, once for packet numbers and vectors.

        Args:
            path: the file.
            damaged: bytes are known to be missing, even if the decoder does not report it.
        """
        plain, tagged = _decode(path, tagged=False), _decode(path, tagged=True)
        shots = [
            replace(
                one, packet=two.packet, vectors=two.vectors, undefined=not np.array_equal(one.rgb, two.rgb)
            )
            for one, two in zip(plain.shots, tagged.shots, strict=True)
        ]
        damaged = damaged or plain.failed or any(shot.corrupt for shot in shots)
        assert damaged or not any(shot.undefined for shot in shots)
        return cls(plain.codec, shots, plain.marked, damaged, plain.broken, plain.square)


class _Decoded(NamedTuple):
    """All pictures of a file, and flags of its packets."""

    shots: list[Shot]
    codec: str
    marked: frozenset[int]
    broken: frozenset[int]
    failed: bool
    square: bool


def _decode(path: Path, *, tagged: bool) -> _Decoded:
    shots: list[Shot] = []
    held: list[av.VideoFrame] = []  # a decoder whose memory is not reused shows other remains
    marked: set[int] = set()
    broken: set[int] = set()
    failed, number = False, -1
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        context.thread_count, context.thread_type = 1, "NONE"
        if tagged and context.name in MOTION_CODECS:
            context.options = {"flags2": "+export_mvs"}
        for packet in _packets(container, stream):
            if packet is not None and packet.size:
                number += 1
                if packet.is_keyframe:
                    marked.add(number)
                if packet.is_corrupt:
                    broken.add(number)
                if tagged:
                    packet.pts = number
            try:
                frames = context.decode(packet)
            except av.error.FFmpegError:
                failed = True
                broken.add(number)
                continue
            shots += [_shot(frame, stream.time_base or Fraction(1)) for frame in frames]
            held += [] if tagged else frames
        return _Decoded(
            shots=shots,
            codec=context.name,
            marked=frozenset(marked),
            broken=frozenset(broken),
            failed=failed,
            square=(context.sample_aspect_ratio or 1) == 1,
        )


def _shot(frame: av.VideoFrame, time_base: Fraction) -> Shot:
    return Shot(
        rgb=frame.to_ndarray(format="rgb24"),
        pict_type=_TYPES.get(int(frame.pict_type)),
        key=bool(frame.key_frame),
        corrupt=bool(frame.is_corrupt),
        seconds=None if frame.pts is None else float(frame.pts * time_base),
        packet=-1 if frame.pts is None else frame.pts,
        vectors=_vectors(frame),
    )


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream] | None]:
    """All packets; where reading fails, None, which flushes the decoder as the last packet does."""
    try:
        yield from container.demux(stream)
    except av.error.FFmpegError:
        yield None


def _vectors(frame: av.VideoFrame) -> npt.NDArray[np.int32]:
    exported = frame.side_data.get("MOTION_VECTORS")
    if exported is None:
        return np.zeros((0, 10), np.int32)
    table = exported.to_ndarray()  # type: ignore[attr-defined]
    return np.stack([table[name].astype(np.int32) for name in BLOCK_COLUMNS], axis=1)


def sampled(reference: Reference, name: str, *, full: bool) -> list[int]:
    """Pictures to read alone: first, last, around keyframes, a few others; all if `full`."""
    total = len(reference.shots)
    if full:
        return list(range(total))
    chance = random.Random(name)
    keys = reference.keys if len(reference.keys) < 4 else chance.sample(reference.keys, 3)
    around = {key + step for key in keys for step in (-2, -1, 0, 1, 2)}
    chosen = {0, 1, total - 2, total - 1, *around, *chance.sample(range(total), min(3, total))}
    return sorted(i for i in chosen if 0 <= i < total)


def _nearest(stretched: Picture, pictures: Sequence[Picture]) -> int:
    """Index of the picture that a picture in square pixels shows."""
    height, width = pictures[0].shape[:2]
    rows = (np.arange(height) + 0.5) * stretched.shape[0] / height
    columns = (np.arange(width) + 0.5) * stretched.shape[1] / width
    small = stretched[rows.astype(int)][:, columns.astype(int)].astype(int)
    return int(np.argmin([np.abs(small - picture).mean() for picture in pictures]))


def _same(got: Picture, index: int, reference: Reference, shown: Shown, what: str) -> None:
    """Assert equality with a picture of the full decode; the error names the picture it equals instead."""
    expected = shown(reference.shots[index].rgb)
    if reference.shots[index].undefined:
        return
    if got.shape == expected.shape and np.array_equal(got, expected):
        return
    if not reference.square:
        others = [_nearest(got, [shown(shot.rgb) for shot in reference.shots])]
        if np.array_equal(shown(reference.shots[others[0]].rgb), expected):
            return
    else:
        others = [i for i, shot in enumerate(reference.shots) if np.array_equal(shown(shot.rgb), got)]
    actual = f"picture {others[0]}" if others else "no picture of the full decode"
    raise AssertionError(f"{what} is {actual}, {got.shape} for {expected.shape}")


def check_count(path: Path, reference: Reference, indices: Sequence[int], shown: Shown) -> None:
    """Check that all ways of counting agree."""
    total = len(reference.shots)
    counts = mv_tools.count_frames(path), len(mv_tools.RgbDecoder(path))
    assert counts == (total, total), f"counted {counts}, decoded {total}"
    beyond = [total, -total - 1]
    for index in beyond:
        try:
            mv_tools.read_rgb_at(path, [index])
        except IndexError:
            continue
        raise AssertionError(f"picture {index} of {total} was returned")


def check_rgb(path: Path, reference: Reference, indices: Sequence[int], shown: Shown) -> None:
    """Check that pictures read alone and in subsets equal those of the full decode."""
    readable = []
    for index in indices:
        refusal = None
        try:
            frames, numbers = mv_tools.read_rgb_at(path, [index])
        except MalformedStream as error:
            refusal = str(error)
        if refusal is not None:
            assert index in reference.suspect, f"picture {index}: {refusal}"
            assert re.search(rf"\b(picture|frame) {index}\b", refusal), f"names no picture: {refusal}"
            continue
        assert numbers.tolist() == [index]
        readable.append(index)
        _same(frames[0], index, reference, shown, f"picture {index}")
    chance = random.Random(len(readable))
    subset = sorted(chance.sample(readable, min(len(readable), 7)))
    pictures = list(mv_tools.iter_rgb_at(path, subset))
    assert [index for index, _ in pictures] == subset
    for index, picture in pictures:
        _same(picture, index, reference, shown, f"picture {index} of {subset}")


def check_keyframes(path: Path, reference: Reference, indices: Sequence[int], shown: Shown) -> None:
    """Check that read_keyframes returns keyframes by the decoder's flag, at least those of marked packets."""
    try:
        frames, numbers = mv_tools.read_keyframes(path)
    except MalformedStream:
        if reference.suspect & set(reference.keys):
            return
        raise
    positions = numbers.tolist()
    assert positions == sorted(set(positions))
    entry = set() if any(shot.key for shot in reference.shots) else {0}
    wrong = sorted(set(positions) - set(reference.keys) - entry)
    assert not wrong, f"not keyframes by the decoder's flag: {wrong}"
    flagged = [
        i
        for i, shot in enumerate(reference.shots)
        if shot.key and not shot.corrupt and shot.packet in reference.marked
    ]
    assert positions, "no keyframe"
    # A keyframe next to missing data may be damaged: it may be left out.
    assert reference.damaged or set(positions) >= set(flagged), (
        f"keyframes are left out: {sorted(set(flagged) - set(positions))}"
    )
    for index, picture in zip(positions, frames, strict=True):
        _same(picture, index, reference, shown, f"keyframe {index}")


def _number(frame: MotionFrame) -> int:
    """Number of the frame that a picture belongs to."""
    number = getattr(frame, "frame_index", None)
    assert number is not None or frame.structure == "frame", "a field without a frame_index"
    return frame.index if number is None else int(number)


def _equal_motion(one: MotionFrame, two: MotionFrame) -> bool:
    same_ref_poc = (one.ref_poc is None) == (two.ref_poc is None)
    if same_ref_poc and one.ref_poc is not None and two.ref_poc is not None:
        same_ref_poc = np.array_equal(one.ref_poc, two.ref_poc)
    return (
        same_ref_poc
        and np.array_equal(one.mv, two.mv)
        and np.array_equal(one.ref_idx, two.ref_idx)
        and (one.index, one.pict_type, one.pts_seconds) == (two.index, two.pict_type, two.pts_seconds)
    )


def check_motion(
    path: Path, reference: Reference, indices: Sequence[int], shown: Shown, *, backend: str = "auto"
) -> None:
    """Check that motion is numbered as pictures are, in iteration and alone."""
    parsed = reference.codec == "hevc" and backend != "libav"  # libavcodec exports no vectors of HEVC
    if reference.codec not in MOTION_CODECS and not parsed:
        return
    if reference.codec == "mpeg4" and backend == "libav" and any(s.pict_type == "B" for s in reference.shots):
        return  # libavcodec exports no vectors of them
    decoder = MotionDecoder(path, backend=backend, on_damage="skip" if reference.damaged else "raise")
    frames = list(decoder)
    total = len(reference.shots)
    assert decoder.frame_count == total, f"motion counts {decoder.frame_count}, decoded {total}"
    lost = {damage.index for damage in decoder.damaged}
    assert reference.damaged or not lost
    seen = {frame.index for frame in frames} | lost - {None}
    assert seen == set(range(len(decoder))), f"iteration misses {sorted(set(range(len(decoder))) - seen)}"
    assert [frame.index for frame in frames] == sorted(frame.index for frame in frames)
    numbers = [_number(frame) for frame in frames]
    assert numbers == sorted(numbers)
    assert set(numbers) <= set(range(total))
    assert lost or set(numbers) == set(range(total))
    for frame in frames:
        shot = reference.shots[_number(frame)]
        if frame.structure == "frame" and shot.pict_type and not shot.corrupt:
            assert frame.pict_type == shot.pict_type, f"type of picture {frame.index}"
        # libavcodec exports none with a picture that it holds back to the end.
        exported = len(shot.vectors) > 0 or frame.index < total - 1
        if decoder.backend == "libav" and exported and not reference.damaged:
            np.testing.assert_array_equal(frame.to_blocks(), shot.vectors, f"vectors of {frame.index}")
        if reference.codec == "mpeg4" and decoder.backend == "native" and shot.pict_type == "P" and exported:
            mv, ref_idx = grid_from_blocks(shot.vectors, frame.grid_shape, bipredictive=False)
            np.testing.assert_array_equal(frame.mv, mv, f"vectors of {frame.index}")
            np.testing.assert_array_equal(frame.ref_idx, ref_idx, f"references of {frame.index}")
        if reference.timed and frame.structure == "frame":
            assert frame.pts_seconds is not None, f"picture {frame.index} has no time"
            assert abs(frame.pts_seconds - shot.seconds) < 1e-6, f"time of picture {frame.index}"  # type: ignore[operator]
    fields = {frame.index: frame for frame in frames}
    chance = random.Random(total)
    for index in [i for i in indices if i in fields][:12] + chance.sample(
        sorted(fields), min(3, len(fields))
    ):
        assert _equal_motion(decoder[index], fields[index]), f"frame {index} alone differs"


def check_metadata(path: Path, reference: Reference, indices: Sequence[int], shown: Shown) -> None:
    """Check that the number of pictures and the duration are those of the decoder's output."""
    if reference.codec not in MOTION_CODECS:
        return
    metadata = MotionDecoder(path).metadata
    total = len(reference.shots)
    assert metadata.num_frames in (total, len(MotionDecoder(path))), f"num_frames {metadata.num_frames}"
    if not reference.timed or total < 3:
        return
    times = np.array([shot.seconds for shot in reference.shots], float)
    usual = float(np.median(np.diff(times)))
    span = float(times[-1] - times[0]) + usual
    slack = max(usual, float(times[-1] - times[-2])) + 0.002
    assert metadata.duration_seconds is not None
    assert abs(metadata.duration_seconds - span) <= slack, f"{metadata.duration_seconds} s for {span} s"


CHECKS: Final[dict[str, Callable[[Path, Reference, Sequence[int], Shown], None]]] = {
    "count": check_count,
    "rgb": check_rgb,
    "keyframes": check_keyframes,
    "motion": check_motion,
    "libav motion": partial(check_motion, backend="libav"),
    "metadata": check_metadata,
}
