"""Re-encoding a data set: parallel, resumable, one folder and one manifest per recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import mv_tools
from mv_tools import Recipe

from ...errors import CheckpointError, DataError
from ...parallel.pool import run_jobs
from ...storage.digest import digest_file
from ...storage.files import read_json, write_json
from ..clip import Clip, VideoDataset
from ..clip_errors import (
    CLIP_ERRORS,
    problem_of,
    sentence_of,
    stops_all,
)
from ..table import (
    MANIFEST,
    ManifestRow,
    read_manifest,
    write_manifest,
)
from ..walk import is_file
from .recipes import recipe_name

__all__ = ["PrepareReport", "prepare"]


@dataclass
class PrepareReport:
    """What was done: files written, files that were there, and failures (clip name, reason).

    Attributes:
        out: folder of this recipe's clips.
        recipe: its name.
        frames, bytes: of all clips that are there now.
    """

    out: Path
    recipe: str
    made: int = 0
    kept: int = 0
    frames: int = 0
    bytes: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    clip: Clip
    target: Path
    recipe: Recipe

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.clip.name


def _work(job: _Job) -> str | None:
    """None, or why the clip can't be re-encoded."""
    try:
        mv_tools.transcode(job.clip.path, job.target, **job.recipe.as_dict())
    except CLIP_ERRORS as error:
        if stops_all(error):
            raise
        return sentence_of(error)
    return None


def prepare(
    dataset: VideoDataset,
    out: Path,
    recipe: Recipe,
    *,
    workers: int = 1,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> PrepareReport:
    """Transcode every clip to ``out/<recipe>/<class>/<clip>.mp4``; whole clips that are there stay.

    ``recipe.json`` beside the class folders says how, ``manifest.parquet`` lists the clips. A clip
    that fails is reported and the others go on.

    Args:
        dataset: the originals.
        out: folder of all recipes.
        recipe: how to encode.
        workers: processes, each with one encoder thread.
        progress: told (stage, done, total).

    Raises:
        DataError: the folder holds clips made otherwise or lies among the originals, or two clips would
            get one name.
        OSError: the disk is full; what was finished is kept, nothing is half written.
    """
    name = recipe_name(recipe)
    if out.resolve().is_relative_to(dataset.root.resolve()):
        raise DataError(
            f"{out} lies within {dataset.root}, where its clips would become originals; choose another folder"
        )
    folder = out / name
    targets = _targets(dataset, folder)
    _claim(folder, recipe)
    report = PrepareReport(folder, name)
    rows = _standing(dataset, folder, targets, name)
    report.kept = len(rows)
    jobs = [_Job(clip, targets[clip.name], recipe) for clip in dataset.clips if clip.name not in rows]
    try:
        for done, (job, problem) in enumerate(run_jobs(_work, jobs, workers), start=1):
            row = _describe(dataset, job.clip, folder, job.target, name) if problem is None else problem
            if isinstance(row, ManifestRow):
                report.made += 1
                rows[job.clip.name] = row
            else:
                report.failures.append((job.clip.name, row))
            progress(f"transcode {name}", done, len(jobs))
    finally:
        if rows:
            write_manifest(folder, list(rows.values()))
    report.failures.sort()
    report.frames = sum(row.frames for row in rows.values())
    report.bytes = sum(row.bytes for row in rows.values())
    return report


def _targets(dataset: VideoDataset, folder: Path) -> dict[str, Path]:
    """Clip name -> file to write."""
    targets: dict[str, Path] = {}
    owners: dict[Path, str] = {}
    for clip in dataset.clips:
        target = folder / PurePosixPath(clip.name).with_suffix(".mp4")
        if target in owners:
            raise DataError(f"{clip.name} and {owners[target]} would both become {target}")
        owners[target] = clip.name
        targets[clip.name] = target
    return targets


def _claim(folder: Path, recipe: Recipe) -> None:
    """Note how the clips of a folder are made; refuse one whose clips were made otherwise."""
    settings = {key: value for key, value in recipe.as_dict().items() if key != "threads"}
    note = folder / "recipe.json"
    if not note.exists():
        write_json(note, settings)
        return
    try:
        found = read_json(note)
    except CheckpointError as error:
        raise DataError(f"{error}; remove it if the clips in {folder} were made with {settings}") from error
    if found != settings:
        raise DataError(f"{folder} holds clips of another recipe ({found}); choose another folder")


def _standing(
    dataset: VideoDataset, folder: Path, targets: dict[str, Path], recipe: str
) -> dict[str, ManifestRow]:
    """Rows of the clips that are there and whole; the old manifest saves reading them again."""
    try:
        known = {row.path: row for row in read_manifest(folder)} if (folder / MANIFEST).is_file() else {}
    except DataError:
        known = {}  # damaged: made again
    rows = {}
    for clip in dataset.clips:
        target = targets[clip.name]
        if not is_file(target):
            continue
        row = _describe(dataset, clip, folder, target, recipe, known)
        if isinstance(row, ManifestRow):  # else it is damaged and made again
            rows[clip.name] = row
    return rows


def _describe(
    dataset: VideoDataset,
    clip: Clip,
    folder: Path,
    target: Path,
    recipe: str,
    known: dict[str, ManifestRow] | None = None,
) -> ManifestRow | str:
    """The row of a clip that is there, or why it can't be read."""
    path, stat = target.relative_to(folder).as_posix(), target.stat()
    old = (known or {}).get(path)
    if old is not None and (old.bytes, old.mtime) == (stat.st_size, stat.st_mtime_ns):
        frames, fps, width, height, digest = old.frames, old.fps, old.width, old.height, old.digest
    else:
        try:
            decoder = mv_tools.MotionDecoder(target)
            decoder.packets.require_whole(target.name)
            about, frames = decoder.metadata, len(decoder)
            fps = float(about.average_fps or 0.0)
            width, height = about.display_width, about.display_height
            digest = digest_file(target)
        except CLIP_ERRORS as error:
            return sentence_of(error)
        except Exception as error:
            return problem_of(clip.name, error)
    splits = {
        f"split{n}": next(
            (part for part, names in zip(("train", "test"), dataset.official.get(f"split{n}", ()), strict=False)
             if clip.name in names), "",
        )
        for n in (1, 2, 3)
    }  # fmt: skip
    return ManifestRow(
        path=path, name=clip.name, label=clip.label, number=dataset.labels.index(clip.label),
        group=clip.group or "", **splits, frames=frames, fps=fps, width=width, height=height,
        bytes=stat.st_size, mtime=stat.st_mtime_ns, digest=digest, recipe=recipe,
    )  # fmt: skip
