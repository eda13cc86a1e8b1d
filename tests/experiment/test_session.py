"""What an experiment says about its data, its clips and an earlier run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from moclip_lite.appearance.extract import LazyEncoder, extract_appearance
from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.datasets import Clip
from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.encoder import ExperimentEncoder
from moclip_lite.experiment.fingerprint import changed_settings
from moclip_lite.experiment.inputs.dataset import data_root
from moclip_lite.experiment.session import Session
from moclip_lite.progress import Silent
from moclip_lite.storage.cache import FeatureCache


class Listener(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)


def test_the_settings_that_differ_from_an_earlier_run_are_named(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        load_experiment(None, ["run.dir=a", "cache.dir=b", "data.root=c"]).to_yaml(), encoding="utf-8"
    )
    same = load_experiment(None, ["run.dir=x", "run.workers=3", "cache.dir=y", "data.root=z"])
    assert changed_settings(config, same) == ""  # where it lies, and how fast it runs, change no result
    other = load_experiment(
        None, ["run.seed=7", "motion.grid=[12, 16]", "train_head.lr=1", "fusion.hidden=8", "clip.frames=2"]
    )
    words = changed_settings(config, other)
    assert (
        words
        == "run.seed was 0, now 7; motion.grid was [24, 32], now [12, 16]; clip.frames was 4, now 2 and 2 more"
    )
    config.write_text("a: [", encoding="utf-8")
    assert changed_settings(config, other) == ""


def test_a_file_in_place_of_a_folder_of_clips_is_named_as_one(tmp_path: Path) -> None:
    file = tmp_path / "features.safetensors"
    file.touch()
    with pytest.raises(ConfigError, match=r"is a file, not a folder.*data\.kind=features"):
        data_root(load_experiment(None, [f"data.root={file}"]).data)
    assert data_root(load_experiment(None, ["data.kind=features", f"data.root={file}"]).data) == file
    with pytest.raises(ConfigError, match=r"data\.root is not set.*data\.root=DIR"):
        data_root(load_experiment().data)


def test_reasons_do_not_repeat_the_path_of_the_clip(tmp_path: Path) -> None:
    clips = []
    for name in ("empty.mp4", "text.mp4"):
        (tmp_path / name).write_text("" if name == "empty.mp4" else "no video")
        clips.append(Clip(tmp_path / name, name, "a"))
    session = Session(load_experiment(None, [f"cache.dir={tmp_path / 'cache'}", "run.workers=1"]))
    report = session.extractor.motion(clips)
    assert [failure.name for failure in report.failures] == ["empty.mp4", "text.mp4"]
    for failure in report.failures:
        assert failure.reason
        assert not failure.reason.startswith((str(tmp_path), failure.name))


def test_clip_is_not_loaded_for_clips_that_cannot_be_read(tmp_path: Path) -> None:
    def load() -> NoReturn:
        raise AssertionError("CLIP is loaded")

    (tmp_path / "x.mp4").write_text("no video")
    encoder = LazyEncoder(AppearanceSettings(pretrained="none"), 0, FeatureCache(tmp_path / "cache"), load)
    encoder.__dict__["_facts"] = {"digest": "d", "cost": {}, "random": ""}
    report = extract_appearance(
        [Clip(tmp_path / "x.mp4", "x.mp4", "a")],
        AppearanceSettings(),
        encoder,
        FeatureCache(tmp_path / "cache"),
    )
    assert [failure.stage for failure in report.failures] == ["clip"]


def test_random_weights_are_named_with_their_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loaded:
        random = True

    def make(*args: Any) -> Loaded:
        return Loaded()

    monkeypatch.setattr("moclip_lite.experiment.encoder.make_encoder", make)
    listener, settings = Listener(), AppearanceSettings(pretrained="none")
    encoder = ExperimentEncoder(settings, 7, FeatureCache(tmp_path), lambda: None, listener)  # type: ignore[arg-type, return-value]
    encoder.lazy.__dict__["_facts"] = {"digest": "d", "cost": {}, "random": "random weights, seed 7"}
    assert isinstance(encoder.lazy.encoder, Loaded)
    for _ in range(2):
        encoder.warn_if_random()
    assert listener.lines[0] == "loading ViT-B-32 with random weights"
    (warning,) = listener.lines[1:]
    assert "run.seed=7" in warning


@pytest.mark.parametrize(("settings", "counted"), [((), False), (("run.dir=RUN",), True)])
def test_a_separate_extraction_counts_for_the_run_that_is_named(
    settings: tuple[str, ...], counted: bool, tmp_path: Path
) -> None:
    named = [value.replace("RUN", str(tmp_path / "run")) for value in settings]
    session = Session(load_experiment(None, [f"cache.dir={tmp_path / 'cache'}", *named]))
    session.count_seconds()
    assert (session.extractor.ledger is not None) == counted
