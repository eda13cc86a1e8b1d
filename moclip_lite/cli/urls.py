"""Which arguments of the commands may be URLs; all other paths are on this machine.

A URL where a path is expected would otherwise become a folder called ``s3:``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import typer

from mv_tools.urls import is_url, spelled, url_of

from .tree import leaf_commands, parameter_types, spoken

__all__ = ["TAKE_URLS", "path_parameters", "refuse_credentials", "refuse_urls"]

_EXPERIMENT: Final = ("experiment", "root", "run_dir", "cache")

TAKE_URLS: Final[Mapping[str, Sequence[str]]] = {
    "run": _EXPERIMENT,
    "train motion": _EXPERIMENT,
    "train fusion": _EXPERIMENT,
    "evaluate": ("run", "root", "cache"),
    "ablate": ("root", "out", "cache"),
    "tune": ("experiment", "root", "out", "cache"),
    "zero-shot": ("sources", "cache"),
    "predict": ("files", "model", "csv", "vtt", "chapters", "table"),
    "compare": ("runs", "out"),
    "index": ("folder", "out", "cache"),
    "search": ("index",),
    "retrieval": ("cache",),
    "pack": ("source", "out", "root", "cache"),
    "serve": ("model",),
    "push": ("run",),
    "watch": ("model",),
    "mv probe": ("file",),
    "mv extract": ("file",),
    "mv show": ("file",),
    "dataset list": ("source",),
    "extract motion": ("dataset", "cache", "failures"),
    "extract clip": ("dataset", "cache", "failures"),
    "extract features": ("run", "root", "cache"),
    "cache info": ("cache",),
    "cache verify": ("cache",),
    "cache prune": ("cache",),
}
"""Command -> names of its parameters that may be URLs."""


def refuse_credentials(words: Sequence[str]) -> None:
    """Refuse URLs that hold credentials, before any of them is repeated in a message.

    Raises:
        mv_tools.ArgumentError: there is one.
    """
    for word in words:
        for part in {word, word.partition("=")[2], word.rpartition("=")[2]}:
            url_of(part.strip("'\""))


def path_parameters(command: Any) -> Iterator[tuple[str, Any]]:
    """(command, parameter) of all parameters of a command tree that are paths."""
    for name, leaf in leaf_commands(command):
        types = parameter_types(leaf)
        for parameter in leaf.params:
            if "pathlib" in str(types.get(parameter.name)):
                yield name, parameter


def refuse_urls(command: Any) -> None:
    """Let the parameters of a command tree that are paths on this machine refuse URLs."""
    for name, parameter in path_parameters(command):
        if parameter.name not in TAKE_URLS.get(name, ()):
            parameter.callback = _refusing(parameter.callback)


def _refusing(callback: Callable[..., Any] | None) -> Callable[..., Any]:
    def check(context: Any, parameter: Any, value: Any) -> Any:
        for path in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(path, (str, Path)) and is_url(Path(path)):
                raise typer.BadParameter(
                    f"{spoken(parameter)} is a path on this machine; "
                    f"{spelled(Path(path))} must be copied here first"
                )
        return value if callback is None else callback(context, parameter, value)

    return check
