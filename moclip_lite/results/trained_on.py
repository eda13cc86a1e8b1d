"""Which clips a fold's weights were trained on, kept beside them, so that no clip is tested that trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from ..datasets import Clip, Fold, shorten
from ..errors import CheckpointError
from ..storage.files import read_json, write_json

__all__ = ["refuse_trained", "write_division"]

_PARTS: Final = ("train", "val", "test")
_USED: Final = {"test": ("train", "val"), "val": ("train",)}
"""Parts that a tested part must not share clips with: epochs are chosen on validation."""


def write_division(path: Path, fold: Fold, root: Path, digests: Mapping[str, str]) -> None:
    """Write the clips of a fold by part, each with the digest of its content.

    Args:
        path: the file to write.
        fold: the division.
        root: folder that clip names are relative to.
        digests: clip name -> digest of its file, as far as known.
    """
    rows = {part: {c.name: digests.get(c.name) for c in getattr(fold, part)} for part in _PARTS}
    write_json(path, {"fold": fold.name, "root": str(root.resolve()), **rows})


def refuse_trained(
    path: Path,
    tested: Sequence[Clip],
    root: Path,
    digests: Mapping[str, str],
    part: Literal["test", "val"] = "test",
) -> str | None:
    """Refuse clips that trained the weights beside a division.

    A clip is told by its content, and within the same data set by its name.

    Args:
        path: as :func:`write_division` wrote it.
        tested: clips to be tested.
        root: folder that their names are relative to.
        digests: clip name -> digest of its file, as far as known.
        part: what `tested` stands for.

    Returns:
        What a reader of the scores should know, None if there is nothing.

    Raises:
        CheckpointError: `tested` holds clips that trained, or the division is damaged.
    """
    if not path.is_file():
        return f"{path.parent} does not say which clips trained it: scores on these would be too high"
    found = read_json(path)
    try:
        used = {name: digest for other in _USED[part] for name, digest in found[other].items()}
        same = found["root"] == str(root.resolve())
    except (TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged; train again") from error
    contents = {digest for digest in used.values() if digest is not None}
    trained, alike = [], []
    for clip in tested:
        digest = digests.get(clip.name)
        named = clip.name in used
        if digest in contents or (named and (same or digest is None or used[clip.name] is None)):
            trained.append(clip.name)
        elif named:
            alike.append(clip.name)
    if trained:
        raise CheckpointError(
            f"{len(trained)} of {len(tested)} {part} clips were used in training the weights in {path.parent} "
            f"({shorten(trained, 3)}), which was divided otherwise: leave out run.seed and the settings of data that "
            "change the division, or train again in another folder (moclip run)"
        )
    if alike:
        return (
            f"{len(alike)} of {len(tested)} {part} clips have names of clips that trained the weights "
            f"({shorten(alike, 3)}); if they show the same, the scores are too high"
        )
    return None
