"""``moclip predict``: label local files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, cast

import typer

from ..storage.names import printable
from ..storage.objects import is_url, spelled
from ..storage.tables import check_table, write_table
from ..streams import Stream
from .console import ConsoleReporter, err, explain, print_json, print_table
from .options import Engine, Json, Model, Pretrained, Sets, overrides_of, run_folder

if TYPE_CHECKING:
    from ..engine.base import EngineName
    from ..predict.classifier import Classifier, Prediction
    from ..predict.remote import RemoteModel

__all__ = ["end_batch", "files_of", "predict", "ranking_as_list", "refusal"]

_COLUMNS: Final = (Stream.FUSION, Stream.MOTION, Stream.APPEARANCE)

Refusal: TypeAlias = tuple[Path, str]
"""A file or folder that got no answer, and why."""


def files_of(paths: Sequence[Path]) -> tuple[list[Path], list[Refusal]]:
    """The files that are named and the videos below the folders that are named, and what could not be listed.

    Raises:
        FileNotFoundError: a folder without videos.
    """
    from ..datasets.walk import find_videos

    files: list[Path] = []
    refused: list[Refusal] = []
    for path in paths:
        if not _is_folder(path):
            files.append(path)
            continue
        listing = find_videos(path)
        if not listing.videos and not listing.unread:
            raise FileNotFoundError(
                2, "; ".join(("this folder holds no video files", *listing.notes())), str(path)
            )
        files += listing.videos
        refused += [(folder, f"{folder}: {reason}") for folder, reason in listing.unread]
    return files, refused


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that no file can have: refused when it is read
        return False


def refusal(path: Path, error: Exception) -> Refusal:
    """A file that got no answer, and why; call it in ``except Exception`` around the work on one file.

    Raises:
        MoclipError, ArgumentError: `error` itself, where it is no matter of one file.
    """
    from ..datasets.clip_errors import CLIP_ERRORS, problem_of

    reason = problem_of(printable(str(path)), error)
    if isinstance(error, CLIP_ERRORS):
        reason = explain(error)
    return _named(path, reason)


def end_batch(refused: Sequence[Refusal]) -> None:
    """Say which files got no answer, and why.

    Raises:
        typer.Exit: there are any; exit code 2.
    """
    for _, reason in refused:
        err.print(f"moclip: {printable(reason)}", markup=False, style="red")
    if refused:
        raise typer.Exit(2)


def predict(
    files: Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")],
    model: Model,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Labels per file.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    engine: Engine = "auto",
    pretrained: Pretrained = None,
    sets: Sets = None,
    json: Json = False,
    segments: Annotated[
        bool, typer.Option("--segments", help="Label the parts of long videos: start, end, label, score.")
    ] = False,
    window: Annotated[
        float | None, typer.Option(help="--segments: seconds of a window; else the training clips' length.")
    ] = None,
    stride: Annotated[
        float | None, typer.Option(help="--segments: seconds between windows; else a quarter of one.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="--segments: probability of a sure class, 0 to 1; else the run's own."),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            help="--segments: keyframes (the default) where frames between them are slow to decode, or clip for those "
            "that a clip of the window's length would give."
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="--segments: write a table video,start,end,label,score.")
    ] = None,
    vtt: Annotated[Path | None, typer.Option(help="--segments: write WebVTT.")] = None,
    chapters: Annotated[
        Path | None, typer.Option(help="--segments: write chapters in ffmpeg's metadata format.")
    ] = None,
    strip: Annotated[
        Path | None, typer.Option(help="--segments: draw labels, motion and pictures (.png or .html).")
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address", help="HOST:PORT of a cluster's head, or auto: its nodes label the files."
        ),
    ] = None,
    cascade: Annotated[
        bool,
        typer.Option(
            "--cascade/--no-cascade",
            help="Read pictures only where motion is not sure: less CPU, thresholds from the run's validation clips.",
        ),
    ] = False,
    table: Annotated[
        Path | None, typer.Option(help="Write a table path,rank,label,score (.csv or .parquet).")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="A table for each file: the labels of each stream.")
    ] = False,
) -> None:
    """Label video files with a trained model: a line a file, as they come.

    A file that can't be read is reported and the others are labelled; the exit code is then 2.

    Example: moclip predict clip.mp4 holiday/ --model runs/x

    Example: moclip predict long.mp4 --model runs/x --segments --vtt long.vtt --strip long.html
    """
    from ..predict.classifier import Classifier
    from ..predict.remote import RemoteModel
    from .timeline import SegmentOutputs, check_windows, label_segments

    options = {"window": window, "stride": stride, "threshold": threshold, "frames": frames}
    outputs = SegmentOutputs(csv, vtt, chapters, strip)
    if not segments:
        for name, value in {**options, **vars(outputs)}.items():
            if value is not None:
                raise typer.BadParameter(f"--{name} is for long videos; add --segments")
    elif table is not None:
        raise typer.BadParameter("--table is for whole files; with --segments write --csv")
    elif cascade:
        raise typer.BadParameter("--cascade is for whole files; leave it out with --segments")

    if table is not None:
        check_table(table)
    reporter = ConsoleReporter()
    paths, refused = files_of(files)
    if segments:
        outputs.check(paths)
        check_windows(options)
    overrides = [*(sets or []), *overrides_of({"clip.pretrained": pretrained})]
    given, model = model, run_folder(model)
    classifier = Classifier.load(model, device=device, overrides=overrides, engine=cast("EngineName", engine))
    if classifier.engine_note:
        reporter.say(classifier.engine_note)
    for warning in classifier.warnings:
        reporter.warn(warning)
    if segments:
        refused += label_segments(classifier, paths, options, outputs, reporter, json)
        end_batch(refused)
        return
    if cascade:
        reporter.say(classifier.require_cascade().words)
    predictions = []
    if ray_address is None:
        answers = _answers(classifier, paths, top_k, cascade)
    else:
        remote = RemoteModel(
            given if is_url(given) else model, device, cast("EngineName", engine), tuple(overrides)
        )
        answers = _remote_answers(classifier, paths, remote, (top_k, cascade), ray_address, reporter)
    for done, answer in enumerate(answers, start=1):
        if isinstance(answer, tuple):
            refused.append(answer)
        else:
            predictions.append(answer)
            if not json:
                reporter.close()  # the bars, which would be drawn over it
                (_print_table if verbose else _print_line)(answer)
        reporter.progress("predict", done, len(paths))
    reporter.close()
    places = {str(path): place for place, path in enumerate(paths)}
    predictions.sort(key=lambda prediction: places[prediction.path])  # nodes answer in any order
    if table is not None:
        rows = [
            (printable(spelled(prediction.path)), rank, label, score)
            for prediction in predictions
            for rank, (label, score) in enumerate(prediction.ranking, start=1)
        ]
        write_table(table, ("path", "rank", "label", "score"), rows)
    if json:
        print_json([_as_dict(prediction) for prediction in predictions])
    elif predictions:
        reporter.say(_cost_line(predictions, classifier.engine.name))
    end_batch(refused)


def _answers(
    classifier: Classifier, paths: Sequence[Path], top_k: int, cascade: bool
) -> Iterator[Prediction | Refusal]:
    for path in paths:
        try:
            yield classifier.explain(path, top_k, cascade=cascade)
        except Exception as error:
            yield refusal(path, error)


def _remote_answers(
    classifier: Classifier,
    paths: Sequence[Path],
    model: RemoteModel,
    asked: tuple[int, bool],
    address: str,
    reporter: ConsoleReporter,
) -> Iterator[Prediction | Refusal]:
    """The answers of a cluster's nodes, as they come."""
    from ..parallel.runner import make_runner
    from ..predict.remote import explain_file, file_jobs

    runner = make_runner("ray", 0, None if address == "auto" else address, reporter.say)
    jobs, cores = file_jobs(classifier, paths, model, *asked)
    for job, answer in runner.run(explain_file, jobs, cores=cores, gpu=model.device != "cpu"):
        yield _named(Path(job.name), answer) if isinstance(answer, str) else answer


