"""The division of a trained run, kept for tests of its weights while its settings stay.

Which clips are tested is drawn from all of them: of a folder with one clip more or less, or in another
version of this program, the same settings would draw others, some of which trained the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..datasets import Clip, Fold, VideoDataset
from ..datasets.clip import shorten
from ..datasets.settings import DataSettings
from ..errors import CheckpointError
from ..results.run_folder import RunFolder
from ..results.trained_on import StoredDivision, read_division, same_content
from .config import Experiment, load_run_settings, with_absolute_paths
from .division.seeds import check_folds
from .session import Session

__all__ = ["keep_division"]

_NOT_DIVIDING = {"root", "table", "skip_missing", "buffer", "appearance"}
"""Settings of data that leave the division of clips as it is, and places: what lies there is compared."""


def keep_division(session: Session, folder: Path) -> Mapping[str, str]:
    """Give a session the folds of its run, where its settings ask for them; say which clips changed since.

    Divisions by lists or by a table's column follow these. A data set elsewhere is divided anew, unless it is
    a copy of the run's: most of its clips are there, and some of each part.

    Args:
        session: made from the run's configuration, possibly with changes; its folds were not asked for yet.
        folder: the run folder, or the folder of a fold, which gives this fold alone.

    Returns:
        Clip name -> its name in the division, of the clips of the run; {} where clips are divided anew.

    Raises:
        ConfigError: streams or heads are asked for that need text which there is not.
        CheckpointError: a division is damaged, or no clip of a part of a fold is left.
        DataError: copies of a clip, or overlapping segments, are on two sides of a fold by now.
    """
    if session.feature_file is not None:
        return {}  # it says itself how it is divided
    run, experiment, dataset = RunFolder(folder), session.experiment, session.dataset
    stored = _stored(run)
    if dataset.official or not stored or not _divides_alike(experiment, load_run_settings(run.config)):
        return {}
    session.check_inputs()
    digests = session.content_digests
    elsewhere = any(one.root != dataset.place for one in stored)
    changes = _changes(stored, dataset, digests, elsewhere=elsewhere)
    if elsewhere and not _is_copy(stored, changes.names):
        return {}
    folds = [_fold(one, dataset, changes.names, experiment.run.all_seeds) for one in stored]
    session.folds = check_folds(folds, dataset, None, experiment.data, digests, session.reporter)
    if words := changes.words(dataset.place, leaves_out=_leaves_out(experiment)):
        session.reporter.warn(words)
    return {now: before for before, now in changes.names.items()}


class _Changes(NamedTuple):
    """How a data set differs from the clips that a run was divided from.

    Attributes:
        names: name in the division -> name now, of all that are there.
        renamed: how many of these have another name now.
        gone: names in the division that no clip has; elsewhere, none of the same content.
        new: clips that are in no part of it.
    """

    names: Mapping[str, str]
    renamed: int
    gone: Sequence[str]
    new: Sequence[str]

    def words(self, place: str, *, leaves_out: bool) -> str:
        """A sentence, "" without changes; clips that the settings leave out of each division are not new."""
        new = [] if leaves_out else list(self.new)
        if not self.gone and not new:
            return ""
        lost = [name for name in self.gone if name not in self.names]
        parts = [f"{len(lost)} gone" + (f" ({shorten(lost, 3)})" if lost else "")]
        parts.append(f"{self.renamed} renamed")
        parts.append(f"{len(new)} new" + (f", which are left out ({shorten(new, 3)})" if new else ""))
        return f"the clips of {place} changed since training: {', '.join(parts)}; the run's division is kept"


def _changes(
    stored: Sequence[StoredDivision], dataset: VideoDataset, digests: Mapping[str, str], *, elsewhere: bool
) -> _Changes:
    """Compare by name, elsewhere with the content, then by content where one new clip alone has it."""
    known = {
        name: content for one in stored for clips in one.parts.values() for name, content in clips.items()
    }
    present = {clip.name for clip in dataset.clips}
    names = {name: name for name in known if name in present}
    if elsewhere:  # other clips may have these names there
        names = {name: name for name in names if name in digests and same_content(known[name], digests[name])}
    gone, new = [name for name in known if name not in names], sorted(present - names.keys())
    by_content: dict[str | None, list[str]] = {}
    for name in new:
        by_content.setdefault(digests.get(name), []).append(name)
    for name in gone:
        found = by_content.get(known[name], []) if known[name] is not None else []
        if len(found) == 1:
            names[name] = found.pop()
    moved = {names[name] for name in gone if name in names}
    return _Changes(names, len(moved), gone, [name for name in new if name not in moved])


def _is_copy(stored: Sequence[StoredDivision], names: Mapping[str, str]) -> bool:
    """Whether most clips of a run are among those found, and some of each part of each fold."""
    parts = [clips.keys() for one in stored for clips in one.parts.values() if clips]
    known = {name for part in parts for name in part}
    return 2 * len(names) > len(known) and all(part & names.keys() for part in parts)


def _fold(one: StoredDivision, dataset: VideoDataset, names: Mapping[str, str], seeds: Sequence[int]) -> Fold:
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
    seed = next((seed for seed in seeds if len(seeds) > 1 and one.name.endswith(f"-seed{seed}")), None)
    return Fold(one.name, parts["train"], parts["val"], parts["test"], seed=seed)


def _stored(run: RunFolder) -> list[StoredDivision]:
    """The folds of a run; [] where one is missing or lies in the place of another."""
    files = [folder.division for folder in ([run] if run.division.is_file() else run.fold_folders())]
    if not all(file.is_file() for file in files):
        return []
    stored = [read_division(file) for file in files]
    named = RunFolder(run.given, [one.name for one in stored])
    placed = [named.fold(one.name).division for one in stored]
    return stored if placed == files else []


def _divides_alike(one: Experiment, other: Experiment) -> bool:
    """Whether two configurations ask for the same division of the same clips."""
    data = [with_absolute_paths(experiment).data for experiment in (one, other)]
    kept = [settings.model_dump(mode="json", exclude=_NOT_DIVIDING) for settings in data]
    seeds = [experiment.run.all_seeds for experiment in (one, other)]
    return kept[0] == kept[1] and seeds[0] == seeds[1] and not _tables(data[0]).isdisjoint(_tables(data[1]))


def _tables(data: DataSettings) -> set[Path | None]:
    """Names of the table that a data set is read with, {None} without one: the path, and from the folder of
    the clips where it lies in there, since it moves with them. Nothing need be there any more.
    """
    table = data.root if data.kind == "table" and data.table is None else data.table
    if table is None:
        return {None}
    folder = table.parent if data.root is None or data.root == table else data.root
    return {table, table.relative_to(folder)} if table.is_relative_to(folder) else {table}


def _leaves_out(experiment: Experiment) -> bool:
    """Whether a division has not all clips: few of each class, or some groups alone."""
    data = experiment.data
    return data.train_per_class is not None or (data.protocol == "leave-one-group-out" and bool(data.folds))
