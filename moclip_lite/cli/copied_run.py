"""Refusing the configuration of a copied run folder, which says that the results go into the original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ConfigError

__all__ = ["refuse_copied"]


def refuse_copied(source: Path, run_dir: Path, sets: list[str] | None, named: dict[str, Any]) -> None:
    """Refuse a configuration file in a run folder that names another run folder, which would be replaced.

    Args:
        source: what the command was given; all but such a file is let through.
        run_dir: where the results go.
        sets: values of ``--set``.
        named: options by name; where one of them or of `sets` says run.dir, that is meant.

    Raises:
        ConfigError: it is so.
    """
    from ..experiment.config import key_of
    from ..results.run_folder import RunFolder

    folder = RunFolder(source.parent)
    beside = folder.metrics.is_file() or folder.labels.is_file()
    if source.name != folder.config.name or not beside or not run_dir.is_dir():
        return
    if named.get("run.dir") is not None or "run.dir" in map(key_of, sets or []):
        return
    absolute = RunFolder(source.parent.resolve())
    if run_dir.resolve() not in (absolute.path, absolute.run_path):
        raise ConfigError(
            f"{source} is of the run folder {folder.path}, but its run.dir is another folder, {run_dir}, "
            f"whose results would be replaced; run the folder itself (moclip run {folder.path}), "
            "or say with --run-dir where the results go"
        )
