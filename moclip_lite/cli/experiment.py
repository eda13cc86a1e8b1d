"""``moclip run``, ``train``, ``evaluate`` and ``demo``."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mv_tools.urls import spelled

from .after_run import measure_run, write_engine
from .configuration import experiment_of, keys_of, named_settings, overrides_of, session_of
from .console import ConsoleReporter, err, print_failures, print_json, print_table
from .copied_run import refuse_copied
from .options import (
    Cache,
    Json,
    Pretrained,
    Quiet,
    RayAddress,
    Root,
    RunDir,
    RunEngine,
    Seed,
    SegmentThreshold,
    SegmentWindow,
    Sets,
    SkipMissing,
    Source,
    WeightsOf,
    Workers,
    run_folder,
)
from .timeline import evaluate_segments

if TYPE_CHECKING:
    from ..experiment.config import Experiment
    from ..experiment.session import Session
    from ..results.metrics import Metrics
    from ..results.run_folder import RunFolder

__all__ = ["demo", "evaluate", "run", "train_app"]

train_app = typer.Typer(help="Train one stage; missing features are extracted first.", no_args_is_help=True)


def _print_metrics(title: str, metrics: Metrics, json: bool) -> None:
    from ..results.report import SCORES, stream_table

    if json:
        print_json(metrics.to_json())
        return
    print_table(title, *stream_table(SCORES, metrics))
    print_failures(metrics.failures)


def _experiment(
    source: Path, sets: list[str] | None, named: dict[str, Any], forced: tuple[str, ...] = ()
) -> Experiment:
    """The configuration of a run, see :func:`experiment_of`; not that of a copied run folder."""
    experiment = experiment_of(source, sets, named, forced, again=True)
    refuse_copied(source, experiment.run.dir, sets, named)
    return experiment


def _run(experiment: Experiment, json: bool, quiet: bool) -> None:
    from ..parallel.ranks import share
    from ..results.run_folder import RunFolder

    session = session_of(experiment, quiet)
    folder = RunFolder(experiment.run.dir)
    with folder.at_url(session.reporter.say) if share().leads else nullcontext():
        _train_and_print(session, folder, json)


def _train_and_print(session: Session, folder: RunFolder, json: bool) -> None:
    from ..experiment.run import run_experiment

    metrics = run_experiment(session)
    title = f"{folder.shown} (appearance: {metrics.appearance_weights})"
    if not json:
        _print_metrics(title, metrics, json)
    for note in metrics.notes:
        session.reporter.warn(note)
    session.reporter.say(f"report: {spelled(folder.given / folder.report_page.name)}")
    write_engine(session)
    metrics = measure_run(session, metrics)
    if json:
        _print_metrics(title, metrics, json)
    elif metrics.prediction is not None:
        session.reporter.say(metrics.prediction.words)


def run(
    experiment: Source,
    sets: Sets = None,
    root: Root = None,
    run_dir: RunDir = None,
    pretrained: Pretrained = None,
    weights_of: WeightsOf = None,
    seed: Seed = None,
    workers: Workers = None,
    engine: RunEngine = None,
    ray_address: RayAddress = None,
    cache: Cache = None,
    skip_missing: SkipMissing = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run all stages of an experiment; finished stages are skipped.

    With --engine ray the clips are read on the nodes of a cluster;
    cache and clips lie on storage that all see.

    Example: moclip run experiments/folder.yaml --set data.root=DIR --set run.dir=runs/mine
    """
    named = named_settings(
        root=root,
        run_dir=run_dir,
        pretrained=pretrained,
        weights_of=weights_of,
        seed=seed,
        workers=workers,
        engine=engine,
        ray_address=ray_address,
        cache=cache,
        skip_missing=skip_missing,
    )
    _run(_experiment(experiment, sets, named), json, quiet)


