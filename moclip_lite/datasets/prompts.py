"""Class names as text: readable names, prompt templates and paraphrases."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError
from ..storage.names import is_blank
from ..storage.plain_yaml import read_yaml

__all__ = ["TEMPLATES", "Prompts", "normalize_caption", "read_prompts", "readable"]

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


def normalize_caption(caption: str) -> str:
    """A caption without differences of case and spacing, which the tokenizer ignores too."""
    return " ".join(caption.split()).lower()


@dataclass(frozen=True)
class Prompts:
    """Sentences that describe a class.

    Attributes:
        templates: sentences with one ``{}``.
        paraphrases: label -> names to insert; for an absent label the readable name is used.
        source: file they were read from, for messages.
    """

    templates: tuple[str, ...] = TEMPLATES
    paraphrases: dict[str, tuple[str, ...]] = field(default_factory=dict)
    source: Path | None = None

    def check(self, labels: Sequence[str]) -> Prompts:
        """Return these prompts if no class in them is misspelt.

        A file may hold further classes, as long as each label has an entry.

        Raises:
            ConfigError: a class that is no label, while a label has no entry.
        """
        unknown = sorted(set(self.paraphrases) - set(labels))
        without = sorted(set(labels) - set(self.paraphrases))
        if unknown and without:
            nearest = difflib.get_close_matches(unknown[0], without, n=1, cutoff=0.0)[0]
            more = f" ({len(unknown) - 1} more are unknown)" if len(unknown) > 1 else ""
            raise ConfigError(
                f"{self.source}: {unknown[0]!r} is none of the {len(labels)} labels; "
                f"the nearest that has no entry is {nearest!r}{more}"
            )
        return self

    def sentences(self, label: str) -> list[str]:
        """Every template with every name of the label."""
        names = self.paraphrases.get(label, (readable(label),))
        return [template.replace("{}", name) for name in names for template in self.templates]

    def all_sentences(self, labels: Sequence[str]) -> list[list[str]]:
        """The sentences of each label."""
        return [self.sentences(label) for label in labels]

    def shared(self, labels: Sequence[str]) -> dict[str, list[str]]:
        """Sentences that describe several of the labels, in normal form, and these labels."""
        labels_of: dict[str, list[str]] = {}
        for label in labels:
            for sentence in dict.fromkeys(map(normalize_caption, self.sentences(label))):
                labels_of.setdefault(sentence, []).append(label)
        return {sentence: alike for sentence, alike in labels_of.items() if len(alike) > 1}

    def shared_notes(self, labels: Sequence[str]) -> list[str]:
        """Sentences for people on the labels that words can't tell apart, one for each set of such labels."""
        first: dict[tuple[str, ...], str] = {}
        for sentence, alike in self.shared(labels).items():
            first.setdefault(tuple(alike), sentence)
        return [
            f"the labels {' and '.join(map(repr, alike))} share the sentence {sentence!r}: words can't tell "
            "them apart; give them one name if they are one, else each words of its own in a prompt file"
            for alike, sentence in first.items()
        ]

    def refuse_shared(self, labels: Sequence[str]) -> None:
        """Refuse labels that words can't tell apart.

        Raises:
            ConfigError: there are such labels.
        """
        if notes := self.shared_notes(labels):
            raise ConfigError(notes[0])


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
    classes = {} if value.get("classes") is None else value["classes"]
    if not _texts(templates) or not all("{}" in text for text in templates):
        raise ConfigError(f"{path}: 'templates' must be a list of sentences that each hold {{}}")
    if not isinstance(classes, dict) or not all(_texts(names) for names in classes.values()):
        raise ConfigError(f"{path}: 'classes' must map each label to a list of names")
    return Prompts(tuple(templates), {str(label): tuple(names) for label, names in classes.items()}, path)


def _texts(value: Any) -> bool:
    """Whether a value is a list of texts, none of them blank."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(text, str) and not is_blank(text) for text in value)
