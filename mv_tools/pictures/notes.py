"""Notes on a stream: what is left out, guessed or damaged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .index import PictureIndex
from .scan import StreamScan
from .times import ASSUMED_RATE, untimed

__all__ = ["export_notes", "size_change", "stream_notes"]

_MAX_PLACES = 5  # places that a note names


def stream_notes(scan: StreamScan, pictures: PictureIndex) -> list[str]:
    """Sentences, without a final period, about what a user would not expect of a stream."""
    notes = [scan.packets.truncation, _not_displayed(scan), *_left_out(scan, pictures), _lost(scan, pictures)]
    notes += [_damaged(pictures), _refused(scan, pictures), _joined(pictures), _untimed(scan, pictures)]
    notes += [*scan.display.notes, _changing_size(scan), _changing_aspect(scan)]
    notes += [_field_pictures(scan), _cropped(scan)]
    return [note for note in notes if note is not None]


def export_notes(scan: StreamScan) -> list[str]:
    """Sentences about motion that libavcodec's export of vectors leaves ambiguous."""
    if scan.headers is None or scan.headers.frame_mbs_only:
        return []
    return [
        "fields are coded: the vectors that libavcodec exports do not say which ones count lines of a field, "
        "so vertical motion may be half its length; backend='native' distinguishes them"
    ]


def size_change(scan: StreamScan) -> int | None:
    """The first picture, in decoding order, whose coded size differs from those before; None if none does."""
    if not scan.columns:
        return None
    changed = np.flatnonzero((_sizes(scan) != _sizes(scan)[0]).any(axis=1))
    return int(changed[0]) if len(changed) else None


def _sizes(scan: StreamScan) -> npt.NDArray[np.int64]:
    return np.stack([scan.columns["coded_width"], scan.columns["coded_height"]], axis=1)


def _changing_size(scan: StreamScan) -> str | None:
    """Parameter sets that change the coded size."""
    first = size_change(scan)
    if first is None:
        return None
    width, height = _sizes(scan)[first].tolist()
    return f"the picture size changes at picture {first} (decoding order), to {width}x{height} coded samples"


def _changing_aspect(scan: StreamScan) -> str | None:
    """Parameter sets that change the sample aspect ratio."""
    if scan.headers is None:
        return None
    infos = scan.infos
    first = infos[0].sar
    change = next((info.decode_index for info in infos if info.sar != first), None)
    if change is None:
        return None
    return (
        f"the sample aspect ratio changes at picture {change} (decoding order); "
        "all pictures are shown as the first"
    )


def _field_pictures(scan: StreamScan) -> str | None:
    """HEVC stores fields as pictures of half the height, which libavcodec outputs as they are."""
    if not any(info.field_seq for info in scan.infos):
        return None
    return (
        "pictures are fields (field_seq_flag): each has half the lines, "
        "and vertical motion counts its own lines"
    )


def _cropped(scan: StreamScan) -> str | None:
    """Motion fields begin at the coded picture's corner."""
    if scan.headers is None:
        return None
    left, top, _, _ = scan.headers.frame_cropping
    if not left and not top:
        return None
    return f"{left} columns at the left and {top} rows at the top are cropped; motion is not shifted by them"


def _not_displayed(scan: StreamScan) -> str | None:
    count = int((~scan.packets.displayed).sum())
    return (
        f"the container's edit list shows a part of the file: {_count(count, 'packet')} decoded, not shown"
        if count
        else None
    )


