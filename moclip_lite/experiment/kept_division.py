"""The division of a trained run, kept where clips were added, removed or renamed since.

Which clips are tested is drawn from all of them: of a folder with one clip more or less the same settings
would draw others, some of which trained the weights. Settings alone change the division of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..datasets import Clip, Fold, VideoDataset
from ..datasets.clip import shorten
from ..errors import CheckpointError
from ..results.run_folder import RunFolder
from ..results.trained_on import StoredDivision, read_division
from .config import Experiment, load_run_settings
from .division import check_folds
from .session import Session

__all__ = ["keep_division"]

_NOT_DIVIDING = {"skip_missing", "buffer", "appearance"}
"""Settings of data that leave the division of clips as it is."""


def keep_division(session: Session, folder: Path) -> None:
    """Give a session the folds of its run where the clips changed since and the settings did not; say so.

    Divisions by lists or by a table's column follow these, and a data set elsewhere is divided anew.

    Args:
        session: made from the run's configuration, possibly with changes; its folds were not asked for yet.
        folder: the run folder.

    Raises:
        CheckpointError: a division is damaged, or no clip of a fold's tested part is left.
    """
    run, dataset = RunFolder(folder), session.dataset
    stored = [read_division(path) for path in _divisions(run)]
    if dataset.official or not stored or any(one.root != dataset.place for one in stored):
        return
    if not _divides_alike(session.experiment, load_run_settings(run.config)):
        return
    changes = _changes(stored, dataset, session.content_digests)
    if not changes.gone and (not changes.new or _leaves_out(session.experiment)):
        return
    folds = [_fold(one, dataset, changes.names) for one in stored]
    session.folds = check_folds(
        folds, dataset, None, session.experiment.data, session.content_digests, session.reporter
    )
    session.reporter.warn(changes.words(dataset.place, leaves_out=_leaves_out(session.experiment)))


class _Changes(NamedTuple):
    """How a data set differs from the clips that a run was divided from.

    Attributes:
        names: name in the division -> name now, of all that are there.
        renamed: how many of these have another name now.
        gone: names in the division without a clip.
        new: clips that are in no part of it.
    """

    names: Mapping[str, str]
    renamed: int
    gone: Sequence[str]
    new: Sequence[str]

    def words(self, place: str, *, leaves_out: bool) -> str:
        """A sentence; clips that the settings leave out of each division are not told as new."""
        parts = [f"{len(self.gone) - self.renamed} are gone"]
        lost = [name for name in self.gone if name not in self.names]
        parts[0] += f" ({shorten(lost, 3)})" if lost else ""
        if self.renamed:
            parts.append(f"{self.renamed} have other names")
        if not leaves_out:
            shown = f" ({shorten(list(self.new), 3)}) and are left out" if self.new else ""
            parts.append(f"{len(self.new)} are new{shown}")
        return (
            f"the clips of {place} changed since training: {', '.join(parts)}; the run's own division is kept"
        )


def _changes(stored: Sequence[StoredDivision], dataset: VideoDataset, digests: Mapping[str, str]) -> _Changes:
    """Compare by name, then by content where one new clip alone has it."""
    known = {
        name: content for one in stored for clips in one.parts.values() for name, content in clips.items()
    }
    present = {clip.name for clip in dataset.clips}
    gone, new = [name for name in known if name not in present], sorted(present - known.keys())
    names = {name: name for name in known if name in present}
    by_content: dict[str | None, list[str]] = {}
    for name in new:
        by_content.setdefault(digests.get(name), []).append(name)
    for name in gone:
        found = by_content.get(known[name], []) if known[name] is not None else []
        if len(found) == 1:
            names[name] = found.pop()
    moved = {names[name] for name in gone if name in names}
    return _Changes(names, len(moved), gone, [name for name in new if name not in moved])


def _fold(one: StoredDivision, dataset: VideoDataset, names: Mapping[str, str]) -> Fold:
    """A fold of a run with the clips that are there.

    Raises:
        CheckpointError: none to train or to test is left.
    """
    clips = {clip.name: clip for clip in dataset.clips}
    parts: dict[str, tuple[Clip, ...]] = {
        part: tuple(clips[names[name]] for name in stored if name in names)
        for part, stored in one.parts.items()
    }
    for part, stored in one.parts.items():
        if stored and not parts[part]:
            raise CheckpointError(
                f"{dataset.place}: none of the {len(stored)} {part} clips of fold {one.name} is there any "
                f"more ({shorten(list(stored), 3)}); put them back, or train again in another folder "
                "(moclip run)"
            )
    return Fold(one.name, parts["train"], parts["val"], parts["test"])


def _divisions(run: RunFolder) -> list[Path]:
    """The files of a run's folds; [] where one is missing."""
    if run.division.is_file():
        return [run.division]
    files = [folder.division for folder in run.fold_folders()]
    return files if all(file.is_file() for file in files) else []


def _divides_alike(one: Experiment, other: Experiment) -> bool:
    """Whether two configurations ask for the same division."""
    kept = [experiment.data.model_dump(mode="json", exclude=_NOT_DIVIDING) for experiment in (one, other)]
    return kept[0] == kept[1] and one.run.all_seeds == other.run.all_seeds


def _leaves_out(experiment: Experiment) -> bool:
    """Whether a division has not all clips: few of each class, or some groups alone."""
    data = experiment.data
    return data.train_per_class is not None or (data.protocol == "leave-one-group-out" and bool(data.folds))
