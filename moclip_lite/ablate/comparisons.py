"""Paired comparisons of a grid's cells with its reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from ..results.predictions import ClipKey, Prediction, read_predictions
from ..results.run_folder import RunFolder
from ..results.statistics import holm, joined_units, paired_bootstrap, permutation_p, verdict
from ..streams import Stream
from .grid import Ablation, Cell, GridRun, cell_words
from .tables import Row

__all__ = ["Comparisons", "comparisons"]

Tests = dict[tuple[int, ClipKey], Prediction]


class Comparisons(NamedTuple):
    """Every cell against the reference.

    Attributes:
        table: a row per cell that could be compared.
        notes: sentences on cells that could not, and on groups that contradict each other.
    """

    table: pd.DataFrame
    notes: list[str]


def comparisons(ablation: Ablation, runs: Sequence[GridRun]) -> Comparisons:
    """Every cell against the reference, paired by test, in percentage points.

    A test is a clip with a seed and a fold; the tests that both cells have count equally. Where both have
    all tests, and as many of each seed, the difference is that of the means. The interval is a paired
    cluster bootstrap over groups (over clips where groups are unknown); p is of a permutation test over the
    same units, adjusted for the number of comparisons (Holm). ``left_out`` counts tests that only one of the
    two cells has.
    """
    reference = _tests(ablation.stream, ablation.reference, runs)
    rows, points = [], []
    missing: dict[str, list[str]] = {}
    mixed = []
    for cell in ablation.cells():
        if cell == ablation.reference:
            continue
        tests = _tests(ablation.stream, cell, runs)
        keys = sorted(tests.keys() & reference.keys())
        if not keys or any(tests[key].label != reference[key].label for key in keys):
            reason = _why_not(ablation, cell, runs, tests, reference)
            missing.setdefault(reason, []).append(cell_words(cell))
            continue
        clips = [key.name for _, key in keys]
        units = joined_units(clips, *([side[key].group for key in keys] for side in (tests, reference)))
        mixed += [cell_words(cell)] if units.contradict else []
        a, b = ([float(predictions[key].correct) for key in keys] for predictions in (tests, reference))
        points.append(paired_bootstrap(a, b, units.names))
        row: Row = {key: str(value) for key, value in cell.items()}
        row |= dict(zip(("difference", "low", "high"), points[-1], strict=True)) | {"clips": len(set(clips))}
        row |= {"tests": len(keys), "left_out": len(tests.keys() ^ reference.keys())}
        rows.append(row | {"p": permutation_p(a, b, units.names)})
    table = pd.DataFrame(rows)
    if len(table):
        table["p"] = holm(list(table["p"]))
        table["verdict"] = [verdict(interval, p) for interval, p in zip(points, table["p"], strict=True)]
    return Comparisons(table, _notes(ablation, missing, mixed))


def _tests(stream: str, cell: Cell, runs: Sequence[GridRun]) -> Tests:
    """(seed, clip and fold) -> prediction, of all runs of a cell; empty if the stream was not tested."""
    tests: Tests = {}
    for run in runs:
        path = RunFolder(run.experiment.run.dir).predictions(stream)
        if run.cell == cell and path.is_file():
            tests |= {(run.seed, key): prediction for key, prediction in read_predictions(path).items()}
    return tests


def _why_not(ablation: Ablation, cell: Cell, runs: Sequence[GridRun], tests: Tests, reference: Tests) -> str:
    """Why a cell and the reference can't be compared."""
    for whose, own, found in (("the reference", ablation.reference, reference), ("it", cell, tests)):
        if not any(run.cell == own for run in runs):
            return f"{whose} could not be run"
        if not found:
            return f"{whose} has no tests of {Stream(ablation.stream).words}"
    return "clips have other labels" if tests.keys() & reference.keys() else "no test in common"


def _notes(ablation: Ablation, missing: dict[str, list[str]], mixed: Sequence[str]) -> list[str]:
    reference = cell_words(ablation.reference)
    notes = [
        f"Not compared with {reference} ({reason}): {'; '.join(cells)}." for reason, cells in missing.items()
    ]
    if mixed:
        notes.append(
            f"Groups of clips contradict those of {reference}, so that clips which share a group in either "
            f"are one unit: {'; '.join(mixed)}."
        )
    return notes
