"""YAML whose scalars stay text."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.storage.plain_yaml import parse_yaml, read_yaml


@pytest.mark.parametrize("text", ["007", "2024-01-01", "on", "1:30", "1e3", "0x1f", "~/videos", "yes"])
def test_plain_scalars_are_text(text: str) -> None:
    assert parse_yaml(f"key: {text}") == {"key": text}


@pytest.mark.parametrize("text", ["", "null", "Null", "NULL"])
def test_null_is_none(text: str) -> None:
    assert parse_yaml(f"key: {text}") == {"key": None}


def test_a_plain_tilde_is_refused(tmp_path: Path) -> None:
    """YAML reads null, people mean the home folder."""
    file = tmp_path / "e.yaml"
    file.write_text("data:\n  recipe: ~\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="a plain ~ could mean null or the home folder; write null"):
        read_yaml(file, "configuration")
    assert parse_yaml("root: '~'") == {"root": "~"}


def test_a_repeated_key_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="'a' is given twice"):
        parse_yaml("a: 1\na: 2")
    assert parse_yaml("base: &b {a: 1}\nother: {<<: *b, a: 2}")["other"] == {"a": "2"}


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("# " + "x" * 2**20, encoding="utf-8")
    for typed in (False, True):
        with pytest.raises(ConfigError, match="is too large for a configuration file: it has more than 1 MB"):
            read_yaml(file, "configuration", typed=typed)


def test_aliases_that_stand_for_too_much_are_refused(tmp_path: Path) -> None:
    """Each line doubles what the one before stands for; a node that holds itself has no end."""
    lists = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(60))
    merged = "a0: &a0 {k: x}\n" + "".join(f"a{n + 1}: &a{n + 1}\n  <<: [*a{n}, *a{n}]\n" for n in range(60))
    file = tmp_path / "config.yaml"
    for text in (lists, merged, "a: &a [*a]", "a: &a {b: *a}"):
        file.write_text(text, encoding="utf-8")
        for typed in (False, True):
            with pytest.raises(ConfigError, match=r"aliases .* stand for too many values"):
                read_yaml(file, "configuration", typed=typed)


def test_half_of_a_surrogate_pair_is_refused() -> None:
    for text in (r'"\ud800"', r'"\udfff"', r'{"\udc00": 1}'):
        with pytest.raises(ConfigError, match="is not YAML"):
            load_experiment(None, [f"run.seeds={text}"])
    assert parse_yaml(r'"caf\udce9"') == "caf\udce9"  # a byte of a file name


def test_what_yaml_cannot_build_is_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for text, reason in (("a: " + "[" * 3000, "nested too deeply"), ("a: 2024-13-01", "month must be")):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=f"is not a YAML file: {reason}"):
            read_yaml(file, "configuration", typed=True)
    with pytest.raises(ConfigError, match="is not YAML"):
        load_experiment(None, ["run.seeds=" + "[" * 3000])
