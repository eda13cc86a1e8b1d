"""YAML whose scalars stay text; the field that takes a value decides its type.

YAML 1.1 guesses: ``007`` is 7, ``2024-01-01`` a date, ``on`` true and ``1:30`` ninety. Here a plain scalar is
its text, except for ``null`` and the empty scalar, which are None. ``~`` is text as well: a path that starts
with it is in the home folder. Alone it could mean either, so the loader refuses it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

from ..errors import ConfigError

__all__ = ["MOST_BYTES", "NULLS", "parse_yaml", "read_yaml"]

NULLS = ("", "null", "Null", "NULL")
"""Plain scalars that mean None."""

MOST_BYTES: Final = 1 << 20
"""Of a file: the parser takes seconds for each megabyte, and hundreds of times its memory."""

_MOST_NODES: Final = 1_000_000
"""Values of a document with all its aliases written out: some lines of aliases can stand for 10^30."""

_HALF: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates that can't be written; those in between stand for bytes of file names, see os.fsencode."""


class _TextLoader(yaml.SafeLoader):
    """SafeLoader that guesses no types and refuses repeated keys and a plain ``~``."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        repeated = sorted(key for key, count in Counter(keys).items() if count > 1)
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
        yaml.YAMLError: not YAML, a repeated key, a plain ``~``, or aliases that stand for too much.
    """
    return _parse(text, _TextLoader)


def read_yaml(path: Path, kind: str, *, typed: bool = False) -> Any:
    """Read a YAML file as :func:`parse_yaml` does.

    Args:
        path: of the file.
        kind: of file, such as "configuration", for messages.
        typed: give plain scalars the types of YAML 1.1, for files that this program wrote.

    Raises:
        ConfigError: missing, a folder, too large, or not YAML.
    """
    try:
        return _parse(_text(path, kind), yaml.SafeLoader if typed else _TextLoader)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such {kind} file") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder, not a {kind} file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a YAML file: it is not text") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path} is not a YAML file{line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not a YAML file: {getattr(error, 'reason', error)}") from error


def _text(path: Path, kind: str) -> str:
    """The text of a file that is not too large."""
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{path} is too large for a {kind} file: it has more than {MOST_BYTES >> 20} MB")
    return data.decode("utf-8-sig")


def _parse(text: str, kind: type[yaml.SafeLoader]) -> Any:
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply") from error
    except ValueError as error:  # a date of 13 months
        raise yaml.YAMLError(str(error)) from error
    finally:
        loader.dispose()


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Values that a node stands for, with its aliases written out.

    Raises:
        yaml.constructor.ConstructorError: more than :data:`_MOST_NODES`, a node holds itself, or text that
            can't be written.
    """
    if isinstance(node, yaml.ScalarNode):
        if _HALF.search(node.value):
            problem = "it holds half of a surrogate pair, which is no character"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return 1
    found = known.get(id(node))
    if found is None:
        known[id(node)] = _MOST_NODES  # while it is counted: what holds itself has no end
        pairs = isinstance(node, yaml.MappingNode)
        inside = [part for pair in node.value for part in pair] if pairs else node.value
        found = known[id(node)] = 1 + sum(_count(part, known) for part in inside)
    if found > _MOST_NODES:
        problem = "its aliases (*name) stand for too many values; write the values out"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return found
