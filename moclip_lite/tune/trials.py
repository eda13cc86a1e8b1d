"""The trials of a search and their files: ``trials.json`` (read on resuming), ``trials.csv`` (for people)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from ..errors import CheckpointError
from ..storage.files import read_json, write_json, write_rows

__all__ = ["Trial", "best_trial", "read_trials", "score_of", "write_trials"]

_FORMAT: Final = "moclip-trials-1"
_ROUNDING: Final = 1e-6  # of sums in single precision


@dataclass(frozen=True)
class Trial:
    """A configuration and what validation said.

    Attributes:
        number: from 0; the first is the experiment as it is.
        settings: configuration key -> value.
        state: "done", "pruned" (stopped early, behind the others) or "failed".
        accuracy: top-1 on validation in percent, all classes counting alike; of a pruned trial up to there.
        loss: cross-entropy on validation, likewise.
        seconds: wall time, reading of motion included.
        curve: part of the training in percent -> score there.
        reason: why it failed.
    """

    number: int
    settings: dict[str, Any]
    state: str
    accuracy: float = 0.0
    loss: float = 0.0
    seconds: float = 0.0
    curve: dict[int, float] = field(default_factory=dict)
    reason: str = ""

    @property
    def score(self) -> float:
        """What is maximised: accuracy; the loss, a point per nat, decides between equal ones."""
        return score_of(self.accuracy, self.loss)


def score_of(accuracy: float, loss: float) -> float:
    """What a search maximises: see :attr:`Trial.score`."""
    return accuracy - loss


_TRIALS: Final = TypeAdapter(list[Trial])


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The finished trial of the highest score; of equal ones the first."""
    done = [trial for trial in trials if trial.state == "done"]
    return max(done, key=lambda trial: trial.score, default=None)


def read_trials(path: Path, fingerprint: str) -> list[Trial]:
    """The trials of an earlier attempt; [] if there was none.

    Raises:
        CheckpointError: those of another search, or a damaged file.
    """
    if not path.exists():
        return []
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is not a table of trials; choose another folder with --out")
    if content.get("fingerprint") != fingerprint:
        raise CheckpointError(
            f"{path} holds trials of another search (other clips, settings, seed, values to choose among, "
            "or another version of this program); choose another folder with --out"
        )
    try:
        trials = _TRIALS.validate_python(content.get("trials"))
    except ValidationError as error:
        raise CheckpointError(f"{path} is damaged; remove it or choose another folder with --out") from error
    for trial in trials:
        if wrong := _out_of_range(trial):
            raise CheckpointError(
                f"{path} is damaged: trial {trial.number} has {wrong}; "
                "remove the file or choose another folder with --out"
            )
    return trials


def _out_of_range(trial: Trial) -> str:
    """The figure of a trial that no validation gives, in words; "" if there is none."""
    if not -_ROUNDING <= trial.accuracy <= 100 + _ROUNDING:
        return f"the accuracy {trial.accuracy:g}, which is not from 0 to 100"
    if not trial.loss >= -_ROUNDING:
        return f"the loss {trial.loss:g}, which is below 0"
    return ""


def write_trials(folder: Path, fingerprint: str, trials: Sequence[Trial]) -> None:
    """Write both files."""
    rows = _TRIALS.dump_python(list(trials), mode="json")
    keys = list(trials[0].settings)
    write_json(folder / "trials.json", {"format": _FORMAT, "fingerprint": fingerprint, "trials": rows})
    columns = ["number", "state", "accuracy", "loss", "seconds", *keys, "reason"]
    write_rows(folder / "trials.csv", columns, [_row(trial, keys) for trial in trials])


def _row(trial: Trial, keys: Sequence[str]) -> list[str]:
    figures = [f"{trial.accuracy:.2f}", f"{trial.loss:.4f}", f"{trial.seconds:.1f}"]
    if trial.state == "failed":
        figures[:2] = ["", ""]
    values = [
        value if isinstance(value, str) else json.dumps(value) for value in map(trial.settings.get, keys)
    ]
    return [str(trial.number), trial.state, *figures, *values, trial.reason]
