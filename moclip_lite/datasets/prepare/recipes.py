"""Recipes by name: "gop12", "gop250_b3_ref3_crf23", "mpeg4_gop12_q1".

The name of a folder of re-encoded clips says how they were made, and each recipe has one name only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from mv_tools import ArgumentError, Recipe

from ...errors import ConfigError

__all__ = ["parse_recipe", "recipe_name"]

_TOKENS: Final = {"gop": "gop", "b": "bframes", "ref": "refs", "crf": "crf", "q": "crf", "side": "side"}
_FINEST: Final = 1  # the quantiser that CoViAR's and MoCLIP-Lite's MPEG-4 files were made with
_HELP: Final = "a recipe is named like gop12, gop250_b3_ref3_crf23 or mpeg4_gop12_q1"


def recipe_name(recipe: Recipe) -> str:
    """The name that :func:`parse_recipe` reads back; encoder effort and threads are no part of it."""
    plain = _plain(recipe.codec)
    parts = [recipe.codec] if recipe.codec != "h264" else []
    parts.append(f"gop{recipe.gop}")
    quality = "crf" if recipe.codec == "h264" else "q"
    for word, key in (("b", "bframes"), ("ref", "refs"), (quality, "crf"), ("side", "side")):
        value = getattr(recipe, key)
        if value != getattr(plain, key):
            parts.append(f"{word}{value}")
    return "_".join(parts)


def parse_recipe(name: str) -> Recipe:
    """The recipe of a name; what it does not mention is as in the plain GOP 12 recipe.

    Raises:
        ConfigError: not a recipe's name, or a value out of range.
    """
    words = name.split("_")
    codec = "mpeg4" if words[0] == "mpeg4" else "h264"
    values: dict[str, int] = {}
    for word in words[1:] if codec == "mpeg4" else words:
        match = re.fullmatch(r"([a-z]+)(\d{1,6})", word)
        key = _TOKENS.get(match.group(1)) if match else None
        foreign = "crf" if codec == "mpeg4" else "q"
        if match is None or key is None or key in values or match.group(1) == foreign:
            raise ConfigError(f"{name!r} is no recipe: {word!r} is not understood; {_HELP}")
        values[key] = int(match.group(2))
    if "gop" not in values:
        raise ConfigError(f"{name!r} is no recipe: it must say the GOP; {_HELP}")
    try:
        return replace(_plain(codec), **values)  # type: ignore[arg-type]
    except ArgumentError as error:
        raise ConfigError(f"recipe {name!r}: {error}") from error


def _plain(codec: str) -> Recipe:
    """One encoder thread: the processes are many."""
    return Recipe(codec=codec, crf=_FINEST, threads=1) if codec == "mpeg4" else Recipe(threads=1)
