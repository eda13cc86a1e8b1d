"""``--segments`` of predict and evaluate: timelines of long videos, printed and compared with a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..storage.names import printable
from .batch import Refusal, end_batch, refusal
from .console import err, print_json, print_table
from .segment_files import SegmentOutputs, SegmentWriter

if TYPE_CHECKING:
    from ..progress import Reporter
    from ..timeline.evaluate import SegmentScores
    from ..timeline.timeline import Timeline

__all__ = ["check_windows", "evaluate_segments", "label_segments", "print_timeline"]


class _Labeller(Protocol):
    """A classifier or a model of free-text labels."""

    def timeline(
        self,
        path: Path,
        *,
        window: float | None = None,
        stride: float | None = None,
        threshold: float | None = None,
        progress: Callable[[str, int, int], None] = ...,
    ) -> Timeline:
        """Label the parts of a video."""


def check_windows(options: Mapping[str, Any]) -> None:
    """Refuse windows that make no sense before the model is loaded.

    Raises:
        mv_tools.ArgumentError: a value is out of range.
    """
    from ..timeline.options import TimelineOptions

    TimelineOptions(**{name: value for name, value in options.items() if value is not None})


def label_segments(
    classifier: _Labeller,
    videos: Sequence[Path],
    options: Mapping[str, Any],
    outputs: SegmentOutputs,
    reporter: Reporter,
    json: bool,
) -> list[Refusal]:
    """Label the parts of videos and print or write them; a video that can't be read does not stop the others.

    Args:
        classifier: the model.
        videos: files.
        options: window, stride, threshold and frames of :meth:`moclip_lite.Classifier.timeline`;
            None where not given.
        outputs: files to write.
        reporter: shows progress.
        json: print one JSON document in place of tables.

    Returns:
        Videos that got no answer, and why.
    """
    writer = SegmentWriter(outputs, videos, reporter.warn)
    refused: list[Refusal] = []
    for path, timeline in _timelines(classifier, videos, options, reporter, refused):
        writer.add(path, timeline)
        if not json:
            print_timeline(timeline)
    writer.finish([path for path, _ in refused])
    if json:
        print_json([timeline.to_json() for timeline in writer.timelines])
    return refused


def print_timeline(timeline: Timeline) -> None:
    """Print a table of segments, and notes on stderr."""
    from ..timeline.timeline import clock

    seconds = timeline.seconds
    speed = f"{timeline.duration / seconds:.0f} times real time" if seconds > 0 else ""
    count = len(timeline.segments)
    title = (
        f"{timeline.path}: {count} segment{'' if count == 1 else 's'} in {clock(timeline.duration, 1)} "
        f"(windows of {timeline.window:g} s; {seconds:.1f} s, {speed})"
    )
    streams = timeline.streams if len(timeline.streams) > 1 else ()
    header = ["start", "end", "label", "score %", *(f"{name} %" for name in streams)]
    print_table(title, header, timeline.table_rows(streams, decimals=1))
    for note in timeline.notes:
        err.print(f"  {printable(note)}", markup=False)


def _timelines(
    classifier: _Labeller,
    videos: Sequence[Path],
    options: Mapping[str, Any],
    reporter: Reporter,
    refused: list[Refusal],
) -> Iterator[tuple[Path, Timeline]]:
    """Timelines of videos, one after the other; those that can't be read are added to `refused`."""
    from mv_tools import ArgumentError

    from ..errors import CheckpointError

    given = {name: value for name, value in options.items() if value is not None}
    for number, path in enumerate(videos, start=1):
        stage = f"{printable(path.name)} ({number} of {len(videos)})"

        def progress(_: str, done: int, total: int, stage: str = stage) -> None:
            reporter.progress(stage, done, total)

        try:
            timeline = classifier.timeline(path, progress=progress, **given)
        except (ArgumentError, CheckpointError):  # no matter of one file
            raise
        except Exception as error:
            refused.append(refusal(path, error))
            reporter.progress(stage, 1, 1)  # ends its bar
        else:
            yield path, timeline


def evaluate_segments(
    run: Path,
    table: Path,
    videos: Path | None,
    overrides: Sequence[str],
    options: Mapping[str, Any],
    reporter: Reporter,
    json: bool,
) -> None:
    """Label the videos of a table of annotated segments, and print how well.

    Args:
        run: a run folder.
        table: of annotations.
        videos: folder that the table's videos are relative to; None for the table's own.
        overrides: of the configuration.
        options: window and threshold of :meth:`moclip_lite.Classifier.timeline`.
        reporter: shows progress.
        json: print one JSON document.

    Raises:
        typer.Exit: a video could not be read; exit code 2.
    """
    from ..predict.classifier import Classifier
    from ..results.run_folder import RunFolder
    from ..timeline.evaluate import evaluate_timelines
    from ..timeline.seen_videos import seen_videos
    from ..timeline.truth import read_truth

    check_windows(options)
    folder = RunFolder(run)
    folder.require()
    truth = read_truth(table, folder.read_labels(), videos)
    classifier = Classifier.load(run, overrides=overrides)
    for warning in (*truth.notes, *classifier.warnings, *seen_videos(folder, truth, videos)):
        reporter.warn(warning)
    refused: list[Refusal] = []
    timelines = [t for _, t in _timelines(classifier, truth.videos, options, reporter, refused)]
    if timelines:
        labels = truth.labels(timelines)
        if left_out := len(truth.rows) - len(labels):
            reporter.warn(f"left out of the scores: {left_out} row(s) of videos that could not be labelled")
        scores = evaluate_timelines(timelines, labels)
        if json:
            print_json(scores.to_json() | {"failures": [reason for _, reason in refused]})
        else:
            _print_scores(f"{run} on {len(timelines)} videos of {table}", scores)
    end_batch(refused)


def _print_scores(title: str, scores: SegmentScores) -> None:
    overlaps = list(scores.average_precision)
    header = ["class", *(f"AP at {overlap:g} %" for overlap in overlaps)]
    rows = [[name, *(f"{values[o]:.1f}" for o in overlaps)] for name, values in scores.per_class.items()]
    mean = ["mean (mAP)", *(f"{scores.average_precision[o]:.1f}" for o in overlaps)]
    print_table(title, header, [*rows, mean])
    action, error = scores.action_accuracy, scores.boundary_error
    facts = [
        ["frame accuracy %", f"{scores.time_accuracy:.1f}"],
        ["the same within annotations %", "" if action is None else f"{action:.1f}"],
        ["median distance of boundaries, s", "" if error is None else f"{error:.2f}"],
        ["segments annotated", str(scores.annotated)],
        ["segments found", str(scores.found)],
        ["of them right, at an overlap of 0.5", str(scores.matched)],
    ]
    print_table("over all videos", ["", "value"], facts)
