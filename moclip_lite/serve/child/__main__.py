"""The analysing process: ``python -m moclip_lite.serve.child ARGUMENTS``, started by the server.

It reads a task per line of standard input and answers with lines of JSON
(see :mod:`moclip_lite.serve.worker`).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from mv_tools import ArgumentError, MotionError

from ...errors import CheckpointError, MoclipError
from ...parallel.threads import set_thread_policy

if TYPE_CHECKING:
    from ...predict.classifier import Classifier

_PROGRESS_PAUSE: Final = 0.1  # seconds between messages of one stage
_SPARE: Final = 30  # seconds after the server's time limit at which a process without a server ends itself


class Channel:
    """Messages to the server.

    Args:
        out: where to write them.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._last: tuple[str, float] = ("", 0.0)

    def send(self, **message: Any) -> None:
        self._out.write(json.dumps(message).encode() + b"\n")
        self._out.flush()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report progress: not too often, but the end of each stage."""
        now = time.monotonic()
        name, at = self._last
        if stage != name or done == total or now - at >= _PROGRESS_PAUSE:
            self._last = (stage, now)
            self.send(progress=[stage, done, total])


def _taken_output() -> IO[bytes]:
    """The former standard output; what libraries print is sent to stderr from now on."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _lines() -> queue.SimpleQueue[bytes]:
    """Lines of standard input; the process ends with the server, even in the middle of a task."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        for line in iter(sys.stdin.buffer.readline, b""):
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _restrict() -> None:
    """No core dumps, and the first to be killed when memory runs out."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _load(arguments: dict[str, Any]) -> tuple[Classifier, dict[str, Any]]:
    """The classifier with all that it needs of the run folder, and the message that it is ready."""
    from ...predict.classifier import Classifier
    from ...predict.content import content_digest

    run = Path(arguments["model"])
    options = {name: arguments[name] for name in ("device", "overrides", "engine") if name in arguments}
    classifier = Classifier.load(run, **options)
    warnings = [note for note in (classifier.engine_note,) if note] + classifier.warnings
    if classifier.heads:
        _ = classifier.encoder  # loaded now: missing weights are reported at the start
    classifier.engine.preload()
    _ = classifier.costs
    with contextlib.suppress(CheckpointError):  # a damaged one is told with each video
        _ = classifier.calibration
    streams = [str(stream) for stream in classifier.heads]
    if classifier.motion is not None:
        streams.append("motion")
    labels = list(classifier.labels)
    about = {"model": arguments["name"], "engine": classifier.engine.name, "labels": labels}
    ready = {**about, "streams": streams, "warnings": warnings}
    content = content_digest(classifier.folder, classifier.experiment, labels, classifier.engine)
    return classifier, {"ready": ready, "content": content}


def _carry_out(
    classifier: Classifier, channel: Channel, task: dict[str, Any], windows: dict[str, float | None]
) -> None:
    """Analyse one video and answer."""
    from ...datasets.clip_errors import CLIP_ERRORS, sentence_of
    from ..http.refusal import Refusal
    from .analysis import Analysis, Task

    path = task["video"]
    try:
        values = {**task, "video": Path(path), "folder": Path(task["folder"])}
        Analysis(classifier, Task(**values), channel.progress, windows).run()
        channel.send(done={})
    except Refusal as error:
        channel.send(failed={"status": error.status, "sentence": error.sentence})
    except (*CLIP_ERRORS, MoclipError) as error:
        sentence = sentence_of(error).replace(path, task["name"])
        channel.send(failed={"status": 422, "sentence": sentence})
    except Exception:
        channel.send(bug=traceback.format_exc())


def main() -> None:
    """Load the model, then work on tasks until standard input ends."""
    channel, lines = Channel(_taken_output()), _lines()
    _restrict()
    set_thread_policy()
    arguments = json.loads(sys.argv[1])
    try:
        classifier, message = _load(arguments)
    except (MoclipError, MotionError, ArgumentError, OSError) as error:
        from ...datasets.clip_errors import sentence_of

        kind = type(error).__name__ if isinstance(error, MoclipError) else "MoclipError"
        channel.send(failed={"kind": kind, "sentence": sentence_of(error)})
        return
    channel.send(**message)
    while True:
        task = json.loads(lines.get())
        limit = task.pop("time_limit")
        if hasattr(signal, "alarm"):
            signal.alarm(int(limit) + _SPARE)  # ends the process even within a library
        _carry_out(classifier, channel, task, arguments.get("windows", {}))
        if hasattr(signal, "alarm"):
            signal.alarm(0)


if __name__ == "__main__":
    main()
