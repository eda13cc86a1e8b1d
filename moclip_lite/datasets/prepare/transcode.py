"""Re-encoding of a data set: parallel and resumable, with one folder and one manifest per recipe."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import mv_tools
from mv_tools import Recipe
from mv_tools.atomic import remove_drafts

from ...errors import CheckpointError, DataError, require_packages
from ...parallel.runner import JobRunner, runner_of
from ...storage.digest import digest_file
from ...storage.files import read_json, write_json
from ...storage.lock import FolderLock
from ..clip import Clip, ClipJob, VideoDataset
from ..clip_errors import CLIP_ERRORS, problem_of, sentence_of, stops_all
from ..manifest import MANIFEST, RECIPE, ManifestRow, read_manifest, write_manifest
from ..walk import is_file, lies_within
from .originals import Original, original_of_copy, strays, written_stamp
from .recipes import recipe_name

__all__ = ["PrepareReport", "prepare"]


@dataclass
class PrepareReport:
    """Result of preparing a data set with one recipe.

    Attributes:
        out: folder of the recipe's clips.
        recipe: its name.
        made: clips written.
        kept: clips that were there before.
        frames, bytes: totals of all clips in the folder.
        failures: (clip name, reason) of the clips that could not be re-encoded.
        strays: videos in the folder that are no copies of originals as they are now.
    """

    out: Path
    recipe: str
    made: int = 0
    kept: int = 0
    frames: int = 0
    bytes: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job(ClipJob):
    target: Path
    recipe: Recipe
    stamp: str  # of the original; a node may see another one


def _transcode(job: _Job) -> Original | str:
    """Re-encode a clip; return what it was made of, or the reason if it can't be."""
    try:
        digest = digest_file(job.clip.path)
        mv_tools.transcode(job.clip.path, job.target, **job.recipe.as_dict())
    except CLIP_ERRORS as error:
        if stops_all(error):
            raise
        return sentence_of(error)
    return Original(digest, job.stamp)


