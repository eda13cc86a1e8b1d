"""Stands in for the analysing process: what it does is the video's first word."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

RESULT = {
    "path": "",
    "predictions": [{"label": "left", "score": 0.9}],
    "stream": "motion",
    "streams": {"motion": [{"label": "left", "score": 0.9}]},
    "notes": [],
    "seconds": 0.1,
    "cpu_seconds": 0.1,
    "frames": 0,
    "engine": "onnx",
    "gflops": None,
    "timeline": None,
}


def send(**message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def work(task: dict[str, str]) -> None:
    """Obey the first word of the file."""
    video = Path(task["video"])
    word = video.read_bytes()[:5].decode("latin-1").strip()
    send(progress=["read", 0, 0])
    if word == "crash":
        os.abort()
    elif word == "hang":
        tempfile.mkstemp()
        send(progress=["predict", 1, 4])
        time.sleep(600)
    elif word == "noise":
        sys.stdout.write("not JSON\n")
        sys.stdout.flush()
    elif word == "flood":
        sys.stdout.write("x" * 5_000_000 + "\n")
        sys.stdout.flush()
    elif word == "bad":
        send(failed={"status": 422, "sentence": f"{task['name']}: not a video file that can be opened"})
    elif word == "long":
        send(failed={"status": 413, "sentence": f"{task['name']}: the video is 2 hours long"})
    elif word == "bug":
        send(bug="Traceback of a bug")
    else:
        folder = Path(task["folder"])
        if word == "hold":
            (folder.parents[1] / "held").touch()
        while word == "hold" and not (folder.parents[1] / "release").exists():
            time.sleep(0.01)
        names = sorted(path.name for path in folder.iterdir())
        (folder / "result.json").write_text(json.dumps({**RESULT, "path": task["name"], "notes": names}))
        for kind in ("csv", "json", "vtt"):
            (folder / f"timeline.{kind}").write_text(f"a timeline as {kind}\n")
        send(done={})


def main() -> None:
    """Answer as the real process does; the argument is what it says of its model, or why it can't load it."""
    send(**json.loads(sys.argv[1]))
    for line in sys.stdin:
        work(json.loads(line))


if __name__ == "__main__":
    main()
