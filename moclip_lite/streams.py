"""The streams of a run: what each one looks at, the head that gives its scores, and its names."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["ANSWERS", "TABLE_ORDER", "Source", "Stream", "used_sections"]


class Source(str, Enum):
    """Models that a head takes features of; its weights fit no others."""

    MOTION_NETWORK = "motion_network"
    ENCODER = "encoder"

    @property
    def words(self) -> str:
        """For people."""
        return "motion network" if self is Source.MOTION_NETWORK else "CLIP weights"


class Stream(str, Enum):
    """A classifier of clips, in the order of metrics.json. The value is its key there and in file names.

    The last three are controls: a head of the fusion's size on motion features alone and on the middle frame
    alone, and the class names with nothing trained.
    """

    MOTION = "motion"
    APPEARANCE = "appearance"
    FUSION = "fusion"
    MOTION_HEAD = "motion_head"
    APPEARANCE_FRAME = "appearance_frame"
    ZERO_SHOT = "zero_shot"

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, format_spec: str) -> str:
        return format(str(self.value), format_spec)

    @property
    def words(self) -> str:
        """For people, as tables show it."""
        return _FACTS[self].words

    @property
    def sources(self) -> tuple[Source, ...]:
        """What its head looks at; nothing where there is no head."""
        return _FACTS[self].sources

    @property
    def head(self) -> str | None:
        """Name of its head; None for the fusion (the configuration names it) and without a head."""
        return _FACTS[self].head

    @property
    def sees_pictures(self) -> bool:
        """Whether it looks at appearance features."""
        return self is Stream.ZERO_SHOT or Source.ENCODER in self.sources

    @property
    def sees_motion(self) -> bool:
        """Whether it looks at motion."""
        return self is Stream.MOTION or Source.MOTION_NETWORK in self.sources

    @property
    def validation_measure(self) -> str:
        """What its accuracy on validation clips is, in logs, training.json and curves."""
        return "mean over classes" if self is Stream.MOTION else "top-1"

    @property
    def sections(self) -> frozenset[str]:
        """The sections of a configuration that it depends on."""
        sections = {"motion", "train_motion", "test"} if self.sees_motion else set()
        if self.sees_pictures:
            sections.add("clip")
        return frozenset(sections | {"fusion", "train_head"} if self.sources else sections)


class _Facts(NamedTuple):
    words: str
    sources: tuple[Source, ...] = ()
    head: str | None = None


_FACTS: Final = {
    Stream.MOTION: _Facts("motion only (network)"),
    Stream.MOTION_HEAD: _Facts("motion only (head, control)", (Source.MOTION_NETWORK,), "motion_only"),
    Stream.ZERO_SHOT: _Facts("zero-shot (control)"),
    Stream.APPEARANCE_FRAME: _Facts(
        "appearance only, one frame (control)", (Source.ENCODER,), "appearance_one_frame"
    ),
    Stream.APPEARANCE: _Facts("appearance only (head)", (Source.ENCODER,), "appearance_only"),
    Stream.FUSION: _Facts("fusion", (Source.MOTION_NETWORK, Source.ENCODER)),
}

TABLE_ORDER: Final = tuple(_FACTS)
"""Streams in the order of tables: each beside its control, the fusion last."""

ANSWERS: Final = (Stream.FUSION, Stream.APPEARANCE, Stream.MOTION)
"""Prediction answers with the first of these that there is."""


def used_sections(streams: Iterable[Stream]) -> set[str]:
    """Names of the configuration's sections that any of the streams depends on."""
    return {"run", "data", "cache"}.union(*(stream.sections for stream in streams))
