"""MPEG transport streams whose video moves to another packet identifier."""

from __future__ import annotations

from pathlib import Path

import av

from mv_tools.source import demuxed

__all__ = ["MOVED_PID", "moved_to_another_stream", "on_another_stream"]

MOVED_PID = 300


def on_another_stream(first: Path, target: Path) -> Path:
    """The pictures of a file as a transport stream on another PID."""
    options = {"mpegts_start_pid": str(MOVED_PID), "mpegts_pmt_start_pid": "4100"}
    with av.open(str(first)) as source, av.open(str(target), "w", options=options) as written:
        video = written.add_stream_from_template(source.streams.video[0])
        for packet in demuxed(source, source.streams.video[0]):
            packet.stream = video
            written.mux(packet)
    return target


def moved_to_another_stream(first: Path, folder: Path) -> Path:
    """A transport stream whose encoder starts again on another PID: the pictures of a file, twice."""
    second = on_another_stream(first, folder / "second.ts")
    joined = folder / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    return joined
