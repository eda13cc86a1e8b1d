"""MP4 and QuickTime files of many kinds, made of the packets of one stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from support.clips import encode, panning
from support.mp4_boxes import changed, edit_list, without, words

STREAMS = {
    "b": {"g": "12", "bf": "3", "b_strategy": "0", "sc_threshold": "0", "crf": "28"},
    "no_b": {"g": "12", "bf": "0", "sc_threshold": "0", "crf": "28"},
    "open_gop": {
        "g": "12",
        "bf": "2",
        "b_strategy": "0",
        "crf": "28",
        "x264-params": "open-gop=1:scenecut=0",
    },
}
HEVC = {"x265-params": "pools=none:frame-threads=1:log-level=none:keyint=12:bframes=3:scenecut=0"}

MUXERS: dict[str, tuple[str, dict[str, str]]] = {
    "mp4": ("mp4", {}),
    "faststart": ("mp4", {"movflags": "faststart"}),
    "mov": ("mov", {}),
    "m4v": ("ipod", {}),
    "3gp": ("3gp", {}),
    "negative_offsets": ("mp4", {"movflags": "negative_cts_offsets"}),
    "no_edit_list": ("mp4", {"use_editlist": "0"}),
    "fragments": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "fragments_mov": ("mov", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "short_fragments": ("mp4", {"movflags": "empty_moov+default_base_moof", "frag_duration": "200000"}),
    "dash": ("mp4", {"movflags": "dash+frag_keyframe+empty_moov+default_base_moof+global_sidx"}),
    "delayed_fragments": ("mp4", {"movflags": "frag_keyframe+delay_moov+default_base_moof"}),
    "separate_fragments": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof+separate_moof"}),
}


def stream(folder: Path, name: str, frames: int = 40) -> Path:
    """An encoded clip of one of `STREAMS`, or "hevc"."""
    path = folder / f"stream_{name}.mp4"
    if name == "hevc":
        return encode(path, panning(frames), "libx265", **HEVC)
    return encode(path, panning(frames), **STREAMS[name])


def remux(
    source: Path, target: Path, kind: str, *, late: int = 0, audio: bool = False, tracks: int = 1
) -> Path:
    """Copy the packets of a clip.

    Args:
        source: the clip.
        target: the file to write.
        kind: one of `MUXERS`.
        late: frames by which all times are moved.
        audio: add a track of audio before that of video.
        tracks: tracks of video.
    """
    format_name, options = MUXERS[kind]
    with av.open(str(source)) as first, av.open(str(target), "w", format=format_name, options=options) as out:
        video = first.streams.video[0]
        sound = out.add_stream("aac", rate=16000, layout="mono") if audio else None
        copies = [out.add_stream_from_template(video) for _ in range(tracks)]
        if sound is not None:
            for _ in range(8):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.rate = 16000
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
        for packet in first.demux(video):
            if not packet.size:
                continue
            for copy in copies:
                twin = av.Packet(bytes(packet))
                twin.stream, twin.time_base, twin.is_keyframe = copy, packet.time_base, packet.is_keyframe
                shift = late * packet.duration
                twin.pts, twin.dts, twin.duration = packet.pts + shift, packet.dts + shift, packet.duration
                out.mux(twin)
    return target


def _rotated(tkhd: bytes) -> bytes:
    return tkhd[:40] + words(0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30) + tkhd[76:]


def _wide_chunks(stco: bytes) -> bytes:
    offsets = [stco[i : i + 4] for i in range(8, len(stco), 4)]
    return stco[:8] + b"".join(bytes(4) + offset for offset in offsets)


def _edits(*edits: tuple[int, int]) -> Callable[[bytes], bytes]:
    """Ticks of a track at 25 a second are 512; of the movie, 1000 a second."""
    return lambda data: changed(data, "elst", lambda _: edit_list(*edits))


SURGERY: dict[str, Callable[[bytes], bytes]] = {
    "co64": lambda data: changed(data, "stco", _wide_chunks, "co64"),
    "rotated": lambda data: changed(data, "tkhd", _rotated),
    "no_ctts": lambda data: without(data, "ctts"),
    "no_stss": lambda data: without(data, "stss"),
    "no_elst": lambda data: without(data, "edts"),
    "trimmed": _edits((600, 1024 + 5 * 512)),
    "trimmed_at_key": _edits((600, 1024 + 12 * 512)),
    "trimmed_end": _edits((700, 1024)),
    "late": _edits((400, -1), (1600, 1024)),
    "late_and_trimmed": _edits((400, -1), (600, 1024 + 7 * 512)),
    "two_edits": _edits((480, 1024), (640, 1024 + 24 * 512)),
    "two_edits_inside": _edits((480, 1024 + 3 * 512), (500, 1024 + 17 * 512)),
    "repeated": _edits((480, 1024), (480, 1024)),
    "backwards": _edits((480, 1024 + 24 * 512), (480, 1024)),
    "empty_inside": _edits((480, 1024), (200, -1), (480, 1024 + 12 * 512)),
    "before_the_start": _edits((1600, 0)),
    "behind_the_end": _edits((1000, 1024 + 300 * 512)),
    "no_duration": _edits((0, 1024)),
}


def surgery(source: Path, target: Path, kind: str) -> Path:
    """A file whose tables were changed; `kind` is one of `SURGERY`."""
    target.write_bytes(SURGERY[kind](source.read_bytes()))
    return target
