"""``moclip predict``: label local files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, cast

import typer

from mv_tools.urls import is_url

from ..storage.tables import check_table
from .batch import Refusal, end_batch, files_of, refusal, refusal_of
from .configuration import overrides_of
from .console import ConsoleReporter, print_json
from .options import (
    Device,
    Engine,
    Json,
    Model,
    Pretrained,
    Segments,
    SegmentTable,
    SegmentThreshold,
    SegmentWindow,
    Sets,
    run_folder,
)
from .predictions import cost_line, print_line, print_streams, write_predictions

if TYPE_CHECKING:
    from ..engine.base import EngineName
    from ..predict.classifier import Classifier, Prediction
    from ..predict.remote import RemoteModel

__all__ = ["predict"]


Files: TypeAlias = Annotated[list[Path], typer.Argument(help="Video files, or folders of them.")]
TopK: TypeAlias = Annotated[
    int | None,
    typer.Option("--top-k", "-k", min=1, help="Labels per file.", show_default="2 in a line, else 5"),
]
Stride: TypeAlias = Annotated[
    float | None, typer.Option(help="--segments: seconds between windows; else a quarter of one.")
]
Frames: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="--segments: keyframes (the default) where frames between them are slow to decode, "
        "or clip for those that a clip of the window's length would give."
    ),
]
Vtt: TypeAlias = Annotated[Path | None, typer.Option(help="--segments: write WebVTT.")]
Chapters: TypeAlias = Annotated[
    Path | None, typer.Option(help="--segments: write chapters in ffmpeg's metadata format.")
]
Strip: TypeAlias = Annotated[
    Path | None, typer.Option(help="--segments: draw labels, motion and pictures (.png or .html).")
]
RayAddress: TypeAlias = Annotated[
    str | None,
    typer.Option("--ray-address", help="HOST:PORT of a cluster's head, or auto: its nodes label the files."),
]
Cascade: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--cascade/--no-cascade",
        help="Read pictures only where motion is below its threshold: less CPU; "
        "thresholds from the run's validation clips.",
    ),
]
Table: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write a table path,rank,label,score (.csv or .parquet).")
]
Verbose: TypeAlias = Annotated[
    bool, typer.Option("--verbose", "-v", help="A table for each file: the labels of each stream.")
]


def predict(
    files: Files,
    model: Model,
    top_k: TopK = None,
    device: Device = "auto",
    engine: Engine = "auto",
    pretrained: Pretrained = None,
    sets: Sets = None,
    json: Json = False,
    segments: Segments = False,
    window: SegmentWindow = None,
    stride: Stride = None,
    threshold: SegmentThreshold = None,
    frames: Frames = None,
    csv: SegmentTable = None,
    vtt: Vtt = None,
    chapters: Chapters = None,
    strip: Strip = None,
    ray_address: RayAddress = None,
    cascade: Cascade = False,
    table: Table = None,
    verbose: Verbose = False,
) -> None:
    """Label video files with a trained model: a line a file, as they come.

    A file that can't be read is reported and the others are labelled; the exit code is then 2.

    Example: moclip predict clip.mp4 holiday/ --model runs/x

    Example: moclip predict long.mp4 --model runs/x --segments --vtt long.vtt --strip long.html
    """
    from ..predict.remote import RemoteModel
    from .segment_files import SegmentOutputs, refuse_overwriting
    from .timeline import check_windows, label_segments

    windows = {"window": window, "stride": stride, "threshold": threshold, "frames": frames}
    outputs = SegmentOutputs(csv, vtt, chapters, strip)
    if table is not None:
        check_table(table)
    paths, refused = files_of(files)
    if segments:
        outputs.check(paths)
        check_windows(windows)
    elif table is not None:
        refuse_overwriting("table", table, paths)
    run = model if is_url(model) else run_folder(model)
    overrides = (*(sets or []), *overrides_of({"clip.pretrained": pretrained}))
    reporter, asked = ConsoleReporter(), RemoteModel(run, device, cast("EngineName", engine), overrides)
    classifier = _load(asked, reporter, verbose)
    if segments:
        refused += label_segments(classifier, paths, windows, outputs, reporter, json)
    else:
        answers = _answers(classifier, paths, asked, (top_k or 5, cascade), ray_address, reporter)
        show = None if json else print_streams if verbose else partial(print_line, labels=top_k or 2)
        predictions, unanswered = _collect(answers, paths, show, reporter)
        refused += unanswered
        if table is not None:
            write_predictions(table, predictions)
        if json:
            print_json([prediction.to_json() for prediction in predictions])
        elif predictions:
            reporter.say(cost_line(predictions))
        engines = sorted({prediction.engine for prediction in predictions})
        if len(engines) > 1:
            reporter.warn(
                f"several engines ({', '.join(engines)}) labelled the files, and their scores differ "
                "slightly; --engine onnx or --engine torch takes the same one on all nodes"
            )
    end_batch(refused)


def _load(model: RemoteModel, reporter: ConsoleReporter, verbose: bool) -> Classifier:
    """The classifier; what there is to say of it is said."""
    from ..predict.classifier import Classifier

    classifier = Classifier.load(
        model.run, device=model.device, overrides=model.overrides, engine=model.engine
    )
    if verbose and classifier.engine.why:
        reporter.say(classifier.engine.why)
    if classifier.engine_note:
        reporter.say(classifier.engine_note)
    for warning in classifier.warnings:
        reporter.warn(warning)
    return classifier


def _answers(
    classifier: Classifier,
    paths: Sequence[Path],
    model: RemoteModel,
    asked: tuple[int, bool],
    address: str | None,
    reporter: ConsoleReporter,
) -> Iterator[Prediction | Refusal]:
    """The answers for files, as they come: computed here, or by the nodes of the cluster at an address."""
    top_k, cascade = asked
    if cascade:
        reporter.say(classifier.cascade.words)
    if address is not None:
        yield from _remote_answers(classifier, paths, model, asked, address, reporter)
        return
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
    """The answers of a cluster's nodes."""
    from ..parallel.runner import make_runner
    from ..predict.remote import explain_file, file_jobs

    runner = make_runner("ray", 0, None if address == "auto" else address, reporter.say)
    jobs, cores = file_jobs(classifier, paths, model, *asked)
    for job, answer in runner.run(explain_file, jobs, cores=cores, gpu=model.device != "cpu"):
        yield refusal_of(Path(job.name), answer) if isinstance(answer, str) else answer


def _collect(
    answers: Iterator[Prediction | Refusal],
    paths: Sequence[Path],
    show: Callable[[Prediction], None] | None,
    reporter: ConsoleReporter,
) -> tuple[list[Prediction], list[Refusal]]:
    """Predictions in the order of the paths, and files without one; each is shown as it comes."""
    predictions: list[Prediction] = []
    refused: list[Refusal] = []
    for done, answer in enumerate(answers, start=1):
        if isinstance(answer, tuple):
            refused.append(answer)
        else:
            predictions.append(answer)
            if show is not None:
                reporter.close()  # the bars, which would be drawn over it
                show(answer)
        reporter.progress("predict", done, len(paths))
    reporter.close()
    places = {str(path): place for place, path in enumerate(paths)}
    return sorted(predictions, key=lambda prediction: places[prediction.path]), refused
