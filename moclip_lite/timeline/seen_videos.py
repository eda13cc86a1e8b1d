"""The videos of annotated segments that trained a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mv_tools.urls import is_url, spelled

from ..datasets import Clip
from ..datasets.clip import shorten
from ..datasets.extraction import content_digests
from ..datasets.table.rows import TableRow
from ..results.fold_folder import FoldFolder
from ..results.trained_on import clips_seen
from ..storage.cache import FeatureCache
from .truth import Truth

__all__ = ["seen_videos"]

_PARTS: Final = ("train", "val")  # epochs are chosen on validation


def seen_videos(folder: FoldFolder, truth: Truth, videos: Path | None = None) -> list[str]:
    """Sentences on videos that were among a run's training or validation clips; [] where none was.

    A video is recognised by its content, or that of an annotated segment, and by its name, of which the run
    may have had any segment.

    Args:
        folder: of the run.
        truth: annotated segments.
        videos: folder that the table's videos are relative to; None for the table's own.

    Raises:
        CheckpointError: the division of the run is damaged.
    """
    if not folder.division.is_file():
        return [
            f"{folder.path} does not say which clips trained it: scores on videos that did would be too high"
        ]
    root = videos or truth.path.parent
    place = spelled(root) if is_url(root) else str(root.resolve())
    clips = _clips(truth.rows)
    with tempfile.TemporaryDirectory(prefix="moclip-digests-") as cache:
        digests = content_digests(clips.values(), FeatureCache(Path(cache)))
    seen = clips_seen(folder.division, list(clips.values()), place, digests, _PARTS)
    surely = list(dict.fromkeys(clips[name].video for name in seen.surely))
    by_name = [v for v in dict.fromkeys(clips[name].video for name in seen.by_name) if v not in surely]
    of_all = f"of the {len(truth.videos)} videos of {truth.path}"
    sentences = []
    if surely:
        sentences.append(
            f"{len(surely)} {of_all} were among the training or validation clips of {folder.path} "
            f"({shorten(surely, 3)}): the scores are too high"
        )
    if by_name:
        sentences.append(
            f"{len(by_name)} {of_all} have names of training or validation clips of {folder.path} "
            f"({shorten(by_name, 3)}); if they show the same, the scores are too high"
        )
    return sentences


def _clips(rows: Iterable[TableRow]) -> dict[str, Clip]:
    """Clips that a run may have had of the videos, by name: all of one, any segment, those annotated."""
    clips: dict[str, Clip] = {}
    for row in rows:
        for segment in (None, row.segment):
            name = row.video if segment is None else f"{row.video}@{segment}"
            clips[name] = Clip(row.path, name, row.label, segment=segment)
    return clips
