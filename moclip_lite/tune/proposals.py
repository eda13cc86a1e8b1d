"""What a search tries next: Optuna's proposal, which depends on the trials so far and the seed alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .space import Space
from .trials import Trial

if TYPE_CHECKING:
    import optuna

__all__ = ["propose", "settings_of"]

_ATTEMPTS: Final = 100  # at a proposal that has not been tried
_STARTUP: Final = 6  # trials at random, and before any is stopped early


def propose(space: Space, trials: Sequence[Trial], seed: int) -> optuna.trial.Trial | None:
    """The sampler's proposal, the first being the experiment as it is; None if everything was tried.

    Where the sampler proposes only what was tried, other settings are drawn.

    Args:
        space: configuration key -> values, the experiment's own first.
        trials: of the search so far.
        seed: of the search.
    """
    study, tried = _study(space, trials, seed), [trial.settings for trial in trials]
    if not tried:
        study.enqueue_trial({key: json.dumps(values[0]) for key, values in space.items()})
    for _ in range(_ATTEMPTS):
        asked = study.ask(_distributions(space))
        if settings_of(asked) not in tried:
            return asked
    settings = _drawn(space, tried, seed)
    if settings is None:
        return None
    study.enqueue_trial({key: json.dumps(value) for key, value in settings.items()})
    return study.ask(_distributions(space))


def _drawn(space: Space, tried: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any] | None:
    """Settings that were not tried; None if there are none."""
    count = math.prod(len(values) for values in space.values())
    first = int(np.random.default_rng([seed, len(tried)]).integers(min(count, 1 << 62)))
    for number in range(first, first + min(count, len(tried) + 1)):
        settings, rest = {}, number % count
        for key, values in space.items():
            rest, place = divmod(rest, len(values))
            settings[key] = json.loads(json.dumps(values[place]))
        if settings not in tried:
            return settings
    return None


def settings_of(asked: optuna.trial.Trial) -> dict[str, Any]:
    """Configuration key -> value of a proposal."""
    return {key: json.loads(value) for key, value in asked.params.items()}


def _study(space: Space, trials: Sequence[Trial], seed: int) -> optuna.Study:
    """A study of the trials so far."""
    import optuna

    sampler = optuna.samplers.TPESampler(
        seed=(seed * 100_003 + len(trials)) % 2**32, n_startup_trials=_STARTUP, constant_liar=False
    )
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=30)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    states = {"done": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED}
    for trial in trials:
        if trial.state in states:
            study.add_trial(
                optuna.trial.create_trial(
                    state=states[trial.state],
                    params={key: json.dumps(value) for key, value in trial.settings.items()},
                    distributions=_distributions(space),
                    value=trial.score,
                    intermediate_values=trial.curve,
                )
            )
    return study


def _distributions(space: Space) -> dict[str, Any]:
    import optuna

    return {
        key: optuna.distributions.CategoricalDistribution([json.dumps(value) for value in values])
        for key, values in space.items()
    }
