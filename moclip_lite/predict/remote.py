"""Predictions on other machines: a job a file, and one classifier in each worker process."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mv_tools.urls import is_url, spelled

from ..datasets.clip_errors import CLIP_ERRORS, sentence_of
from ..engine.base import EngineName
from ..errors import CheckpointError
from ..parallel.threads import available_cores
from ..storage.digest import digest_bytes, digest_file
from ..storage.snapshot import snapshot
from .classifier import Classifier, Prediction

__all__ = ["FileJob", "RemoteModel", "explain_file", "file_jobs"]


@dataclass(frozen=True)
class RemoteModel:
    """The classifier that a worker loads.

    Attributes:
        run: the run folder, or its URL.
        device, engine, overrides: what :meth:`Classifier.load` takes.
        digest: of its weights here, set by :func:`file_jobs`;
            a node may hold another run under the same path.
    """

    run: Path
    device: str
    engine: EngineName
    overrides: tuple[str, ...]
    digest: str = ""


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
    here, overrides = classifier.folder.path.absolute(), (*model.overrides, f"run.threads={cores}")
    run = model.run if is_url(model.run) else here  # of a URL, each node makes a copy
    model = replace(model, run=run, overrides=overrides, digest=all_weights_digest(here))
    return [
        FileJob(path if is_url(path) else path.absolute(), str(path), model, top_k, cascade) for path in paths
    ], cores


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


def all_weights_digest(run: Path) -> str:
    """Digest of all weights of a run folder."""
    weights = sorted(run.rglob("*.safetensors"))
    return digest_bytes(
        [f"{path.relative_to(run).as_posix()} {digest_file(path)}".encode() for path in weights]
    )


@lru_cache(maxsize=1)
def _loaded(model: RemoteModel) -> Classifier:
    """The classifier of this process.

    Raises:
        CheckpointError: this machine has other weights in the run folder.
    """
    run = snapshot(model.run)
    if all_weights_digest(run) != model.digest:
        raise CheckpointError(
            f"{spelled(model.run)} on {socket.gethostname()} is another run than here; "
            "put it on storage that all nodes see"
        )
    return Classifier.load(run, device=model.device, overrides=model.overrides, engine=model.engine)