def prepare(
    dataset: VideoDataset,
    out: Path,
    recipe: Recipe,
    *,
    workers: int | JobRunner = 1,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> PrepareReport:
    """Transcode every clip to ``out/<recipe>/<class>/<clip>.mp4``; intact clips that are there stay.

    ``recipe.json`` beside the class folders holds the encoder's settings, ``manifest.parquet`` lists the
    clips. A clip that fails is reported, and the others continue. Copies of originals that were replaced are
    made again; those of originals that are gone are reported and left alone.

    Args:
        dataset: the originals.
        out: folder of all recipes.
        recipe: encoder settings.
        workers: processes of this machine, each with one encoder thread,
            0 for one per core; or who else does it.
        progress: called with (stage, done, total).

    Raises:
        MissingPackage: ffmpeg-python, imageio-ffmpeg or pyarrow is not installed.
        DataError: the folder holds clips of other settings or is among the originals, two clips would get
            the same name, or another process is at work in the folder.
        OSError: the disk is full; finished clips are kept, and no partial file is left.
    """
    require_packages(("ffmpeg", "imageio_ffmpeg", "pyarrow"))
    name = recipe_name(recipe)
    if lies_within(dataset.root, out):
        raise DataError(
            f"{out} lies within {dataset.root}, where its clips would become originals; choose another folder"
        )
    folder = out / name
    target = _Target(dataset, folder, name)
    folder.mkdir(parents=True, exist_ok=True)
    refusal = DataError(f"another preparation is at work in {folder}; wait for it, or choose another --out")
    with FolderLock(folder / ".lock").held(refusal):
        _claim(folder, recipe)
        for place, _, _ in os.walk(folder):
            remove_drafts(Path(place))
        return _fill(target, recipe, runner_of(workers), progress)


def _fill(
    target: _Target, recipe: Recipe, runner: JobRunner, progress: Callable[[str, int, int], None]
) -> PrepareReport:
    """Make the copies that are absent, and list all of them in the manifest."""
    folder, name = target.folder, target.recipe
    report = PrepareReport(folder, name)
    rows = target.existing_rows()
    report.kept = len(rows)
    jobs = [
        _Job(clip, target.paths[clip.name], recipe, _stamp(clip))
        for clip in target.dataset.clips
        if clip.name not in rows
    ]
    try:
        for done, (job, result) in enumerate(runner.run(_transcode, jobs, folder=folder), start=1):
            row = target.row(job.clip, result) if isinstance(result, Original) else result
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
    report.strays = strays(folder, [target.paths[name] for name in rows])
    report.frames = sum(row.frames for row in rows.values())
    report.bytes = sum(row.bytes for row in rows.values())
    return report


def _stamp(clip: Clip) -> str:
    """Stamp of an original; "" if it can't be found, which re-encoding it reports."""
    try:
        return written_stamp(clip.path)
    except (OSError, ValueError):
        return ""


def _target_paths(dataset: VideoDataset, folder: Path) -> dict[str, Path]:
    """Clip name -> file to write."""
    paths: dict[str, Path] = {}
    sources: dict[Path, str] = {}
    for clip in dataset.clips:
        path = folder / PurePosixPath(clip.name).with_suffix(".mp4")
        if path in sources:
            raise DataError(f"{clip.name} and {sources[path]} would both become {path}")
        sources[path] = clip.name
        paths[clip.name] = path
    return paths


def _claim(folder: Path, recipe: Recipe) -> None:
    """Write the recipe into a new folder; refuse a folder of another recipe."""
    settings = _stated(recipe.as_dict())
    settings.pop("threads")
    file = folder / RECIPE
    if not file.exists():
        write_json(file, settings)
        return
    try:
        existing = read_json(file)
    except CheckpointError as error:
        raise DataError(f"{error}; remove it if the clips in {folder} were made with {settings}") from error
    if not isinstance(existing, dict) or _stated(existing) != settings:
        raise DataError(f"{folder} holds clips of another recipe ({existing}); choose another folder")


def _stated(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is left as it is: files of earlier versions lack newer settings."""
    return {key: value for key, value in settings.items() if value is not None}


class _Target:
    """Folder that the clips of a data set are re-encoded into.

    Args:
        dataset: the originals.
        folder: of one recipe.
        recipe: its name.

    Raises:
        DataError: two clips would get the same name.
    """

    def __init__(self, dataset: VideoDataset, folder: Path, recipe: str) -> None:
        self.dataset, self.folder, self.recipe = dataset, folder, recipe
        self.paths = _target_paths(dataset, folder)
        self._numbers = {label: number for number, label in enumerate(dataset.labels)}

    def existing_rows(self) -> dict[str, ManifestRow]:
        """Rows of the intact copies that are there, of originals as they are now.

        Those of an earlier manifest are not measured again.
        """
        try:
            rows = read_manifest(self.folder) if (self.folder / MANIFEST).is_file() else []
        except DataError:
            rows = []  # damaged: written again
        known = {row.path: row for row in rows}
        present: dict[str, ManifestRow] = {}
        for clip in self.dataset.clips:
            listed = known.get(self._path(clip))
            original = self._original(clip, listed)
            row = self.row(clip, original, listed) if original is not None else None
            if isinstance(row, ManifestRow):
                present[clip.name] = row
        return present

    def _path(self, clip: Clip) -> str:
        """Path of a copy within the folder."""
        return self.paths[clip.name].relative_to(self.folder).as_posix()

    def _original(self, clip: Clip, row: ManifestRow | None) -> Original | None:
        """The original that a copy was made of; None without a copy, or if it is to be made again."""
        copy = self.paths[clip.name]
        try:
            return original_of_copy(clip, copy, row) if is_file(copy) else None
        except (OSError, ValueError):
            return None  # re-encoding it reports the reason

    def row(self, clip: Clip, original: Original, row: ManifestRow | None = None) -> ManifestRow | str:
        """The row of a clip that was re-encoded, or why it can't be read.

        Args:
            clip: of the original.
            original: what the copy was made of.
            row: of an earlier manifest.
        """
        file = self.paths[clip.name]
        stat = file.stat()
        if row is not None and (row.bytes, row.mtime) == (stat.st_size, stat.st_mtime_ns):
            measured = {key: getattr(row, key) for key in ("frames", "fps", "width", "height", "digest")}
        else:
            try:
                measured = _measure(file)
            except CLIP_ERRORS as error:
                return sentence_of(error)
            except Exception as error:
                return problem_of(clip.name, error)
        return ManifestRow(
            path=self._path(clip),
            name=clip.name,
            label=clip.label,
            number=self._numbers[clip.label],
            group=clip.group or "",
            split1=self._part(clip, "split1"),
            split2=self._part(clip, "split2"),
            split3=self._part(clip, "split3"),
            bytes=stat.st_size,
            mtime=stat.st_mtime_ns,
            recipe=self.recipe,
            original_digest=original.digest,
            original_stamp=original.stamp,
            **measured,
        )

    def _part(self, clip: Clip, split: str) -> str:
        """ "train", "test", or "" if the clip is not in that split."""
        train, test = self.dataset.official.get(split, (frozenset(), frozenset()))
        return "train" if clip.name in train else "test" if clip.name in test else ""


def _measure(file: Path) -> dict[str, Any]:
    """Columns of a manifest that are read from the file."""
    decoder = mv_tools.MotionDecoder(file)
    decoder.packets.require_whole(file.name)
    metadata = decoder.metadata
    return {
        "frames": len(decoder),
        "fps": float(metadata.average_fps or 0.0),
        "width": metadata.display_width,
        "height": metadata.display_height,
        "digest": digest_file(file),
    }
