"""Loading the data set that a configuration names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mv_tools.urls import is_url, spelled

from ...datasets import SyntheticSpec, VideoDataset, generate, load_folder, load_ucf101
from ...datasets.clip import with_groups
from ...datasets.remote import load_remote_folder
from ...datasets.segments import video_seconds
from ...datasets.settings import DataSettings
from ...datasets.spellings import spelling_notes
from ...datasets.table.load import divide_by_table, load_table
from ...datasets.table.records import SUFFIXES
from ...errors import ConfigError
from ...parallel.runner import JobRunner
from ...progress import Reporter

__all__ = ["data_root", "data_table", "load_dataset"]


def data_root(data: DataSettings) -> Path:
    """``data.root``: a folder of clips or of shards, or a file of features.

    Raises:
        ConfigError: it is not set, or is a file where a folder is expected.
    """
    if data.kind == "table":
        table = data_table(data)
        return table.parent if data.root in (None, table) else Path(data.root or "")
    names = {"features": ("file of features", "FILE"), "shards": ("folder of the shards", "DIR")}
    what, word = names.get(data.kind, ("folder of the clips", "DIR"))
    if data.root is not None and is_url(data.root) and data.kind not in ("folder", "table", "shards"):
        raise ConfigError(
            f"data.root={spelled(data.root)}: "
            f"a data set of kind {data.kind} can't be read at a URL; copy it here first"
        )
    if data.root is None:
        raise ConfigError(f"data.root is not set; name the {what} with --set data.root={word}")
    if data.kind != "features" and data.root.is_file():
        is_table = data.root.suffix.lower() in SUFFIXES
        kind, words = ("table", "an annotation table") if is_table else ("features", "a file of features")
        raise ConfigError(
            f"data.root={data.root} is a file, not a folder of clips; {words} needs --set data.kind={kind}"
        )
    return data.root


def data_table(data: DataSettings) -> Path:
    """The annotation table: ``data.table``, or ``data.root`` where that is a file.

    Raises:
        ConfigError: neither is set, or the folder of the videos is none.
    """
    table, root = data.table, data.root
    if table is None and root is not None and not (root.is_dir() or (is_url(root) and not _is_table(root))):
        return root
    if table is None:
        raise ConfigError("data.table is not set; name the annotation table with --set data.table=FILE")
    if root is not None and not root.is_dir() and not is_url(root):
        raise ConfigError(f"data.root={root} is no folder; it is the folder of the videos in {table}")
    return table


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def load_dataset(data: DataSettings, workers: int | JobRunner, reporter: Reporter) -> VideoDataset:
    """Load, or for ``data.kind=synthetic`` generate, the clips.

    Args:
        data: names the data set; not a file of features.
        workers: run the jobs that generate clips.
        reporter: told what the data set notes about itself.

    Raises:
        DataError, ConfigError: the clips can't be used.
    """
    if data.folds is not None and data.protocol not in ("kfold", "leave-one-group-out"):
        raise ConfigError(
            f"data.folds={data.folds} is for data.protocol kfold and leave-one-group-out, not {data.protocol}"
        )
    root = data_root(data) if data.recipe is None else data_root(data) / data.recipe
    dataset = _load(data, root, workers, reporter)
    if data.table is not None:
        if data.kind != "table":
            dataset = divide_by_table(dataset, data.table)
        dataset = dataset.with_splits([f"split{number}" for number in data.splits])
    for note in dataset.notes:
        reporter.warn(note)
    dataset = with_groups(dataset, data.group_pattern)
    alike = spelling_notes(dataset)
    for note in alike:
        reporter.warn(note)
    return replace(dataset, notes=(*dataset.notes, *alike))


def _load(data: DataSettings, root: Path, workers: int | JobRunner, reporter: Reporter) -> VideoDataset:
    """The clips by the layout of the data set."""
    groups, skip_missing = data.group_pattern, data.skip_missing
    if data.kind == "synthetic":
        spec = SyntheticSpec(clips_per_class=data.clips_per_class, frames=data.frames)
        return generate(
            root,
            spec,
            workers=workers,
            progress=lambda done, total: reporter.progress("generate", done, total),
        )
    if data.kind == "ucf101":
        lists, splits = data.splits_dir, data.splits
        return load_ucf101(root, lists, splits, skip_missing=skip_missing, group_pattern=groups)
    if data.kind == "table":
        return load_table(data_table(data), videos=root, skip_missing=skip_missing, duration=video_seconds)
    if is_url(root):
        return load_remote_folder(root, group_pattern=groups)
    return load_folder(root, group_pattern=groups, skip_missing=skip_missing)
