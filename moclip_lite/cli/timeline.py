"""``moclip predict --segments``: timelines of long videos as tables, subtitles, chapters and drawings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from ..storage.files import check_output, check_output_folder, write_text
from ..storage.names import printable
from .batch import Refusal, end_batch, refusal
from .console import err, print_json, print_table
from .outputs import same_file

if TYPE_CHECKING:
    from ..progress import Reporter
    from ..timeline.evaluate import SegmentScores
    from ..timeline.timeline import Timeline

__all__ = [
    "SegmentOutputs",
    "check_windows",
    "evaluate_segments",
    "label_segments",
    "print_timeline",
    "refuse_overwriting",
]


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


@dataclass(frozen=True)
class SegmentOutputs:
    """Files to write: each a file for one video, a folder for several; a table or a page may hold several."""

    csv: Path | None = None
    vtt: Path | None = None
    chapters: Path | None = None
    strip: Path | None = None

    def check(self, videos: Sequence[Path]) -> None:
        """Refuse outputs that can't be written, before the work.

        Raises:
            BadParameter: says which option and why.
        """
        for option, path in vars(self).items():
            if path is None:
                continue
            refuse_overwriting(option, path, videos)
            alone = option in ("vtt", "chapters") or (option == "strip" and path.suffix.lower() == ".png")
            if len(videos) > 1 and alone and path.suffix and not path.is_dir():
                raise typer.BadParameter(
                    f"--{option} {path}: there are {len(videos)} videos; "
                    "name a folder, which gets a file for each"
                )
            if option == "csv" and path.is_dir():
                raise typer.BadParameter(f"--csv {path} is a folder; name a file, which gets all videos")
            if option == "strip" and path.suffix.lower() not in (".png", ".html", "") and not path.is_dir():
                raise typer.BadParameter(f"--strip {path}: name a .png or .html file, or a folder")
            in_folder = option != "csv" and (path.is_dir() or not path.suffix)
            if in_folder:
                check_output_folder(path)
            else:
                check_output(path, named=path)


def refuse_overwriting(option: str, path: Path, videos: Sequence[Path]) -> None:
    """Refuse an output that is one of the videos.

    Raises:
        BadParameter: it is.
    """
    if any(same_file(path, video) for video in videos):
        raise typer.BadParameter(f"--{option} {path} would overwrite a video")


@dataclass
class _Writer:
    """Writes the outputs of each video as soon as it is done."""

    outputs: SegmentOutputs
    videos: Sequence[Path]
    warn: Callable[[str], None]
    timelines: list[Timeline] = field(default_factory=list)
    strips: list[Any] = field(default_factory=list)
    _rows: list[str] = field(default_factory=list)
    _taken: set[Path] = field(default_factory=set)

    def add(self, path: Path, timeline: Timeline) -> None:
        """Write what belongs to one more video."""
        self.timelines.append(timeline)
        if self.outputs.csv is not None:
            self._add_to_table(self.outputs.csv, path, timeline)
        if self.outputs.vtt is not None:
            write_text(self._place(self.outputs.vtt, path, ".vtt"), timeline.to_vtt())
        if self.outputs.chapters is not None:
            write_text(self._place(self.outputs.chapters, path, ".ffmetadata"), timeline.to_ffmetadata())
        if self.outputs.strip is not None:
            self._draw(self.outputs.strip, path, timeline)

    def _add_to_table(self, table: Path, path: Path, timeline: Timeline) -> None:
        """Write the table, which names its videos as the reader of annotation tables finds them."""
        from ..datasets.table.videos import name_in_table, wrong_name

        name = name_in_table(path, table.parent)
        wrong = wrong_name(name)
        if wrong is not None:
            self.warn(f"{table} can't be read as an annotation table: {wrong}")
        self._rows.append(timeline.to_csv(header=not self._rows, name=name))
        write_text(table, "".join(self._rows))

    def _draw(self, target: Path, path: Path, timeline: Timeline) -> None:
        from ..timeline.strip import Strip, save_html, save_png
        from ..timeline.thumbnails import read_thumbnails

        strip = Strip(timeline, read_thumbnails(path, timeline.start))
        if target.suffix.lower() == ".html" and not target.is_dir():
            self.strips.append(strip)
            save_html(target, self.strips)
        else:
            save_png(self._place(target, path, ".png"), strip)

    def _place(self, target: Path, video: Path, suffix: str) -> Path:
        """The file of a video: `target` itself, or one in that folder."""
        if len(self.videos) == 1 and target.suffix and not target.is_dir():
            return target
        place, number = target / f"{video.name}{suffix}", 1
        while place in self._taken:
            number += 1
            place = target / f"{video.name}_{number}{suffix}"
        self._taken.add(place)
        return place


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
    writer = _Writer(outputs, videos, reporter.warn)
    refused: list[Refusal] = []
    for path, timeline in _timelines(classifier, videos, options, reporter, refused):
        writer.add(path, timeline)
        if not json:
            print_timeline(timeline)
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
        f"{timeline.path}: {count} segment{'' if count == 1 else 's'} in {clock(timeline.duration)} "
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
