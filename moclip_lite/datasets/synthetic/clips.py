"""Generated H.264 clips in which a class is a pair (texture, motion).

The texture is seen in any one frame and says nothing of the motion; the motion is seen in the
vectors and says (nearly) nothing of the texture. With A textures and M motions appearance alone can
reach 1/M, motion alone 1/A, and only both together name the class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ...errors import DataError
from ...parallel.pool import run_jobs
from ...storage.files import read_json, write_json
from ..clip import VideoDataset
from ..folder import load_folder

__all__ = ["MOTIONS", "TEXTURES", "SyntheticSpec", "generate"]

TEXTURES: Final = ("bricks", "foliage", "pebbles", "water")
MOTIONS: Final = ("pan_left", "pan_right", "rotate", "shake", "zoom_in")


@dataclass(frozen=True, kw_only=True)
class SyntheticSpec:
    """What to generate.

    Attributes:
        clips_per_class: clips of each (texture, motion) pair.
        frames: length of a clip.
        seed: of everything drawn; the same seed gives the same pictures.
        textures, motions: which of ``TEXTURES`` and ``MOTIONS``.
    """

    clips_per_class: int = 20
    frames: int = 30
    seed: int = 0
    textures: tuple[str, ...] = TEXTURES
    motions: tuple[str, ...] = MOTIONS

    def __post_init__(self) -> None:
        if self.clips_per_class < 4 or self.frames < 2:
            raise DataError("synthetic clips: at least 4 clips per class of at least 2 frames")
        for kind, chosen, known in (("texture", self.textures, TEXTURES), ("motion", self.motions, MOTIONS)):
            unknown = sorted(set(chosen) - set(known))
            if unknown or not chosen:
                raise DataError(f"unknown {kind} {unknown}; choose from {list(known)}")


def _write_clip(job: tuple[Path, str, str, int, tuple[int, ...]]) -> None:
    from .pictures import encode_clip, render_clip

    path, texture, motion, frames, seed = job
    encode_clip(path, *render_clip(texture, motion, frames, seed))


def generate(
    root: Path,
    spec: SyntheticSpec,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VideoDataset:
    """Write the clips that are not there yet, as class folders ``<texture>_<motion>``.

    Args:
        root: where; a folder that holds another synthetic set is refused.
        spec: what.
        workers: processes.
        progress: told (clips written, clips to write).

    Raises:
        DataError: the folder holds something else.
    """
    note = root / "synthetic.json"
    described: dict[str, Any] = {
        **asdict(spec),
        "textures": list(spec.textures),
        "motions": list(spec.motions),
    }
    if root.exists() and any(root.iterdir()):
        if not note.is_file():
            raise DataError(f"{root}: is not empty and holds no synthetic data set")
        if read_json(note) != described:
            raise DataError(f"{root}: holds a synthetic data set of other settings; choose another folder")
    write_json(note, described)
    jobs = []
    for t, texture in enumerate(spec.textures):
        for m, motion in enumerate(spec.motions):
            for number in range(spec.clips_per_class):
                path = root / f"{texture}_{motion}" / f"{texture}_{motion}_{number:03d}.mp4"
                if not path.exists():
                    jobs.append((path, texture, motion, spec.frames, (spec.seed, t, m, number)))
    for done, _ in enumerate(run_jobs(_write_clip, jobs, workers), start=1):
        progress(done, len(jobs))
    return load_folder(root)
