"""Further encodings of the training clips (``data.train_recipes``), for videos encoded differently."""

from __future__ import annotations

from collections.abc import Sequence

from ...datasets import Clip
from ...datasets.settings import DataSettings
from ...errors import DataError
from ...parallel.runner import JobRunner
from ...progress import Reporter
from ..extraction import Extractor
from .dataset import load_dataset

__all__ = ["read_encodings"]


def read_encodings(
    data: DataSettings,
    clips: Sequence[Clip],
    extractor: Extractor,
    workers: int | JobRunner,
    reporter: Reporter,
) -> dict[str, list[tuple[Clip, str]]]:
    """Read the motion of the clips in the recipes of ``data.train_recipes``.

    Args:
        data: names the recipes, folders beside that of the clips.
        clips: to train on.
        extractor: reads motion.
        workers: run the jobs that generate a data set.
        reporter: told what is missing.

    Returns:
        Clip name -> the clip in each recipe that has it, and the key of its motion.

    Raises:
        DataError: a recipe has none of the clips.
    """
    encodings: dict[str, list[tuple[Clip, str]]] = {clip.name: [] for clip in clips}
    for recipe in data.train_recipes:
        settings = data.model_copy(update={"recipe": recipe, "skip_missing": True})
        there = {clip.name: clip for clip in load_dataset(settings, workers, reporter).clips}
        encoded = [there[clip.name] for clip in clips if clip.name in there]
        if not encoded:
            raise DataError(f"{data.root}: the recipe {recipe} has none of the clips to train on")
        keys = extractor.motion(encoded).keys
        for clip in encoded:
            if clip.name in keys:
                encodings[clip.name].append((clip, keys[clip.name]))
        if len(keys) < len(clips):
            reporter.warn(
                f"recipe {recipe}: {len(clips) - len(keys)} of {len(clips)} training clips are missing"
            )
    return encodings
