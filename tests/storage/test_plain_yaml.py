"""YAML whose scalars stay text."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from moclip_lite.errors import ConfigError
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