def _named(path: Path, reason: str) -> Refusal:
    named = printable(str(path)) in printable(reason)
    return path, reason if named else f"{path}: {reason}"


def ranking_as_list(ranking: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """A ranking for --json."""
    return [{"label": label, "score": score} for label, score in ranking]


def _as_dict(prediction: Prediction) -> dict[str, Any]:
    return {
        "path": spelled(prediction.path),
        "predictions": ranking_as_list(prediction.ranking),
        "stream": prediction.stream,
        "streams": {name: ranking_as_list(ranking) for name, ranking in prediction.streams.items()},
        "notes": prediction.notes,
        "seconds": prediction.seconds,
        "cpu_seconds": prediction.cpu_seconds,
        "frames": prediction.frames,
        "engine": prediction.engine,
        "gflops": prediction.gflops,
    }


def _print_line(prediction: Prediction) -> None:
    """Path, label and runner-up with their probabilities, and time."""
    first, *others = [f"{label} {100 * score:.1f} %" for label, score in prediction.ranking[:2]]
    runner_up = f"  ({', '.join(others)})" if others else ""
    line = f"{spelled(prediction.path)}: {first}{runner_up}  {prediction.seconds:.2f} s"
    sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()
    for note in prediction.notes:
        err.print(f"  {note}", markup=False)


def _cost_line(predictions: Sequence[Prediction], engine: str) -> str:
    """What a file cost on average."""
    count = len(predictions)
    looked = sum(prediction.frames > 0 for prediction in predictions)
    operations = [prediction.gflops for prediction in predictions if prediction.gflops is not None]
    parts = [f"{1000 * sum(p.cpu_seconds for p in predictions) / count:.0f} ms CPU a file"]
    if len(operations) == count:
        parts.append(f"{sum(operations) / count:.1f} GFLOPs")
    parts.append(f"{100 * looked / count:.0f} % of the files needed pictures")
    return f"{count} file{'s' if count > 1 else ''}: {', '.join(parts)} (engine: {engine})"


def _print_table(prediction: Prediction) -> None:
    """Print a table with a column per stream."""
    shown = {str(name): prediction.streams[name] for name in _COLUMNS if name in prediction.streams}
    rows = [
        [
            str(place + 1),
            *(f"{ranking[place][0]} {100 * ranking[place][1]:.1f} %" for ranking in shown.values()),
        ]
        for place in range(len(prediction.ranking))
    ]
    title = f"{spelled(prediction.path)}: {prediction.ranking[0][0]} ({prediction.seconds:.1f} s)"
    print_table(title, ["", *shown], rows)
    for note in prediction.notes:
        err.print(f"  {note}", markup=False)
