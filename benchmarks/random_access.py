"""Reading 25 frames of a 10-minute 720p H.264 file against reading all of its motion, in one run.

    python benchmarks/random_access.py [--source FILE] [--minutes 10] [--threads 2]

The file is written once, in the temporary folder: the packets of the source (or of a generated clip) are
repeated until it is long enough. The chosen frames are compared with those of the full pass.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from moclip_lite.datasets.synthetic.pictures import encode_clip, render_clip
from mv_tools import MotionDecoder, MotionFrame

T = TypeVar("T")
FRAMES = 25


def repeat_packets(source: Path, target: Path, minutes: float) -> None:
    """Copy the video packets of `source` over and over; no picture is encoded again."""
    with av.open(str(source)) as first:
        stream = first.streams.video[0]
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in first.demux(stream) if p.size]
        length = max(p[1] for p in packets) - min(p[1] for p in packets)
        length += length // (len(packets) - 1)
        rounds = round(minutes * 60 / float(length * stream.time_base))
        draft = target.with_suffix(".draft.mp4")
        with av.open(str(draft), "w") as out:
            copy = out.add_stream_from_template(stream)
            for turn in range(max(1, rounds)):
                for data, pts, dts, key in packets:
                    packet = av.Packet(data)
                    packet.stream, packet.time_base, packet.is_keyframe = copy, stream.time_base, key
                    packet.pts, packet.dts = pts + turn * length, dts + turn * length
                    out.mux(packet)
        draft.replace(target)


def timed(work: Callable[[], T]) -> tuple[T, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def same(a: MotionFrame, b: MotionFrame) -> bool:
    assert a.ref_poc is not None
    assert b.ref_poc is not None
    arrays = (a.mv, b.mv), (a.ref_idx, b.ref_idx), (a.ref_poc, b.ref_poc)
    return (a.index, a.poc, a.pict_type) == (b.index, b.poc, b.pict_type) and all(
        np.array_equal(one, other) for one, other in arrays
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, help="a 720p H.264 file; else one is generated")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    folder = Path(tempfile.gettempdir()) / "moclip-random-access"
    folder.mkdir(exist_ok=True)
    source = args.source
    if source is None:
        source = folder / "generated.mp4"
        if not source.exists():
            encode_clip(source, *render_clip("pebbles", "pan_left", 250, (0,)))
    path = folder / f"{source.stem}-{args.minutes:g}.mp4"
    if not path.exists():
        repeat_packets(source, path, args.minutes)
    measure(path, folder / f"{path.stem}.index", args.threads)


def measure(path: Path, index: Path, threads: int) -> None:
    decoder = MotionDecoder(path, "native", threads=threads)
    decoder.save_index(index)
    positions = np.linspace(0, len(decoder) - 1, FRAMES).round().astype(int).tolist()
    chosen = set(positions)

    def open_file(saved: Path | None = None) -> MotionDecoder:
        return MotionDecoder(path, "native", threads=threads, index=saved)

    def read_all() -> dict[int, MotionFrame]:
        return {frame.index: frame for frame in open_file() if frame.index in chosen}

    full, full_wall, full_cpu = timed(read_all)
    print(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB, {len(decoder)} frames, {threads} threads")
    print(f"  {'all frames':22} {full_wall * 1e3:8.1f} ms wall {full_cpu * 1e3:8.1f} ms CPU")
    works: dict[str, Callable[[], list[MotionFrame]]] = {
        "25, closed file": lambda: open_file().get_frames_at(positions),
        "25, saved index": lambda: open_file(index).get_frames_at(positions),
        "25, opened decoder": lambda: decoder.get_frames_at(positions),
    }
    for name, work in works.items():
        frames, wall, cpu = timed(work)
        assert all(same(frame, full[frame.index]) for frame in frames)
        print(
            f"  {name:22} {wall * 1e3:8.1f} ms wall {cpu * 1e3:8.1f} ms CPU   "
            f"{full_wall / wall:.0f}x faster, {full_cpu / cpu:.0f}x less CPU"
        )


if __name__ == "__main__":
    main()
