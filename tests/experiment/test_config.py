"""The configuration: precedence, defaults, and one refusal per way a file or an override can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from moclip_lite.appearance.settings import AppearanceSettings
from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import Experiment, load_experiment, with_absolute_paths
from moclip_lite.motion.settings import MotionSettings, MotionSpec

from support.paths import ROOT


def write(folder: Path, text: str) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    return path


# What is read


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "run: {seed: 1, workers: 2}\n")
    defaults = load_experiment()
    experiment = load_experiment(path, ["run.seed=3", "run.seed=4", "motion.grid=[8, 12]"])
    assert (experiment.run.seed, experiment.run.workers) == (4, 2)
    assert experiment.run.threads == defaults.run.threads
    assert experiment.motion.grid == (8, 12)


def test_a_section_that_is_set_keeps_the_defaults_of_its_other_keys() -> None:
    experiment = load_experiment(None, ["train_head.epochs=7"])
    assert experiment.train_head.model_dump(exclude={"epochs"}) == Experiment().train_head.model_dump(
        exclude={"epochs"}
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "run:\n", "run: null\ndata: {}\n", "\ufeffrun: {}\n"])
def test_an_empty_file_or_section_means_the_defaults(text: str, tmp_path: Path) -> None:
    assert load_experiment(write(tmp_path, text)) == Experiment()


def test_a_section_whose_file_is_empty_can_be_set(tmp_path: Path) -> None:
    assert load_experiment(write(tmp_path, "run:\n"), ["run.seed=3"]).run.seed == 3


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_experiments_of_the_repository_are_valid(path: Path) -> None:
    assert load_experiment(path).model_fields_set or path.stem == "folder"


def test_a_saved_configuration_is_the_same_one(tmp_path: Path) -> None:
    experiment = load_experiment(
        None, ["data.root=007", "motion.grid=[8, 12]", "clip.prompts=a: b", "train_head.lr_scales={on: 0.5}"]
    )
    (tmp_path / "config.yaml").write_text(experiment.to_yaml(), encoding="utf-8")
    assert load_experiment(tmp_path / "config.yaml") == experiment


def test_every_setting_has_a_default_and_cannot_be_assigned() -> None:
    experiment = Experiment()
    for section in Experiment.model_fields:
        values = getattr(experiment, section)
        assert isinstance(values, BaseModel)
        for name in type(values).model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(values, name, getattr(values, name))


def test_a_prompt_file_beside_the_configuration_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "prompts.yaml").touch()
    path = write(tmp_path, "clip: {prompts: prompts.yaml}\n")
    assert load_experiment(path).clip.prompts == tmp_path / "prompts.yaml"
    (tmp_path / "prompts.yaml").unlink()
    assert load_experiment(path).clip.prompts == Path("prompts.yaml")


def test_only_existing_weight_files_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.safetensors").touch()
    for pretrained, expected in (("w.safetensors", str(tmp_path / "w.safetensors")), ("openai", "openai")):
        experiment = with_absolute_paths(load_experiment(None, [f"clip.pretrained={pretrained}"]))
        assert experiment.clip.pretrained == expected


def test_models_of_video_have_their_own_defaults() -> None:
    video = AppearanceSettings.model_validate({"model": "mobileviclip-tiny"})
    assert (video.pretrained, video.frames) == ("datacompdr", 8)
    assert AppearanceSettings.model_validate({"model": "mobileviclip-tiny", "frames": 3}).frames == 3
    assert AppearanceSettings.model_validate({"pretrained": "none"}).random
    assert not video.random


def test_the_motion_section_gives_the_settings_of_reading() -> None:
    reading = MotionSettings(segments=3, grid=(8, 12), crop="actor", width=8).reading()
    assert (reading["segments"], reading["grid"], reading["crop"]) == (3, [8, 12], "actor")
    assert set(reading) == set(MotionSpec.model_fields)


def test_only_what_decides_the_reading_is_part_of_it() -> None:
    reading = MotionSettings(segments=3, grid=(8, 12), crop="actor").reading()
    assert (reading["segments"], reading["grid"], reading["crop"]) == (3, [8, 12], "actor")
    assert reading == MotionSettings(segments=3, grid=(8, 12), crop="actor", width=8, flip=0).reading()


# What is refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: [", "is not a YAML file"),
        ("run: {seed: 1, seed: 2}", "'seed' is given twice"),
        ("- run", "expected sections such as 'data:'"),
        ("run", "expected sections such as 'data:'"),
        ("rnu: {seed: 1}", "unknown configuration key 'rnu'; the nearest valid name is 'run'"),
        ("run: {sede: 1}", r"unknown configuration key 'run\.sede'; the nearest valid name is 'run\.seed'"),
        ("run: 3", "run: .*got '3'"),
        ("run: [seed]", "run: .*got"),
        ("run: {seed: [1]}", r"run\.seed: .*got \['1'\]"),
        ("run: {seed: -1, workers: -1}", r"run\.seed: .*got '-1' \(and 1 more\)"),
        ("motion: {grid: [8]}", r"motion\.grid"),
        ("motion: {grid: [8, 12, 16]}", r"motion\.grid"),
        ("motion: {grid: [3, 12]}", r"motion\.grid: rows and columns must be from 4 to 512"),
        ("motion: {field: sharp}", r"motion\.field: .*'raw'.*got 'sharp'"),
        ("fusion: {head: sum}", r"fusion\.head .*'sum'"),
        ("clip: {pretrained: ' '}", r"clip\.pretrained: expected a tag, a path, or 'none'"),
        ("run: {dir: ' '}", r"run\.dir: a path must not be empty"),
        ("run: {streams: [motion, motion]}", r"run\.streams: motion is given twice"),
        ("data: {splits: [1, 2, 1]}", r"data\.splits: 1 is given twice"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(write(tmp_path, text))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: there is no such configuration file"):
        load_experiment(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="is a folder, not a configuration file"):
        load_experiment(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"run: {dir: \xe9}")
    with pytest.raises(ConfigError, match=r"latin\.yaml is not a YAML file"):
        load_experiment(tmp_path / "latin.yaml")
    with pytest.raises(ConfigError, match="is not a YAML file"):
        load_experiment(write(tmp_path, "[" * 2_000))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.seed", r"--set takes section\.key=value, got 'run\.seed'"),
        ("=1", r"--set takes section\.key=value"),
        ("run.=1", r"--set takes section\.key=value"),
        ("run.seed=[", r"--set run\.seed: the value '\[' is not YAML"),
        ("run=1", "run: "),
        ("seed=1", "unknown configuration key 'seed'"),
        ("run.dir=a\0b", "a path holds no zero byte"),
    ],
)
def test_a_wrong_override_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_experiment(None, [override])


def test_a_value_is_no_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set run\.seed\.deep: seed is a value, not a section"):
        load_experiment(write(tmp_path, "run: {seed: 1}"), ["run.seed.deep=1"])
