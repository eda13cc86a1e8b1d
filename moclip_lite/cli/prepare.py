"""``moclip dataset prepare``: re-encode or generate a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from ..errors import DataError
from .configuration import runner_of_options
from .console import ConsoleReporter, err, print_failures, print_json
from .options import MAX_SEED, Json, RayAddress, RunEngine, SkipMissing, Workers

if TYPE_CHECKING:
    from mv_tools import Recipe

    from ..datasets import SyntheticSpec, VideoDataset
    from ..datasets.prepare.transcode import PrepareReport
    from ..parallel.runner import JobRunner
    from ..progress import Reporter

__all__ = ["prepare"]

Recipes = Annotated[
    list[str] | None,
    typer.Option("--recipe", help="Such as gop12, gop250_b3_ref3_crf23 or mpeg4_gop12_q1. Repeatable."),
]


_LISTS: Final = ("failures", "strays")  # of a summary, printed apart

Kind: TypeAlias = Annotated[str, typer.Argument(help="folder, ucf101 or synthetic.")]
Out: TypeAlias = Annotated[
    Path, typer.Option("--out", "-o", help="Folder to write: OUT/RECIPE/CLASS/CLIP.mp4.")
]
Root: TypeAlias = Annotated[Path | None, typer.Option(help="Folder of the original clips.")]
Splits: TypeAlias = Annotated[Path | None, typer.Option(help="ucf101: folder of the official lists.")]
Gop: TypeAlias = Annotated[
    int, typer.Option(min=1, help="Without --recipe: frames from one I picture to the next.")
]
Bframes: TypeAlias = Annotated[int, typer.Option(help="Without --recipe: consecutive B pictures.")]
Refs: TypeAlias = Annotated[int, typer.Option(help="Without --recipe: reference pictures.")]
Crf: TypeAlias = Annotated[int, typer.Option(help="Without --recipe: quality, 0 (lossless) to 51.")]
Side: TypeAlias = Annotated[
    int | None, typer.Option(help="Without --recipe: scale the short side to this many pixels.")
]
ClipsPerClass: TypeAlias = Annotated[int, typer.Option(max=100_000, help="synthetic: clips per class.")]
Seed: TypeAlias = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="synthetic: seed.")]
GroupPattern: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Regular expression with one group, stored in the manifest; ucf101 has its own groups."
    ),
]


def prepare(
    kind: Kind,
    out: Out,
    root: Root = None,
    splits: Splits = None,
    recipe: Recipes = None,
    gop: Gop = 12,
    bframes: Bframes = 0,
    refs: Refs = 1,
    crf: Crf = 20,
    side: Side = None,
    clips_per_class: ClipsPerClass = 20,
    seed: Seed = 0,
    group_pattern: GroupPattern = None,
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
    from ..storage.files import check_output_folder

    check_output_folder(out)
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
    from ..datasets.prepare.originals import strays_note
    from ..datasets.prepare.recipes import recipe_name
    from ..datasets.prepare.transcode import prepare as transcode

    summaries: list[dict[str, Any]] = []
    paths = [clip.path for clip in originals.clips]
    for recipe in {recipe_name(recipe): recipe for recipe in recipes}.values():
        if note := originals_note(paths, recipe, recipe_name(recipe)):
            reporter.say(note)
        report = transcode(originals, out, recipe, workers=runner, progress=reporter.progress)
        if note := strays_note(report.out, report.strays):
            reporter.warn(note)
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
        "strays": report.strays,
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
    from ..datasets.spellings import spelling_notes
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
    for note in (*dataset.notes, *spelling_notes(dataset)):
        reporter.warn(note)
    reporter.say(f"{root}: {len(dataset.clips):,} clips of {len(dataset.labels)} classes")
    return dataset


def _print_summaries(summaries: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json(summaries[0] if len(summaries) == 1 else summaries)
        return
    for summary in summaries:
        words = ", ".join(f"{key} {value}" for key, value in summary.items() if key not in _LISTS)
        err.print(words, markup=False)
        print_failures(summary["failures"])
