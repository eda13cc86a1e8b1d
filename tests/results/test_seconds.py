"""Reported wall time is that of all attempts of a run, on a clock that steps with the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.run import run_experiment
from moclip_lite.experiment.session import Session
from moclip_lite.progress import Silent
from moclip_lite.results import ledger
from moclip_lite.results.run_folder import RunFolder

from support.cli import FOLDER_YAML, QUICK, class_folders

pytestmark = pytest.mark.usefixtures("no_drawings")


class Clock:
    """Ten seconds for each clip of a stage."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Stepping(Silent):
    """Moves the clock with a stage's clips; interrupts it after some of them."""

    def __init__(self, clock: Clock, stage: str, stop_after: int = 0) -> None:
        self.clock, self.stage, self.stop_after = clock, stage, stop_after

    def progress(self, stage: str, done: int, total: int) -> None:
        if stage == self.stage:
            self.clock.now += 10
            if done == self.stop_after:
                raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("stage", "reported"), [("motion", "extract_motion"), ("clip", "extract_clip"), ("motion features",) * 2]
)
def test_seconds_add_up_over_interrupted_attempts(
    stage: str, reported: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(ledger, "_clock", clock)
    streams = {"motion": "[motion]", "clip": "[zero_shot]"}.get(stage, "[motion,fusion]")
    values = [
        *QUICK, f"data.root={class_folders(tmp_path / 'data')}", f"run.dir={tmp_path / 'run'}",
        f"cache.dir={tmp_path / 'cache'}", f"run.streams={streams}", "train_motion.epochs=1", "train_motion.refit=false",
        f"clip.model={'ViT-S-32' if stage == 'clip' else 'timm:test_vit'}", "clip.pretrained=none", "clip.frames=1",
    ]  # fmt: skip
    experiment = load_experiment(FOLDER_YAML, values)
    for stop_after in (3, 2):
        with pytest.raises(KeyboardInterrupt):
            run_experiment(Session(experiment, Stepping(clock, stage, stop_after)))
        assert (tmp_path / "run" / "seconds.json").is_file()
    before = clock.now
    metrics = run_experiment(Session(experiment, Stepping(clock, stage)))
    assert clock.now - before == 30  # the last attempt alone: 3 of 8 clips were left
    assert metrics.seconds[reported.replace(" ", "_")] == 80
    assert not (tmp_path / "run" / "seconds.json").exists()


def test_attempts_with_other_settings_are_not_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(ledger, "_clock", clock)
    seconds = RunFolder(tmp_path).ledger
    for settings, expected in (({"grid": 6}, 10), ({"grid": 8}, 10), ({"grid": 6}, 20)):
        with seconds.timing("extract_motion", settings) as attempt:
            clock.now += 10
            attempt.tick()
            assert attempt.seconds == expected
    seconds.clear()
    (tmp_path / "seconds.json").write_text("[1", encoding="utf-8")  # damaged: counted from now on
    with seconds.timing("extract_motion", {}) as attempt:
        assert attempt.seconds == 0


def test_a_stage_without_work_writes_nothing(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run").ledger.timing("extract_motion", {}):
        pass
    assert not (tmp_path / "run").exists()
