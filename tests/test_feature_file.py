"""Features in place of videos: the file, and runs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from moclip_lite.config import load_experiment
from moclip_lite.datasets import Clip, VideoDataset
from moclip_lite.errors import CheckpointError, ConfigError, DataError, MoclipError
from moclip_lite.feature_file import load_features, save_features
from moclip_lite.pipeline import run_experiment
from moclip_lite.predict import Classifier
from moclip_lite.workspace import Workspace

LABELS = ("ab", "aB", "Ab", "AB")


def made(clips: int = 240) -> tuple[VideoDataset, Any, Any, Any]:
    """Case of the first letter is in the motion, of the second in the pictures; 12 groups."""
    rng = np.random.default_rng(0)
    number = np.arange(clips) % 4
    motion = rng.normal(size=(clips, 3, 6)).astype(np.float32) * 0.3
    motion[..., 0] += 2.0 * (number // 2)[:, None]
    appearance = rng.normal(size=(clips, 2, 5)).astype(np.float32) * 0.3
    appearance[..., 0] += 2.0 * (number % 2)[:, None]
    named = [
        Clip(Path("x"), f"{LABELS[n]}/{i}.mp4", LABELS[n], f"g{i // 4 % 12}") for i, n in enumerate(number)
    ]
    test = frozenset(c.name for c in named if c.group in ("g0", "g1", "g2"))
    official = {"split1": (frozenset(c.name for c in named) - test, test)}
    classes = np.eye(4, 5, dtype=np.float32)
    return VideoDataset(Path("x"), tuple(named), LABELS, official), motion, appearance, classes


def experiment(tmp_path: Path, file: Path, *settings: str) -> Workspace:
    places = (f"data.root={file}", f"run.dir={tmp_path / 'run'}", f"cache.dir={tmp_path / 'cache'}")
    fixed = ("data.kind=features", "data.protocol=official", "train_head.epochs=40")
    return Workspace(load_experiment(None, [*fixed, *places, *settings]))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    data, motion, appearance, classes = made()
    save_features(tmp_path / "f.safetensors", data, motion, appearance, classes)
    found = load_features(tmp_path / "f.safetensors")
    assert [(c.name, c.label, c.group) for c in found.dataset.clips] == [
        (c.name, c.label, c.group) for c in data.clips
    ]
    assert (found.dataset.labels, found.dataset.official) == (data.labels, data.official)
    np.testing.assert_allclose(found.motion, motion, rtol=1e-3)
    assert found.classes is not None


def test_heads_are_trained_and_tested_on_a_file(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    save_features(file, *made())
    metrics = run_experiment(experiment(tmp_path, file))
    assert metrics["fusion"]["top1"] > 90
    assert 30 < metrics["appearance"]["top1"] < 70
    assert 30 < metrics["motion_head"]["top1"] < 70
    assert metrics["fusion"]["n"] == 60
    assert {"zero_shot", "appearance_frame"} <= set(metrics)
    assert "motion" not in metrics
    with pytest.raises(CheckpointError, match="file of features"):
        Classifier.load(tmp_path / "run")


def test_what_a_file_can_not_serve_is_said(tmp_path: Path) -> None:
    file = tmp_path / "f.safetensors"
    save_features(file, *made()[:3])
    with pytest.raises(ConfigError, match="no text embeddings"):
        run_experiment(experiment(tmp_path, file, "fusion.head=residual_adapter"))
    with pytest.raises(DataError, match="appearance, fusion and zero_shot"):
        run_experiment(experiment(tmp_path, file, "run.streams=[motion]"))
    with pytest.raises(DataError, match="split2"):
        run_experiment(experiment(tmp_path, file, "data.splits=[2]"))


@pytest.mark.parametrize("damage", ["absent", "cut", "foreign", "shape", "splits", "label", "twice", "nan"])
def test_files_that_are_refused(tmp_path: Path, damage: str) -> None:
    import json

    file = tmp_path / "f.safetensors"
    data, motion, appearance, _ = made(8)
    save_features(file, data, motion, appearance)
    about = {
        "clips": [[c.name, c.label, c.group] for c in data.clips],
        "labels": list(LABELS),
        "splits": {"split1": [[0], [99]]} if damage == "splits" else {},
    }
    if damage == "label":
        about["labels"] = ["other"]
    if damage == "twice":
        about["clips"][0] = about["clips"][1]  # type: ignore[index]
    if damage == "nan":
        motion[0, 0, 0] = np.nan
    if damage == "shape":
        motion = motion[:-1]
    if damage == "absent":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "foreign":
        save_file({"a": motion}, file)
    else:
        save_file({"motion": motion, "appearance": appearance}, file, {"features": json.dumps(about)})
    with pytest.raises(MoclipError, match=r"f\.safetensors"):
        load_features(file)
