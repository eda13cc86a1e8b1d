"""The server's side of the analysing process: start, requests, time limits, restart.

Each line of its standard input is a task, each line of its standard output a message, both JSON objects.
A video that crashes or stalls the process ends that process only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from ..errors import CheckpointError, ConfigError, MoclipError, WeightsUnavailable
from .http.refusal import Refusal

log = logging.getLogger("moclip.serve")

__all__ = ["Worker", "child_command"]

Task: TypeAlias = Mapping[str, Any]
OnProgress: TypeAlias = Callable[[str, int, int], None]

_MAX_LINE: Final = 4_000_000  # bytes of a message: results are files, messages are short
_START_LIMIT: Final = 600.0  # seconds in which weights must be loaded
_TAIL: Final = 40  # last lines of standard error, for reports
_USER_ERRORS: Final = {
    kind.__name__: kind for kind in (CheckpointError, ConfigError, MoclipError, WeightsUnavailable)
}


def child_command(
    model: str,
    device: str,
    overrides: Sequence[str],
    windows: Mapping[str, float | None],
    engine: str = "auto",
    name: str | None = None,
) -> list[str]:
    """The command line of the analysing process.

    Args:
        model: run folder.
        device: "auto", "cpu" or "cuda".
        overrides: "section.key=value".
        windows: arguments of :meth:`moclip_lite.Classifier.timeline`, None for the run's own.
        engine: "auto", "onnx" or "torch".
        name: of the model, for people; by default that of the folder.
    """
    arguments = {
        "model": model,
        "name": Path(model).resolve().name if name is None else name,
        "device": device,
        "engine": engine,
        "overrides": list(overrides),
        "windows": dict(windows),
    }
    return [sys.executable, "-m", "moclip_lite.serve.child", json.dumps(arguments)]


class Worker:
    """One analysing process.

    Args:
        command: how to start it.
        time_limit: seconds for a task.
        scratch: folder of the process' temporary files, which are removed with it.

    Attributes:
        about: what the process said of its model when it was last ready; it answers with no other than first.
        starts: how often it was started.
    """

    def __init__(self, command: Sequence[str], time_limit: float, scratch: Path) -> None:
        self._command, self._time_limit, self._scratch = tuple(command), time_limit, scratch
        self._process: asyncio.subprocess.Process | None = None
        self._errors: deque[str] = deque(maxlen=_TAIL)
        self._drain: asyncio.Task[None] | None = None
        self._content: str | None = None  # digest of the model that was loaded first
        self._told = ""
        self.about: dict[str, Any] = {}
        self.starts = 0

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process and wait until it has loaded the model.

        Raises:
            MoclipError: it can't be loaded.
            Refusal: 503, at a later start: the model is another one, or can't be loaded any more.
        """
        first, name = self._content is None, self.about.get("model")
        try:
            message = await self._launch()
        except MoclipError as error:
            if first:
                raise
            sentence = f"the model {name} can't be loaded any more"
            self._tell(f"{sentence}: {error}")
            raise Refusal(503, f"{sentence}; the server's log says why") from error
        content, about = str(message.get("content", "")), message["ready"]
        if not first and content != self._content:
            await self.stop()
            sentence = f"the model {name} {self._change(about)}; restart the server"
            new = [text for text in about["warnings"] if text not in self.about["warnings"]]
            self._tell("\n".join([sentence, *new]))
            raise Refusal(503, sentence)
        self._content, self.about = content, about
        self._told = ""

    def _change(self, about: Mapping[str, Any]) -> str:
        """What a model that is loaded again has become, where it is another one than before."""
        before, now = self.about.get("engine"), about.get("engine")
        if before == now:
            return "changed while the server runs"
        return f"changed while the server runs: its engine is {now}, no longer {before}"

    def _tell(self, sentence: str) -> None:
        """Print a sentence on the server's standard error, once for all requests in a row that meet it."""
        if sentence != self._told:
            self._told = sentence
            log.warning("%s", sentence)

    async def _launch(self) -> dict[str, Any]:
        """Start the process.

        Returns:
            Its first message: "ready" with what it says of its model, "content" with the model's digest.

        Raises:
            MoclipError: it can't load the model.
        """
        self.starts += 1
        self._errors.clear()
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._scratch))
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_MAX_LINE,
            start_new_session=True,  # Ctrl-C in the terminal is the server's alone
            env={**os.environ, **temporary, "MOCLIP_TOKEN": ""},
        )
        self._drain = asyncio.create_task(self._read_errors(self._process))
        try:
            message = await asyncio.wait_for(self._message(), _START_LIMIT)
        except (TimeoutError, asyncio.TimeoutError):
            message = None
        except BaseException:
            await self.stop()
            raise
        if message is None or "ready" not in message:
            await self.stop()
            failed = (message or {}).get("failed")
            if failed:
                raise _USER_ERRORS.get(failed.get("kind"), MoclipError)(failed["sentence"])
            raise RuntimeError("the analysing process did not start:\n" + self.last_errors())
        return message

    async def stop(self) -> None:
        """End the process and those that it started, and remove its temporary files."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:  # Windows has no process groups; the process starts none that outlive it
                process.kill()
        await process.wait()
        if self._drain is not None:
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._drain, 5)
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def run(self, task: Task, on_progress: OnProgress) -> dict[str, Any]:
        """Carry out a task. If this is cancelled, the process is ended.

        Args:
            task: for the process.
            on_progress: receives stage, steps done and steps in all.

        Returns:
            What the process answered.

        Raises:
            Refusal: the video can't be analysed: its own fault (422, 413), a crash or a time-out.
            Refusal: 503, the process must be started again and has not the same model, see :meth:`start`.
            RuntimeError: a bug in the process; its traceback.
        """
        if not self.alive:
            await self.start()
        limit = self._time_limit
        try:
            return await asyncio.wait_for(self._converse(task, on_progress), limit)
        except (asyncio.TimeoutError, TimeoutError):
            await self.stop()
            raise Refusal(422, f"the analysis took longer than {limit:g} s and was ended") from None
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def _converse(self, task: Task, on_progress: OnProgress) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(task).encode() + b"\n")
            await process.stdin.drain()
        while (message := await self._message()) is not None:
            if "progress" in message:
                stage, done, total = message["progress"]
                on_progress(str(stage), int(done), int(total))
            elif "done" in message:
                return dict(message["done"])
            elif "failed" in message:
                failed = message["failed"]
                raise Refusal(int(failed.get("status", 422)), str(failed["sentence"]))
            elif "bug" in message:
                raise RuntimeError(str(message["bug"]))
        await self.stop()
        raise Refusal(422, "the process that analysed this video crashed; the file may be damaged or hostile")

    async def _message(self) -> dict[str, Any] | None:
        """The next message; None at the end of the process or after a line that is none."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
            value = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:  # too long, or not JSON
            return None
        return value if isinstance(value, dict) else None

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last lines of standard error; what libraries write there may be a hostile file's."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(8192):
            for line in chunk.decode("utf-8", "backslashreplace").splitlines():
                self._errors.append(line[:500])

    def last_errors(self) -> str:
        """The last lines that the process wrote to standard error."""
        return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in self._errors)
