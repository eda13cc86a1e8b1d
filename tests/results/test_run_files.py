"""The files that a finished run consists of, and which of them are of another run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.results.cascade import Cascade
from moclip_lite.results.fitted_for import digests_of_weights
from moclip_lite.results.fold_folder import FoldFolder
from moclip_lite.results.run_files import files_of_run, wrong_file
from moclip_lite.storage.files import write_tensors

CASCADE = Cascade(0.9, 0.8, 40, 90.0, 91.0, 0.5, 0.25)


def put(folder: FoldFolder, value: float) -> None:
    for stream in ("motion", "fusion"):
        write_tensors(folder.weights(stream), {"a": np.full(3, value, np.float32)}, {})


@pytest.fixture
def folds(tmp_path: Path) -> list[FoldFolder]:
    """Two folds with weights and thresholds for them."""
    made = [FoldFolder(tmp_path / "folds" / name) for name in "ab"]
    for number, folder in enumerate(made):
        put(folder, number)
        replace(CASCADE, weights=digests_of_weights(folder, ("motion", "fusion"))).write(folder.cascade)
    return made


def test_files_of_another_run_are_told(folds: list[FoldFolder], tmp_path: Path) -> None:
    listed = files_of_run(tmp_path, folds)
    names = ("cascade.json", "fusion.safetensors", "motion.safetensors")
    assert sorted(listed) == [f"folds/{fold}/{name}" for fold in "ab" for name in names]
    assert wrong_file(tmp_path, folds, listed) == ""
    cascade = folds[1].cascade.read_bytes()
    folds[1].cascade.unlink()
    assert wrong_file(tmp_path, folds, listed) == "folds/b/cascade.json is missing"
    folds[1].cascade.write_bytes(cascade)
    folds[0].weights("motion").write_bytes(b"x")
    assert wrong_file(tmp_path, folds, listed) == "folds/a/motion.safetensors is damaged"
    put(folds[0], 5)
    assert wrong_file(tmp_path, folds, listed) == "folds/a/motion.safetensors is of another training"


def test_of_runs_of_earlier_versions_the_notes_tell(folds: list[FoldFolder], tmp_path: Path) -> None:
    assert wrong_file(tmp_path, folds, {}) == ""
    put(folds[0], 5)
    assert wrong_file(tmp_path, folds, {}) == (
        "folds/a/cascade.json is damaged or was fitted for other weights"
    )
    CASCADE.write(folds[0].cascade)  # which notes none
    assert wrong_file(tmp_path, folds, {}) == ""
