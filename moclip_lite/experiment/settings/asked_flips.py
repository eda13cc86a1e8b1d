"""What a run was asked for where it has decided itself that no clip is mirrored: it may decide so again.

The configuration in the run folder has the flips that its weights are used with. Those that were asked for
are kept beside it, from which another run of the folder starts.
"""

from __future__ import annotations

import json
from typing import Final

from ...errors import CheckpointError
from ...results.metrics import Metrics
from ...results.run_folder import RunFolder
from ...storage.files import read_json, write_json
from ..config import Experiment, load_run_settings

__all__ = ["asked_flips", "earlier_decision", "keep_asked_flips", "without_decided_flips"]

_OFF: Final = "flips are off: "
_EARLIER: Final = (
    f"{_OFF}the run's config.yaml has them off from an earlier decision; "
    "--set motion.flip=0.5 --set test.flips=2 lets the run decide again"
)


def keep_asked_flips(run: RunFolder, asked: Experiment | None) -> None:
    """Write what was asked for into the run folder; None where the configuration says it."""
    if asked is None:
        run.asked.unlink(missing_ok=True)
    else:
        write_json(run.asked, _flips(asked))


def asked_flips(run: RunFolder) -> list[str]:
    """Overrides that make of the configuration in a run folder what was asked for; [] where it says that.

    Raises:
        ConfigError, CheckpointError: the configuration or the note is damaged.
    """
    if not run.asked.is_file() or not _off(load_run_settings(run.config)):
        return []  # or somebody has set flips in it since
    asked = read_json(run.asked)
    if not isinstance(asked, dict) or asked.keys() != _flips(Experiment()).keys():
        raise CheckpointError(f"{run.asked} is damaged: it does not hold the flips that were asked for")
    return [f"{key}={json.dumps(value)}" for key, value in asked.items()]


def without_decided_flips(run: RunFolder, asked: Experiment) -> Experiment:
    """A configuration as the run folder would have it, if the decision stays; to compare it with that one."""
    try:
        same = run.asked.is_file() and read_json(run.asked) == _flips(asked)
    except CheckpointError:
        return asked
    return asked.without_flips() if same else asked


def earlier_decision(run: RunFolder, asked: Experiment) -> list[str]:
    """A note on a folder of an earlier version, which did not keep what was asked for."""
    try:
        notes = Metrics.read(run.metrics).notes
    except CheckpointError:
        return []
    decided = _off(asked) and not run.asked.is_file() and any(note.startswith(_OFF) for note in notes)
    return [_EARLIER] if decided else []


def _flips(experiment: Experiment) -> dict[str, float]:
    return {"motion.flip": experiment.motion.flip, "test.flips": experiment.test.flips}


def _off(experiment: Experiment) -> bool:
    return _flips(experiment) == _flips(experiment.without_flips())
