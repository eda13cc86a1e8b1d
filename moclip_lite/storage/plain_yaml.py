"""YAML whose scalars stay text: the field that takes a value decides what it means.

YAML 1.1 guesses: ``007`` is 7, ``2024-01-01`` a date, ``on`` true and ``1:30`` ninety. Here a plain scalar is
the text that was written, but for ``null`` and nothing at all, which are None.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError

__all__ = ["NULLS", "parse_yaml", "read_yaml"]

NULLS = ("", "null", "Null", "NULL")
"""What a plain scalar says for None. ``~`` is the home folder."""


class _TextLoader(yaml.SafeLoader):
    """SafeLoader without guesses, which refuses a key that is given twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        own = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = sorted({key for key in own if own.count(key) > 1})
        found = super().construct_mapping(node, deep)
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice[0]!r} is given twice", node.start_mark
            )
        return found


_TextLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile("^(?:null|Null|NULL|)$"), ["n", "N", ""]
)
_TextLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])


def parse_yaml(text: str) -> Any:
    """Dictionaries, lists, text and None.

    Raises:
        yaml.YAMLError: not YAML, or a key given twice.
    """
    return yaml.load(text, _TextLoader)  # noqa: S506  (a SafeLoader)


def read_yaml(path: Path, what: str) -> Any:
    """The content of a file, as of :func:`parse_yaml`.

    Args:
        path: of the file.
        what: such as "configuration", for messages.

    Raises:
        ConfigError: missing, a folder, or not YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such {what} file") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder, not a {what} file") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise ConfigError(f"{path} is not a YAML file: {line}") from error
