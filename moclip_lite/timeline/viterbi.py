"""The best path of states through evidence, where each change costs a penalty: the Viterbi algorithm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["best_path", "common_path"]


def best_path(
    evidence: npt.NDArray[np.float64], penalty: float, before: int | None = None
) -> npt.NDArray[np.int64]:
    """The states with the largest sum of evidence minus `penalty` for each change of state.

    Args:
        evidence: [steps, states].
        penalty: 0 or more.
        before: the state before the first step; None if any may be the first.

    Returns:
        int64 [steps].
    """
    best, came_from = _best_sums(evidence, penalty, before)
    path = np.empty(len(evidence), np.int64)
    state = best[-1].argmax() if len(best) else 0
    for step in range(len(path) - 1, -1, -1):
        path[step] = state
        state = came_from[step, state]
    return path


def common_path(
    evidence: npt.NDArray[np.float64], penalty: float, before: int | None = None
) -> npt.NDArray[np.int64]:
    """The beginning in which the best paths to all states of the last step agree; see :func:`best_path`."""
    _, came_from = _best_sums(evidence, penalty, before)
    steps, states = evidence.shape
    paths = np.empty((steps, states), np.int64)
    state = np.arange(states)
    for step in range(steps - 1, -1, -1):
        paths[step] = state
        state = came_from[step, state]
    agree = (paths == paths[:, :1]).all(axis=1)
    return paths[: steps if agree.all() else int(agree.argmin()), 0]


def _best_sums(
    evidence: npt.NDArray[np.float64], penalty: float, before: int | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Largest sum up to each step and state, and the state before it: two [steps, states]."""
    steps, states = evidence.shape
    best = np.empty((steps, states))
    came_from = np.zeros((steps, states), np.int64)
    same = np.arange(states)
    if steps:
        best[0] = evidence[0] - (0.0 if before is None else penalty * (same != before))
    for step in range(1, steps):
        sums = best[step - 1]
        other = int(sums.argmax())
        changes = sums[other] - penalty > sums
        came_from[step] = np.where(changes, other, same)
        best[step] = evidence[step] + np.where(changes, sums[other] - penalty, sums)
    return best, came_from
