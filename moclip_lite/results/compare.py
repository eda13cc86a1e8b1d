"""Runs side by side: scores, what differs on the same clips, settings and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError, DataError
from ..storage.files import write_text
from ..streams import Stream
from .paired import Difference, compare_predictions
from .read import Run, load_run
from .report.html import page
from .report.markdown import difference_words
from .report.tables import (
    COSTS,
    cost_rows,
    interval_words,
    markdown_table,
    score_table,
)

__all__ = ["Comparison", "StreamDifference", "compare_runs", "write_comparison"]

_PLACES: Final = frozenset(
    ("run.dir", "run.workers", "run.device", "cache.dir", "data.root", "data.splits_dir")
)
_SHOWN: Final = 10  # classes that gained and lost most


@dataclass(frozen=True)
class StreamDifference:
    """One run's stream less the same stream of the first run, on the clips that both tested."""

    run: str
    stream: Stream
    difference: Difference


@dataclass(frozen=True)
class Comparison:
    """Two runs or more.

    Attributes:
        names: a name for each run, unique.
        runs: the runs; the first is what the others are set against.
        differences: by run and stream.
        settings: configuration key -> its value in each run, where the runs differ; places are left out.
    """

    names: list[str]
    runs: list[Run]
    differences: list[StreamDifference]
    settings: dict[str, list[str]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "runs": [
                {
                    "name": name,
                    "folder": str(run.folder),
                    **{str(stream): scores.to_json() for stream, scores in run.metrics.streams.items()},
                    "costs": {str(stream): cost.to_json() for stream, cost in run.metrics.costs.items()},
                }
                for name, run in zip(self.names, self.runs, strict=True)
            ],
            "differences": [
                {
                    "run": d.run,
                    "against": self.names[0],
                    "stream": d.stream,
                    **asdict(d.difference),
                    "points": d.difference.points._asdict(),
                    "test": d.difference.test._asdict(),
                    "classes": [asdict(c) | {"points": c.points} for c in d.difference.classes],
                }
                for d in self.differences
            ],
            "settings": self.settings,
        }

    def score_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows: run, then the columns of the main table."""
        tables = [score_table(run.metrics) for run in self.runs]
        rows = [[name, *row] for name, (_, part) in zip(self.names, tables, strict=True) for row in part]
        return ["run", *tables[0][0]], rows

    def cost_rows(self) -> list[list[str]]:
        """Rows: run, stream, top-1, parameters, trained, GFLOPs, milliseconds."""
        return [
            [name, *row]
            for name, run in zip(self.names, self.runs, strict=True)
            for row in cost_rows(run.metrics)
        ]

    def difference_rows(self) -> list[list[str]]:
        """Rows: run, stream, common clips, points, interval, won, lost, p, verdict."""
        return [
            [d.run, d.stream.words, str(d.difference.clips), *difference_words(d.difference)]
            for d in self.differences
        ]

    def setting_rows(self) -> list[list[str]]:
        """Rows: key, its value in each run."""
        return [[key, *values] for key, values in self.settings.items()]

    def class_rows(self, d: StreamDifference) -> list[list[str]]:
        """The classes that changed most: class, clips, points, clips won and lost."""
        changed = [c for c in d.difference.classes if c.only_a or c.only_b]
        ends = changed if len(changed) <= 2 * _SHOWN else changed[:_SHOWN] + changed[-_SHOWN:]
        return [[c.label, str(c.clips), f"{c.points:+.1f}", str(c.only_a), str(c.only_b)] for c in ends]

    def intervals(self) -> list[str]:
        """What the intervals of the scores and of the differences are over."""
        scores = [
            f"{name}: {interval_words(run.metrics)}" for name, run in zip(self.names, self.runs, strict=True)
        ]
        return scores + [f"{d.run}, {d.stream}: {d.difference.how}." for d in self.differences]

    def warnings(self) -> list[str]:
        """What a reader should know before believing the numbers."""
        return [
            f"{d.run}, {d.stream}: {d.difference.left_out} clips were tested in one run only and are left out"
            for d in self.differences
            if d.difference.left_out
        ]


DIFFERENCES: Final = ["run", "stream", "same clips", "points", "95 % interval", "won", "lost", "p", "it is"]
CLASSES: Final = ["class", "clips", "points", "won", "lost"]
HOW: Final = (
    "Points are percentage points above the first run on the clips that both tested. Intervals: paired bootstrap, "
    "drawn by group where groups are known, else by clip. p, for each line alone: McNemar's exact test where each "
    "group or clip was tested once, else a permutation test that keeps them whole. A difference is called "
    "one where the interval excludes 0 and p is below 0.05."
)


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Set runs against the first of them.

    Raises:
        ConfigError: fewer than two runs, or one twice.
        CheckpointError: a folder is no finished run.
        DataError: the runs have different labels, no stream or no clip in common.
    """
    if len(folders) < 2:
        raise ConfigError("name at least two run folders")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("one run folder is named twice")
    runs = [load_run(folder) for folder in folders]
    names, first = _names(folders), runs[0]
    differences = []
    for name, run in zip(names[1:], runs[1:], strict=True):
        if set(run.labels) != set(first.labels):
            odd = sorted(set(run.labels) ^ set(first.labels))
            raise DataError(
                f"{run.folder} and {first.folder} have different labels ({len(run.labels)} and "
                f"{len(first.labels)} classes; not in both: {', '.join(odd[:5])})"
            )
        common = [s for s in Stream if s in run.predictions and s in first.predictions]
        if not common:
            raise DataError(f"{run.folder} and {first.folder} have tested no stream in common")
        for stream in common:
            try:
                found = compare_predictions(run.predictions[stream], first.predictions[stream], first.groups)
            except DataError as error:
                raise DataError(f"{run.folder} and {first.folder}, {stream}: {error}") from error
            differences.append(StreamDifference(name, stream, found))
    return Comparison(names, runs, differences, _settings(runs))


