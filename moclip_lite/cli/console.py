"""Console output: messages and progress on stderr, results on stdout, errors as one sentence."""

from __future__ import annotations

import errno
import json
import logging
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..errors import out_of_memory
from ..progress import Pace
from ..storage.names import printable
from .standard_streams import Messages

if TYPE_CHECKING:
    from ..results.report.document import Document

__all__ = [
    "ConsoleReporter",
    "bugs_at_once",
    "collected_bugs",
    "err",
    "explain",
    "print_document",
    "print_failures",
    "print_json",
    "print_table",
]

err = Messages(stderr=True, highlight=False, soft_wrap=True)
out = Console(highlight=False, width=None if sys.stdout is not None and sys.stdout.isatty() else 160)


class ConsoleReporter:
    """Messages and progress bars on stderr; where stderr is a file, a line from time to time instead of bars.

    Args:
        quiet: show warnings only.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._pace = Pace()
        _route_logging(self)

    def say(self, text: str) -> None:
        self._pace.touch()
        if not self.quiet:
            err.print(printable(text), markup=False)

    def warn(self, text: str) -> None:
        err.print(f"warning: {printable(text)}", markup=False, style="yellow")

    def progress(self, stage: str, done: int, total: int) -> None:
        if self.quiet or total < 1:
            return
        if not err.is_terminal:
            line = self._pace.line(stage, done, total)
            if line is not None:
                err.print(line, markup=False)
            return
        if self._progress is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=err, transient=True)
            self._progress.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)
        if done >= total:
            self._progress.remove_task(self._tasks.pop(stage))
        if not self._tasks:
            self.close()

    def close(self) -> None:
        """Remove the progress bars."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()


class _WarningHandler(logging.Handler):
    def __init__(self, reporter: ConsoleReporter) -> None:
        super().__init__(logging.WARNING)
        self.reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        self.reporter.warn(record.getMessage())


class _BugHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.bugs: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.bugs.append(self.format(record))


@contextmanager
def collected_bugs() -> Iterator[list[str]]:
    """Tracebacks of the errors given to :func:`moclip_lite.errors.report_bug` within the block."""
    logger, handler = logging.getLogger("moclip.bugs"), _BugHandler()
    propagate = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield handler.bugs
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


class _AtOnceHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        err.print("\n".join(map(printable, self.format(record).splitlines())), markup=False)


@contextmanager
def bugs_at_once() -> Iterator[None]:
    """Print the errors given to :func:`moclip_lite.errors.report_bug` within the block when they occur.

    A server may run for months, so they are not kept until its end; their number is told there.
    """
    logger, handler = logging.getLogger("moclip.bugs"), _AtOnceHandler()
    before, logger.handlers = logger.handlers, [handler]
    try:
        yield
    finally:
        logger.handlers = before
        if handler.count:
            logger.error("bugs in this program: %d, printed above when they occurred", handler.count)


def _route_logging(reporter: ConsoleReporter) -> None:
    """Send warnings of our own packages to the reporter; silence libraries, whose errors are exceptions."""
    for name in ("moclip", "mv_tools"):
        logger = logging.getLogger(name)
        logger.handlers = [_WarningHandler(reporter)]
        logger.propagate = False
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())


def print_json(value: Any) -> None:
    """Print one JSON document on stdout; characters that stdout can't encode are escaped.

    Numbers that JSON has not, such as NaN, are null.
    """
    value = _finite(value)
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # also file names that are not UTF-8
        text = json.dumps(value, indent=2, default=str)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; columns of numbers are aligned right."""
    from ..results.report.document import is_number

    out.print(Text(printable(title), style="bold"))
    table = Table(header_style="bold")
    for position, name in enumerate(header):
        numeric = bool(rows) and all(is_number(str(row[position])) for row in rows)
        table.add_column(Text(printable(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    out.print(table)


def print_document(document: Document) -> None:
    """Print a document's tables on stdout and its paragraphs on stderr; folded blocks are left out."""
    from ..results.report import document as blocks

    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, blocks.Table):
                title = f"{section.title}: {block.caption}" if block.caption else section.title
                print_table(title, block.header, block.rows)
            elif isinstance(block, blocks.Paragraph) and block.style == "warning":
                err.print(f"warning: {printable(block.text)}", markup=False, style="yellow")
            elif isinstance(block, blocks.Paragraph):
                err.print(printable(block.text), markup=False)


def explain(error: BaseException) -> str:
    """An error as one sentence, in valid Unicode."""
    return printable(_sentence(error))


def _sentence(error: BaseException) -> str:
    if advice := out_of_memory(error):
        return advice
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        if error.errno == errno.ENOSPC:
            return f"{where}the disk is full; finished work is kept"
        return f"{where}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def print_failures(failures: Sequence[Mapping[str, str]]) -> None:
    """Print the clips that were left out, with the reasons."""
    from ..results.report import failure_rows

    if failures:
        rows = failure_rows(failures)
        print_table(f"{len(rows)} clip(s) left out", ["clip", "stage", "reason"], rows)
