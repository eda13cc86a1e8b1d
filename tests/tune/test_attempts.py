"""``moclip tune``: an interrupted trial goes on as it was, its time counts, and only settings fail a trial."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("optuna")

from moclip_lite.errors import CacheUnavailable, CheckpointError, DataError, MoclipError, TrainingDiverged
from moclip_lite.experiment.session import Session
from moclip_lite.progress import Silent
from moclip_lite.tune import Budget, TuneResult, tune
from moclip_lite.tune import clock as clock_module
from moclip_lite.tune import search as search_module
from moclip_lite.tune.clock import TrialClock
from mv_tools import MotionError

from support.tuning import experiment

SPACE = {"motion.dropout": [0.0, 0.2, 0.5]}


def search(root: Path, cache: str, out: Path, trials: int) -> TuneResult:
    return tune(experiment(root, cache), SPACE, Budget(trials), out, Silent(), parts=1)


def test_an_interrupted_trial_reports_what_it_reached_before(
    root: Path, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its curve is that of a trial that was not interrupted, and its time that of both attempts."""
    monkeypatch.setattr("moclip_lite.training.classification._SAVE_EVERY", 0.0)
    whole = search(root, cache, tmp_path / "whole", 1)
    real = search_module.evaluate

    def killed(session: Session, *arguments: Any, **options: Any) -> Any:
        def progress(stage: str, done: int, total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

        session.reporter = SimpleNamespace(say=print, warn=print, progress=progress)
        return real(session, *arguments, **options)

    monkeypatch.setattr(search_module, "evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        search(root, cache, tmp_path / "cut", 1)
    monkeypatch.setattr(search_module, "evaluate", real)
    file = tmp_path / "cut" / ".trial.json"
    kept = json.loads(file.read_text())
    assert kept["seconds"] > 0
    file.write_text(json.dumps(kept | {"seconds": 1e6}))
    resumed = search(root, cache, tmp_path / "cut", 1)
    assert sorted(whole.trials[0].curve) == [20, 50, 70, 100]
    assert resumed.trials[0].curve == whole.trials[0].curve
    assert resumed.trials[0].seconds > 1e6
    assert not file.exists()


def test_a_clock_goes_on_with_its_own_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(clock_module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    file = tmp_path / "clock.json"
    clock = TrialClock(file, "x", 3)
    clock.tick()
    assert not file.exists()  # nothing to write yet
    now[0] += 7
    clock.tick()
    now[0] += 50  # between attempts
    assert TrialClock(file, "x", 3).seconds() == 7
    assert TrialClock(file, "x", 4).seconds() == TrialClock(file, "y", 3).seconds() == 0
    for damage in ("", "[]", '{"search": "x", "number": 3}', '{"search": "x", "number": 3, "seconds": "1"}'):
        file.write_text(damage)
        assert TrialClock(file, "x", 3).seconds() == 0


@pytest.mark.parametrize(
    "error",
    [
        MoclipError("the disk is full"),
        CacheUnavailable("no cache"),
        MotionError("damaged"),
        CheckpointError("damaged"),
    ],
)
def test_what_no_setting_causes_ends_the_search(
    root: Path, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The trial is not in the table, and is tried again by the next attempt."""
    whole = search(root, cache, tmp_path, 1)

    def failing(*arguments: Any, **options: Any) -> Any:
        raise error

    real = search_module.evaluate
    monkeypatch.setattr(search_module, "evaluate", failing)
    with pytest.raises(type(error), match=str(error)):
        search(root, cache, tmp_path, 2)
    monkeypatch.setattr(search_module, "evaluate", real)
    resumed = search(root, cache, tmp_path, 2)
    assert resumed.trials[0] == whole.trials[0]
    assert [trial.state for trial in resumed.trials] == ["done", "done"]


def test_what_a_setting_causes_is_a_failed_trial(
    root: Path, cache: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([TrainingDiverged("nan"), DataError("nothing to read")])
    real = search_module.evaluate

    def failing(*arguments: Any, **options: Any) -> Any:
        error = next(errors, None)
        if error is not None:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(search_module, "evaluate", failing)
    result = search(root, cache, tmp_path, 3)
    assert [(t.state, t.reason) for t in result.trials] == [
        ("failed", "nan"),
        ("failed", "nothing to read"),
        ("done", ""),
    ]


def test_defaults_that_follow_other_settings_follow_searched_ones(
    root: Path, cache: str, tmp_path: Path
) -> None:
    """A max_steps below the default min_steps lowers it, as in a configuration."""
    space = {"train_motion.max_steps": [20_000, 500]}
    result = tune(experiment(root, cache), space, Budget(2), tmp_path, Silent(), parts=1)
    assert [trial.state for trial in result.trials] == ["done", "done"]