@train_app.command("motion")
def train_motion(
    experiment: Source,
    sets: Sets = None,
    root: Root = None,
    run_dir: RunDir = None,
    seed: Seed = None,
    workers: Workers = None,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train and test the motion network alone.

    Example: moclip train motion experiments/folder.yaml --root DIR --run-dir runs/motion
    """
    named = named_settings(root=root, run_dir=run_dir, seed=seed, workers=workers, cache=cache)
    _run(_experiment(experiment, sets, named, ("run.streams=[motion]",)), json, quiet)


@train_app.command("fusion")
def train_fusion(
    experiment: Source,
    sets: Sets = None,
    root: Root = None,
    run_dir: RunDir = None,
    pretrained: Pretrained = None,
    weights_of: WeightsOf = None,
    seed: Seed = None,
    workers: Workers = None,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train and test the heads on cached features; a motion network in the run folder is reused.

    Example: moclip train fusion experiments/folder.yaml --root DIR --run-dir runs/motion
    """
    named = named_settings(
        root=root,
        run_dir=run_dir,
        pretrained=pretrained,
        weights_of=weights_of,
        seed=seed,
        workers=workers,
        cache=cache,
    )
    _run(_experiment(experiment, sets, named, ("run.streams=[motion,appearance,fusion]",)), json, quiet)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder, its URL, or hf://USER/NAME.")],
    part: Annotated[str, typer.Option(help="test or val.")] = "test",
    sets: Sets = None,
    root: Root = None,
    pretrained: Pretrained = None,
    cache: Cache = None,
    json: Json = False,
    quiet: Quiet = False,
    segments: Annotated[
        Path | None,
        typer.Option(help="Test timelines of long videos instead, on a table video,label,start,end."),
    ] = None,
    window: SegmentWindow = None,
    threshold: SegmentThreshold = None,
) -> None:
    """Test a trained run again, with other views or on other clips, or on annotated segments of long videos.

    Example: moclip evaluate runs/x --set test.crops=5 --json

    Example: moclip evaluate runs/x --segments annotations.csv
    """
    given, run = run, run_folder(run, quiet)
    if segments is not None:
        overrides = [*(sets or []), *overrides_of({"clip.pretrained": pretrained})]
        evaluate_segments(
            run,
            segments,
            root,
            overrides,
            {"window": window, "threshold": threshold},
            ConsoleReporter(quiet),
            json,
        )
        return
    from ..errors import ConfigError
    from ..experiment.evaluate import evaluate_run
    from ..results.run_folder import RunFolder

    RunFolder(run).require()
    if part not in ("test", "val"):
        raise ConfigError(f"--part must be test or val, got {part!r}")
    named = named_settings(root=root, pretrained=pretrained, cache=cache)
    session = session_of(experiment_of(run, sets, named), quiet)
    metrics = evaluate_run(session, run, part, keys_of(sets))  # type: ignore[arg-type]
    _print_metrics(f"{spelled(given)} on its {part} clips", metrics, json)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for clips, cache and results.")] = Path(
        "demo"
    ),
    sets: Sets = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate clips, then train and test all streams on them, offline.

    Example: moclip demo --out demo
    """
    from ..datasets.synthetic.clips import accuracy_ceilings
    from ..experiment.demo import FIRST_LINE, run_demo
    from ..results.report import SCORES, stream_table
    from ..storage.files import check_output_folder

    check_output_folder(out)
    err.print(FIRST_LINE, style="yellow")
    metrics, session = run_demo(out, ConsoleReporter(quiet), tuple(sets or []))
    if not json:
        table = stream_table(SCORES, metrics, accuracy_ceilings(metrics.labels))
        print_table(f"test clips, appearance: {metrics.appearance_weights}", *table)
    write_engine(session)
    metrics = measure_run(session, metrics)
    if json:
        print_json(metrics.to_json())
        return
    if metrics.prediction is not None:
        session.reporter.say(metrics.prediction.words)
    err.print(f"motion drawn: {out / 'motion.png'}   report: {out / 'run' / 'report.html'}", markup=False)
    err.print(f"next: moclip predict YOUR.mp4 --model {out / 'run'}", markup=False)
    err.print(
        "      moclip run experiments/folder.yaml --set data.root=DIR --set run.dir=runs/mine", markup=False
    )
