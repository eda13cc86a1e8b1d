"""Predictions in the workers of a cluster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from moclip_lite import Classifier
from moclip_lite.errors import CheckpointError
from moclip_lite.predict.prediction import Prediction
from moclip_lite.predict.remote import RemoteModel, explain_file, file_jobs

from support.cli import TrainedRun


def test_a_run_that_differs_from_the_one_here_is_refused(trained: TrainedRun, tmp_path: Path) -> None:
    run = trained.copy(tmp_path / "run")
    clip = sorted(trained.data.rglob("*.mp4"))[0]
    overrides = (f"cache.dir={trained.cache}",)
    classifier = Classifier.load(run, overrides=overrides)
    (job,), _ = file_jobs(classifier, [clip], RemoteModel(run, "cpu", "auto", overrides), 2, False)
    answer = explain_file(job)
    assert isinstance(answer, Prediction)
    assert answer.path == str(clip)
    weights = sorted(run.rglob("*.safetensors"))[0]
    weights.write_bytes(weights.read_bytes() + b" ")
    (later,), _ = file_jobs(classifier, [clip], job.model, 2, False)
    assert later.model.digest != job.model.digest
    with pytest.raises(CheckpointError, match="is another run than here"):
        explain_file(replace(job, model=replace(job.model, digest=later.model.digest + "0")))
