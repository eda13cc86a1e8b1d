"""``moclip extract``: features of clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from ..errors import DataError
from ..progress import size_in_words
from .configuration import experiment_of, keys_of, named_settings, session_of
from .console import print_failures, print_json, print_table
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
    run_folder,
)
from .outputs import refuse_overwriting_settings

if TYPE_CHECKING:
    from ..datasets.extraction import ExtractReport

__all__ = ["app"]

app = typer.Typer(help="Fill the feature cache.", no_args_is_help=True)


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


@app.command("motion")
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
    named = named_settings(
        workers=workers, engine=engine, ray_address=ray_address, cache=cache, skip_missing=skip_missing
    )
    _check_failures(failures)
    session = session_of(experiment_of(dataset, sets, named), quiet)
    session.count_seconds()
    _finish(session.extractor.motion(session.dataset.clips), failures, json)


@app.command("clip")
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
    named = named_settings(
        pretrained=pretrained,
        workers=workers,
        engine=engine,
        ray_address=ray_address,
        cache=cache,
        skip_missing=skip_missing,
    )
    _check_failures(failures)
    session = session_of(experiment_of(dataset, sets, named), quiet)
    session.count_seconds()
    _finish(session.extractor.appearance(session.dataset.clips), failures, json)


def _check_failures(path: Path | None) -> None:
    """Refuse a table of failures that can't be written, before hours of reading."""
    from ..storage.files import check_output

    if path is not None:
        check_output(path)


Run: TypeAlias = Annotated[Path, typer.Argument(help="A run folder.")]
Out: TypeAlias = Annotated[Path, typer.Option("--out", "-o", help="The safetensors file to write.")]
Fold: TypeAlias = Annotated[str | None, typer.Option(help="Only this fold, if the run has several.")]


@app.command("features")
def extract_features(
    run: Run,
    out: Out,
    fold: Fold = None,
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
    from ..experiment.output_place import refuse_among_classes
    from ..results.run_folder import RunFolder
    from ..storage.files import check_output

    check_output(out)
    if out.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"--out must end in .safetensors, got {out}")
    run = run_folder(run, quiet)
    RunFolder(run).require()
    session = session_of(experiment_of(run, sets, named_settings(root=root, cache=cache)), quiet)
    refuse_overwriting_settings(out, session.experiment)
    if not out.parent.exists():  # a file in a folder that is there makes no class
        refuse_among_classes(session.experiment.data, out.parent, "--out")
    count = export_features(session, run, out, fold, keys_of(sets))
    session.reporter.say(f"{out}: features of {count} clips, {size_in_words(out.stat().st_size)}")
