"""Class names as text: readable names, prompt templates and paraphrases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .errors import ConfigError, nearest_name
from .typed_yaml import read_yaml

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


def read_prompts(path: Path | None, labels: Sequence[str] | None = None) -> Prompts:
    """Read a YAML file with ``templates: [...]`` and ``classes: {label: [name, ...]}``.

    Args:
        path: of the file; None for the built-in templates.
        labels: the class names that the prompts are for; None to check none.

    Raises:
        ConfigError: missing, not of that form, a template without ``{}``, or class names that are no label while
            labels go without.
    """
    if path is None:
        return Prompts()
    value = read_yaml(path, dict[str, Any], "prompt file")
    if not isinstance(value, dict) or set(value) - {"templates", "classes"}:
        raise ConfigError(f"{path}: expected the keys 'templates' and 'classes'")
    templates = value.get("templates", list(TEMPLATES))
    classes = value.get("classes") or {}
    if not _texts(templates) or not all("{}" in text for text in templates):
        raise ConfigError(f"{path}: 'templates' must be a list of sentences that each hold {{}}")
    if not isinstance(classes, dict) or not all(_texts(names) for names in classes.values()):
        raise ConfigError(f"{path}: 'classes' must map each label to a list of names")
    if labels is not None and classes:
        _check_names(path, list(classes), labels)
    return Prompts(tuple(templates), {label: tuple(names) for label, names in classes.items()})


def _check_names(path: Path, names: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse names that are no label, unless every label has its entry (a file for more classes than these)."""
    unknown = [name for name in names if name not in labels]
    without = [label for label in labels if label not in names]
    if unknown and without:
        near = nearest_name(unknown[0], without)
        raise ConfigError(
            f"{path}: 'classes' names {unknown[0]!r}, which is no label; the nearest label without an entry is "
            f"{near!r} (correct the name, or give every label an entry)"
        )


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, str) and x.strip() for x in value)
