"""The clips and feature sources that a fold's weights were trained on; refusal of others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from ..datasets import Clip, Fold
from ..datasets.clip import shorten
from ..datasets.content import extent_of, file_of, older_form
from ..errors import CheckpointError
from ..sampling import WHOLE, Segment
from ..storage.files import read_json, read_metadata, write_json
from ..streams import Source, Stream
from .fold_folder import FoldFolder

__all__ = [
    "Seen",
    "StoredDivision",
    "check_sources",
    "clips_seen",
    "read_division",
    "refuse_trained",
    "same_content",
    "write_division",
]

_PARTS: Final = ("train", "val", "test")
_TIMES: Final = re.compile(r"(.+)@(\d{1,12}(?:\.\d{1,6})?)-(\d{1,12}(?:\.\d{1,6})?)", re.ASCII | re.DOTALL)
_UNKNOWN: Final = "?"  # no content
_USED: Final = {"test": ("train", "val"), "val": ("train",)}
"""Parts that a tested part must not share clips with: epochs are chosen on validation."""


def check_sources(folder: FoldFolder, stream: Stream, known: Mapping[Source, str | None]) -> None:
    """Refuse the weights of a head that was trained on other features than it would be given.

    Args:
        folder: where the weights lie.
        stream: of the head.
        known: source -> digest of what would give the features; None for what is missing; sources that are
            not known yet are left out.

    Raises:
        CheckpointError: trained on another source, or the file does not say on which.
    """
    path, network = folder.weights(stream), folder.weights(Stream.MOTION)
    metadata = read_metadata(path)
    for source in stream.sources:
        if source not in known or (source in metadata and metadata[source] == known[source]):
            continue
        if source not in metadata:
            problem = f"does not say which {source.words} it was trained on"
        elif source is Source.ENCODER:
            problem = "was trained on other CLIP weights than those found here (--pretrained names them)"
        elif known[source] is None:
            problem = f"was trained on a motion network that is missing ({network})"
        else:
            problem = f"was trained on another motion network than {network}"
        raise CheckpointError(f"{path} {problem}; `moclip run {folder.run_path}` trains it again")


def write_division(path: Path, fold: Fold, place: str, digests: Mapping[str, str]) -> None:
    """Write the clips of a fold by part, each with its content.

    Args:
        path: the file to write.
        fold: the division.
        place: of the data set that clip names are relative to.
        digests: clip name -> its content, as far as known.
    """
    rows = {part: {c.name: digests.get(c.name) for c in getattr(fold, part)} for part in _PARTS}
    write_json(path, {"fold": fold.name, "root": place, **rows})


def refuse_trained(
    path: Path,
    tested: Sequence[Clip],
    place: str,
    digests: Mapping[str, str],
    part: Literal["test", "val"] = "test",
    kept: Mapping[str, str] | None = None,
) -> str | None:
    """Refuse clips that trained the weights beside a division, see :func:`clips_seen`.

    Args:
        path: as :func:`write_division` wrote it.
        tested: clips to be tested.
        place: of the data set that their names are relative to.
        digests: clip name -> its content, as far as known.
        part: the part of the division that `tested` is.
        kept: clip name -> its name in the division, where that is in use; by default they are the same
            within a data set.

    Returns:
        What a reader of the scores should know, None if there is nothing.

    Raises:
        CheckpointError: `tested` holds clips that trained, other than copies within the division itself
            (a published one may have them), or the division is damaged.
    """
    if not path.is_file():
        return f"{path.parent} does not say which clips trained it: scores on these would be too high"
    _, root, division = read_division(path)
    used = {name: digest for trained in _USED[part] for name, digest in division[trained].items()}
    seen = _seen(used, tested, digests, same_root=root == place)
    own = division[part] if root == place else {}  # its copies were reported when it was trained
    if kept:
        own = {now: division[part][name] for now, name in kept.items() if name in division[part]}
    others = [name for name in seen.surely if not same_content(own.get(name, _UNKNOWN), digests.get(name))]
    if others:
        raise CheckpointError(
            f"{len(others)} of {len(tested)} {part} clips were used in training the weights in "
            f"{path.parent} ({shorten(others, 3)}), which was divided otherwise: leave out run.seed and "
            "the settings of data that change the division (where none is given, the clips, or the lists or "
            "table that divide them, are not those of the training), or train again in another folder "
            "(moclip run)"
        )
    if seen.surely:
        return (
            f"{len(seen.surely)} of {len(tested)} {part} clips have a copy, or an overlapping segment, among "
            f"the clips that trained the weights ({shorten(seen.surely, 3)}): the scores are too high"
        )
    if seen.by_name:
        return (
            f"{len(seen.by_name)} of {len(tested)} {part} clips have names of clips that trained the weights "
            f"({shorten(seen.by_name, 3)}); if they show the same, the scores are too high"
        )
    return None


def same_content(written: str | None, content: str | None) -> bool:
    """Whether a content is that of a division, also of an older version."""
    if written is None or content is None:
        return written is content
    return written in (content, older_form(content)) or content == older_form(written)


class Seen(NamedTuple):
    """Names of clips that trained weights.

    Attributes:
        surely: those with the content of one that did, or with its name in the same data set.
        by_name: those that share only a name with one, in another data set.
    """

    surely: list[str]
    by_name: list[str]


def clips_seen(
    path: Path, clips: Sequence[Clip], place: str, digests: Mapping[str, str], parts: Sequence[str]
) -> Seen:
    """The clips that are in some parts of a division.

    A clip is recognised by its file's content, of which it overlaps a part that was used, and within the same
    data set by its name.

    Args:
        path: as :func:`write_division` wrote it.
        clips: to look for.
        place: of the data set that their names are relative to.
        digests: clip name -> its content, as far as known.
        parts: of "train", "val" and "test".

    Raises:
        CheckpointError: the division is damaged.
    """
    _, root, division = read_division(path)
    used = {name: digest for part in parts for name, digest in division[part].items()}
    return _seen(used, clips, digests, same_root=root == place)


def _seen(
    used: Mapping[str, str | None], clips: Sequence[Clip], digests: Mapping[str, str], *, same_root: bool
) -> Seen:
    """Those of the clips that were used, see :func:`clips_seen`; `used` is clip name -> content."""
    files: dict[str, list[Segment]] = {}
    for content in used.values():
        if content is not None:
            files.setdefault(file_of(content), []).append(extent_of(content))
            files.setdefault(older_form(content), []).append(WHOLE)
    found, segments = Seen([], []), _segments(used)
    for clip in clips:
        digest = digests.get(clip.name)
        named = clip.name in used or _overlaps(clip, segments)
        if (digest is not None and _shown(digest, files)) or (
            named and (same_root or digest is None or used.get(clip.name, "") is None)
        ):
            found.surely.append(clip.name)
        elif named:
            found.by_name.append(clip.name)
    return found


def _shown(content: str, files: Mapping[str, Sequence[Segment]]) -> bool:
    """Whether a clip's content shares pictures with parts of these files."""
    extent = extent_of(content)
    known = (*files.get(file_of(content), ()), *files.get(older_form(content), ()))
    return any(extent.overlaps(other) for other in known)


