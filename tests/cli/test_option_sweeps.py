"""All options of all commands: paths stay text, empty paths are refused, 0 is not treated as absent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from moclip_lite.cli.app import app
from moclip_lite.cli.tree import leaf_commands, parameter_types
from moclip_lite.datasets import Fold
from moclip_lite.errors import ConfigError
from moclip_lite.experiment import config
from moclip_lite.experiment.config import Experiment, load_experiment

from support.cli import assert_refused, class_folders, moclip, sets


def _options(*kinds: str) -> list[tuple[str, str, str]]:
    """(command, option, help) of the options whose type contains one of the names."""
    return sorted(
        (words, parameter.opts[0], parameter.help or "")
        for words, command in leaf_commands(typer.main.get_command(app))
        for parameter in command.params
        if parameter.opts[0].startswith("--")
        and any(kind in str(parameter_types(command).get(parameter.name)) for kind in kinds)
    )


def _key(about: str) -> str | None:
    """The configuration key at the start of an option's help."""
    match = re.match(r"([a-z_]+\.[a-z_]+)\b", about)
    return match.group(1) if match else None


PATHS = _options("Path")
KEYED_PATHS = [(words, option, key) for words, option, about in PATHS if (key := _key(about))]
KEYED_NUMBERS = [
    (words, option, key) for words, option, about in _options("int", "float") if (key := _key(about))
]


class _ConfigurationMade(Exception):
    """Carries the configuration of a command out of it."""


@pytest.fixture
def configuration_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Returns a function that calls a command with one option and returns its configuration."""
    real = config._experiment

    def spy(values: dict[str, Any], overrides: Any) -> Experiment:
        raise _ConfigurationMade(real(values, overrides))

    monkeypatch.setattr(config, "_experiment", spy)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(Experiment().to_yaml(), encoding="utf-8")

    def ask(words: str, option: str, value: str) -> Experiment:
        more = ("--out", "x.safetensors") if words in ("extract features", "pack") else ()
        with pytest.raises(_ConfigurationMade) as caught:
            moclip(*words.split(), "run", *more, option, value)
        (found,) = caught.value.args
        assert isinstance(found, Experiment)
        return found

    return ask


def _value(experiment: Experiment, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(experiment, section), name)


def _with_source(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Commands with one configuration; `ablate` has many, the cache commands have none."""
    return [
        row for row in rows if row[0].split()[0] not in ("ablate", "cache", "dataset", "index", "retrieval")
    ]


def test_sweeps_are_not_empty() -> None:
    assert len(PATHS) > 30
    assert len(_with_source(KEYED_PATHS)) > 10
    assert len(_with_source(KEYED_NUMBERS)) > 6


@pytest.mark.parametrize(
    "word", ["007", "2024-01-01", "on", "1e3", "a: b", "it's", "a\nb", "null", '"q"', "x # y"]
)
@pytest.mark.parametrize(("words", "option", "key"), _with_source(KEYED_PATHS))
def test_paths_of_options_stay_text(
    words: str, option: str, key: str, word: str, configuration_of: Any
) -> None:
    assert _value(configuration_of(words, option, word), key) == Path(word)


@pytest.mark.parametrize(("words", "option", "key"), _with_source(KEYED_PATHS))
def test_options_expand_the_home_folder(
    words: str, option: str, key: str, configuration_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert _value(configuration_of(words, option, "~/x"), key) == Path("/somewhere/x")


@pytest.mark.parametrize(("words", "option", "key"), _with_source(KEYED_NUMBERS))
def test_zero_reaches_the_configuration(words: str, option: str, key: str, configuration_of: Any) -> None:
    experiment = configuration_of(words, option, "0")
    assert _value(experiment, key) == 0
    assert key.split(".")[1] in getattr(experiment, key.split(".")[0]).model_fields_set


@pytest.mark.parametrize(("words", "option"), [row[:2] for row in PATHS])
def test_empty_paths_are_refused(
    words: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unset shell variable must not select the current folder."""
    monkeypatch.chdir(tmp_path)
    for given in ((option, ""), (f"{option}=",), (option, " ")):
        assert_refused(moclip(*words.split(), *given), option, "is empty")
    assert list(tmp_path.iterdir()) == []


# Configuration files


def test_empty_sections_have_defaults(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("data:\n  # root: x\nrun:\n  seed: 0\n", encoding="utf-8")
    assert load_experiment(file) == load_experiment(None, ["run.seed=0"])
    assert load_experiment(file, ["data.recipe=007"]).data.recipe == "007"


@pytest.mark.parametrize("word", ["run.streams=[motion, motion]", "data.splits=[2, 1, 2]"])
def test_duplicate_values_are_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="given twice"):
        load_experiment(None, [word])


def test_misspelt_prompts_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = class_folders(tmp_path / "data")
    file = tmp_path / "prompts.yaml"
    file.write_text("classes:\n  lefft: [going left]\n", encoding="utf-8")
    divided: list[Fold] = []
    monkeypatch.setattr("moclip_lite.experiment.division.seeds.divide", lambda *words: divided)
    places = (f"clip.prompts={file}", f"run.dir={tmp_path / 'run'}", "clip.pretrained=none")
    assert_refused(moclip("run", root, *sets(places)), "lefft", "left")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("entry", ["=x", "x", "(=x", r"a=\9", r"a=\g<no>"])
def test_invalid_renamings_are_refused(entry: str, tmp_path: Path) -> None:
    words = ("convert", tmp_path / "none.pt", "--out", tmp_path / "o.safetensors", "--rename", entry)
    assert_refused(moclip(*words), "--rename")
