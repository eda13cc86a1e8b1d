"""Class names as text: readable names, prompt templates and paraphrases."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from .errors import ConfigError

__all__ = ["TEMPLATES", "Prompts", "read_prompts", "readable"]

TEMPLATES: Final = (
    "a photo of a person {}.",
    "a video of a person {}.",
    "an example of a person {}.",
    "a demonstration of a person {}.",
    "a photo of {}.",
    "a video of {}.",
)
"""Used where no prompt file is given."""


def readable(label: str) -> str:
    """ "ApplyEyeMakeup" and "apply_eye_makeup" -> "apply eye makeup"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", label)
    return re.sub(r"[\s_\-]+", " ", spaced).strip().lower()


@dataclass(frozen=True)
class Prompts:
    """How a class is put into words.

    Attributes:
        templates: sentences with one ``{}``.
        paraphrases: label -> names to put there; a label that is absent is named readably.
    """

    templates: tuple[str, ...] = TEMPLATES
    paraphrases: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def sentences(self, label: str) -> list[str]:
        """Every template with every name of the label."""
        names = self.paraphrases.get(label, (readable(label),))
        return [template.replace("{}", name) for name in names for template in self.templates]


def read_prompts(path: Path | None) -> Prompts:
    """Read a YAML file with ``templates: [...]`` and ``classes: {label: [name, ...]}``.

    Raises:
        ConfigError: missing, not of that form, or a template without ``{}``.
    """
    if path is None:
        return Prompts()
    try:
        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such prompt file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(value, dict) or set(value) - {"templates", "classes"}:
        raise ConfigError(f"{path}: expected the keys 'templates' and 'classes'")
    templates = value.get("templates", list(TEMPLATES))
    classes = value.get("classes") or {}
    if not _texts(templates) or not all("{}" in text for text in templates):
        raise ConfigError(f"{path}: 'templates' must be a list of sentences that each hold {{}}")
    if not isinstance(classes, dict) or not all(_texts(names) for names in classes.values()):
        raise ConfigError(f"{path}: 'classes' must map each label to a list of names")
    return Prompts(tuple(templates), {str(label): tuple(names) for label, names in classes.items()})


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, str) and x.strip() for x in value)
