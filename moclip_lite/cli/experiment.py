"""``moclip run``, ``train``, ``evaluate``, ``zero-shot`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import ConsoleReporter, err, explain, print_json, print_table
from .data import print_failures
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
    Sets,
    SkipMissing,
    Source,
    WeightsOf,
    Workers,
    experiment_of,
    overrides_of,
    run_folder,
    session_of,
)
from .predict import end_batch, files_of, ranking_as_list, refusal
from .timeline import SegmentOutputs, evaluate_segments, label_segments

if TYPE_CHECKING:
    from ..experiment.config import Experiment
    from ..experiment.session import Session
    from ..results.metrics import Metrics

__all__ = ["demo", "evaluate", "run", "train_app", "zero_shot"]

train_app = typer.Typer(help="Train one stage; missing features are extracted first.", no_args_is_help=True)


def _print_metrics(title: str, metrics: Metrics, json: bool) -> None:
    from ..results.report import SCORES, stream_table

    if json:
        print_json(metrics.to_json())
        return
    print_table(title, *stream_table(SCORES, metrics))
    print_failures(metrics.failures)


def write_engine(session: Session) -> None:
    """Write the ONNX files of a run that was trained here, or whose export was killed; what hinders it is a warning.

    Of several folds none is written, because `moclip predict` is given one of them: see `moclip export --engine`.
    """
    from ..engine.files import drafts_of
    from ..errors import MoclipError
    from ..parallel.ranks import share

    run = session.experiment.run
    if not (run.onnx and share().leads and (session.trained or drafts_of(session.run_folder))):
        return
    if session.feature_file is not None or len(session.folds) != 1 or set(run.streams) == {"zero_shot"}:
        return
    from ..export.engine import export_engine

    session.reporter.say("writing ONNX files of the networks, for a quick start of `moclip predict`")
    try:
        export_engine(run.dir, session.reporter)
    except (MoclipError, OSError) as error:
        session.reporter.warn(f"no ONNX files: {explain(error)}; `moclip predict` answers with PyTorch")


def _run(experiment: Experiment, json: bool, quiet: bool) -> None:
    from ..experiment.run import run_experiment
    from ..results.run_folder import RunFolder

    session = session_of(experiment, quiet)
    metrics = run_experiment(session)
    folder = RunFolder(experiment.run.dir)
    _print_metrics(f"{folder.path} (appearance: {metrics.appearance_weights})", metrics, json)
    for note in metrics.notes:
        session.reporter.warn(note)
    session.reporter.say(f"report: {folder.report_page}")
    write_engine(session)


def _named(**values: Any) -> dict[str, Any]:
    """Configuration keys of the options that commands share -> their values."""
    keys = {"run_dir": "run.dir", "cache": "cache.dir"}
    keys |= {name: f"data.{name}" for name in ("root", "skip_missing")}
    keys |= {name: f"run.{name}" for name in ("seed", "workers", "engine", "ray_address")}
    keys |= {name: f"clip.{name}" for name in ("pretrained", "weights_of")}
    return {keys[name]: value for name, value in values.items()}


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

    With --engine ray the clips are read on the nodes of a cluster; cache and clips lie on storage that all see.

    Example: moclip run experiments/folder.yaml --set data.root=DIR --set run.dir=runs/mine
    """
    named = _named(
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
    _run(experiment_of(experiment, sets, named), json, quiet)


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
    named = _named(root=root, run_dir=run_dir, seed=seed, workers=workers, cache=cache)
    _run(experiment_of(experiment, sets, named, ("run.streams=[motion]",)), json, quiet)


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
    named = _named(
        root=root,
        run_dir=run_dir,
        pretrained=pretrained,
        weights_of=weights_of,
        seed=seed,
        workers=workers,
        cache=cache,
    )
    _run(experiment_of(experiment, sets, named, ("run.streams=[motion,appearance,fusion]",)), json, quiet)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
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
    window: Annotated[
        float | None, typer.Option(help="--segments: seconds of a window; else the training clips' length.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="--segments: probability of a sure class, 0 to 1; else the run's own."),
    ] = None,
) -> None:
    """Test a trained run again, with other views or on other clips, or on annotated segments of long videos.

    Example: moclip evaluate runs/x --set test.crops=5 --json

    Example: moclip evaluate runs/x --segments annotations.csv
    """
    run = run_folder(run, quiet)
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
    for name, value in (("window", window), ("threshold", threshold)):
        if value is not None:
            raise typer.BadParameter(f"--{name} is for long videos; add --segments TABLE")
    from ..errors import ConfigError
    from ..experiment.evaluate import evaluate_run
    from ..results.run_folder import RunFolder

    RunFolder(run).require()
    if part not in ("test", "val"):
        raise ConfigError(f"--part must be test or val, got {part!r}")
    named = _named(root=root, pretrained=pretrained, cache=cache)
    session = session_of(experiment_of(run, sets, named), quiet)
    metrics = evaluate_run(session, run, part)  # type: ignore[arg-type]
    _print_metrics(f"{run} on its {part} clips", metrics, json)


def zero_shot(
    sources: Annotated[
        list[Path], typer.Argument(help="A data set (see run), or video files with --labels.")
    ],
    labels: Annotated[
        str | None, typer.Option(help="Free-text labels for files, separated by commas.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="One label, which may contain commas. Repeatable.")
    ] = None,
    labels_file: Annotated[
        Path | None, typer.Option("--labels-file", help="Text file with one label per line.")
    ] = None,
    sets: Sets = None,
    prompts: Annotated[
        Path | None, typer.Option(help="clip.prompts: YAML of templates and paraphrases.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="clip.model: an open_clip model, mobileviclip-tiny or -small (timm and torchvision have no text).",
        ),
    ] = None,
    pretrained: Pretrained = None,
    weights_of: WeightsOf = None,
    cache: Cache = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1)] = 5,
    json: Json = False,
    quiet: Quiet = False,
    segments: Annotated[
        bool, typer.Option("--segments", help="Label the parts of long videos: start, end, label, score.")
    ] = False,
    window: Annotated[float | None, typer.Option(help="--segments: seconds of a window; else 10.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="--segments: probability of a sure label, 0 to 1; else 0.4.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="--segments: write a table video,start,end,label,score.")
    ] = None,
    strip: Annotated[
        Path | None, typer.Option(help="--segments: draw labels and pictures (.png or .html).")
    ] = None,
) -> None:
    """Classify by class names alone: compare frames with sentences, without training.

    Example: moclip zero-shot clip.mp4 --labels "a person diving, a person cooking"

    Example: moclip zero-shot long.mp4 --labels "diving, cooking" --model mobileviclip-small --segments
    """
    times = {"window": window, "threshold": threshold}
    for name, value in {**times, "csv": csv, "strip": strip}.items():
        if value is not None and not segments:
            raise typer.BadParameter(f"--{name} is for long videos; add --segments")
    named = {"clip.prompts": prompts, "clip.model": model}
    named |= _named(pretrained=pretrained, weights_of=weights_of, cache=cache)
    names = _labels(labels, label, labels_file)
    if names:
        session = session_of(experiment_of(None, sets, named), quiet)
        if segments:
            outputs = SegmentOutputs(csv=csv, strip=strip)
            _zero_shot_segments(session, sources, names, times, outputs, json)
            return
        _zero_shot_files(session, sources, names, top_k, json)
        return
    if segments:
        raise typer.BadParameter("--segments needs --labels, such as --labels 'diving, cooking'")
    if len(sources) != 1:
        raise typer.BadParameter("several files need --labels; without it one data set is expected")
    features: dict[str, Any] = {}
    if sources[0].is_file() and sources[0].suffix == ".safetensors":
        features = {"data.kind": "features", "data.root": sources[0]}
    elif sources[0].is_file() and sources[0].suffix not in (".yaml", ".yml"):
        raise typer.BadParameter("a video file needs --labels, such as --labels 'diving, cooking'")
    source = None if features else sources[0]
    forced = ("run.streams=[zero_shot]",)
    session = session_of(experiment_of(source, sets, {**features, **named}, forced), quiet)
    _zero_shot_dataset(session, json)


