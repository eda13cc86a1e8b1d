"""``moclip dataset`` and ``moclip extract``: clips and their features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError
from ..progress import size_in_words
from .console import ConsoleReporter, err, print_json, print_table
from .options import (
    Cache,
    Json,
    Pretrained,
    Quiet,
    RayAddress,
    Root,
    RunEngine,
    Sets,
    SkipMissing,
    Source,
    Workers,
    experiment_of,
    run_folder,
    runner_of_options,
    session_of,
)
from .table import list_table

if TYPE_CHECKING:
    from mv_tools import Recipe

    from ..datasets import SyntheticSpec, VideoDataset
    from ..datasets.extraction import ExtractReport
    from ..datasets.manifest import ManifestRow
    from ..datasets.prepare.transcode import PrepareReport
    from ..parallel.runner import JobRunner
    from ..progress import Reporter

__all__ = ["app", "extract_app", "print_failures"]

app = typer.Typer(help="Prepare and list data sets.", no_args_is_help=True)
extract_app = typer.Typer(help="Fill the feature cache.", no_args_is_help=True)


Recipes = Annotated[
    list[str] | None,
    typer.Option("--recipe", help="Such as gop12, gop250_b3_ref3_crf23 or mpeg4_gop12_q1. Repeatable."),
]


@app.command()
def prepare(
    kind: Annotated[str, typer.Argument(help="folder, ucf101 or synthetic.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write: OUT/RECIPE/CLASS/CLIP.mp4.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the original clips.")] = None,
    splits: Annotated[Path | None, typer.Option(help="ucf101: folder of the official lists.")] = None,
    recipe: Recipes = None,
    gop: Annotated[
        int, typer.Option(min=1, help="Without --recipe: frames from one I picture to the next.")
    ] = 12,
    bframes: Annotated[int, typer.Option(help="Without --recipe: consecutive B pictures.")] = 0,
    refs: Annotated[int, typer.Option(help="Without --recipe: reference pictures.")] = 1,
    crf: Annotated[int, typer.Option(help="Without --recipe: quality, 0 (lossless) to 51.")] = 20,
    side: Annotated[
        int | None, typer.Option(help="Without --recipe: scale the short side to this many pixels.")
    ] = None,
    clips_per_class: Annotated[int, typer.Option(help="synthetic: clips per class.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="synthetic: seed.")] = 0,
    group_pattern: Annotated[
        str | None,
        typer.Option(
            help="Regular expression with one group, stored in the manifest; ucf101 has its own groups."
        ),
    ] = None,
    skip_missing: SkipMissing = False,
    workers: Workers = None,
    engine: RunEngine = None,
    ray_address: RayAddress = None,
    json: Json = False,
) -> None:
    """Re-encode a data set with one or more recipes, or generate one; finished clips are skipped.

    Example: moclip dataset prepare ucf101 --root UCF-101 --splits ucfTrainTestlist --out data/ucf101
    """
    from mv_tools import Recipe

    from ..datasets import SyntheticSpec
    from ..datasets.prepare.recipes import parse_recipe

    reporter = ConsoleReporter()
    runner = runner_of_options(workers, engine, ray_address, reporter)
    if kind == "synthetic":
        spec = SyntheticSpec(clips_per_class=clips_per_class, seed=seed)
        _generate(out, spec, runner, reporter, json)
        return
    if root is None:
        raise typer.BadParameter("name the folder of the original clips with --root")
    recipes = [parse_recipe(name) for name in recipe or []] or [
        Recipe(gop=gop, bframes=bframes, refs=refs, crf=crf, side=side, threads=1)
    ]
    originals = _originals(kind, root, splits, group_pattern, skip_missing, reporter)
    _transcode(originals, out, recipes, runner, reporter, json)


def _generate(out: Path, spec: SyntheticSpec, runner: JobRunner, reporter: Reporter, json: bool) -> None:
    from ..datasets import generate

    dataset = generate(
        out, spec, workers=runner, progress=lambda done, total: reporter.progress("generate", done, total)
    )
    summary = {"out": str(out), "clips": len(dataset.clips), "classes": len(dataset.labels), "failures": []}
    _print_summaries([summary], json)


def _transcode(
    originals: VideoDataset,
    out: Path,
    recipes: list[Recipe],
    runner: JobRunner,
    reporter: Reporter,
    json: bool,
) -> None:
    from ..datasets.encoding import originals_note
    from ..datasets.prepare.recipes import recipe_name
    from ..datasets.prepare.transcode import prepare as transcode

    summaries: list[dict[str, Any]] = []
    paths = [clip.path for clip in originals.clips]
    for recipe in {recipe_name(recipe): recipe for recipe in recipes}.values():
        if note := originals_note(paths, recipe, recipe_name(recipe)):
            reporter.say(note)
        report = transcode(originals, out, recipe, workers=runner, progress=reporter.progress)
        summaries.append(_summary(report))
    _print_summaries(summaries, json)
    failed = sum(len(summary["failures"]) for summary in summaries)
    if failed:
        raise DataError(f"{failed} clips could not be re-encoded, the others are done; they are listed above")


def _summary(report: PrepareReport) -> dict[str, Any]:
    """Values of a report for ``--json``."""
    return {
        "out": str(report.out),
        "recipe": report.recipe,
        "made": report.made,
        "kept": report.kept,
        "frames": report.frames,
        "bytes": report.bytes,
        "failures": [
            {"name": name, "stage": "transcode", "reason": reason} for name, reason in report.failures
        ],
    }


def _originals(
    kind: str,
    root: Path,
    splits: Path | None,
    group_pattern: str | None,
    skip_missing: bool,
    reporter: Reporter,
) -> VideoDataset:
    """Read the data set to re-encode, and report what is unusual about it."""
    from ..datasets import load_folder, load_ucf101
    from ..datasets.ucf101 import check_tree, read_lists

    if kind == "folder":
        dataset = load_folder(root, group_pattern=group_pattern, skip_missing=skip_missing)
    elif kind != "ucf101":
        raise typer.BadParameter(f"kind must be folder, ucf101 or synthetic, got {kind!r}")
    elif splits is None:
        raise typer.BadParameter("name the folder of the official lists with --splits")
    else:
        numbers = (1, 2, 3)
        dataset = load_ucf101(root, splits, numbers, skip_missing=skip_missing, group_pattern=group_pattern)
        lists = read_lists(splits, numbers)
        for sentence in check_tree(root, lists, partial=skip_missing):
            reporter.warn(sentence)
    for note in dataset.notes:
        reporter.warn(note)
    reporter.say(f"{root}: {len(dataset.clips):,} clips of {len(dataset.labels)} classes")
    return dataset


def _print_summaries(summaries: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json(summaries[0] if len(summaries) == 1 else summaries)
        return
    for summary in summaries:
        words = ", ".join(f"{key} {value}" for key, value in summary.items() if key != "failures")
        err.print(words, markup=False)
        print_failures(summary["failures"])


def print_failures(failures: Sequence[Mapping[str, str]]) -> None:
    """Print the clips that were left out, with the reasons."""
    from ..results.report import failure_rows

    if failures:
        rows = failure_rows(failures)
        print_table(f"{len(rows)} clip(s) left out", ["clip", "stage", "reason"], rows)


@app.command("list")
def list_(source: Source, sets: Sets = None, skip_missing: SkipMissing = False, json: Json = False) -> None:
    """List classes, clips and groups of a data set; for a prepared one also frames, hours and splits, for an annotation
    table seconds and all rows with problems.

    Example: moclip dataset list data/weizmann --set data.group_pattern='^(.+?)_'
    """
    from ..datasets.manifest import MANIFEST, read_manifest, summarize

    experiment = experiment_of(source, sets, {"data.skip_missing": skip_missing})
    if experiment.data.kind == "table":
        list_table(experiment.data, json)
        return
    dataset = session_of(experiment, quiet=True).dataset
    groups: dict[str, set[str]] = {label: set() for label in dataset.labels}
    for clip in dataset.clips:
        if clip.group:
            groups[clip.label].add(clip.group)
    counts = dataset.counts()
    rows = read_manifest(dataset.root) if (dataset.root / MANIFEST).is_file() else []
    summary = summarize(rows) if rows else None
    if json:
        classes = [
            {"label": label, "clips": count, "groups": sorted(groups[label])}
            for label, count in counts.items()
        ]
        listing = {"root": str(dataset.root), "clips": len(dataset.clips), "classes": classes}
        print_json(listing | ({"manifest": summary} if summary else {}))
        return
    table = [[label, str(count), str(len(groups[label]))] for label, count in counts.items()]
    print_table(f"{dataset.root}: {len(dataset.clips)} clips", ["class", "clips", "groups"], table)
    if summary:
        err.print(_manifest_in_words(summary, rows), markup=False)


def _manifest_in_words(summary: dict[str, Any], rows: Sequence[ManifestRow]) -> str:
    sizes = summary["sizes"]
    shown = ", ".join(sizes)
    if len(sizes) > 3:
        frequent, clips = Counter(f"{row.width}x{row.height}" for row in rows).most_common(1)[0]
        shown = f"{len(sizes)} sizes from {sizes[0]} to {sizes[-1]}, most often {frequent} ({clips:,} clips)"
    splits = [f"{name}: {n['train']:,} train, {n['test']:,} test" for name, n in summary["splits"].items()]
    facts = (
        f"{summary['recipe']}: {summary['frames']:,} frames, {summary['hours']:.2f} h, "
        f"{size_in_words(1e6 * summary['megabytes'])}, {shown}"
    )
    return "; ".join([facts, *splits])


def _finish(report: ExtractReport, failures_file: Path | None, json: bool) -> None:
    """Print and write the result of an extraction.

    Raises:
        DataError: no clip could be read.
    """
    from ..datasets.extraction import write_failures

    if failures_file is not None:
        write_failures(failures_file, report.failures)
    failures = [vars(failure) for failure in report.failures]
    if json:
        summary = {key: getattr(report, key) for key in ("stage", "made", "reused", "seconds")}
        print_json(summary | {"failures": failures, "notes": [vars(note) for note in report.notes]})
    else:
        print_failures(failures)
        if report.notes:
            print_table("Notes", ["clip", "note"], [[note.name, note.note] for note in report.notes])
    if failures and not report.keys:
        raise DataError(f"none of {len(failures)} clips could be read; the first: {failures[0]['reason']}")


Failures = Annotated[Path | None, typer.Option(help="CSV file for the clips that failed.")]


@extract_app.command("motion")
def extract_motion(
    dataset: Source,
    sets: Sets = None,
    workers: Workers = None,
    engine: RunEngine = None,
    ray_address: RayAddress = None,
    cache: Cache = None,
    skip_missing: SkipMissing = False,
    failures: Failures = Path("failures.csv"),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read the motion of every clip into the cache.

    Example: moclip extract motion data/ucf101 --set motion.segments=25
    """
    named = {
        "run.workers": workers,
        "run.engine": engine,
        "run.ray_address": ray_address,
        "cache.dir": cache,
        "data.skip_missing": skip_missing,
    }
    session = session_of(experiment_of(dataset, sets, named), quiet)
    session.count_seconds()
    _finish(session.extractor.motion(session.dataset.clips), failures, json)


