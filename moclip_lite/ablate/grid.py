"""A grid of configurations: its YAML file, its cells and their experiments."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from mv_tools.urls import spelled

from ..errors import ConfigError
from ..experiment.config import Experiment, key_of, load_experiment
from ..motion.settings import GENERATED_FOR
from ..storage.digest import digest_bytes
from ..storage.plain_yaml import read_yaml

__all__ = ["Ablation", "Cell", "GridRun", "cell_words", "load_ablation"]

Cell = dict[str, Any]
_OF_RUNS: Final = {
    "run.seed": "'seeds' repeats every cell with each of its seeds",
    "run.dir": "each run has a folder of its own below that of the grid (--out)",
}
"""Settings that the runs of a grid set themselves -> what takes their place."""

_KEYS: Final = ("base", "set", "grid", "seeds", "stream", "reference")


class GridRun(NamedTuple):
    """A cell with a seed, and its configuration."""

    cell: Cell
    seed: int
    experiment: Experiment

    @property
    def words(self) -> str:
        """Cell and seed, unique within the grid."""
        return f"{cell_words(self.cell)}, seed {self.seed}"


@dataclass(frozen=True)
class Ablation:
    """A grid.

    Attributes:
        name: of the file, for titles.
        base: configuration file of all cells.
        overrides: applied to every cell.
        grid: configuration key -> values; the cells are all combinations.
        seeds: run.seed of each repetition; the splits depend on the seed and are the same for all cells.
        stream: the stream whose scores are compared.
        reference: the cell that the others are compared with; the first one by default.
    """

    name: str
    base: Path | None
    overrides: tuple[str, ...]
    grid: dict[str, list[Any]]
    seeds: tuple[int, ...]
    stream: str
    reference: Cell

    @property
    def starts_random(self) -> bool:
        """Whether ``motion.pretrained=auto`` would start some cells from generated motion and others not.

        All of them then start from random weights, so that the difference between them is that of the grid.
        """
        return any(len(self.grid.get(f"motion.{name}", ())) > 1 for name in GENERATED_FOR)

    def cells(self) -> list[Cell]:
        """All combinations, in the order of the file."""
        combinations = itertools.product(*self.grid.values())
        return [dict(zip(self.grid, values, strict=True)) for values in combinations]

    def runs(self, folder: Path) -> list[GridRun]:
        """Every cell with every seed.

        Args:
            folder: of all results.
        """
        return [
            GridRun(cell, seed, self.experiment(cell, seed, folder))
            for cell in self.cells()
            for seed in self.seeds
        ]

    def experiment(self, cell: Cell, seed: int, folder: Path) -> Experiment:
        """The configuration of one cell and seed.

        Raises:
            ConfigError: a key or value of the grid is not valid.
        """
        digest = digest_bytes([repr(sorted(cell.items())).encode()])[:12]
        values = {**cell, "run.seed": seed, "run.dir": spelled(folder / "runs" / digest / f"seed{seed}")}
        lines = [f"{key}={_flow(value)}" for key, value in values.items()]
        experiment = load_experiment(self.base, [*self.overrides, *lines])
        if self.starts_random and experiment.motion.pretrained == "auto":
            motion = experiment.motion.model_copy(update={"pretrained": False})
            experiment = experiment.model_copy(update={"motion": motion})
        if experiment.run.seeds:
            raise ConfigError("run.seeds is for a single run; a grid repeats each cell with its own 'seeds'")
        return experiment


def _flow(value: Any) -> str:
    """A value as YAML on one line; JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def cell_words(cell: Cell) -> str:
    """The cell's settings, such as "fusion.head=film"."""
    return ", ".join(f"{key}={value}" for key, value in cell.items())


