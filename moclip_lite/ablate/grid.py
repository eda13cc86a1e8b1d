"""A grid as its YAML file states it, and the experiments it stands for."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError
from ..experiment.config import Experiment, load_experiment
from ..storage.digest import digest_bytes
from ..storage.plain_yaml import read_yaml

__all__ = ["Ablation", "Cell", "cell_words", "load_ablation"]

Cell = dict[str, Any]
_KEYS: Final = ("base", "set", "grid", "seeds", "stream", "reference")


@dataclass(frozen=True)
class Ablation:
    """A grid.

    Attributes:
        name: of the file, for titles.
        base: configuration file that every cell starts from.
        overrides: applied to every cell.
        grid: configuration key -> values; cells are all combinations.
        seeds: run.seed of each repetition; the splits differ with it, and are the same for all cells.
        stream: what the cells are compared in.
        reference: the cell that the others are compared with; the first one by default.
    """

    name: str
    base: Path | None
    overrides: tuple[str, ...]
    grid: dict[str, list[Any]]
    seeds: tuple[int, ...]
    stream: str
    reference: Cell

    def cells(self) -> list[Cell]:
        """All combinations, in the order of the file."""
        return [
            dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())
        ]

    def experiment(self, cell: Cell, seed: int, folder: Path) -> Experiment:
        """The configuration of one cell and seed.

        Raises:
            ConfigError: a key or value of the grid is not valid.
        """
        values = [f"{key}={_flow(value)}" for key, value in cell.items()]
        place = folder / "runs" / digest_bytes([repr(sorted(cell.items())).encode()])[:12] / f"seed{seed}"
        return load_experiment(
            self.base, [*self.overrides, *values, f"run.seed={seed}", f"run.dir={_flow(str(place))}"]
        )


def _flow(value: Any) -> str:
    """A value as YAML in one line; JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def cell_words(cell: Cell) -> str:
    """For people."""
    return ", ".join(f"{key}={value}" for key, value in cell.items())


def load_ablation(path: Path, overrides: tuple[str, ...] = ()) -> Ablation:
    """Read a grid: ``base`` (relative to the file), ``set``, ``grid``, ``seeds``, ``stream``, ``reference``.

    Values stay the text that was written until the setting that takes them decides what they mean.

    Raises:
        ConfigError: missing, malformed, or a key or value that no configuration has.
    """
    value = read_yaml(path, "ablation")
    if not isinstance(value, dict) or set(value) - set(_KEYS):
        raise ConfigError(f"{path}: expected the keys {', '.join(_KEYS)}")
    grid, seeds = value.get("grid"), value.get("seeds", [0, 1, 2])
    if not isinstance(grid, dict) or not grid or not all(isinstance(v, list) and v for v in grid.values()):
        raise ConfigError(f"{path}: 'grid' must map configuration keys to lists of values")
    stream = value.get("stream", "fusion")
    if stream not in ("motion", "appearance", "fusion"):
        raise ConfigError(f"{path}: 'stream' must be motion, appearance or fusion, got {stream!r}")
    ablation = Ablation(
        path.stem,
        path.parent / str(value["base"]) if "base" in value else None,
        (*_lines(path, value.get("set", [])), *overrides),
        {str(key): values for key, values in grid.items()},
        _seeds(path, seeds),
        stream,
        value.get("reference") or {key: values[0] for key, values in grid.items()},
    )
    if ablation.reference not in ablation.cells():
        raise ConfigError(f"{path}: 'reference' must be one of the grid's cells, got {ablation.reference}")
    _refuse_twins(path, ablation)
    return ablation


def _refuse_twins(path: Path, ablation: Ablation) -> None:
    """Refuse bad keys before hours of work, and a cell that would count twice.

    Cells are told apart by their resolved configuration: ``1``, ``1.0`` and ``"1"`` are one value of a number.

    Raises:
        ConfigError: a key or value is not valid, or two cells are the same or have the same words.
    """
    seen: dict[str, Cell] = {}
    for cell in ablation.cells():
        experiment = ablation.experiment(cell, ablation.seeds[0], Path())
        same = experiment.model_dump_json(exclude={"run": {"dir"}})
        for mark in (same, cell_words(cell)):
            if mark in seen:
                raise ConfigError(
                    f"{path}: the cells {cell_words(seen[mark])} and {cell_words(cell)} are the same configuration; "
                    "leave one out"
                )
        seen |= {same: cell, cell_words(cell): cell}


def _seeds(path: Path, value: Any) -> tuple[int, ...]:
    """Whole numbers from 0, each once."""
    words = [str(seed) for seed in value] if isinstance(value, list) else []
    if not words or not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigError(f"{path}: 'seeds' must be a list of whole numbers from 0")
    return tuple(dict.fromkeys(int(word) for word in words))


def _lines(path: Path, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ConfigError(f"{path}: 'set' must be a list of section.key=value")
    return value
