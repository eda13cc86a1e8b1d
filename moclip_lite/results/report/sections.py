"""The sections of a run's report, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Final

import yaml

from ...streams import TABLE_ORDER, used_sections
from ..paired import Difference
from .document import (
    Block,
    Bullets,
    Chart,
    Code,
    Document,
    Folded,
    MatrixBlock,
    Paragraph,
    Pictures,
    Section,
    Share,
    Table,
)
from .tables import COSTS, PUBLISHED, SCORES, failure_rows, interval_words, stream_table

Level = tuple[float, list[str]]  # an accuracy, and the classes that have it

if TYPE_CHECKING:
    from .content import Content

__all__ = ["DIFFERENCE_HEADER", "VERDICT_RULE", "difference_cells", "report_document"]

DIFFERENCE_HEADER: Final = ["points", "95 % interval", "gained", "lost", "p", "verdict"]
VERDICT_RULE: Final = "The verdict needs both: an interval that excludes 0, and p below 0.05."
_EXTREMES: Final = 10  # classes with the highest and lowest accuracy that are listed
_OPERATIONS: Final = (
    "GFLOPs and milliseconds are per clip, all views, of the networks alone, on the machine of the run. "
    "A multiplication and an addition count as two operations; papers often count one."
)
_HEADS_ONLY: Final = "The features come from a file, so that only the heads are counted."


def report_document(content: Content) -> Document:
    """The report of a run."""
    sections = {
        "Scores": _scores(content),
        "Differences on the same clips": _differences(content),
        "Folds": _folds(content),
        "Training": _training(content),
        "Classes": _classes(content),
        "What motion changes": _motion_effect(content),
        "Confusion matrices": _confusion(content),
        "Costs": _costs(content),
        "Published results on UCF101": _published(content),
        "Wall time": _wall_time(content),
        "Notes": _notes(content),
        "Clips left out": _failures(content),
        "Settings": _settings(content),
    }
    filled = [Section(title, blocks) for title, blocks in sections.items() if blocks]
    folder = content.run.folder.resolve()
    return Document(f"{folder.parent.name}/{folder.name}", filled, _summary(content))


def difference_cells(d: Difference) -> list[str]:
    """Cells below ``DIFFERENCE_HEADER``."""
    return [
        f"{d.points.value:+.1f}",
        f"{d.points.low:+.1f} to {d.points.high:+.1f}",
        str(d.test.only_a),
        str(d.test.only_b),
        "< 0.0001" if d.p < 1e-4 else f"{d.p:.4f}",
        d.verdict,
    ]


def _summary(content: Content) -> str:
    """What the scores are based on."""
    metrics, classes = content.run.metrics, len(content.run.labels)
    guess = f"chance {100 / max(classes, 1):.1f} %"
    if content.majority is not None:
        label, share = content.majority
        guess += f"; always predicting {label!r}, the class with most test clips, {share:.1f} %"
    parts = [f"{classes} classes ({guess}).", interval_words(metrics)]
    if content.run.training:
        parts.append(
            "Weights were selected on validation clips taken from the training part; "
            "the test clips were used once."
        )
    if "clip" in used_sections(content.run.streams):
        parts.append(f"Appearance features: {metrics.appearance_weights or 'unknown'}.")
    return " ".join(parts)


def _scores(content: Content) -> list[Block]:
    run = content.run
    header, rows = stream_table(SCORES, run.metrics, content.ceilings)
    shown = [stream for stream in TABLE_ORDER if stream in run.metrics.streams]
    table = Table(header, rows, bold=shown.index(run.main))
    if not content.ceilings:
        return [table]
    return [
        table,
        Paragraph(
            "Ceiling: the highest accuracy that the stream's input allows on generated clips, "
            "whose classes are pairs of a texture and a motion."
        ),
    ]


def _differences(content: Content) -> list[Block]:
    if not content.differences:
        return []
    rows = [[words, *difference_cells(d)] for words, d in content.differences]
    method = content.differences[0][1].method
    gain = [] if content.gain is None else [Paragraph(content.gain.sentence())]
    return [
        *gain,
        Table([f"{content.run.main.words} against", *DIFFERENCE_HEADER], rows),
        Paragraph(f"Points are percentage points. Intervals: {method}. {VERDICT_RULE}"),
    ]


def _folds(content: Content) -> list[Block]:
    metrics, folds = content.run.metrics, content.run.metrics.folds
    streams = [s for s in content.run.streams if len(metrics.streams[s].folds_top1) == len(folds)]
    if len(folds) < 2 or not streams:
        return []
    rows = [
        [str(fold), *(f"{metrics.streams[s].folds_top1[number]:.1f}" for s in streams)]
        for number, fold in enumerate(folds)
    ]
    caption = "top-1 % of each fold; the scores above are over the test clips of all folds"
    return [Table(["fold", *streams], rows, caption)]


def _training(content: Content) -> list[Block]:
    choices: list[Block] = [Bullets(content.run.metrics.choices)] if content.run.metrics.choices else []
    if not content.curves:
        return choices
    note = "The dotted line marks the selected epoch: the lowest validation cross-entropy."
    return [
        *choices,
        Chart(content.curves, "figures/curves.svg", "losses and validation accuracy by epoch"),
        Paragraph("One line per fold." if len(content.run.training) > 1 else note),
    ]


def _classes(content: Content) -> list[Block]:
    main, streams = content.run.main, content.run.streams
    tested = [
        (row.accuracy[main] or 0.0, row.label)
        for row in content.classes
        if row.accuracy.get(main) is not None
    ]
    if not tested:
        return []
    cells = [
        [row.label, str(row.clips)]
        + ["" if (share := row.accuracy.get(s)) is None else f"{share:.0f}" for s in streams]
        + [str(row.gained or ""), str(row.lost or "")]
        for row in content.classes
    ]
    every = Folded(
        f"all {len(cells)} classes", [Table(["class", "clips", *streams, "gained", "lost"], cells)]
    )
    levels = {
        accuracy: [label for _, label in group]
        for accuracy, group in groupby(sorted(tested), key=lambda row: row[0])
    }
    if len(levels) == 1:
        return [Paragraph(f"{main.words}: each class has {tested[0][0]:.0f} %."), every]
    count = min(_EXTREMES, len(tested) // 2)
    lowest = _first(list(levels.items())[:-1], count)
    highest = _first(list(levels.items())[: len(lowest) - 1 : -1], count)
    return [
        Table(["class", "%"], _class_rows(lowest), f"lowest accuracy, {main.words}"),
        Table(["class", "%"], _class_rows(highest), f"highest accuracy, {main.words}"),
        every,
    ]


def _first(levels: Sequence[Level], count: int) -> Sequence[Level]:
    """The first levels of accuracy that have `count` classes together."""
    totals = accumulate(len(labels) for _, labels in levels)
    needed = sum(1 for total in totals if total < count) + 1
    return levels[:needed]


def _class_rows(levels: Sequence[Level]) -> list[list[str | Share]]:
    """A row per class; many classes of equal accuracy are counted in one row."""
    return [
        [label, Share(accuracy)]
        for accuracy, labels in levels
        for label in (labels if len(labels) <= _EXTREMES else [f"{len(labels)} classes"])
    ]


def _motion_effect(content: Content) -> list[Block]:
    effect = content.effect
    if effect is None:
        return []
    blocks: list[Block] = [
        Paragraph(
            f"{effect.words} against appearance only: {effect.gained} clips gained, {effect.lost} clips lost."
        )
    ]
    if effect.gained_clips:
        blocks += [Paragraph("Correct with motion, wrong without:"), Pictures("gained", effect.gained_clips)]
    if effect.lost_clips:
        blocks += [Paragraph("Wrong with motion, correct without:"), Pictures("lost", effect.lost_clips)]
    if len(blocks) > 1:
        blocks.append(
            Paragraph(
                "Left: the clip's frame with the most motion. Right: that motion; "
                "the hue shows its direction, arrows are three times its length. "
                "Clips with the highest scores, one per class first."
            )
        )
    return blocks


def _confusion(content: Content) -> list[Block]:
    blocks: list[Block] = []
    for number, matrix in enumerate(content.matrices):
        if number:
            blocks.append(Folded(matrix.words, [MatrixBlock(matrix)]))
            continue
        blocks.append(
            Paragraph(f"{matrix.words}: percent of each true class; blue is correct, orange is wrong.")
        )
        blocks.append(MatrixBlock(matrix, tooltips=True))
        if matrix.confusions:
            rows = [[true, predicted, str(clips)] for true, predicted, clips in matrix.confusions]
            blocks.append(Table(["true", "predicted", "clips"], rows, "most frequent confusions"))
    return blocks


def _costs(content: Content) -> list[Block]:
    header, rows = stream_table(COSTS, content.run.metrics)
    prediction = content.run.metrics.prediction
    line: list[Block] = [] if prediction is None else [Paragraph(prediction.words)]
    if "trained" not in header:
        return line
    return [Table(header, rows), Paragraph(_OPERATIONS if "GFLOPs" in header else _HEADS_ONLY), *line]


def _published(content: Content) -> list[Block]:
    if content.data.get("kind") != "ucf101" or len(content.run.labels) != 101:
        return []
    header = ["method", "top-1 %", "trained", "GFLOPs", "protocol"]
    return [Table(header, PUBLISHED, "from the papers; none was measured here")]


def _wall_time(content: Content) -> list[Block]:
    seconds = content.run.metrics.seconds
    rows = [[stage.replace("_", " "), f"{value:.1f}"] for stage, value in seconds.items() if value]
    return [Table(["stage", "seconds"], rows)] if rows else []


def _notes(content: Content) -> list[Block]:
    notes = content.run.metrics.notes
    return [Bullets(notes)] if notes else []


def _failures(content: Content) -> list[Block]:
    rows = failure_rows(content.run.metrics.failures)
    return [Table(["clip", "stage", "reason"], rows, f"{len(rows)} in all")] if rows else []


def _settings(content: Content) -> list[Block]:
    """The configuration, without the sections that no tested stream uses."""
    sections = used_sections(content.run.streams)
    used = {name: values for name, values in content.run.config.items() if name in sections}
    text = yaml.safe_dump(used, sort_keys=False, allow_unicode=True)
    return [Folded("configuration", [Code(text)])] if used else []
