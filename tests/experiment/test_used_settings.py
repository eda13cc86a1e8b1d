"""Settings that a trained run is used with: idle ones are refused, those of another meaning are told."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from safetensors.numpy import save_file

from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import Experiment, load_experiment, load_run_settings
from moclip_lite.experiment.settings.used import check_used_settings, features_of
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.storage.cache_keys import STAGES
from moclip_lite.streams import Stream

from support.cli import TrainedRun, assert_ok, moclip

PLAIN = (
    "true",
    "false",
    "0",
    "1",
    "2",
    "3",
    "5",
    "0.5",
    "0.9",
    "x",
    "null",
    "[2]",
    "[motion]",
    "[8, 8]",
    "[x]",
)

SPECIAL = {"device": "cpu", "head": "film", "max_steps": "30000", "lr_scales": "{encoder: 0.1}"}

OF_PREDICTION = {
    *("motion.backend", "motion.segments", "test.segments", "test.crops", "test.flips"),
    *("clip.model", "clip.pretrained", "clip.weights_of", "clip.frames", "clip.positions", "clip.prompts"),
    *("run.device", "run.seed", "run.threads", "cache.dir", "data.appearance"),
}
"""Settings that a prediction may change without a word; networks refuse another model or other weights."""

OTHER_MEANING = {
    *("motion.field", "motion.frames", "motion.stride", "motion.grid", "motion.normalize_distance"),
    *("motion.crop", "motion.crop_side", "clip.normalize", "clip.pooling", "clip.crop_borders"),
}

TRAINING = {
    *("motion.net", "motion.width", "motion.dropout", "motion.pretrained", "motion.train_segments"),
    *("motion.min_side", "motion.flip", "motion.mirrors", "motion.speed"),
}

KEYS = [
    f"{section}.{name}"
    for section, field in Experiment.model_fields.items()
    for name in field.annotation.model_fields  # type: ignore[union-attr]
    if name != "train_recipes"  # which come with recipe alone
]


def another(key: str) -> Experiment:
    """The default configuration with another value of one key."""
    section, name = key.split(".")
    annotation = getattr(type(getattr(Experiment(), section)).model_fields[name], "annotation", None)
    words = re.findall(r"'(\w+)'", str(annotation)) or [str(word) for word in get_args(annotation)]
    for value in [SPECIAL[name]] if name in SPECIAL else (*PLAIN, *words):
        try:
            changed = load_experiment(None, [f"{key}={value}"])
        except ConfigError:
            continue
        if changed.model_dump()[section][name] != Experiment().model_dump()[section][name]:
            return changed
    raise AssertionError(f"no other value of {key} is known")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(Experiment().to_yaml())
    return path


@pytest.mark.parametrize(("key", "predicts"), list(itertools.product(KEYS, (True, False))))
def test_each_setting_has_an_effect_or_is_refused(config: Path, key: str, predicts: bool) -> None:
    used, section = another(key), key.partition(".")[0]
    if (
        key in TRAINING
        or section in ("train_motion", "train_head", "fusion")
        or (predicts and key not in OF_PREDICTION and section in ("run", "data"))
    ):
        with pytest.raises(ConfigError, match=f"{key} has no effect on {re.escape(str(config.parent))}: "):
            check_used_settings(config, used, predicts=predicts)
        return
    sentences = check_used_settings(config, used, predicts=predicts)
    if key in OTHER_MEANING:
        assert f"{key} is " in sentences[0]
        assert "the networks were trained with" in sentences[0]
    else:
        assert not sentences
        assert key in OF_PREDICTION or not predicts


def test_a_run_of_motion_looks_at_no_setting_of_pictures(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(load_experiment(None, ["run.streams=[motion]"]).to_yaml())
    used = load_run_settings(path, ["clip.pretrained=weights.pt"])
    for predicts in (True, False):
        with pytest.raises(ConfigError, match=r"clip.pretrained has no effect .* its only stream is motion"):
            check_used_settings(path, used, predicts=predicts)
    assert not check_used_settings(path, load_run_settings(path), predicts=True)


def test_weights_trained_on_features_of_another_version_are_told(
    trained: TrainedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunFolder(trained.folder).config
    assert not check_used_settings(config, load_run_settings(config), predicts=True)
    before = STAGES["motion"]
    monkeypatch.setitem(STAGES, "motion", replace(before, version=before.version + 1))
    clip = next(trained.data.rglob("*.mp4"))
    for words in (("predict", clip, "--model", trained.folder), ("evaluate", trained.folder)):
        told = moclip(*words)
        assert_ok(told)
        text = " ".join(told.err.split())
        assert "motion.safetensors" in text
        assert f"trained on motion fields of version {before.version}, and this program computes" in text


@pytest.mark.parametrize("version", [[1], {"a": 1}, "1", None, True, 1.5], ids=str)
def test_versions_that_are_no_numbers_are_passed_over(tmp_path: Path, version: object) -> None:
    """Weights of other projects may say anything."""
    run = RunFolder(tmp_path)
    run.config.write_text(load_experiment(None, []).to_yaml())
    note = json.dumps({"features": {"motion": version, "clip": STAGES["clip"].version + 1}})
    save_file({"x": np.zeros(1, np.float32)}, run.weights(Stream.MOTION), {"description": note})
    (sentence,) = check_used_settings(run.config, load_run_settings(run.config), predicts=True)
    assert "features of pictures of version" in sentence


@pytest.mark.parametrize(
    ("packed", "noted"),
    [
        (None, {"motion": STAGES["motion"].version, "clip": STAGES["clip"].version}),
        ({"motion": 1}, {"motion": 1}),
    ],
)
def test_weights_note_the_version_of_the_features_that_were_read(
    packed: dict[str, int] | None, noted: dict[str, int]
) -> None:
    assert features_of(load_experiment(None, []), Stream.FUSION, packed) == noted