def _zero_shot_segments(
    session: Session,
    files: list[Path],
    names: list[str],
    times: dict[str, float | None],
    outputs: SegmentOutputs,
    json: bool,
) -> None:
    from ..timeline.zero_shot import ZeroShotModel

    paths, refused = files_of(files)
    outputs.check(paths)
    model = ZeroShotModel(session, names)
    end_batch([*refused, *label_segments(model, paths, times, outputs, session.reporter, json)])


def _zero_shot_dataset(session: Session, json: bool) -> None:
    from ..experiment.zero_shot import zero_shot_dataset
    from ..results.metrics import plain
    from ..streams import Stream

    metrics = zero_shot_dataset(session)
    scores = metrics.streams[Stream.ZERO_SHOT]
    if json:
        print_json(plain(scores) | {"failures": list(metrics.failures)})
        return
    low, high = scores.ci95
    columns = {
        "top-1 %": f"{scores.top1:.1f}",
        "95 % interval": f"{low:.1f} to {high:.1f}",
        "macro %": f"{scores.macro:.1f}",
    }
    if len(session.labels) > 5:  # else every answer is among the five
        columns["top-5 %"] = f"{scores.top5:.1f}"
    columns["clips"] = str(scores.n)
    clip = session.experiment.clip
    title = f"zero-shot, {clip.model} ({clip.pretrained})"
    if session.feature_file is not None:
        title = f"zero-shot, features of {session.experiment.data.root}"
    print_table(title, list(columns), [list(columns.values())])
    print_failures(metrics.failures)


