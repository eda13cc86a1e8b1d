"""YAML whose scalars stay text; the field that takes a value decides its type.

YAML 1.1 guesses: ``007`` is 7, ``2024-01-01`` a date, ``on`` true and ``1:30`` ninety. Here a plain scalar is
its text, except for ``null`` and the empty scalar, which are None. ``~`` is text as well: a path that starts
with it is in the home folder. Alone it could mean either, so the loader refuses it.
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
"""Plain scalars that mean None."""


class _TextLoader(yaml.SafeLoader):
    """SafeLoader that guesses no types and refuses repeated keys and a plain ``~``."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        mapping = super().construct_mapping(node, deep)
        if repeated:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {repeated[0]!r} is given twice", node.start_mark
            )
        return mapping


_TextLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile("^(?:null|Null|NULL|)$"), ["n", "N", ""]
)
_TextLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])
_TextLoader.add_implicit_resolver("!tilde", re.compile("^~$"), ["~"])


def _refuse_tilde(loader: _TextLoader, node: yaml.ScalarNode) -> None:
    raise yaml.constructor.ConstructorError(
        None,
        None,
        "a plain ~ could mean null or the home folder; write null, or '~' in quotes",
        node.start_mark,
    )


_TextLoader.add_constructor("!tilde", _refuse_tilde)


def parse_yaml(text: str) -> Any:
    """Parse YAML to dictionaries, lists, text and None.

    Raises:
        yaml.YAMLError: not YAML, a repeated key, or a plain ``~``.
    """
    return yaml.load(text, _TextLoader)  # noqa: S506  (a SafeLoader)


def read_yaml(path: Path, kind: str) -> Any:
    """Read a YAML file as :func:`parse_yaml` does.

    Args:
        path: of the file.
        kind: of file, such as "configuration", for messages.

    Raises:
        ConfigError: missing, a folder, or not YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such {kind} file") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder, not a {kind} file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a YAML file: it is not text") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path} is not a YAML file{line}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError) as error:
        reason = getattr(error, "reason", "nested too deeply")
        raise ConfigError(f"{path} is not a YAML file: {reason}") from error
