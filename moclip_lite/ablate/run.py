"""Running a grid: features first, then the cells in parallel processes; what is done is skipped."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch

from mv_tools import MotionError

from ..errors import MoclipError
from ..experiment.config import Experiment
from ..experiment.run import run_experiment
from ..experiment.session import Session
from ..parallel.pool import default_workers, worker_pool
from ..progress import Reporter
from .figures import draw
from .grid import Ablation, Cell, cell_words
from .tables import (
    comparisons,
    summarize,
    summary_markdown,
    tidy_table,
    write_table,
)

__all__ = ["AblationResult", "run_ablation"]


@dataclass(frozen=True)
class AblationResult:
    """What a grid gave.

    Attributes:
        summary: a row per cell and stream: the cell's values, stream, mean, low, high (95 %), runs and costs.
        differences: a row per cell against the reference: difference, low, high, p, verdict.
        failures: (cell and seed, why).
    """

    summary: pd.DataFrame
    differences: pd.DataFrame
    failures: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    words: str
    experiment: Experiment
    stop: Path
    threads: int


class _Quiet:
    """A cell's reporter: silent, and the place where it learns that the grid was interrupted."""

    def __init__(self, stop: Path) -> None:
        self._stop = stop

    def say(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def progress(self, stage: str, done: int, total: int) -> None:
        if self._stop.exists():
            raise KeyboardInterrupt


def _run_cell(job: _Job) -> str | None:
    """In a process of its own; returns why it could not be done."""
    torch.set_num_threads(job.threads)
    logging.getLogger().addHandler(logging.NullHandler())  # the parent has said what is to be said
    try:
        run_experiment(Session(job.experiment, _Quiet(job.stop)))
    except (MoclipError, MotionError, OSError, ValueError) as error:
        return " ".join(str(error).split())
    return None


def run_ablation(ablation: Ablation, out: Path, reporter: Reporter, workers: int = 0) -> AblationResult:
    """Run what is not done yet and write the results.

    ``table.csv`` and ``table.parquet`` hold a row per cell, seed, fold and stream; ``summary.csv`` and
    ``differences.csv`` what became of them; ``summary.md`` and ``plot.png`` are for people.

    Args:
        ablation: the grid.
        out: folder of all results; each cell and seed has its run folder below.
        reporter: told what happens.
        workers: processes, each with its share of the cores; 0 for one per core.

    Raises:
        MoclipError: no cell could be run, or a process died; finished cells are kept.
    """
    cells = ablation.cells()
    runs = [(cell, seed, ablation.experiment(cell, seed, out)) for cell in cells for seed in ablation.seeds]
    failures = _extract_first(runs, reporter)
    unread = {words for words, _ in failures}
    ready = [run for run in runs if _words(run[0], run[1]) not in unread]
    if ready:
        failures += _run_cells(ready, out, reporter, min(default_workers(workers), len(ready)))
    failed = {words for words, _ in failures}
    finished = [run for run in runs if _words(run[0], run[1]) not in failed]
    if not finished:
        raise MoclipError(f"no cell of the grid could be run; the first: {failures[0][1]}")
    table = tidy_table(finished)
    summary = summarize(table, list(ablation.grid))
    differences = comparisons(ablation, finished)
    for name, frame in {"table": table, "summary": summary, "differences": differences}.items():
        write_table(out / name, frame, parquet=name == "table")
    summary_markdown(out / "summary.md", ablation, summary, differences, failures)
    draw(out / "plot.png", ablation, summary, differences)
    return AblationResult(summary, differences, failures)


def _words(cell: Cell, seed: int) -> str:
    return f"{cell_words(cell)}, seed {seed}"


def _extract_first(runs: Sequence[tuple[Cell, int, Experiment]], reporter: Reporter) -> list[tuple[str, str]]:
    """Fill the cache once per way of reading clips; returns the runs whose clips or model can't be had."""
    problems: dict[str, str | None] = {}
    failures = []
    for cell, seed, experiment in runs:
        sections = {"data", "motion", "clip"}
        key = experiment.model_dump_json(include=sections)
        if key not in problems:
            problems[key] = None
            try:
                _ = Session(experiment, reporter).extraction
            except (MoclipError, MotionError, OSError) as error:
                problems[key] = " ".join(str(error).split())
                reporter.warn(f"{_words(cell, seed)}: {problems[key]}")
        if problem := problems[key]:
            failures.append((_words(cell, seed), problem))
    return failures


def _run_cells(
    runs: Sequence[tuple[Cell, int, Experiment]], out: Path, reporter: Reporter, workers: int
) -> list[tuple[str, str]]:
    threads = max(1, default_workers(0) // workers)
    stop = out / f".stop-{os.getpid()}"
    jobs = [_Job(_words(cell, seed), experiment, stop, threads) for cell, seed, experiment in runs]
    out.mkdir(parents=True, exist_ok=True)
    failures: list[tuple[str, str]] = []
    reporter.say(f"{len(jobs)} runs in {workers} process(es)")
    pool = worker_pool(workers)
    futures = {pool.submit(_run_cell, job): job for job in jobs}
    try:
        for done, future in enumerate(as_completed(futures), start=1):
            job, problem = futures[future], future.result()
            reporter.say(f"[{done} of {len(jobs)}] {job.words}" + (f": {problem}" if problem else ""))
            reporter.progress("runs", done, len(jobs))
            if problem:
                failures.append((job.words, problem))
    except BrokenProcessPool as error:
        raise MoclipError(
            "a process of the grid ended, perhaps for lack of memory; run it again, with fewer --workers, "
            "to go on from the finished cells"
        ) from error
    except KeyboardInterrupt:
        stop.touch()  # the cells see it within an epoch, and go on from there the next time
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        stop.unlink(missing_ok=True)
    return failures