def load_ablation(path: Path, overrides: tuple[str, ...] = ()) -> Ablation:
    """Read a grid: ``base`` (relative to the file), ``set``, ``grid``, ``seeds``, ``stream``, ``reference``.

    Values stay text; the type of the setting that takes them decides their meaning.

    Raises:
        ConfigError: the file is missing or malformed, or has an invalid key or value.
    """
    value = read_yaml(path, "ablation")
    if not isinstance(value, dict) or set(value) - set(_KEYS):
        raise ConfigError(f"{path}: expected the keys {', '.join(_KEYS)}")
    grid = value.get("grid")
    if not isinstance(grid, dict) or not grid or not all(isinstance(v, list) and v for v in grid.values()):
        raise ConfigError(f"{path}: 'grid' must map configuration keys to lists of values")
    stream = value.get("stream", "fusion")
    if stream not in ("motion", "appearance", "fusion"):
        raise ConfigError(f"{path}: 'stream' must be motion, appearance or fusion, got {stream!r}")
    own, cells = _lines(path, value.get("set", [])), {str(key): values for key, values in grid.items()}
    _refuse_own_keys(path, cells, own, overrides)
    ablation = Ablation(
        name=path.stem,
        base=path.parent / str(value["base"]) if "base" in value else None,
        overrides=(*own, *overrides),
        grid=cells,
        seeds=_seeds(path, value.get("seeds", [0, 1, 2])),
        stream=stream,
        reference=value.get("reference") or {key: values[0] for key, values in grid.items()},
    )
    if ablation.reference not in ablation.cells():
        raise ConfigError(f"{path}: 'reference' must be one of the grid's cells, got {ablation.reference}")
    # In the order of the grid's keys, whatever the file's.
    ablation = replace(ablation, reference={key: ablation.reference[key] for key in cells})
    _refuse_duplicates(path, ablation)
    _refuse_untested(path, ablation)
    return ablation


def _refuse_own_keys(path: Path, grid: Cell, own: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse what the runs of a grid set themselves, in the grid and for all cells.

    Args:
        path: of the grid's file.
        grid: its keys.
        own: what it sets in all cells.
        overrides: given beside the file, likewise.

    Raises:
        ConfigError: there is such a setting.
    """
    for key, advice in {**_OF_RUNS, "run.seeds": _OF_RUNS["run.seed"]}.items():
        if key in grid:
            raise ConfigError(f"{path}: {key} can't be in 'grid': {advice}")
    for key in map(key_of, overrides):
        if key in grid or key in _OF_RUNS:
            raise ConfigError(f"{key} is given for all cells, but the cells of {path} set it")
    for key in map(key_of, own):
        if key in grid or key in _OF_RUNS:
            advice = _OF_RUNS.get(key, "leave it out of 'set' or of 'grid'")
            raise ConfigError(f"{path}: {key} in 'set' has no effect, because the cells set it: {advice}")


def _refuse_untested(path: Path, ablation: Ablation) -> None:
    """Refuse a compared stream that the reference, or every other cell, does not test.

    Raises:
        ConfigError: it is so.
    """
    streams = {
        cell_words(cell): ablation.experiment(cell, ablation.seeds[0], Path()).run.streams
        for cell in ablation.cells()
    }
    reference = cell_words(ablation.reference)
    others = [tested for cell, tested in streams.items() if cell != reference]
    if ablation.stream not in streams[reference]:
        where, tested = f"the reference ({reference})", streams[reference]
    elif others and not any(ablation.stream in tested for tested in others):
        where, tested = "any cell but the reference", others[0]
    else:
        return
    raise ConfigError(
        f"{path}: 'stream' is {ablation.stream}, the stream that is compared, which is not tested in {where} "
        f"(run.streams=[{','.join(tested)}]): write 'stream: {tested[0]}', or ask for it in run.streams"
    )


def _refuse_duplicates(path: Path, ablation: Ablation) -> None:
    """Refuse invalid keys and values before any work, and equal cells.

    Cells are compared by their resolved configuration: ``1``, ``1.0`` and ``"1"`` are the same number.

    Raises:
        ConfigError: a key or value is not valid, or two cells are the same or have the same words.
    """
    seen: dict[str, Cell] = {}
    for cell in ablation.cells():
        experiment = ablation.experiment(cell, ablation.seeds[0], Path())
        resolved = experiment.model_dump_json(exclude={"run": {"dir"}})
        for key in (resolved, cell_words(cell)):
            if key in seen:
                raise ConfigError(
                    f"{path}: the cells {cell_words(seen[key])} "
                    f"and {cell_words(cell)} are the same configuration; leave one out"
                )
        seen |= {resolved: cell, cell_words(cell): cell}


def _seeds(path: Path, value: Any) -> tuple[int, ...]:
    """Whole numbers from 0, without duplicates."""
    words = [str(seed) for seed in value] if isinstance(value, list) else []
    if not words or not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigError(f"{path}: 'seeds' must be a list of whole numbers from 0")
    return tuple(dict.fromkeys(int(word) for word in words))


def _lines(path: Path, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ConfigError(f"{path}: 'set' must be a list of section.key=value")
    return value
