"""Re-encoding a data set to H.264 with one recipe: parallel, resumable, with a manifest."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import mv_tools
from mv_tools import Recipe

from ..errors import CheckpointError, DataError
from ..parallel import run_jobs
from ..storage import read_json, write_json, write_text
from .base import Clip, VideoDataset

__all__ = ["PrepareReport", "prepare"]


@dataclass
class PrepareReport:
    """What was done: files written, files that were there, and failures (clip name, reason)."""

    out: Path
    made: int = 0
    kept: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    clip: Clip
    target: Path
    recipe: Recipe


def _work(job: _Job) -> str | None:
    settings = job.recipe.as_dict()
    try:
        mv_tools.transcode(job.clip.path, job.target, **settings)
    except (mv_tools.MotionError, FileNotFoundError, PermissionError) as error:
        return " ".join(str(error).split())
    return None


def _target(out: Path, name: str) -> Path:
    return out / PurePosixPath(name).with_suffix(".mp4")


def prepare(
    dataset: VideoDataset,
    out: Path,
    recipe: Recipe,
    *,
    workers: int = 1,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> PrepareReport:
    """Transcode every clip to ``out/<class>/<clip>.mp4``; clips that are there stay.

    ``out/recipe.json`` says how, ``out/manifest.csv`` lists the clips.

    Raises:
        DataError: the folder holds another recipe's clips, or two clips would get one name.
        OSError: the disk is full; what was finished is kept.
    """
    settings = {key: value for key, value in recipe.as_dict().items() if key != "threads"}
    _claim(out, settings)
    targets: dict[Path, str] = {}
    for clip in dataset.clips:
        target = _target(out, clip.name)
        if target in targets:
            raise DataError(f"{clip.name} and {targets[target]} would both become {target}")
        targets[target] = clip.name
    report = PrepareReport(out)
    jobs = [_Job(c, _target(out, c.name), recipe) for c in dataset.clips if not _target(out, c.name).exists()]
    report.kept = len(dataset.clips) - len(jobs)
    for done, (job, problem) in enumerate(run_jobs(_work, jobs, workers), start=1):
        if problem is None:
            report.made += 1
        else:
            report.failures.append((job.clip.name, problem))
        progress("transcode", done, len(jobs))
    report.failures.sort()
    _write_manifest(out, dataset)
    return report


def _claim(out: Path, settings: dict[str, Any]) -> None:
    note = out / "recipe.json"
    if note.exists():
        try:
            found = read_json(note)
        except CheckpointError as error:
            raise DataError(f"{error}; remove it if the clips in {out} were made with {settings}") from error
        if found != settings:
            raise DataError(f"{out} holds clips of another recipe ({found}); choose another folder")
    else:
        write_json(note, settings)


def _write_manifest(out: Path, dataset: VideoDataset) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "group", "splits", "bytes"])
    for clip in dataset.clips:
        target = _target(out, clip.name)
        if target.exists():
            member = [
                f"{split}:{'train' if clip.name in train else 'test'}"
                for split, (train, test) in sorted(dataset.official.items())
                if clip.name in train or clip.name in test
            ]
            row = [target.relative_to(out).as_posix(), clip.label, clip.group or "", " ".join(member)]
            writer.writerow([*row, target.stat().st_size])
    write_text(out / "manifest.csv", text.getvalue())