def _left_out(scan: StreamScan, pictures: PictureIndex) -> list[str | None]:
    """Pictures in the file that the decoder does not output."""
    if scan.headers is None:
        empty = len(scan.packets) - int((~scan.packets.displayed).sum()) - len(pictures)
        return [f"{empty} of {len(scan.packets)} packets show no picture" if empty > 0 else None]
    output = set(pictures.packet.tolist())
    frames = {info.frame: info.sample for info in reversed(scan.infos)}  # the first of two fields
    hidden = {info.sample for info in scan.infos if not info.output}
    displayed = scan.packets.displayed
    missing = [n for n in frames.values() if n not in output and n not in hidden and displayed[n]]
    missing += scan.headers.skipped_leading()
    first = int(pictures.packet[0])
    before = sum(packet < first for packet in missing)
    leading = len(missing) - before
    return [
        "the recording begins inside a group of pictures: "
        f"{_count(before, 'picture')} before the first one that can be decoded left out"
        if before
        else None,
        f"{_count(leading, 'picture')} left out because the pictures that they refer to are missing"
        if leading
        else None,
        f"{_count(len(hidden), 'picture')} not shown (pic_output_flag)" if hidden else None,
        "layers above the base layer are left out (MV-HEVC or SHVC)" if scan.headers.has_layers else None,
    ]


def _lost(scan: StreamScan, pictures: PictureIndex) -> str | None:
    """Packets next to which the demuxer misses data."""
    packets = scan.packets
    lost = [n for n in packets.corrupt_packets if packets.truncation is None or n < len(packets) - 1]
    return f"data are missing at {_places(pictures, lost)}" if lost else None


def _damaged(pictures: PictureIndex) -> str | None:
    damaged = pictures.packet[pictures.corrupt].tolist()
    return f"damage is reported of {_places(pictures, damaged)}" if damaged else None


def _refused(scan: StreamScan, pictures: PictureIndex) -> str | None:
    first = min(pictures.position_of, default=0)
    refused = [number for number, _ in pictures.refused if number > first and number < len(scan.packets)]
    return (
        f"the decoder refused {len(refused)} packets, the first is packet {refused[0]}" if refused else None
    )


def _joined(pictures: PictureIndex) -> str | None:
    if pictures.seconds is None:
        return None
    times = pictures.times
    falls = np.nonzero(np.diff(pictures.seconds) < 0)[0] + 1
    if not len(falls) or times is None:
        return None
    if np.allclose(times[-1] - times[0], pictures.seconds[-1] - pictures.seconds[0]):
        return (
            f"the time stamp at picture {int(falls[0])} is out of order; the mean of its neighbours is used, "
            "except as its pts_seconds"
        )
    places = ", ".join(str(i) for i in falls[:_MAX_PLACES].tolist())
    return (
        f"time stamps decrease at picture {places}: recordings were joined; durations and times of windows "
        "and segments continue from there, pts_seconds of a picture is as stored"
    )


def _untimed(scan: StreamScan, pictures: PictureIndex) -> str | None:
    """Times that the file does not tell."""
    if pictures.seconds is None:
        rate = float(scan.packets.stream.rate or ASSUMED_RATE)
        return f"the file holds no time stamps; {rate:g} frames per second are assumed"
    places = np.flatnonzero(untimed(pictures.packet, scan.packets))
    if not len(places):
        return None
    edges = np.flatnonzero(np.diff(places) > 1)
    runs = zip(places[[0, *(edges + 1)]].tolist(), places[[*edges, -1]].tolist(), strict=True)
    named = [str(first) if first == last else f"{first} to {last}" for first, last in runs]
    more = f" and {len(named) - _MAX_PLACES} more places" if len(named) > _MAX_PLACES else ""
    shown = ", ".join(named[:_MAX_PLACES]) + more
    return (
        f"{len(places)} of {len(pictures)} pictures have no time stamp ({shown}); "
        "their times are guessed from their packets' durations and their neighbours"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _places(pictures: PictureIndex, packets: list[int]) -> str:
    """The pictures nearest to packets, with their times."""
    places = []
    for number in packets[:_MAX_PLACES]:
        index = int(np.argmin(np.abs(pictures.packet - number)))
        at = "" if pictures.times is None else f" ({pictures.times[index] - pictures.times[0]:.2f} s)"
        places.append(f"picture {index}{at}")
    return ", ".join(places) + (
        f" and {len(packets) - _MAX_PLACES} more" if len(packets) > _MAX_PLACES else ""
    )
