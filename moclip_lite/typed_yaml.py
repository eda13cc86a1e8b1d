"""YAML read by the types that are declared for its values, not by what a word looks like.

YAML 1.1 guesses: ``on`` is true, ``010`` is 8, ``2024-01-01`` a date. Where a text or a path is declared they are
text here, and where a number is declared they are refused if they are none.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from .errors import ConfigError

__all__ = ["element", "read_yaml", "typed_text"]

_NULLS: Final = ("", "~", "null", "Null", "NULL")
_NOT_FINITE: Final = (".inf", "+.inf", "-.inf", ".nan")


def read_yaml(path: Path, declared: Any, what: str) -> Any:
    """Read a file as a value of the declared type; an empty file is None.

    Args:
        path: of the file.
        declared: annotation of the value: a pydantic model, or as :func:`typed_text`.
        what: the kind of file, for messages, such as "configuration file".

    Returns:
        Mappings, lists, texts and None, to be validated: texts stand for numbers and truth values too.

    Raises:
        ConfigError: absent, not YAML, or a key that is given twice.
    """
    try:
        node = _compose(path.read_text(encoding="utf-8-sig"))
        return None if node is None else _value(node, declared)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such {what}") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder, not a {what}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        line = str(error).replace("\n", " ")
        raise ConfigError(f"{path} is not a YAML file: {line}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def typed_text(text: str, declared: Any) -> Any:
    """A value of a command line by the declared type: texts and paths as they are, all else in YAML.

    Quotes around a whole text are YAML's; ``null`` and nothing are None.

    Raises:
        yaml.YAMLError: not YAML, where that is expected.
        ConfigError: ``~`` for an optional path, or a key that is given twice.
    """
    text = text.strip()
    target = _target(declared)
    if not _is_text(target) or text in _NULLS:
        node = _compose(text)
        return None if node is None else _value(node, declared)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        try:
            node = _compose(text)
        except yaml.YAMLError:
            return text
        if isinstance(node, yaml.ScalarNode):
            return node.value
    return text


def element(declared: Any, name: str) -> Any:
    """The type declared for a key of a mapping; None for a key that it does not have, or no mapping."""
    target = _target(declared)
    if isinstance(target, type) and issubclass(target, BaseModel):
        field = target.model_fields.get(name)
        return None if field is None else field.rebuild_annotation()
    if get_origin(target) in (dict, Mapping):
        return get_args(target)[1]
    return None


def _compose(text: str) -> yaml.Node | None:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _check(node, loader, ())
    finally:
        loader.dispose()
    return node


def _check(node: yaml.Node, loader: yaml.SafeLoader, above: tuple[yaml.Node, ...]) -> None:
    """Refuse keys that are given twice and values that hold themselves; put merged keys (``<<``) in place."""
    if any(node is other for other in above):
        raise ConfigError(f"line {node.start_mark.line + 1}: a value holds itself")
    if isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"line {key.start_mark.line + 1}: a key must be a word")
            if key.value in names:
                raise ConfigError(f"line {key.start_mark.line + 1}: {key.value!r} is given twice")
            names.add(key.value)
            _check(value, loader, (*above, node))
        loader.flatten_mapping(node)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check(value, loader, (*above, node))


def _value(node: yaml.Node, declared: Any) -> Any:
    target = _target(declared)
    if isinstance(node, yaml.MappingNode):
        return {key.value: _value(value, element(target, key.value)) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(value, _item(target, place)) for place, value in enumerate(node.value)]
    return _scalar(node, target)


def _scalar(node: yaml.Node, target: Any) -> Any:
    text: str = node.value
    if getattr(node, "style", None) is not None:  # quoted, or a block of text
        return text
    if text in _NULLS:
        if text == "~" and target is Path:
            raise ConfigError("~ alone is YAML's null: write null for none, or ~/ for the home folder")
        return {} if isinstance(target, type) and issubclass(target, BaseModel) else None
    if get_origin(target) is Literal and all(isinstance(value, int) for value in get_args(target)):
        return int(text) if text.removeprefix("-").isdecimal() else text
    if target is float and text.lower() in _NOT_FINITE:
        return text.lower().replace(".", "")
    return text


def _target(declared: Any) -> Any:
    """A type without Annotated and Optional."""
    while True:
        origin = get_origin(declared)
        if origin is Annotated:
            declared = get_args(declared)[0]
        elif origin in (Union, types.UnionType):
            declared = next(kind for kind in get_args(declared) if kind is not types.NoneType)
        else:
            return declared


def _is_text(target: Any) -> bool:
    if get_origin(target) is Literal:
        return all(isinstance(value, str) for value in get_args(target))
    return target in (str, Path)


def _item(target: Any, place: int) -> Any:
    if get_origin(target) not in (tuple, list, Sequence):
        return None
    kinds = [kind for kind in get_args(target) if kind is not Ellipsis]
    return kinds[min(place, len(kinds) - 1)] if kinds else None
