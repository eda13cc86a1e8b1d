"""A remark on files that are encoded differently from the clips that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence

from mv_tools import MotionDecoder, Recipe

from ..datasets.encoding import encoding_of, foreign
from ..datasets.prepare.recipes import parse_recipe
from ..datasets.settings import DataSettings
from ..errors import ConfigError

__all__ = ["encoder_note", "trained_recipes"]


def trained_recipes(data: DataSettings) -> list[Recipe]:
    """Recipes of the training clips; [] where they were not prepared, or it is not known how."""
    names = data.train_recipes or (data.recipe or (data.root.name if data.root is not None else ""),)
    recipes = []
    for name in names:
        try:
            recipes.append(parse_recipe(name))
        except ConfigError:  # a folder of another name
            return []
    return recipes


def encoder_note(decoder: MotionDecoder, recipes: Sequence[Recipe]) -> str | None:
    """A sentence for a file whose codec, or use of B pictures, no recipe shares; None for others."""
    if not recipes:
        return None
    encoding = encoding_of(decoder)
    if not foreign(encoding, recipes):
        return None
    return (
        f"encoded differently from the training clips ({encoding}): scores may be lower; moclip mv transcode "
        "makes a copy like them, and training with data.train_recipes makes a model that expects it"
    )
