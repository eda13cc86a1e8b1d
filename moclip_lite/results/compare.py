"""Comparison of runs: scores, differences on the same clips, settings and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError, DataError
from ..streams import Stream, used_sections
from .check_predictions import check_predictions
from .metrics import plain
from .paired import Difference, compare_predictions
from .read import Run, load_run

__all__ = ["Comparison", "StreamDifference", "compare_runs"]

_LOCATIONS: Final = frozenset(
    (
        *(f"run.{name}" for name in ("dir", "workers", "engine", "ray_address", "device")),
        *(f"data.{name}" for name in ("root", "table", "splits_dir")),
        "cache.dir",
    )
)


@dataclass(frozen=True)
class StreamDifference:
    """A run's stream against the same stream of the first run, on the clips that both tested."""

    run: str
    stream: Stream
    difference: Difference


@dataclass(frozen=True)
class Comparison:
    """Two runs or more.

    Attributes:
        names: a unique name for each run.
        runs: the runs; the others are compared with the first.
        differences: by run and stream.
        settings: configuration key -> its value in each run, where runs differ. Only settings that a
            compared stream uses; locations are left out.
    """

    names: list[str]
    runs: list[Run]
    differences: list[StreamDifference]
    settings: dict[str, list[str]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json."""
        return {
            "runs": [_run_as_dict(name, run) for name, run in zip(self.names, self.runs, strict=True)],
            "differences": [{"against": self.names[0], **_difference_as_dict(d)} for d in self.differences],
            "settings": self.settings,
        }


def _run_as_dict(name: str, run: Run) -> dict[str, Any]:
    scores = {str(stream): plain(scores) for stream, scores in run.metrics.streams.items()}
    costs = {str(stream): plain(cost) for stream, cost in run.metrics.costs.items()}
    return {"name": name, "folder": str(run.folder), **scores, "costs": costs}


def _difference_as_dict(d: StreamDifference) -> dict[str, Any]:
    return {
        "run": d.run,
        "stream": d.stream,
        **asdict(d.difference),
        "points": d.difference.points._asdict(),
        "test": d.difference.test._asdict(),
        "classes": [asdict(c) | {"points": c.points} for c in d.difference.classes],
    }


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Compare runs with the first of them.

    Raises:
        ConfigError: fewer than two runs, or one twice.
        CheckpointError: a folder is not a finished run, or its predictions are not those of its metrics.
        DataError: the runs have different labels, no stream or no clip in common.
    """
    if len(folders) < 2:
        raise ConfigError("name at least two run folders")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("one run folder is named twice")
    runs = [load_run(folder) for folder in folders]
    names = _names(folders)
    differences = [
        StreamDifference(name, stream, difference)
        for name, run in zip(names[1:], runs[1:], strict=True)
        for stream, difference in _differences(run, runs[0]).items()
    ]
    return Comparison(names, runs, differences, _settings(runs, {d.stream for d in differences}))


def _differences(run: Run, first: Run) -> dict[Stream, Difference]:
    """Stream -> difference, of the streams that both runs tested."""
    if odd := sorted(set(run.labels) ^ set(first.labels)):
        raise DataError(
            f"{run.folder} and {first.folder} have different labels ({len(run.labels)} and "
            f"{len(first.labels)} classes; not in both: {', '.join(odd[:5])})"
        )
    streams = [s for s in Stream if s in run.metrics.streams and s in first.metrics.streams]
    if not streams:
        raise DataError(f"{run.folder} and {first.folder} have no tested stream in common")
    for stream in streams:
        check_predictions(first, stream)
        check_predictions(run, stream)
    differences: dict[Stream, Difference] = {}
    for stream in streams:
        try:
            differences[stream] = compare_predictions(
                run.predictions[stream], first.predictions[stream], run.groups, first.groups
            )
        except DataError as error:
            raise DataError(f"{run.folder} and {first.folder}, {stream}: {error}") from error
    return differences


def _names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that differ."""
    paths = [folder.resolve() for folder in folders]
    deepest = max(len(path.parts) for path in paths)
    for length in range(1, deepest + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _settings(runs: Sequence[Run], streams: set[Stream]) -> dict[str, list[str]]:
    sections = used_sections(streams)
    configs = [_flat(run.config, sections) for run in runs]
    keys = dict.fromkeys(key for config in configs for key in config if key not in _LOCATIONS)
    values = {key: [config.get(key, "-") for config in configs] for key in keys}
    return {key: row for key, row in values.items() if len(set(row)) > 1}


def _flat(config: dict[str, Any], sections: set[str]) -> dict[str, str]:
    return {
        f"{section}.{key}": str(value)
        for section, values in config.items()
        if section in sections and isinstance(values, dict)
        for key, value in values.items()
    }
