"""Clips of a run on which its image encoder in 8-bit integers is compared with float32."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Final

from ..datasets import Clip
from ..engine.base import Floats
from ..errors import CheckpointError
from ..experiment.config import load_run_settings
from ..experiment.kept_division import keep_division
from ..experiment.session import Session
from ..experiment.settings.portable import names_clips
from ..predict.classifier import Classifier
from ..progress import Reporter
from ..results.held_out import read_held_out
from ..results.run_folder import RunFolder
from ..storage.digest import digest_bytes

__all__ = ["MOST_CLIPS", "ComparedClips", "compared_clips", "require_clips"]

MOST_CLIPS: Final = 96
"""Most clips that are compared."""


def require_clips(run: Path) -> None:
    """Refuse a run folder that does not say where its clips lie, such as one of the hub.

    Raises:
        CheckpointError: it is one, or no run folder.
    """
    folder = RunFolder(run)
    folder.require()
    if not names_clips(load_run_settings(folder.config)):
        raise CheckpointError(
            f"{run} does not name the clips of its training, on which int8 is compared with float32; "
            "leave --int8 out"
        )


@dataclass(frozen=True)
class ComparedClips:
    """Clips to compare on, and class probabilities of each by a head not fitted to it, where known."""

    clips: Sequence[Clip]
    held_out: Mapping[str, Floats]


def compared_clips(classifier: Classifier, run: RunFolder, reporter: Reporter) -> ComparedClips:
    """Validation clips of a run, or training clips, in a repeatable random order with classes in turn: a slow
    comparison takes the first ones only.

    Args:
        classifier: of the run.
        run: its folder.
        reporter: told where clips that are gone are generated again.
    """
    data = classifier.experiment.data
    if data.kind == "synthetic" and data.root is not None and not data.root.exists():
        reporter.say(f"the clips of the run are gone: they are generated again in {data.root}")
    session = Session(classifier.experiment)
    keep_division(session, run.given)
    named = [fold for fold in session.folds if fold.name == run.path.name] or session.folds[:1]
    found = read_held_out(run.held_out, len(classifier.labels))
    rows = {} if found is None else found.rows()
    known = [clip for clip in named[0].val if clip.name in rows] or named[0].val or named[0].train
    shuffled = sorted(known, key=lambda clip: digest_bytes([clip.name.encode()]))
    turns = Counter[str]()
    by_turn: list[tuple[int, Clip]] = []
    for clip in shuffled:
        by_turn.append((turns[clip.label], clip))
        turns[clip.label] += 1
    clips = [clip for _, clip in sorted(by_turn, key=itemgetter(0))]
    return ComparedClips(clips[:MOST_CLIPS], rows)
