"""Files that a command would write over its own input, or twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import typer

from .tree import leaf_commands, parameter_types, spoken

__all__ = ["refuse_overwritten_inputs"]

_OUTPUTS: Final = ("out", "dst", "csv", "vtt", "chapters", "strip", "events", "failures")
_ALSO: Final = {"predict": ("table",)}
"""Command -> names of outputs that are inputs of other commands."""


def refuse_overwritten_inputs(command: Any) -> None:
    """Let the commands of a tree refuse outputs that are files which they read, or that are the same file."""
    for name, leaf in leaf_commands(command):
        outputs = (*_OUTPUTS, *_ALSO.get(name, ()))
        written = [parameter for parameter in leaf.params if parameter.name in outputs]
        if written:
            types = parameter_types(leaf)
            read = [
                parameter
                for parameter in leaf.params
                if parameter.name not in outputs and _may_name_files(types.get(parameter.name))
            ]
            leaf.invoke = _checked(leaf, written, read)


def _may_name_files(kind: Any) -> bool:
    return "pathlib" in str(kind) or kind in (str, list[str])


def _checked(command: Any, written: list[Any], read: list[Any]) -> Callable[[Any], Any]:
    run = command.invoke

    def invoke(context: Any) -> Any:
        given: list[tuple[Any, Path]] = [
            (parameter, path) for parameter in read for path in _paths(context.params.get(parameter.name))
        ]
        for parameter in written:
            for path in _paths(context.params.get(parameter.name)):
                for other, place in given:
                    if _same(path, place):
                        raise typer.BadParameter(
                            f"{spoken(parameter)} {path} would overwrite {spoken(other)}: "
                            "they are the same file"
                        )
                given.append((parameter, path))
        return run(context)

    return invoke


def _paths(value: Any) -> Iterator[Path]:
    """The paths of a parameter's value; of NAME=PATH, too."""
    for item in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(item, (str, Path)):
            yield Path(item)
            if "=" in str(item):
                yield Path(str(item).partition("=")[2])


def _same(one: Path, other: Path) -> bool:
    try:
        if one.exists() and other.exists():
            return one.is_file() and one.samefile(other)
        return one.absolute() == other.absolute() and bool(one.suffix)
    except (OSError, ValueError):
        return False
