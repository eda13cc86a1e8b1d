"""Options that several commands share, and how they become a configuration."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config import Experiment
    from ..workspace import Workspace

__all__ = [
    "Cache",
    "Device",
    "Json",
    "Pretrained",
    "Program",
    "Quiet",
    "Root",
    "RunDir",
    "Seed",
    "Sets",
    "SkipMissing",
    "Source",
    "WeightsOf",
    "Workers",
    "expanded",
    "experiment_of",
    "overrides_of",
    "workspace_of",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

Source: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="An experiment's YAML file, a folder of class folders, a run folder, or a file of features."
    ),
]
Sets: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a configuration value: section.key=value. Repeatable."),
]
Root: TypeAlias = Annotated[Path | None, typer.Option("--root", help="data.root: folder of the clips.")]
RunDir: TypeAlias = Annotated[Path | None, typer.Option("--run-dir", help="run.dir: where results go.")]
Pretrained: TypeAlias = Annotated[
    str | None,
    typer.Option(help="clip.pretrained: a tag, a checkpoint's path, or 'none' for random weights."),
]
WeightsOf: TypeAlias = Annotated[
    str | None,
    typer.Option(help="clip.weights_of: the tag that a checkpoint's path is of, such as openai."),
]
Seed: TypeAlias = Annotated[int | None, typer.Option(min=0, help="run.seed.")]
Workers: TypeAlias = Annotated[
    int | None, typer.Option(min=0, help="run.workers: processes; 0 for one per core.")
]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 and so on, or mps.")]
Cache: TypeAlias = Annotated[Path | None, typer.Option(help="cache.dir: where features are kept.")]
SkipMissing: TypeAlias = Annotated[
    bool | None, typer.Option("--skip-missing", help="data.skip_missing: go on without absent clips.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and results.")]


class Program(typer.Typer):
    """Commands whose paths may begin with ``~``, quoted or behind ``=`` too, where a shell leaves it."""

    def command(self, *args: Any, **settings: Any) -> Callable[[_Function], _Function]:
        """As typer's; the function gets its paths expanded."""
        register = super().command(*args, **settings)

        def add(function: _Function) -> _Function:
            @functools.wraps(function)
            def run(**values: Any) -> Any:
                return function(**{name: _expand(value) for name, value in values.items()})

            register(run)
            return function

        return add


def _expand(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_expand(item) for item in value]
    return Path(expanded(str(value))) if isinstance(value, Path) else value


def expanded(path: str) -> str:
    """``~`` and ``~user`` replaced by the home folder; as it is where there is none."""
    return os.path.expanduser(path)  # noqa: PTH111 - Path.expanduser raises where there is no such user


def experiment_of(
    source: Path | None, sets: list[str] | None, named: dict[str, Any], forced: tuple[str, ...] = ()
) -> Experiment:
    """Configuration of a source with overrides; options by name win over --set.

    Args:
        source: YAML file, folder of class folders, run folder, file of features, or None for the defaults.
        sets: of ``--set``.
        named: configuration key -> value of its own option (None: not given).
        forced: overrides that the command itself demands.
    """
    from ..config import load_experiment

    overrides: list[str] = []
    path = source
    if source is not None and source.is_dir():
        path = source / "config.yaml" if (source / "config.yaml").is_file() else None
        if path is None:
            overrides.append(f"data.root={_quoted(source)}")
        elif (
            source.parent.name != "folds"
        ):  # the folder may have been moved since its configuration was written
            overrides.append(f"run.dir={_quoted(source)}")
    elif source is not None and source.suffix == ".safetensors" and source.is_file():
        path = None
        overrides += ["data.kind=features", f"data.root={_quoted(source)}"]
    elif source is not None and source.suffix not in (".yaml", ".yml") and not source.exists():
        raise ConfigError(f"{source}: there is no such file or folder")
    overrides += sets or []
    return load_experiment(path, [*overrides, *overrides_of(named), *forced])


def overrides_of(named: dict[str, Any]) -> list[str]:
    """Overrides of the options that were given: all that are not None, 0 and False among them."""
    return [f"{key}={_quoted(value)}" for key, value in named.items() if value is not None]


def _quoted(value: Any) -> str:
    """A value as a text in YAML, whatever characters it holds."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text) + '"'


def workspace_of(experiment: Experiment, quiet: bool) -> Workspace:
    """A workspace that talks on the console."""
    from ..workspace import Workspace
    from .console import ConsoleReporter

    return Workspace(experiment, ConsoleReporter(quiet))
