"""From the options of a command to a configuration, a session and a runner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from mv_tools.urls import ServerFailure, is_url

from ..errors import ConfigError
from ..storage.objects import ObjectFolder
from ..storage.snapshot import snapshot
from ..storage.url_files import fetched

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ..experiment.config import Experiment, RunSettings
    from ..experiment.session import Session
    from ..parallel.runner import JobRunner
    from ..progress import Reporter

__all__ = [
    "experiment_of",
    "keys_of",
    "named_settings",
    "overrides_of",
    "refuse_idle",
    "runner_of_options",
    "session_of",
    "settings_of",
]


def experiment_of(
    source: Path | None,
    sets: list[str] | None,
    named: dict[str, Any],
    forced: tuple[str, ...] = (),
    *,
    again: bool = False,
) -> Experiment:
    """Configuration of a source with overrides; options by name win over --set.

    Args:
        source: YAML file, folder of class folders, annotation table, run folder, or None for the defaults.
        sets: values of ``--set``.
        named: configuration key -> value of its own option (None and False: not given).
        forced: overrides that the command itself demands.
        again: a run folder is to be trained again, as it was asked for.

    Raises:
        typer.BadParameter: an option that has no effect.
    """
    from ..datasets.table.records import SUFFIXES
    from ..experiment.config import CONFIG_SUFFIXES, key_of, load_experiment, load_run_settings
    from ..experiment.settings.asked_flips import asked_flips
    from ..results.fold_folder import FoldFolder
    from ..results.run_folder import RunFolder
    from ..shards.index import INDEX

    decided = {line.partition("=")[0]: line for line in forced}
    for line in sets or []:
        key = key_of(line)
        if key in decided and line.replace(" ", "") != decided[key]:
            raise typer.BadParameter(f"--set has no effect on {key}, which this command decides")
    overrides: list[str] = []
    source, run_dir = (None, None) if source is None else _local_source(source)
    path = source
    if source is not None and is_url(source):
        path = None
        overrides += [f"data.root={_quoted(source)}", *_kind_at_url(source)]
    elif source is not None and source.is_dir():
        folder = FoldFolder(source)
        if (source / INDEX).is_file():
            overrides.append("data.kind=shards")
        path = folder.config if folder.config.is_file() else None
        if path is None:
            overrides.append(f"data.root={_quoted(source)}")
        elif folder.run_path == source:  # it may have been moved since its configuration was written
            overrides.append(f"run.dir={_quoted(run_dir or source)}")
            overrides += asked_flips(RunFolder(source)) if again else ()
    elif source is not None and source.suffix.lower() not in CONFIG_SUFFIXES and not source.exists():
        raise ConfigError(f"{source}: there is no such file or folder")
    elif source is not None and source.suffix.lower() in SUFFIXES:
        path = None
        overrides += ["data.kind=table", f"data.table={_quoted(source)}"]
    overrides += sets or []
    overrides += [*overrides_of(named), *forced]
    if path is not None and source is not None and source.is_dir():
        experiment = load_run_settings(path, overrides)
    else:
        experiment = load_experiment(path, overrides)
    refuse_idle(experiment.run, named)
    return experiment


def refuse_idle(run: RunSettings, named: dict[str, Any]) -> None:
    """Refuse options by name that have no effect beside the configuration.

    Args:
        run: the configuration's section, with the options.
        named: see :func:`experiment_of`.

    Raises:
        typer.BadParameter: there is one.
    """
    if named.get("run.ray_address") is not None and run.engine != "ray":
        raise typer.BadParameter("--ray-address is for --engine ray; the work would stay on this machine")
    if named.get("run.seed") is not None and run.seeds:
        raise typer.BadParameter(
            f"--seed has no effect beside run.seeds={list(run.seeds)}; set one of the two"
        )


def _local_source(source: Path) -> tuple[Path, Path | None]:
    """(a local copy of what a source at a URL says, the URL of a run folder); a data set as it is."""
    from ..experiment.config import CONFIG_SUFFIXES

    if not is_url(source):
        return source, None
    if source.suffix.lower() in CONFIG_SUFFIXES:
        from ..storage.plain_yaml import MOST_BYTES

        return fetched(source, MOST_BYTES), None
    if _holds(source, "config.yaml"):
        return snapshot(source), source
    return source, None


def _kind_at_url(source: Path) -> list[str]:
    """Overrides that say what kind of data set lies at a URL."""
    from ..datasets.table.records import SUFFIXES
    from ..shards.index import INDEX

    if source.suffix.lower() in SUFFIXES:
        return ["data.kind=table", f"data.table={_quoted(source)}", f"data.root={_quoted(source.parent)}"]
    return ["data.kind=shards"] if _holds(source, INDEX) else []


def _holds(folder: Path, name: str) -> bool:
    """Whether a folder at a URL holds an object; an error is about the folder, which is what was named.

    Raises:
        ServerFailure: the server refuses, or can't be reached.
    """
    objects = ObjectFolder.at(folder)
    try:
        return objects.version(name) is not None
    except ServerFailure as error:
        raise error.of(objects.url) from None


def keys_of(sets: list[str] | None) -> frozenset[str]:
    """The settings that values of ``--set`` name."""
    from ..experiment.config import key_of

    return frozenset(map(key_of, sets or []))


def overrides_of(named: dict[str, Any]) -> list[str]:
    """Overrides of the options that were given."""
    return [
        f"{key}={_quoted(value)}" for key, value in named.items() if value is not None and value is not False
    ]


_Section = TypeVar("_Section", bound="BaseModel")


def settings_of(kind: type[_Section], values: dict[str, Any]) -> _Section:
    """Settings from the options of a command, which are named as their fields are.

    Raises:
        BadParameter: a value out of range.
    """
    from pydantic import ValidationError

    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option, reason = str(first["loc"][0]).replace("_", "-"), first["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(f"--{option}: {reason[0].lower()}{reason[1:]}") from error


def runner_of_options(
    workers: int | None, engine: str | None, ray_address: str | None, reporter: Reporter
) -> JobRunner:
    """The runner that does the work.

    Raises:
        typer.BadParameter: an unknown engine.
        MoclipError: there is no such cluster.
    """
    from ..experiment.config import RunSettings
    from ..parallel.runner import make_runner

    given = {"workers": workers, "engine": engine, "ray_address": ray_address}
    run = settings_of(RunSettings, {name: value for name, value in given.items() if value is not None})
    refuse_idle(run, {"run.ray_address": ray_address})
    return make_runner(run.engine, run.workers, run.ray_address, reporter.say)


def _quoted(value: Any) -> str:
    if isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return "'" + str(value).replace("'", "''") + "'"


def session_of(experiment: Experiment, quiet: bool) -> Session:
    """A session that reports on the console."""
    from ..experiment.session import Session
    from .console import ConsoleReporter

    return Session(experiment, ConsoleReporter(quiet))


def named_settings(**values: Any) -> dict[str, Any]:
    """Configuration keys of the options that commands share -> their values."""
    keys = {"run_dir": "run.dir", "cache": "cache.dir"}
    keys |= {name: f"data.{name}" for name in ("root", "skip_missing")}
    keys |= {name: f"run.{name}" for name in ("seed", "workers", "engine", "ray_address")}
    keys |= {name: f"clip.{name}" for name in ("pretrained", "weights_of")}
    return {keys[name]: value for name, value in values.items()}
