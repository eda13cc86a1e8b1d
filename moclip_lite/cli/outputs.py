"""Files that a command would write over its own input, or twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from ..streams import Stream
from .tree import leaf_commands, parameter_types, spoken

if TYPE_CHECKING:
    from ..experiment.config import Experiment

__all__ = ["refuse_overwriting_settings", "refuse_overwritten_inputs", "same_file"]

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
                _refuse_weights(parameter, path)
                for other, place in given:
                    if same_file(path, place):
                        raise typer.BadParameter(
                            f"{spoken(parameter)} {path} would overwrite {spoken(other)}: "
                            "they are the same file"
                        )
                given.append((parameter, path))
        return run(context)

    return invoke


def refuse_overwriting_settings(out: Path, experiment: Experiment) -> None:
    """Refuse an output that is a file which a configuration names.

    Raises:
        BadParameter: it is.
    """
    data = experiment.data
    named = {
        "data.appearance": data.appearance,
        "data.root": data.root,
        "data.table": data.table,
        "clip.pretrained": experiment.clip.pretrained,
        "motion.pretrained": experiment.motion.pretrained,
    }
    for key, value in named.items():
        if isinstance(value, (str, Path)) and same_file(out, Path(value)):
            raise typer.BadParameter(f"--out {out} would overwrite {key}: they are the same file")


def _refuse_weights(parameter: Any, path: Path) -> None:
    """Refuse to write over the weights of a run."""
    in_run = (path.parent / "config.yaml").is_file() and (path.parent / "labels.json").is_file()
    if in_run and path.name in {f"{stream}.safetensors" for stream in Stream} and path.is_file():
        raise typer.BadParameter(
            f"{spoken(parameter)} {path} would overwrite the weights of the run folder {path.parent}"
        )


def _paths(value: Any) -> Iterator[Path]:
    """The paths of a parameter's value; of NAME=PATH, too."""
    for item in value if isinstance(value, (list, tuple)) else (value,):
        if isinstance(item, (str, Path)):
            yield Path(item)
            if "=" in str(item):
                yield Path(str(item).partition("=")[2])


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths are one file, also of files that are not there yet."""
    try:
        if one.exists() and other.exists():
            return one.is_file() and one.samefile(other)
        return one.absolute() == other.absolute() and bool(one.suffix)
    except (OSError, ValueError):
        return False