def _labels(joined: str | None, single: list[str] | None, file: Path | None) -> list[str]:
    """Labels of the three options together; [] if none was given."""
    if joined is None and single is None and file is None:
        return []
    names = [name.strip() for name in [*(joined or "").split(","), *(single or [])] if name.strip()]
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise typer.BadParameter(f"{file} is not a text file") from error
        names += [line.strip() for line in lines if line.strip()]
    plain = [" ".join(name.casefold().split()) for name in names]
    repeated = [name for name, key in zip(names, plain, strict=True) if plain.count(key) > 1]
    if repeated:
        raise typer.BadParameter(f"the label {repeated[0]!r} is given twice")
    if len(names) < 2:
        raise typer.BadParameter(
            "at least two labels are needed: --labels 'diving, cooking', --label or --labels-file"
        )
    return names


def _zero_shot_files(session: Session, files: list[Path], names: list[str], top_k: int, json: bool) -> None:
    from ..experiment.zero_shot import zero_shot_file

    paths, refused = files_of(files)
    session.encoder.require_text()
    _ = session.encoder.lazy.encoder  # an unavailable model is refused before the first file
    answers = []
    for path in paths:
        try:
            answers.append((path, zero_shot_file(session, path, names)[:top_k]))
        except Exception as error:
            refused.append(refusal(path, error))
    _print_ranked(answers, json)
    end_batch(refused)


def _print_ranked(answers: list[tuple[Path, list[tuple[str, float]]]], json: bool) -> None:
    if json:
        print_json(
            [{"path": str(path), "predictions": ranking_as_list(ranking)} for path, ranking in answers]
        )
        return
    for path, ranking in answers:
        print_table(str(path), ["label", "%"], [[name, f"{100 * score:.1f}"] for name, score in ranking])


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

    err.print(FIRST_LINE, style="yellow")
    metrics, session = run_demo(out, ConsoleReporter(quiet), tuple(sets or []))
    if json:
        print_json(metrics.to_json())
        return
    table = stream_table(SCORES, metrics, accuracy_ceilings(metrics.labels))
    print_table(f"test clips, appearance: {metrics.appearance_weights}", *table)
    write_engine(session)
    err.print(f"motion drawn: {out / 'motion.png'}   report: {out / 'run' / 'report.html'}", markup=False)
    err.print(f"next: moclip predict YOUR.mp4 --model {out / 'run'}", markup=False)
    err.print(
        "      moclip run experiments/folder.yaml --set data.root=DIR --set run.dir=runs/mine", markup=False
    )
