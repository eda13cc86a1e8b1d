"""Names of recipes: "gop12", "gop250_b3_ref3_crf23", "gop250_ultrafast", "hevc_gop12", "mpeg4_gop12_q1".

A folder of re-encoded clips is named after its recipe, and each recipe has exactly one name.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from mv_tools import ArgumentError, Recipe
from mv_tools.recipe import PRESETS

from ...errors import ConfigError

__all__ = ["parse_recipe", "recipe_name"]

_FIELDS: Final = {
    "gop": "gop",
    "b": "bframes",
    "ref": "refs",
    "crf": "crf",
    "q": "crf",
    "side": "side",
    "fps": "fps",
}
_MPEG4_QUANTIZER: Final = 1  # that of CoViAR's and MoCLIP-Lite's MPEG-4 files
_HELP: Final = "a recipe is named like gop12, gop250_b3_ref3_crf23, hevc_gop12 or mpeg4_gop12_q1"


def recipe_name(recipe: Recipe) -> str:
    """The name that :func:`parse_recipe` reads; encoder threads are not part of it."""
    default = _default(recipe.codec)
    words = [recipe.codec] if recipe.codec != "h264" else []
    words.append(f"gop{recipe.gop}")
    quality = "q" if recipe.codec == "mpeg4" else "crf"
    for word in ("b", "ref", quality, "side", "fps"):
        value = getattr(recipe, _FIELDS[word])
        if value != getattr(default, _FIELDS[word]):
            words.append(f"{word}{value}")
    if recipe.preset != default.preset:
        words.append(recipe.preset)
    return "_".join(words)


def parse_recipe(name: str) -> Recipe:
    """The recipe of a name; fields that it leaves out have the values of the recipe gop12.

    Raises:
        ConfigError: not the name of a recipe, or a value out of range.
    """
    words = name.split("_")
    codec = words[0] if words[0] in ("hevc", "mpeg4") else "h264"
    other_quality = "crf" if codec == "mpeg4" else "q"
    values: dict[str, int | str] = {}
    for word in words if codec == "h264" else words[1:]:
        if word in PRESETS and "preset" not in values:
            values["preset"] = word
            continue
        match = re.fullmatch(r"([a-z]+)(\d{1,6})", word)
        field = _FIELDS.get(match.group(1)) if match else None
        if match is None or field is None or field in values or match.group(1) == other_quality:
            raise ConfigError(f"{name!r} is no recipe: {word!r} is not understood; {_HELP}")
        values[field] = int(match.group(2))
    if "gop" not in values:
        raise ConfigError(f"{name!r} is no recipe: it must say the GOP; {_HELP}")
    try:
        return replace(_default(codec), **values)  # type: ignore[arg-type]
    except ArgumentError as error:
        raise ConfigError(f"recipe {name!r}: {error}") from error


def _default(codec: str) -> Recipe:
    """Default recipe of a codec, with one encoder thread, since clips are encoded in parallel."""
    crf = _MPEG4_QUANTIZER if codec == "mpeg4" else Recipe.crf
    return Recipe(codec=codec, crf=crf, threads=1)
