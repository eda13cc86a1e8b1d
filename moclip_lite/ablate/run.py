"""Run a grid: extract features once, then run the cells in parallel processes; finished cells are skipped."""

from __future__ import annotations

import logging
import socket
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from mv_tools import MotionError
from mv_tools.urls import is_url, spelled

from ..datasets.clip_errors import sentence_of
from ..errors import CheckpointError, MoclipError, report_bug
from ..experiment.config import Experiment, with_absolute_paths
from ..experiment.output_place import refuse_among_classes
from ..experiment.run import run_experiment
from ..experiment.session import Session
from ..experiment.settings.idle import idle_settings
from ..parallel.pool import default_workers, worker_pool
from ..parallel.runner import JobRunner, runner_of
from ..progress import Reporter, Silent
from .comparisons import comparisons
from .earlier import of_another_grid, remove_tables, replaced_runs
from .figures import draw
from .finished import other_results, with_results_here
from .folder import held_folder
from .grid import Ablation, GridRun
from .summary import summary_markdown
from .tables import notes_of_runs, summarize, tidy_table, write_table

__all__ = ["AblationResult", "Failure", "run_ablation"]


class Failure(NamedTuple):
    """A cell and seed that could not be run, and the reason."""

    run: str
    reason: str


@dataclass(frozen=True)
class AblationResult:
    """The results of a grid.

    Attributes:
        summary: a row per cell and stream: the cell's values, stream, mean, low, high (95 %), runs and costs.
        differences: a row per cell against the reference: difference, low, high, p, verdict.
        failures: runs that could not be done.
    """

    summary: pd.DataFrame
    differences: pd.DataFrame
    failures: list[Failure] = field(default_factory=list)


def run_ablation(
    ablation: Ablation, out: Path, reporter: Reporter, workers: int | JobRunner = 0
) -> AblationResult:
    """Run the cells that are not finished and write the results.

    ``table.csv`` and ``table.parquet`` contain a row per cell, seed, fold and stream; ``summary.csv`` and
    ``differences.csv`` the statistics of these; ``summary.md`` and ``plot.png`` show them.

    Args:
        ablation: the grid.
        out: folder of all results, with a run folder per cell and seed, or its URL.
        reporter: receives messages and progress.
        workers: processes, each with its share of the cores, 0 for one per core; or who else runs the cells.

    Raises:
        ConfigError: the folder lies among the class folders.
        MoclipError: another grid is at work in the folder, no cell could be run, or a process died;
            finished cells are kept.
    """
    for run in ablation.runs(out):
        refuse_among_classes(run.experiment.data, out, "--out")
    with held_folder(out, reporter.say):
        return _run_in_folder(ablation, out, reporter, runner_of(workers))


def _run_in_folder(ablation: Ablation, out: Path, reporter: Reporter, runner: JobRunner) -> AblationResult:
    """See :func:`run_ablation`; the folder is held."""
    runs = ablation.runs(out)
    for sentence in idle_settings(*(run.experiment for run in runs), varied=set(ablation.grid)):
        reporter.warn(sentence)
    failures = _extract_features(runs, reporter)
    ready = _without(runs, failures)
    fingerprints: dict[str, str] = {}
    if ready:
        for sentence in filter(None, (replaced_runs(ready, out), of_another_grid(out, ablation))):
            reporter.say(sentence)
        remove_tables(out)
        more, fingerprints = _run_cells(ready, out, reporter, runner)
        failures += more
    with tempfile.TemporaryDirectory(prefix="moclip-grid-") as copies:
        here = []
        for number, run in enumerate(_without(runs, failures)):
            copy = with_results_here(run, Path(copies, str(number)))
            if reason := other_results(copy, fingerprints[run.words], spelled(run.experiment.run.dir)):
                failures.append(Failure(run.words, reason))
                reporter.warn(f"{run.words}: {reason}")
            else:
                here.append(copy)
        if not here:
            raise MoclipError(f"no cell of the grid could be run; the first: {failures[0].reason}")
        table = tidy_table(here)
        compared = comparisons(ablation, here)
        told = notes_of_runs(here)
    for note in (*compared.notes, *told):
        reporter.warn(note)
    summary = summarize(table, list(ablation.grid))
    for name, frame in {"table": table, "summary": summary, "differences": compared.table}.items():
        write_table(out / name, frame, parquet=name == "table")
    summary_markdown(out / "summary.md", ablation, summary, compared, failures, told)
    draw(out / "plot.png", ablation, summary, compared.table)
    return AblationResult(summary, compared.table, failures)


def _without(runs: Sequence[GridRun], failures: Sequence[Failure]) -> list[GridRun]:
    failed = {failure.run for failure in failures}
    return [run for run in runs if run.words not in failed]


def _extract_features(runs: Sequence[GridRun], reporter: Reporter) -> list[Failure]:
    """Fill the cache once per extraction setting; returns the runs whose clips or weights are unavailable."""
    problems: dict[str, str | None] = {}
    failures = []
    for run in runs:
        # Heads and streams decide what a session refuses.
        key = run.experiment.model_dump_json(
            include={"data": True, "motion": True, "clip": True, "fusion": True, "run": {"streams"}}
        )
        if key not in problems:
            problems[key] = None
            try:
                _ = Session(run.experiment, reporter).extraction
            except (MoclipError, MotionError, OSError) as error:
                problems[key] = " ".join(sentence_of(error).split())
                reporter.warn(f"{run.words}: {problems[key]}")
        if problem := problems[key]:
            failures.append(Failure(run.words, problem))
    return failures


