"""Class names as text: readable names, prompt templates and paraphrases."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError
from ..storage.plain_yaml import read_yaml

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
        source: the file that they are from, for messages.
    """

    templates: tuple[str, ...] = TEMPLATES
    paraphrases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    source: Path | None = None

    def check(self, labels: Sequence[str]) -> Prompts:
        """These prompts, if no class of theirs is misspelt.

        A file may speak of more classes than there are, as long as each label has its entry.

        Raises:
            ConfigError: a class that is no label, while a label has no entry.
        """
        unknown = sorted(set(self.paraphrases) - set(labels))
        without = sorted(set(labels) - set(self.paraphrases))
        if unknown and without:
            near = difflib.get_close_matches(unknown[0], without, n=1, cutoff=0.0)
            raise ConfigError(
                f"{self.source}: {unknown[0]!r} is none of the {len(labels)} labels; the nearest that has no entry is "
                f"{near[0]!r}" + (f" ({len(unknown) - 1} more are unknown)" if len(unknown) > 1 else "")
            )
        return self

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
    value = read_yaml(path, "prompt")
    if not isinstance(value, dict) or set(value) - {"templates", "classes"}:
        raise ConfigError(f"{path}: expected the keys 'templates' and 'classes'")
    templates = value.get("templates", list(TEMPLATES))
    classes = value.get("classes")
    if classes is None:
        classes = {}
    if not _texts(templates) or not all("{}" in text for text in templates):
        raise ConfigError(f"{path}: 'templates' must be a list of sentences that each hold {{}}")
    if not isinstance(classes, dict) or not all(_texts(names) for names in classes.values()):
        raise ConfigError(f"{path}: 'classes' must map each label to a list of names")
    return Prompts(tuple(templates), {str(label): tuple(names) for label, names in classes.items()}, path)


def _texts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(text, str) and text.strip() for text in value)
    )
