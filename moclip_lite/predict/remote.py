"""Predictions on other machines: a job a file, and one classifier in each worker process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from ..datasets.clip_errors import CLIP_ERRORS, sentence_of
from ..engine.base import EngineName
from ..parallel.threads import available_cores
from .classifier import Classifier, Prediction

__all__ = ["FileJob", "RemoteModel", "explain_file", "file_jobs"]


@dataclass(frozen=True)
class RemoteModel:
    """The classifier that a worker loads.

    Attributes:
        run: the run folder.
        device, engine, overrides: what :meth:`Classifier.load` takes.
    """

    run: Path
    device: str
    engine: EngineName
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class FileJob:
    """A file to label.

    Attributes:
        path: the file, in full.
        name: as it was given.
        model: the classifier.
        top_k, cascade: what :meth:`Classifier.explain` takes.
    """

    path: Path
    name: str
    model: RemoteModel
    top_k: int
    cascade: bool


def file_jobs(
    classifier: Classifier, paths: Sequence[Path], model: RemoteModel, top_k: int, cascade: bool
) -> tuple[list[FileJob], int]:
    """The jobs, and the cores that each keeps busy.

    Networks compute with as many threads as they would here: the last bits of some depend on it.
    """
    cores = classifier.experiment.run.threads or available_cores()
    model = RemoteModel(
        model.run.absolute(), model.device, model.engine, (*model.overrides, f"run.threads={cores}")
    )
    return [FileJob(path.absolute(), str(path), model, top_k, cascade) for path in paths], cores


def explain_file(job: FileJob) -> Prediction | str:
    """The answer for a file, or why there is none.

    Raises:
        MoclipError: the run folder can't be used here.
    """
    classifier = _loaded(job.model)
    try:
        answer = classifier.explain(job.path, job.top_k, cascade=job.cascade)
    except CLIP_ERRORS as error:
        return sentence_of(error)
    return replace(answer, path=job.name)


@lru_cache(maxsize=1)
def _loaded(model: RemoteModel) -> Classifier:
    return Classifier.load(model.run, device=model.device, overrides=model.overrides, engine=model.engine)