def _names(folders: Sequence[Path]) -> list[str]:
    """As short as they can be and still differ."""
    paths = [folder.resolve() for folder in folders]
    deepest = max(len(path.parts) for path in paths)
    for length in range(1, deepest + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    flat = [_flat(run.config) for run in runs]
    keys = list(dict.fromkeys(key for each in flat for key in each))
    return {
        key: values
        for key in keys
        if key not in _PLACES and len(set(values := [each.get(key, "-") for each in flat])) > 1
    }


def _flat(config: dict[str, Any]) -> dict[str, str]:
    return {
        f"{section}.{key}": str(value)
        for section, values in config.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the comparison as a page (.html) or in Markdown (.md).

    Raises:
        ConfigError: another ending.
    """
    if path.suffix.lower() in (".html", ".htm"):
        tables = {
            "SCORES": comparison.score_table(),
            "DIFFERENCES": DIFFERENCES,
            "CLASSES": CLASSES,
            "COSTS": ["run", *COSTS],
        }
        text = page(
            "compare.html",
            title=" and ".join(comparison.names),
            c=comparison,
            how=HOW,
            **tables,
        )
    elif path.suffix.lower() == ".md":
        text = _markdown(comparison)
    else:
        raise ConfigError(f"--out takes a file that ends in .html or .md, got {path.name!r}")
    write_text(path, text)


def _markdown(c: Comparison) -> str:
    parts = ["# Comparison", markdown_table(*c.score_table())]
    parts += [f"## Against {c.names[0]}", markdown_table(DIFFERENCES, c.difference_rows()), HOW]
    parts += ["\n".join(f"- {text}" for text in [*c.intervals(), *c.warnings()])]
    for d in c.differences:
        rows = c.class_rows(d)
        if rows:
            parts += [
                f"### Classes that changed: {d.run}, {d.stream.words}",
                markdown_table(CLASSES, rows),
            ]
    if c.settings:
        parts += ["## Settings that differ", markdown_table(["setting", *c.names], c.setting_rows())]
    parts += ["## Costs", markdown_table(["run", *COSTS], c.cost_rows())]
    return "\n\n".join(part for part in parts if part) + "\n"
