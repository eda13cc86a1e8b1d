"""Peak memory of reading motion from a 10-second and a 10-minute clip; it must not grow with the length.

    python benchmarks/stream_memory.py [--minutes 10] [--width 640 --height 360]

Clips are generated. Each figure is the peak resident size of a new process with one task.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

TASKS = {
    "cache features": "from moclip_lite.motion.read import read_motion_clip; "
    "from moclip_lite.motion.settings import MotionSpec; "
    "read_motion_clip(Path(sys.argv[1]), MotionSpec())",
    "every frame": "import mv_tools; n = sum(1 for _ in mv_tools.MotionDecoder(sys.argv[1], {backend!r}))",
    "write .npz": "import mv_tools; mv_tools.write_motion("
    "mv_tools.MotionDecoder(sys.argv[1], {backend!r}), sys.argv[1] + '.npz')",
}


def write_clip(path: Path, seconds: int, width: int, height: int) -> None:
    rng = np.random.default_rng(0)
    canvas = np.kron(
        rng.integers(0, 255, (height // 4, width // 2, 3), dtype=np.uint8), np.ones((4, 4, 1), np.uint8)
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(25 * seconds):
            x = (2 * i) % width
            picture = np.ascontiguousarray(canvas[:height, x : x + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def peak_mb(code: str, path: Path) -> float:
    script = f"import resource, sys; from pathlib import Path; {code}; " + (
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True
    )
    return float(process.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=360)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.mp4", Path(folder) / "long.mp4"
        write_clip(short, 10, args.width, args.height)
        write_clip(long, 60 * args.minutes, args.width, args.height)
        print(f"{args.width}x{args.height}, 10 s against {args.minutes} min; peak resident MB")
        for backend in ("native", "libav"):
            for name, code in TASKS.items():
                code = code.format(backend=backend)
                if name == "cache features":
                    code = code.replace("MotionSpec()", f"MotionSpec(backend={backend!r})")
                short_mb, long_mb = peak_mb(code, short), peak_mb(code, long)
                print(f"{backend:8} {name:16} {short_mb:8.0f} {long_mb:8.0f}   {long_mb - short_mb:+.0f}")


if __name__ == "__main__":
    main()