@extract_app.command("clip")
def extract_clip(
    dataset: Source,
    sets: Sets = None,
    pretrained: Pretrained = None,
    workers: Workers = None,
    engine: RunEngine = None,
    ray_address: RayAddress = None,
    cache: Cache = None,
    skip_missing: SkipMissing = False,
    failures: Failures = Path("failures.csv"),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compute CLIP features of every clip into the cache.

    Example: moclip extract clip data/ucf101 --set clip.frames=8
    """
    named = {
        "clip.pretrained": pretrained,
        "run.workers": workers,
        "run.engine": engine,
        "run.ray_address": ray_address,
        "cache.dir": cache,
        "data.skip_missing": skip_missing,
    }
    session = session_of(experiment_of(dataset, sets, named), quiet)
    session.count_seconds()
    _finish(session.extractor.appearance(session.dataset.clips), failures, json)


@extract_app.command("features")
def extract_features(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The safetensors file to write.")],
    fold: Annotated[str | None, typer.Option(help="Only this fold, if the run has several.")] = None,
    sets: Sets = None,
    root: Root = None,
    cache: Cache = None,
    quiet: Quiet = False,
) -> None:
    """Write a run's motion tokens and CLIP features to one file, for training heads without the videos.

    The file holds all folds with their divisions; for a run of one stream it holds that stream.

    Then: moclip run EXPERIMENT.yaml --set data.kind=features --set data.root=FILE

    Example: moclip extract features runs/fusion_ours --out features.safetensors
    """
    from ..experiment.feature_export import export_features
    from ..results.run_folder import RunFolder

    run = run_folder(run, quiet)
    RunFolder(run).require()
    session = session_of(experiment_of(run, sets, {"data.root": root, "cache.dir": cache}), quiet)
    count = export_features(session, run, out, fold)
    session.reporter.say(f"{out}: features of {count} clips, {size_in_words(out.stat().st_size)}")
