"""Every choice of streams (`run.streams`) is run on clips."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.run import run_experiment
from moclip_lite.experiment.session import Session

from support.clips import H264, encode, panning

STREAMS = ("motion", "appearance", "fusion")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two classes with features of one's own, and the cache of the runs."""
    folder, rng, arrays = tmp_path_factory.mktemp("streams"), np.random.default_rng(0), {}
    for label, step in (("left", (-3, 0)), ("up", (0, -3))):
        for number in range(8):
            path = folder / "clips" / label / f"{label}_{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            encode(path, panning(10 + number, 64, 64, step=step), **H264)
            arrays[f"{label}/{path.name}"] = rng.normal(label == "up", 1, (1, 8)).astype(np.float32)
    np.savez(folder / "own.npz", **arrays)
    return folder


@pytest.mark.parametrize(
    "streams", [list(chosen) for count in (1, 2, 3) for chosen in combinations(STREAMS, count)], ids=",".join
)
def test_any_streams_may_be_asked_for(folder: Path, tmp_path: Path, streams: list[str]) -> None:
    settings = ("motion.segments=2", "motion.frames=2", "motion.grid=[4,4]", "motion.pretrained=false")
    training = ("train_motion.epochs=1",)
    places = (f"data.root={folder / 'clips'}", f"data.appearance={folder / 'own.npz'}")
    cache = (f"cache.dir={folder / 'cache'}", f"run.dir={tmp_path / 'run'}", "run.workers=1")
    chosen = f"run.streams=[{','.join(streams)}]"
    experiment = load_experiment(None, [*settings, *training, *places, *cache, chosen])
    metrics = run_experiment(Session(experiment))
    assert set(streams) <= set(metrics.streams)
