"""One trial: the motion network trained with a configuration, and its figures on validation clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ..datasets import Clip
from ..datasets.stratify import groups_of, most_parts, stratified_parts
from ..errors import DataError
from ..experiment.fold.motion_networks import refuse_seen_weights
from ..experiment.session import Session
from ..motion.batches import Batches, MotionFeed
from ..motion.mirrors import MeanMotion, mirrored_classes
from ..motion.network import build_motion_net
from ..motion.store import MotionStore
from ..storage.digest import digest_bytes
from ..training.classification import fit, refuse_idle_scales
from ..training.device import seed_all
from ..training.loop import FitResult, Row, TrainingProgress
from ..training.schedule import plan_epochs

__all__ = ["Division", "Evaluation", "State", "divisions", "evaluate"]


Report: TypeAlias = Callable[[int, float, float], None]
"""Takes (part of a training in percent, accuracy in percent, loss)."""


@dataclass(frozen=True)
class Division:
    """Clips to train on and clips to validate on, both from the training part of a fold."""

    train: tuple[Clip, ...]
    val: tuple[Clip, ...]


@dataclass(frozen=True)
class Evaluation:
    """Figures of a trial: means over its divisions, weighted by validation clips.

    Attributes:
        accuracy: top-1 in percent, all classes counting alike.
        loss: cross-entropy.
        notes: what a reader should know.
    """

    accuracy: float
    loss: float
    notes: tuple[str, ...] = ()


class State(NamedTuple):
    """Where an interrupted training resumes from.

    Attributes:
        path: the file.
        search: fingerprint of the search, whose state alone is taken.
    """

    path: Path
    search: str


def divisions(train: Sequence[Clip], val: Sequence[Clip], parts: int, seed: int) -> list[Division]:
    """Divisions of the training and validation clips of a fold.

    Args:
        train, val: of the fold.
        parts: 1 for the fold's own division; more for so many parts by group, each validated on once.
        seed: of the parts.

    Raises:
        DataError: no validation clips, or fewer groups (or clips of the largest class) than parts.
    """
    if parts == 1:
        if not val:
            raise DataError("there are no validation clips to choose settings on; raise data.val_fraction")
        return [Division(tuple(train), tuple(val))]
    clips = [*train, *val]
    groups = len(set(groups_of(clips)))
    if groups < parts:
        raise DataError(f"{groups} groups can't be divided into {parts} parts; lower --parts")
    if most_parts(clips) < parts:
        raise DataError(
            f"{len(clips)} clips, at most {most_parts(clips)} of a class, "
            f"can't be divided into {parts} parts; lower --parts"
        )
    return [
        Division(tuple(clips[i] for i in inside), tuple(clips[i] for i in out))
        for inside, out in stratified_parts(clips, parts, seed)
    ]


def evaluate(
    session: Session,
    parts: Sequence[Division],
    *,
    state: State,
    report: Report = lambda percent, accuracy, loss: None,
    alive: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Train on each division and validate.

    Args:
        session: of the trial's configuration.
        parts: the divisions; no other clip is read.
        state: of the training in progress, from which an interrupted trial resumes.
        report: called with (part of the first training in percent, accuracy, loss) at each tenth of it; what
            it raises ends the trial. A trial that resumes begins with the tenths of its earlier attempts.
        alive: called at each epoch.

    Raises:
        CheckpointError: ``motion.pretrained`` names weights of a run that used validation clips.
        DataError: the motion of no clip can be read.
    """
    seen = {refuse_seen_weights(session, part.val) for part in parts}
    clips = {clip.name: clip for part in parts for clip in (*part.train, *part.val)}
    keys = session.extractor.motion(list(clips.values())).keys
    store = MotionStore(session.cache, keys, session.experiment.motion)
    moving = [Division(tuple(store.moving(part.train)), tuple(store.moving(part.val))) for part in parts]
    if not all(part.train and part.val for part in moving):
        raise DataError("no motion could be read of the clips to train on or to validate on")
    session, note = _with_directions(session, store, moving[0])
    accuracy = loss = count = 0.0
    for number, (train, val) in enumerate((list(part.train), list(part.val)) for part in moving):
        said = report if number == 0 else lambda *_: None
        result = _train(session, store, train, val, state, said, alive)
        accuracy += len(val) * result.best_accuracy
        loss += len(val) * result.best_loss
        count += len(val)
    state.path.unlink(missing_ok=True)
    notes = sorted(text for text in (*seen, note) if text)
    return Evaluation(accuracy / count, loss / count, tuple(notes))


def _with_directions(session: Session, store: MotionStore, part: Division) -> tuple[Session, str | None]:
    """The session without flips where classes mirror each other, and a note that says so.

    Decided on the first part; no part holds test clips.
    """
    motion = session.experiment.motion
    if motion.mirrors == "ignore" or not motion.flip:
        return session, None
    mirrored = mirrored_classes(session.labels, MeanMotion(store), part.train, part.val)
    if not mirrored.pairs:
        return session, None
    note = f"flips are off in trials: {mirrored.words}"
    return Session(session.experiment.without_flips(), session.reporter), note


def _train(
    session: Session,
    store: MotionStore,
    train: list[Clip],
    val: list[Clip],
    state: State,
    report: Report,
    alive: Callable[[], None],
) -> FitResult:
    experiment = session.experiment
    motion, settings, seed = experiment.motion, experiment.train_motion, experiment.run.seed
    seed_all(seed)
    network = build_motion_net(motion, len(session.labels))
    refuse_idle_scales(network, settings)
    feed = MotionFeed(
        store, train, val, session.labels, Batches.of(motion, settings, seed), loaders=experiment.run.loaders
    )
    epochs = plan_epochs(settings, feed.steps).epochs

    def on_epoch(row: Row) -> None:
        session.reporter.progress("train motion", int(row["epoch"]) + 1, epochs)
        alive()
        tell(row)

    def tell(row: Row) -> None:
        done = int(row["epoch"]) + 1
        tenth = 10 * done // epochs
        if tenth > 10 * (done - 1) // epochs:
            report(10 * tenth, row["accuracy"], row["val_loss"])

    fingerprint = digest_bytes([str((state.search, motion.deciding(), settings.model_dump_json())).encode()])
    names = digest_bytes(clip.name.encode() for clip in [*train, *val])
    progress = TrainingProgress(
        checkpoint=state.path, fingerprint=f"{fingerprint} {names}", on_epoch=on_epoch, on_earlier=tell
    )
    return fit(network, feed, settings, seed=seed, device=session.device, progress=progress)
