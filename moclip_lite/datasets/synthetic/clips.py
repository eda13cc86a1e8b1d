"""Generated H.264 clips in which a class is a pair (texture, motion).

A single frame shows the texture and not the motion; motion vectors show the motion and (nearly) not
the texture. With A textures and M motions, appearance alone can reach an accuracy of 1/M, motion alone
1/A, and only both together identify the class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ...errors import DataError
from ...parallel.runner import JobRunner, runner_of
from ...storage.files import read_json, write_json
from ..clip import VideoDataset
from ..folder import load_folder

__all__ = ["MOTIONS", "TEXTURES", "SyntheticSpec", "accuracy_ceilings", "generate"]

TEXTURES: Final = ("bricks", "foliage", "pebbles", "water")
MOTIONS: Final = ("pan_left", "pan_right", "rotate", "shake", "zoom_in")

_VERSION: Final = 2  # raised where a seed gives other files: a folder of others is not completed


@dataclass(frozen=True, kw_only=True)
class SyntheticSpec:
    """Size and content of a generated data set.

    Attributes:
        clips_per_class: clips of each (texture, motion) pair.
        frames: length of a clip.
        seed: of all random choices; the same seed gives the same pictures.
        textures, motions: subsets of ``TEXTURES`` and ``MOTIONS``.
    """

    clips_per_class: int = 20
    frames: int = 30
    seed: int = 0
    textures: tuple[str, ...] = TEXTURES
    motions: tuple[str, ...] = MOTIONS

    def __post_init__(self) -> None:
        if self.clips_per_class < 4 or self.frames < 2:
            raise DataError("synthetic clips: at least 4 clips per class of at least 2 frames")
        for kind, names, known in (("texture", self.textures, TEXTURES), ("motion", self.motions, MOTIONS)):
            unknown = sorted(set(names) - set(known))
            if unknown or not names:
                raise DataError(f"unknown {kind} {unknown}; choose from {list(known)}")


def _write_clip(job: tuple[Path, str, str, int, tuple[int, ...]]) -> None:
    from .pictures import encode_clip, render_clip

    path, texture, motion, frames, seed = job
    encode_clip(path, *render_clip(texture, motion, frames, seed))


def generate(
    root: Path,
    spec: SyntheticSpec,
    *,
    workers: int | JobRunner = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> VideoDataset:
    """Write the absent clips of a generated data set, in class folders ``<texture>_<motion>``.

    Args:
        root: folder of the data set; one that holds another data set is refused.
        spec: size and content.
        workers: processes of this machine, 0 for one per core; or who else does it.
        progress: called with (clips written, clips to write).

    Raises:
        DataError: the folder holds other files, or a synthetic data set of other settings.
    """
    settings_file = root / "synthetic.json"
    lists = {"textures": list(spec.textures), "motions": list(spec.motions)}
    settings = {**asdict(spec), **lists, "version": _VERSION}
    if root.exists() and any(root.iterdir()):
        if not settings_file.is_file():
            raise DataError(f"{root}: is not empty and holds no synthetic data set")
        if read_json(settings_file) != settings:
            raise DataError(
                f"{root}: holds a synthetic data set of other settings or of another version; "
                "choose another folder"
            )
    write_json(settings_file, settings)
    jobs = []
    for t, texture in enumerate(spec.textures):
        for m, motion in enumerate(spec.motions):
            for number in range(spec.clips_per_class):
                path = root / f"{texture}_{motion}" / f"{texture}_{motion}_{number:03d}.mp4"
                if not path.exists():
                    jobs.append((path, texture, motion, spec.frames, (spec.seed, t, m, number)))
    for done, _ in enumerate(runner_of(workers).run(_write_clip, jobs, folder=root), start=1):
        progress(done, len(jobs))
    return load_folder(root)


def accuracy_ceilings(labels: Sequence[str]) -> dict[str, float]:
    """Highest accuracy in percent of each stream, from the texture or the motion alone.

    Args:
        labels: the classes, each TEXTURE_MOTION, with equally many clips.
    """
    textures, motions = (len({label.partition("_")[part] for label in labels}) for part in (0, 2))
    by_motion, by_texture = 100 * motions / len(labels), 100 * textures / len(labels)
    return {
        "motion": by_motion,
        "motion_head": by_motion,
        "appearance": by_texture,
        "appearance_frame": by_texture,
        "zero_shot": by_texture,
        "fusion": 100.0,
    }
