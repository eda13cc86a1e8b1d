"""The search: Optuna's sampler (TPE) proposes settings, its median pruner stops poor trials.

The table of trials is the state of the search. An attempt begins by telling Optuna of the trials in it, and
the sampler is seeded by the number of the trial, so that a resumed search equals an uninterrupted one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from mv_tools.atomic import remove_drafts
from mv_tools.urls import spelled

from ..errors import CheckpointError, ConfigError, DataError, MoclipError, TrainingDiverged
from ..experiment.config import Experiment, load_experiment, with_absolute_paths
from ..experiment.output_place import refuse_among_classes
from ..experiment.session import Session
from ..experiment.settings.idle import idle_reasons
from ..progress import Reporter
from ..storage.cache_keys import stage_versions
from ..storage.digest import digest_bytes, digest_file
from ..storage.files import write_text
from ..storage.lock import FolderLock
from ..storage.mirror import held, write_back
from ..storage.snapshot import working_copy
from .budget import Budget
from .clock import TrialClock
from .evaluate import Division, State, divisions, evaluate
from .proposals import propose, settings_of
from .space import Space, checked_space, value_of
from .trials import Trial, best_trial, read_trials, score_of, write_trials

__all__ = ["TuneResult", "tune"]

_STATE: Final = ".trial.safetensors"  # of the training in progress; hidden, so that no URL gets it
_CLOCK: Final = ".trial.json"  # time of the trial in progress
_POOR: Final = (ConfigError, DataError, TrainingDiverged)
"""Errors that the settings of a trial cause; any other would meet all trials alike, and ends the search."""
_FEW_CLIPS: Final = 500
"""Training and validation clips below which a trial is validated on all of them, in three parts."""

_CODE: Final = ("motion", "trained")  # stages of the cache whose code decides what a trial gives


@dataclass(frozen=True)
class TuneResult:
    """Outcome of a search.

    Attributes:
        best: the trial with the best figures on validation.
        trials: all of them.
        file: configuration with the chosen settings, for ``moclip run``.
    """

    best: Trial
    trials: list[Trial]
    file: Path


def tune(
    experiment: Experiment,
    space: Mapping[str, Sequence[Any]],
    budget: Budget,
    out: Path,
    reporter: Reporter,
    *,
    fold: str | None = None,
    parts: int = 0,
) -> TuneResult:
    """Search settings of the motion stream on the training and validation clips of a fold.

    Args:
        experiment: the first trial; what is not searched stays as it says.
        space: configuration key -> values.
        budget: trials or time, with those of earlier attempts.
        out: folder of the results, or its URL: trials.json, trials.csv, best.yaml.
        reporter: told what happens.
        fold: name of the fold; the first by default.
        parts: parts that the training and validation clips are divided into, each validated on once; 1 for
            the fold's own validation clips; 0 for 3 parts where there are fewer than 500 clips.

    Raises:
        ConfigError, DataError: the space, the fold or the clips can't be used.
        MoclipError: Optuna is not installed, another search is at work in the folder, the disk is full, or no
            trial succeeded.
        CheckpointError, OSError: another search is at work at the URL, or the server refuses.
        KeyboardInterrupt: finished trials are kept, the one in progress is resumed by the next attempt.
    """
    _require_optuna()
    refuse_among_classes(experiment.data, out, "--out")
    with held(out, "search", "best.yaml", reporter.say):
        folder = working_copy(out)
        folder.mkdir(parents=True, exist_ok=True)
        refusal = f"another search is at work in {spelled(out)}; wait for it, or choose another --out"
        with FolderLock(folder / ".lock").held(MoclipError(refusal)):
            remove_drafts(folder)
            return _Search(experiment, space, out, reporter, fold, parts).run(budget)


def _require_optuna() -> None:
    try:
        import optuna
    except ImportError as error:
        raise MoclipError("tuning needs Optuna: pip install 'moclip-lite[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


class _Search:
    """A search in a folder that the caller has locked."""

    def __init__(
        self,
        experiment: Experiment,
        space: Mapping[str, Sequence[Any]],
        out: Path,
        reporter: Reporter,
        fold: str | None,
        parts: int,
    ) -> None:
        if not {"motion", "fusion"} & set(experiment.run.streams):
            raise ConfigError(
                f"what is chosen is for the motion stream, and run.streams={list(experiment.run.streams)} "
                "does not use it: add motion or fusion"
            )
        motion_only = experiment.run.model_copy(update={"streams": ("motion",), "seeds": ()})
        self.experiment = experiment
        self.base = with_absolute_paths(experiment.model_copy(update={"run": motion_only}))
        self.space: Space = checked_space(experiment, space)
        self.given, self.out, self.reporter = out, working_copy(out), reporter
        session = Session(self.base, reporter)
        self.fold, self.parts = self._divide(session, fold, parts)
        self._warn_of_seeds()
        self._warn_of_idle()
        self.fingerprint = self._fingerprint(session.content_digests)
        self.notes: set[str] = set()  # that were said
        self.trials = read_trials(self.out / "trials.json", self.fingerprint)

    def _fingerprint(self, contents: Mapping[str, str]) -> str:
        """Digest of all that decides the trials: clips and their content, settings, files of weights, code.

        Args:
            contents: clip name -> digest of its file.
        """
        sides = [side for part in self.parts for side in (part.train, part.val)]
        clips = [[[c.name, c.label, contents.get(c.name)] for c in side] for side in sides]
        kept = self.base.model_dump(mode="json", include={"data", "train_motion"})
        files = [Path(str(value)) for value in self.space.get("motion.pretrained", ())]
        weights = [digest_file(path) if path.is_file() else str(path) for path in files]
        code = {stage: stage_versions(stage) for stage in _CODE}
        decided = [clips, self.space, kept, self.base.motion.deciding(), weights, self.base.run.seed, code]
        return digest_bytes([json.dumps(decided, sort_keys=True).encode()])

    def _divide(self, session: Session, name: str | None, parts: int) -> tuple[str, list[Division]]:
        folds = {fold.name: fold for fold in session.folds}
        chosen = next(iter(folds)) if name is None else name
        if chosen not in folds:
            raise ConfigError(f"there is no fold {chosen!r}; the folds are {', '.join(folds)}")
        fold = folds[chosen]
        parts = parts or (3 if len(fold.train) + len(fold.val) < _FEW_CLIPS else 1)
        if len(folds) > 1:
            self.reporter.warn(
                f"settings are chosen on the training and validation clips of fold {chosen}, of which other "
                "folds test some: scores of the other folds are then too high by a little"
            )
        if self.base.data.train_recipes:
            self.reporter.warn("trials train on the clips as they are: data.train_recipes is for moclip run")
        divided = divisions(fold.train, fold.val, parts, self.base.run.seed)
        sizes = ", ".join(f"{len(part.train)} to train and {len(part.val)} to validate" for part in divided)
        self.reporter.say(f"fold {chosen}: {sizes}; its {len(fold.test)} test clips are not read")
        return chosen, divided

    def _warn_of_seeds(self) -> None:
        """Warn where other seeds of the experiment test clips that the search looks at."""
        run = self.base.run.model_copy(update={"seeds": self.experiment.run.seeds})
        if not run.seeds:
            return
        known = {clip.name for part in self.parts for clip in (*part.train, *part.val)}
        folds = Session(self.base.model_copy(update={"run": run}), self.reporter).folds
        if any(clip.name in known for fold in folds for clip in fold.test):
            self.reporter.warn(
                f"run.seeds={list(run.seeds)} of the experiment test clips on which settings are chosen: "
                "scores of moclip run best.yaml are then too high; set run.seeds=[] and one run.seed for both"
            )

    def _warn_of_idle(self) -> None:
        """Warn of keys whose values make no difference."""
        for key, values in self.space.items():
            try:
                found = idle_reasons(*(self._configured({key: value}) for value in values), varied={key})
            except ConfigError:  # they do not go together: the trial says so
                continue
            if key in found:
                self.reporter.warn(f"{key} has no effect {found[key]}: its trials are all alike")

    def run(self, budget: Budget) -> TuneResult:
        """Run trials until the budget is spent."""
        if self.trials:
            self.reporter.say(f"{len(self.trials)} trials of an earlier attempt")
        while not budget.spent(len(self.trials), sum(trial.seconds for trial in self.trials)):
            trial = self._next()
            if trial is None:
                self.reporter.say("all settings were tried; the search ends")
                break
            self.trials.append(trial)
            write_trials(self.out, self.fingerprint, self.trials)
            (self.out / _CLOCK).unlink(missing_ok=True)
            best = best_trial(self.trials)
            if best is not None:
                write_text(self.out / "best.yaml", self._yaml(best))
            write_back(self.given)
            self.reporter.say(_words(trial, best))
        best = best_trial(self.trials)
        if best is None:
            reason = self.trials[0].reason if self.trials else "the budget allows none"
            raise MoclipError(f"no trial succeeded: {reason}")
        # An earlier attempt may have ended before it did.
        write_text(self.out / "best.yaml", self._yaml(best))
        return TuneResult(best, list(self.trials), self.given / "best.yaml")

    def _next(self) -> Trial | None:
        """Run the next trial; None if there is no other to run."""
        import optuna

        asked = propose(self.space, self.trials, self.base.run.seed)
        if asked is None:
            return None
        settings = settings_of(asked)
        trial = Trial(len(self.trials), settings, "done")
        clock = TrialClock(self.out / _CLOCK, self.fingerprint, trial.number)
        curve: dict[int, float] = {}
        reached: dict[int, tuple[float, float]] = {}

        def report(percent: int, accuracy: float, loss: float) -> None:
            reached[percent] = accuracy, loss
            curve[percent] = score_of(accuracy, loss)
            asked.report(curve[percent], percent)
            if asked.should_prune():
                raise optuna.TrialPruned

        try:
            figures = evaluate(
                Session(self._configured(settings), self.reporter),
                self.parts,
                state=State(self.out / _STATE, self.fingerprint),
                report=report,
                alive=clock.tick,
            )
            for note in figures.notes:
                self._say_once(note)
            trial = replace(trial, accuracy=figures.accuracy, loss=figures.loss)
        except optuna.TrialPruned:
            (self.out / _STATE).unlink(missing_ok=True)
            accuracy, loss = reached[max(curve, key=curve.__getitem__)]
            trial = replace(trial, state="pruned", accuracy=accuracy, loss=loss)
        except MoclipError as error:
            if not _is_poor(error, settings):
                raise
            trial = replace(trial, state="failed", reason=" ".join(str(error).split()))
        except KeyboardInterrupt:
            clock.write()
            raise
        return replace(trial, seconds=clock.seconds(), curve=curve)

    def _say_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.add(note)
            self.reporter.say(note)

    def _configured(self, settings: Mapping[str, Any]) -> Experiment:
        """The base with some settings changed.

        Raises:
            ConfigError: they do not go together.
        """
        values = self.base.model_dump(mode="json", exclude_unset=True)  # some defaults follow other settings
        for key, value in settings.items():
            section, _, name = key.partition(".")
            values.setdefault(section, {})[name] = value
        return load_experiment(None, [f"{name}={json.dumps(value)}" for name, value in _flat(values)])

    def _yaml(self, best: Trial) -> str:
        """A configuration with the chosen settings; what the experiment left to the defaults stays so."""
        values = with_absolute_paths(self.experiment).model_dump(mode="json", exclude_unset=True)
        for key, value in best.settings.items():
            if value != value_of(Experiment(), key) or key.partition(".")[2] in values.get(
                key.partition(".")[0], {}
            ):
                section, _, name = key.partition(".")
                values.setdefault(section, {})[name] = value
        values.get("run", {}).pop("dir", None)
        done = sum(trial.state == "done" for trial in self.trials)
        return (
            f"# Chosen by moclip tune on the training and validation clips of fold {self.fold}: "
            f"trial {best.number} of {len(self.trials)} ({done} finished),\n"
            f"# {best.accuracy:.1f} % top-1 on validation, all classes counting alike. "
            "Its test clips were not read.\n"
            f"#\n#   moclip run {spelled(self.given / 'best.yaml')} --set run.dir=DIR\n"
            + yaml.safe_dump(values, sort_keys=False)
        )


def _is_poor(error: MoclipError, settings: Mapping[str, Any]) -> bool:
    """Whether the settings of a trial cause an error, those that name weights included."""
    return isinstance(error, _POOR) or (
        isinstance(error, CheckpointError) and settings.get("motion.pretrained") not in (None, False)
    )


def _flat(values: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Any]]:
    return [
        (f"{section}.{name}", value) for section, names in values.items() for name, value in names.items()
    ]


def _words(trial: Trial, best: Trial | None) -> str:
    figures = trial.reason if trial.state == "failed" else f"{trial.accuracy:.1f} % on validation"
    state = "" if trial.state == "done" else f" ({trial.state})"
    leader = "" if best is None else f"; best: trial {best.number}, {best.accuracy:.1f} %"
    return f"trial {trial.number}{state}: {figures}, {trial.seconds:.0f} s{leader}"
