"""``moclip dataset`` and ``moclip extract``: clips and their features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import ConsoleReporter, err, print_json, print_table
from .options import (
    Cache,
    Json,
    Pretrained,
    Quiet,
    Sets,
    SkipMissing,
    Source,
    Workers,
    experiment_of,
    workspace_of,
)

if TYPE_CHECKING:
    from ..extract import ExtractReport

__all__ = ["app", "extract_app"]

app = typer.Typer(help="Prepare and list data sets.", no_args_is_help=True)
extract_app = typer.Typer(help="Fill the feature cache.", no_args_is_help=True)


@app.command()
def prepare(
    kind: Annotated[str, typer.Argument(help="folder, ucf101 or synthetic.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the clips go.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the original clips.")] = None,
    splits: Annotated[Path | None, typer.Option(help="ucf101: folder of the official lists.")] = None,
    gop: Annotated[int, typer.Option(help="Frames from one I picture to the next.")] = 12,
    bframes: Annotated[int, typer.Option(help="Consecutive B pictures.")] = 0,
    crf: Annotated[int, typer.Option(help="Quality, 0 (lossless) to 51.")] = 20,
    side: Annotated[int | None, typer.Option(help="Scale the short side to so many pixels.")] = None,
    clips_per_class: Annotated[int, typer.Option(help="synthetic: clips per class.")] = 20,
    seed: Annotated[int, typer.Option(help="synthetic: seed.")] = 0,
    skip_missing: SkipMissing = False,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Re-encode a data set to H.264 (or generate one); clips that are there already stay.

    Example: moclip dataset prepare ucf101 --root UCF-101 --splits ucfTrainTestlist --out data/ucf101
    """
    from mv_tools import Recipe

    from .. import datasets
    from ..parallel import default_workers

    reporter = ConsoleReporter()
    count = default_workers(workers or 0)
    if kind == "synthetic":
        spec = datasets.SyntheticSpec(clips_per_class=clips_per_class, seed=seed)
        made = datasets.generate(
            out, spec, workers=count, progress=lambda done, total: reporter.progress("generate", done, total)
        )
        _report(
            {"out": str(out), "clips": len(made.clips), "classes": len(made.labels), "failures": []}, json
        )
        return
    if root is None:
        raise typer.BadParameter("name the folder of the original clips with --root")
    if kind == "ucf101":
        if splits is None:
            raise typer.BadParameter("name the folder of the official lists with --splits")
        found = datasets.load_ucf101(root, splits, (1, 2, 3), skip_missing=skip_missing)
    elif kind == "folder":
        found = datasets.load_folder(root, skip_missing=skip_missing)
    else:
        raise typer.BadParameter(f"kind must be folder, ucf101 or synthetic, got {kind!r}")
    recipe = Recipe(gop=gop, bframes=bframes, crf=crf, side=side, threads=1)
    report = datasets.prepare(found, out, recipe, workers=count, progress=reporter.progress)
    failures = [{"name": name, "stage": "transcode", "reason": reason} for name, reason in report.failures]
    _report({"out": str(out), "made": report.made, "kept": report.kept, "failures": failures}, json)


def _report(value: dict[str, object], json: bool) -> None:
    if json:
        print_json(value)
        return
    err.print(", ".join(f"{key} {item}" for key, item in value.items() if key != "failures"), markup=False)
    print_failures(value["failures"])  # type: ignore[arg-type]


def print_failures(failures: list[dict[str, str]]) -> None:
    """The clips that were left out, with their reasons."""
    if failures:
        rows = [[f["name"], f["stage"], f["reason"]] for f in failures]
        print_table(f"{len(failures)} left out", ["clip", "stage", "reason"], rows)


@app.command("list")
def list_(source: Source, sets: Sets = None, skip_missing: SkipMissing = False, json: Json = False) -> None:
    """Classes, clips and groups of a data set.

    Example: moclip dataset list data/weizmann --set data.group_pattern='^([a-z]+)_'
    """
    experiment = experiment_of(source, sets, {"data.skip_missing": skip_missing})
    dataset = workspace_of(experiment, quiet=True).dataset
    groups = {
        label: {c.group for c in dataset.clips if c.label == label and c.group} for label in dataset.labels
    }
    if json:
        classes = [
            {"label": label, "clips": count, "groups": sorted(str(g) for g in groups[label])}
            for label, count in dataset.counts().items()
        ]
        print_json({"root": str(dataset.root), "clips": len(dataset.clips), "classes": classes})
        return
    rows = [[label, str(count), str(len(groups[label]))] for label, count in dataset.counts().items()]
    print_table(f"{dataset.root}: {len(dataset.clips)} clips", ["class", "clips", "groups"], rows)


def _finish(report: ExtractReport, out: Path | None, json: bool) -> None:
    from ..extract import write_failures

    if out is not None:
        write_failures(out, report.failures)
    failures = [vars(failure) for failure in report.failures]
    if json:
        print_json(
            {"stage": report.stage, "made": report.made, "reused": report.reused,
             "seconds": report.seconds, "failures": failures}
        )  # fmt: skip
    else:
        print_failures(failures)


Failures = Annotated[Path | None, typer.Option(help="CSV to write the clips that failed to.")]


@extract_app.command("motion")
def extract_motion(
    dataset: Source, sets: Sets = None, workers: Workers = None, cache: Cache = None,
    skip_missing: SkipMissing = False, failures: Failures = Path("failures.csv"), json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Read the motion of every clip into the cache.

    Example: moclip extract motion data/ucf101 --set motion.segments=25
    """
    named = {"run.workers": workers, "cache.dir": cache, "data.skip_missing": skip_missing}
    space = workspace_of(experiment_of(dataset, sets, named), quiet)
    _finish(space.extract_motion(space.dataset.clips), failures, json)


@extract_app.command("clip")
def extract_clip(
    dataset: Source, sets: Sets = None, pretrained: Pretrained = None, workers: Workers = None, cache: Cache = None,
    skip_missing: SkipMissing = False, failures: Failures = Path("failures.csv"), json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Compute CLIP features of every clip into the cache.

    Example: moclip extract clip data/ucf101 --set clip.frames=8
    """
    named = {
        "clip.pretrained": pretrained, "run.workers": workers, "cache.dir": cache, "data.skip_missing": skip_missing,
    }  # fmt: skip
    space = workspace_of(experiment_of(dataset, sets, named), quiet)
    _finish(space.extract_appearance(space.dataset.clips), failures, json)
