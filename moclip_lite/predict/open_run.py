"""Run folders as prediction takes them: complete, of one fold, trained on videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import CheckpointError
from ..experiment.config import Experiment, load_run_settings
from ..experiment.settings.used import check_used_settings
from ..hub import local_run
from ..results.run_folder import RunFolder
from ..storage.files import read_json

__all__ = ["open_run"]


def open_run(run: Path, overrides: Sequence[str]) -> tuple[RunFolder, Experiment, list[str]]:
    """A run folder, its URL, or "hf://USER/NAME" of the hub, with its configuration.

    Returns:
        The folder, the configuration, and sentences on weights that are missing, and on settings after which
        its networks see numbers of another meaning.

    Raises:
        ConfigError: an override that no configuration has, or that has no effect on predictions.
        HubError: the hub refuses, or can't be reached.
        CheckpointError: not a run folder, one of several folds, or trained on a file of features.
    """
    folder = RunFolder(local_run(run))
    folder.require()
    if folds := folder.fold_folders():
        raise CheckpointError(
            f"{folder.path} holds {len(folds)} folds, each with its own weights; "
            f"name one, such as {folds[0].path}"
        )
    experiment = load_run_settings(folder.config, overrides)
    if experiment.data.kind == "features":
        raise CheckpointError(_explain_feature_file(folder))
    changes = check_used_settings(folder.config, experiment, predicts=True)
    return folder, experiment, [*folder.missing_answers(), *changes]


def _explain_feature_file(folder: RunFolder) -> str:
    """How to predict where heads were trained on a file of features."""
    message = f"{folder.path} was trained on a file of features; it can't read videos"
    try:
        run = read_json(folder.features).get("run")
    except (CheckpointError, AttributeError):
        run = None
    if not run:
        return message
    return (
        f"{message}: the features are those of {run}; `moclip predict FILE --model {run}` answers with its "
        f"own heads, and `moclip run {run} --set fusion.head=NAME` trains this run's head there"
    )