class _Interruptible(Silent):
    """Reports nothing and interrupts its cell once the stop file exists."""

    def __init__(self, stop: Path) -> None:
        self._stop = stop

    def progress(self, stage: str, done: int, total: int) -> None:
        if self._stop.exists():
            raise KeyboardInterrupt


@dataclass(frozen=True)
class _Cell:
    """A run of the grid, as a job.

    Attributes:
        name: in words.
        experiment: its configuration.
        stop: a file whose presence interrupts it.
        threads: of PyTorch.
        fingerprint: of the run here, where it is done elsewhere;
            a node may hold other data under the same paths.
    """

    name: str
    experiment: Experiment
    stop: Path
    threads: int
    fingerprint: str | None = None


class _Done(NamedTuple):
    """A cell that was run, or found finished: the fingerprint of its results."""

    fingerprint: str


def _run_cell(cell: _Cell) -> str | _Done:
    """Run a cell in a worker process; returns its fingerprint, or the reason why it could not be run.

    Raises:
        CheckpointError: this machine has other data, features or weights than the one that asks.
    """
    torch.set_num_threads(cell.threads)
    logging.getLogger().addHandler(logging.NullHandler())  # the parent has already printed the warnings
    session = Session(cell.experiment, _Interruptible(cell.stop))
    try:
        differs = cell.fingerprint not in (None, session.fingerprint)
        if not differs:
            run_experiment(session)
    except (MoclipError, MotionError, OSError) as error:
        return " ".join(sentence_of(error).split())
    if differs:
        raise CheckpointError(
            f"{cell.name}: the data, features or weights on {socket.gethostname()} are others than here; "
            "put them on storage that all nodes see"
        )
    return _Done(session.fingerprint)


def _run_cells(
    runs: Sequence[GridRun], out: Path, reporter: Reporter, runner: JobRunner
) -> tuple[list[Failure], dict[str, str]]:
    """Run the cells; returns those that could not be run, and the fingerprint of each other by its words."""
    workers = min(runner.processes, len(runs))
    threads = runs[0].experiment.run.threads or 1
    if not runner.remote:
        threads = max(1, default_workers(0) // workers)
    reporter.say(f"{len(runs)} runs in {workers} process(es)")
    failures: list[Failure] = []
    fingerprints: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="moclip-grid-") as folder:
        stop = Path(folder, "stop")
        cells = []
        for run in runs:
            try:
                cells.append(_cell_of(run, stop, threads, runner.remote))
            except (MoclipError, MotionError, OSError) as error:
                failures.append(Failure(run.words, " ".join(sentence_of(error).split())))
        if not cells:
            return failures, fingerprints
        outcomes = _remotely(cells, runner, out) if runner.remote else _in_processes(cells, workers)
        with closing(outcomes):
            for done, (words, outcome) in enumerate(outcomes, start=1):
                reason = outcome if isinstance(outcome, str) else ""
                reporter.say(f"[{done} of {len(runs)}] {words}" + (f": {reason}" if reason else ""))
                reporter.progress("runs", done, len(runs))
                if isinstance(outcome, str):
                    failures.append(Failure(words, outcome))
                else:
                    fingerprints[words] = outcome.fingerprint
    return failures, fingerprints


def _cell_of(run: GridRun, stop: Path, threads: int, remote: bool) -> _Cell:
    """The job of a run: what it reads is in the cache, so that it needs no cluster."""
    experiment = with_absolute_paths(run.experiment)  # a node has another working directory
    local = experiment.model_copy(update={"run": experiment.run.model_copy(update={"engine": "local"})})
    return _Cell(run.words, local, stop, threads, Session(local, Silent()).fingerprint if remote else None)


def _remotely(
    cells: Sequence[_Cell], runner: JobRunner, out: Path
) -> Generator[tuple[str, str | _Done], None, None]:
    """(cell, its outcome) as they end."""
    gpu = any(cell.experiment.run.device != "cpu" for cell in cells)
    shared = None if is_url(out) else out.absolute()
    for cell, reason in runner.run(_run_cell, cells, folder=shared, cores=cells[0].threads, gpu=gpu):
        yield cell.name, reason


def _in_processes(cells: Sequence[_Cell], workers: int) -> Generator[tuple[str, str | _Done], None, None]:
    """(cell, its outcome) as they end; a single worker too is a process that can be stopped."""
    pool = worker_pool(workers)
    futures = {pool.submit(_run_cell, cell): cell for cell in cells}
    try:
        for future in as_completed(futures):
            cell, error = futures[future], future.exception()
            yield cell.name, future.result() if error is None else _bug(cell.name, error)
    except BaseException:
        cells[0].stop.touch()  # the cells stop within an epoch and are resumed by the next call
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _bug(words: str, error: BaseException) -> str:
    """Report an unexpected error with its traceback; the other cells continue.

    Raises:
        MoclipError: the error is a worker process that died.
    """
    if isinstance(error, BrokenProcessPool):
        raise MoclipError(
            "a worker process of the grid died, perhaps for lack of memory; "
            "run the command again with fewer --workers: finished cells are kept"
        ) from error
    report_bug(words, error)
    return f"a bug in this program ({type(error).__name__}: {error})"
