"""The commands of the program as typer has built them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_type_hints

__all__ = ["leaf_commands", "parameter_types", "spoken"]


def leaf_commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """(name, command) of a command tree, as in ("mv probe", ...)."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaf_commands(inner, (*words, name))
    if not hasattr(command, "commands"):
        yield " ".join(words), command


def parameter_types(command: Any) -> dict[str, Any]:
    """Parameter name -> type, from the command's function: typer's own parameters differ between versions."""
    return get_type_hints(inspect.unwrap(command.callback))


def spoken(parameter: Any) -> str:
    """A parameter as users write it."""
    first = str(parameter.opts[0])
    return first if first.startswith("-") else first.upper()
