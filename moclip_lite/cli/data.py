"""``moclip dataset`` and ``moclip extract``: clips and their features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import DataError
from .console import (
    ConsoleReporter,
    err,
    print_json,
    print_table,
)
from .options import (
    Cache,
    Json,
    Pretrained,
    Quiet,
    Root,
    Sets,
    SkipMissing,
    Source,
    Workers,
    experiment_of,
    session_of,
)

if TYPE_CHECKING:
    from ..datasets import ManifestRow, VideoDataset
    from ..datasets.extraction import ExtractReport
    from ..progress import Reporter

__all__ = ["app", "extract_app"]

app = typer.Typer(help="Prepare and list data sets.", no_args_is_help=True)
extract_app = typer.Typer(help="Fill the feature cache.", no_args_is_help=True)


Recipes = Annotated[
    list[str] | None,
    typer.Option("--recipe", help="Such as gop12, gop250_b3_ref3_crf23 or mpeg4_gop12_q1. Repeatable."),
]


@app.command()
def prepare(
    kind: Annotated[str, typer.Argument(help="folder, ucf101 or synthetic.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the clips go: OUT/RECIPE/CLASS/CLIP.mp4.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the original clips.")] = None,
    splits: Annotated[Path | None, typer.Option(help="ucf101: folder of the official lists.")] = None,
    recipe: Recipes = None,
    gop: Annotated[int, typer.Option(min=1, help="Without --recipe: frames from one I picture to the next.")] = 12,
    bframes: Annotated[int, typer.Option(help="Without --recipe: consecutive B pictures.")] = 0,
    refs: Annotated[int, typer.Option(help="Without --recipe: reference pictures.")] = 1,
    crf: Annotated[int, typer.Option(help="Without --recipe: quality, 0 (lossless) to 51.")] = 20,
    side: Annotated[int | None, typer.Option(help="Without --recipe: scale the short side to so many pixels.")] = None,
    clips_per_class: Annotated[int, typer.Option(help="synthetic: clips per class.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="synthetic: seed.")] = 0,
    group_pattern: Annotated[str | None, typer.Option(help="Regular expression with one group, noted in the manifest; ucf101 has groups of its own.")] = None,
    skip_missing: SkipMissing = False, workers: Workers = None, json: Json = False,
) -> None:  # fmt: skip
    """Re-encode a data set with one recipe or several (or generate one); clips that are there already stay.

    Example: moclip dataset prepare ucf101 --root UCF-101 --splits ucfTrainTestlist --out data/ucf101
    """
    from mv_tools import Recipe

    from .. import datasets
    from ..parallel.pool import default_workers

    reporter, count = ConsoleReporter(), default_workers(workers if workers is not None else 0)
    if kind == "synthetic":
        spec = datasets.SyntheticSpec(clips_per_class=clips_per_class, seed=seed)
        made = datasets.generate(
            out, spec, workers=count, progress=lambda done, total: reporter.progress("generate", done, total)
        )
        _report(
            [{"out": str(out), "clips": len(made.clips), "classes": len(made.labels), "failures": []}], json
        )
        return
    if root is None:
        raise typer.BadParameter("name the folder of the original clips with --root")
    plain = Recipe(gop=gop, bframes=bframes, refs=refs, crf=crf, side=side, threads=1)
    recipes = {
        datasets.recipe_name(r): r for r in [datasets.parse_recipe(n) for n in recipe or []] or [plain]
    }
    found = _originals(kind, root, splits, group_pattern, skip_missing, reporter)
    values: list[dict[str, Any]] = []
    for chosen in recipes.values():
        report = datasets.prepare(found, out, chosen, workers=count, progress=reporter.progress)
        failures = [{"name": n, "stage": "transcode", "reason": reason} for n, reason in report.failures]
        done = {"out": str(report.out), "recipe": report.recipe, "made": report.made, "kept": report.kept}
        values.append({**done, "frames": report.frames, "bytes": report.bytes, "failures": failures})
    _report(values, json)
    failed = sum(len(value["failures"]) for value in values)
    if failed:
        raise DataError(f"{failed} clips could not be re-encoded, the others are done; they are listed above")


def _originals(
    kind: str, root: Path, splits: Path | None, group_pattern: str | None, skip_missing: bool, reporter: Reporter
) -> VideoDataset:  # fmt: skip
    from .. import datasets

    if kind == "folder":
        found = datasets.load_folder(root, group_pattern=group_pattern, skip_missing=skip_missing)
    elif kind != "ucf101":
        raise typer.BadParameter(f"kind must be folder, ucf101 or synthetic, got {kind!r}")
    elif splits is None:
        raise typer.BadParameter("name the folder of the official lists with --splits")
    else:
        found = datasets.load_ucf101(
            root, splits, (1, 2, 3), skip_missing=skip_missing, group_pattern=group_pattern
        )
        for sentence in datasets.check_tree(
            root, datasets.read_lists(splits, (1, 2, 3)), partial=skip_missing
        ):
            reporter.warn(sentence)
    for note in found.notes:
        reporter.warn(note)
    reporter.say(f"{root}: {len(found.clips):,} clips of {len(found.labels)} classes")
    return found


def _report(values: list[dict[str, Any]], json: bool) -> None:
    if json:
        print_json(values[0] if len(values) == 1 else values)
        return
    for value in values:
        words = ", ".join(f"{key} {item}" for key, item in value.items() if key != "failures")
        err.print(words, markup=False)
        print_failures(value["failures"])


def print_failures(failures: Sequence[Mapping[str, str]]) -> None:
    """The clips that were left out, with their reasons."""
    if failures:
        rows = [[f["name"], f["stage"], f["reason"]] for f in failures]
        clips = len({failure["name"] for failure in failures})  # a clip may fail in both stages
        print_table(f"{clips} left out", ["clip", "stage", "reason"], rows)


@app.command("list")
def list_(source: Source, sets: Sets = None, skip_missing: SkipMissing = False, json: Json = False) -> None:
    """Classes, clips and groups of a data set; of a prepared one its frames, hours and splits as well.

    Example: moclip dataset list data/weizmann --set data.group_pattern='^([a-z]+)_'
    """
    from ..datasets import MANIFEST, read_manifest

    experiment = experiment_of(source, sets, {"data.skip_missing": skip_missing})
    dataset = session_of(experiment, quiet=True).dataset
    groups = {
        label: {c.group for c in dataset.clips if c.label == label and c.group} for label in dataset.labels
    }
    counts = dataset.counts()
    rows = read_manifest(dataset.root) if (dataset.root / MANIFEST).is_file() else []
    if json:
        classes = [
            {"label": label, "clips": count, "groups": sorted(str(g) for g in groups[label])}
            for label, count in counts.items()
        ]
        value = {"root": str(dataset.root), "clips": len(dataset.clips), "classes": classes}
        print_json(value | ({"manifest": _summary(rows)} if rows else {}))
        return
    table = [[label, str(count), str(len(groups[label]))] for label, count in counts.items()]
    print_table(f"{dataset.root}: {len(dataset.clips)} clips", ["class", "clips", "groups"], table)
    if rows:
        facts = _summary(rows)
        splits = [f"{k}: {v['train']:,} train, {v['test']:,} test" for k, v in facts["splits"].items()]
        err.print(
            f"{facts['recipe']}: {facts['frames']:,} frames, {facts['hours']:.2f} h, {facts['megabytes']:.1f} MB, "
            f"{_sizes(rows)}" + "".join(f"; {text}" for text in splits),
            markup=False,
        )


def _sizes(rows: Sequence[ManifestRow]) -> str:
    """Widths and heights in a few words, however many there are."""
    counts = Counter((row.width, row.height) for row in rows)
    if len(counts) <= 3:
        return ", ".join(f"{width}x{height}" for width, height in sorted(counts))
    by_area = sorted(counts, key=lambda size: (size[0] * size[1], size))
    (width, height), count = counts.most_common(1)[0]
    (w0, h0), (w1, h1) = by_area[0], by_area[-1]
    return f"{len(counts)} sizes from {w0}x{h0} to {w1}x{h1}, most often {width}x{height} ({count:,} clips)"


def _summary(rows: Sequence[ManifestRow]) -> dict[str, Any]:
    """What a manifest tells of its folder as a whole."""
    splits = {}
    for number in (1, 2, 3):
        parts = [getattr(row, f"split{number}") for row in rows]
        if any(parts):
            splits[f"split{number}"] = {part: parts.count(part) for part in ("train", "test")}
    return {
        "recipe": rows[0].recipe,
        "frames": sum(row.frames for row in rows),
        "hours": round(sum(row.frames / row.fps for row in rows if row.fps) / 3600, 4),
        "megabytes": round(sum(row.bytes for row in rows) / 1e6, 1),
        "sizes": sorted({f"{row.width}x{row.height}" for row in rows}),
        "splits": splits,
    }


def _finish(report: ExtractReport, out: Path | None, json: bool) -> None:
    from ..datasets.extraction import write_failures

    if out is not None:
        write_failures(out, report.failures)
    failures = [vars(failure) for failure in report.failures]
    if json:
        print_json(
            {"stage": report.stage, "made": report.made, "reused": report.reused,
             "seconds": report.seconds, "failures": failures, "notes": [vars(note) for note in report.notes]}
        )  # fmt: skip
    else:
        print_failures(failures)
        if report.notes:
            print_table("Notes", ["clip", "note"], [[note.name, note.note] for note in report.notes])
    if failures and not report.keys:
        raise DataError(f"none of {len(failures)} clips could be read; the first: {failures[0]['reason']}")


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
    session = session_of(experiment_of(dataset, sets, named), quiet)
    session.count_seconds()
    _finish(session.extractor.motion(session.dataset.clips), failures, json)


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
    session = session_of(experiment_of(dataset, sets, named), quiet)
    session.count_seconds()
    _finish(session.extractor.appearance(session.dataset.clips), failures, json)


@extract_app.command("features")
def extract_features(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The safetensors file to write.")],
    fold: Annotated[str | None, typer.Option(help="One fold alone, where the run has several.")] = None,
    sets: Sets = None, root: Root = None, cache: Cache = None, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Write a run's motion tokens and CLIP features to one file, to train heads without the videos.

    All folds go into the file, with their divisions; of a run of one stream it holds that stream.

    Then: moclip run EXPERIMENT.yaml --set data.kind=features --set data.root=FILE

    Example: moclip extract features runs/fusion_ours --out features.safetensors
    """
    from ..experiment.feature_export import export_features
    from ..results.run_folder import RunFolder

    RunFolder(run).require()
    session = session_of(experiment_of(run, sets, {"data.root": root, "cache.dir": cache}), quiet)
    count = export_features(session, run, out, fold)
    session.reporter.say(f"{out}: features of {count} clips, {out.stat().st_size / 1e6:.1f} MB")
