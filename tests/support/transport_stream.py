"""MPEG transport streams whose video moves to another packet identifier."""

from __future__ import annotations

from pathlib import Path

from support.clips import remuxed

__all__ = ["MOVED_PID", "moved_to_another_stream", "on_another_stream"]

MOVED_PID = 300


def on_another_stream(first: Path, target: Path) -> Path:
    """The pictures of a file as a transport stream on another PID."""
    return remuxed(first, target, {"mpegts_start_pid": str(MOVED_PID), "mpegts_pmt_start_pid": "4100"})


def moved_to_another_stream(first: Path, folder: Path) -> Path:
    """A transport stream whose encoder starts again on another PID: the pictures of a file, twice."""
    second = on_another_stream(first, folder / "second.ts")
    joined = folder / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    return joined
