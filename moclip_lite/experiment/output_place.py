"""Outputs do not go among the class folders of a data set, where each folder is a class."""

from __future__ import annotations

from pathlib import Path

from mv_tools.urls import is_url

from ..datasets.manifest import prepared_root
from ..datasets.settings import DataSettings
from ..datasets.walk import lies_within
from ..errors import ConfigError

__all__ = ["refuse_among_classes"]


def refuse_among_classes(data: DataSettings, folder: Path, option: str) -> None:
    """Refuse a folder of outputs that would become a class of the data set, before the work.

    At a URL and with ``data.skip_missing`` a folder without videos is no class.

    Args:
        data: says where the data set lies.
        folder: to be written.
        option: the command-line option that sets the folder, for the message.

    Raises:
        ConfigError: it lies within the data set.
        DataError: the data set holds clips of several recipes, see
            :func:`moclip_lite.datasets.manifest.prepared_root`.
    """
    has_classes = data.kind == "synthetic" or (data.kind == "folder" and not data.skip_missing)
    if not has_classes or data.root is None or is_url(data.root) or is_url(folder):
        return
    root = prepared_root(data.root if data.recipe is None else data.root / data.recipe)
    if lies_within(root, folder):
        raise ConfigError(
            f"{folder} lies within {root}, where each folder is a class of the data set; "
            f"name a folder elsewhere with {option}"
        )