class StoredDivision(NamedTuple):
    """A fold as :func:`write_division` wrote it.

    Attributes:
        name: of the fold.
        root: place of the data set that clip names are relative to.
        parts: "train", "val" and "test" -> clip name -> its content, None if it is not known.
    """

    name: str
    root: str
    parts: Mapping[str, Mapping[str, str | None]]


def read_division(path: Path) -> StoredDivision:
    """Read what :func:`write_division` wrote.

    Raises:
        CheckpointError: it is damaged.
    """
    values = read_json(path)
    root = values.get("root") if isinstance(values, dict) else None
    parts: dict[str, Any] = {part: values.get(part) for part in _PARTS} if isinstance(values, dict) else {}
    known = parts and all(
        isinstance(clips, dict) and all(content is None or _is_content(content) for content in clips.values())
        for clips in parts.values()
    )
    if not known or not isinstance(root, str):
        raise CheckpointError(f"{path} is damaged: it does not say which clips trained; train again")
    return StoredDivision(str(values.get("fold", "")), root, parts)


def _is_content(value: object) -> bool:
    try:
        return isinstance(value, str) and extent_of(value) is not None
    except (TypeError, ValueError):
        return False


def _segments(names: Iterable[str]) -> dict[str, list[Segment]]:
    """Video -> its segments; a name without times is all of a video."""
    segments: dict[str, list[Segment]] = {}
    for name in names:
        match = _TIMES.fullmatch(name)
        if match is not None:
            segments.setdefault(match[1], []).append(Segment(float(match[2]), float(match[3])))
        segments.setdefault(name, []).append(WHOLE)
    return segments


def _overlaps(clip: Clip, segments: Mapping[str, list[Segment]]) -> bool:
    """Whether a clip overlaps one of the same video."""
    return any(clip.extent.overlaps(other) for other in segments.get(clip.video, ()))
