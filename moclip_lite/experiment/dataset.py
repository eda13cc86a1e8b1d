"""Loading the data set that a configuration names."""

from __future__ import annotations

from pathlib import Path

from ..datasets import SyntheticSpec, VideoDataset, generate, load_folder, load_ucf101
from ..datasets.clip import with_groups
from ..datasets.settings import DataSettings
from ..errors import ConfigError
from ..progress import Reporter

__all__ = ["data_root", "load_dataset"]


def data_root(data: DataSettings) -> Path:
    """``data.root``: a folder of clips, or a file of features.

    Raises:
        ConfigError: it is not set, or is a file where a folder is expected.
    """
    what, word = ("file of features", "FILE") if data.kind == "features" else ("folder of the clips", "DIR")
    if data.root is None:
        raise ConfigError(f"data.root is not set; name the {what} with --set data.root={word}")
    if data.kind != "features" and data.root.is_file():
        raise ConfigError(
            f"data.root={data.root} is a file, not a folder of clips; a file of features needs "
            "--set data.kind=features"
        )
    return data.root


def load_dataset(data: DataSettings, workers: int, reporter: Reporter) -> VideoDataset:
    """Load, or for ``data.kind=synthetic`` generate, the clips.

    Args:
        data: names the data set; not a file of features.
        workers: processes that generate clips.
        reporter: told what the data set notes about itself.

    Raises:
        DataError, ConfigError: the clips can't be used.
    """
    root = data_root(data)
    if data.recipe is not None:
        root /= data.recipe
    if data.kind == "synthetic":
        spec = SyntheticSpec(clips_per_class=data.clips_per_class, frames=data.frames)
        dataset = generate(
            root,
            spec,
            workers=workers,
            progress=lambda done, total: reporter.progress("generate", done, total),
        )
    elif data.kind == "ucf101":
        dataset = load_ucf101(
            root,
            data.splits_dir,
            data.splits,
            skip_missing=data.skip_missing,
            group_pattern=data.group_pattern,
        )
    else:
        dataset = load_folder(root, group_pattern=data.group_pattern, skip_missing=data.skip_missing)
    for note in dataset.notes:
        reporter.warn(note)
    return with_groups(dataset, data.group_pattern)
