"""Folds whose clips are not mirrored, because flips would make two classes one.

If class names do not decide it, it is measured on clips. Each fold looks at its own training and validation
clips: all clips of a cross-validation are tested in one fold or another.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...datasets import Fold
from ...datasets.clip import shorten
from ...motion.mirrors import MeanMotion, mirrored_classes
from ...results.run_folder import RunFolder
from ..config import Experiment, load_run_settings

__all__ = ["Directions", "mirrors_clips"]


def mirrors_clips(experiment: Experiment) -> bool:
    """Whether clips are mirrored in training or testing, and ``motion.mirrors`` may change that."""
    motion, streams = experiment.motion, set(experiment.run.streams)
    flips = motion.flip > 0 or experiment.test.flips > 1
    return motion.mirrors != "ignore" and flips and bool(streams & {"motion", "fusion"})


@dataclass(frozen=True)
class Directions:
    """Names of the folds without flips, and sentences on them for the report."""

    folds: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    def of(self, experiment: Experiment, fold: str) -> Experiment:
        """The configuration as it holds for a fold."""
        return experiment.without_flips() if fold in self.folds else experiment

    @classmethod
    def found(cls, labels: Sequence[str], folds: Sequence[Fold], motion: MeanMotion) -> Directions:
        """Decide it for each fold, on its own training and validation clips.

        Args:
            labels: class names.
            folds: the divisions.
            motion: of the clips.
        """
        without: dict[str, list[str]] = {}  # in which words -> folds
        for fold in folds:
            mirrored = mirrored_classes(labels, motion, fold.train, fold.val)
            if mirrored.pairs:
                without.setdefault(mirrored.words, []).append(fold.name)
        notes = [
            f"flips are off{_where(names, len(folds))}: {words}; motion.mirrors=ignore leaves them on"
            for words, names in without.items()
        ]
        return cls(frozenset(name for names in without.values() for name in names), tuple(notes))

    @classmethod
    def of_run(
        cls, run: RunFolder, experiment: Experiment, folds: Sequence[Fold], asked: Collection[str] = ()
    ) -> Directions:
        """What the folders of a run's folds say; ``test.flips`` that is asked for holds for all of them.

        Args:
            run: whose folds were trained.
            experiment: its configuration, perhaps with changes.
            folds: of the run.
            asked: keys of the settings that were given for this use of the run, changed or not.

        Raises:
            ConfigError, CheckpointError: the configuration of a fold is damaged.
        """
        if not mirrors_clips(experiment):
            return cls()
        configs = {fold.name: run.fold(fold.name).config for fold in folds}
        without = [
            name
            for name, config in configs.items()
            if config.is_file() and not mirrors_clips(load_run_settings(config))
        ]
        flips = experiment.test.flips
        if "test.flips" not in asked and flips == load_run_settings(run.config).test.flips:
            return cls(frozenset(without))
        if not without or flips == 1:
            return cls()
        which = "" if len(folds) == 1 else f" in {len(without)} of {len(folds)} folds ({shorten(without)})"
        return cls(
            notes=(f"test.flips={flips} mirrors clips, but the networks were trained without flips{which}",)
        )


def _where(names: Sequence[str], folds: int) -> str:
    """The folds in words; "" for all of them."""
    return "" if len(names) == folds else f" in {len(names)} of {folds} folds ({shorten(names)})"
