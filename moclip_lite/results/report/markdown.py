"""A run's report in Markdown, with its pictures in files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .tables import (
    COSTS,
    PUBLISHED,
    cost_rows,
    interval_words,
    markdown_table,
    score_table,
)

if TYPE_CHECKING:
    from ..paired import Difference
    from .content import ClassRow, Content
    from .pictures import Shown

__all__ = ["OPERATIONS", "about", "difference_words", "fold_table", "how", "to_markdown"]

OPERATIONS: Final = (
    "GFLOPs and milliseconds are per clip, all views, of the networks alone, on the machine of the run. "
    "A multiplication and an addition count as two operations; papers often count one."
)


def difference_words(d: Difference) -> list[str]:
    """points, interval, clips won and lost, p, verdict."""
    return [
        f"{d.points.value:+.1f}",
        f"{d.points.low:+.1f} to {d.points.high:+.1f}",
        str(d.test.only_a),
        str(d.test.only_b),
        "< 0.0001" if d.p < 1e-4 else f"{d.p:.4f}",
        d.verdict,
    ]


def to_markdown(content: Content) -> str:
    """The text; pictures are expected under figures/ and beside it."""
    run, metrics = content.run, content.run.metrics
    parts = ["# Results", markdown_table(*score_table(metrics)), about(content)]
    if content.differences:
        header = [f"{run.main.words} against", "points", "95 % interval", "won", "lost", "p", "it is"]
        rows = [[words, *difference_words(d)] for words, d in content.differences]
        parts += [
            "## Differences on the same clips",
            markdown_table(header, rows),
            how(content.differences[0][1]),
        ]
    if len(metrics.folds) > 1:
        parts += ["## Folds (top-1 %)", markdown_table(*fold_table(content))]
    if content.curves:
        parts += ["## Training", "![losses and validation accuracy by epoch](figures/curves.svg)"]
    parts += _classes(content)
    parts += _rescue(content)
    parts += ["## Confusion"]
    parts += [f"![confusion matrix of {m.stream}](confusion_{m.stream}.png)" for m in content.matrices]
    parts += ["## Costs", markdown_table(COSTS, cost_rows(metrics)), OPERATIONS]
    if content.is_ucf101:
        published = [[p.name, p.top1, p.trained, p.gflops, p.protocol] for p in PUBLISHED]
        header = ["published, UCF101", "top-1 %", "trained", "GFLOPs", "protocol"]
        parts += ["## Published figures", markdown_table(header, published)]
    seconds = [[stage, f"{value:.1f}"] for stage, value in metrics.seconds.items()]
    parts += ["## Wall time", markdown_table(["stage", "seconds"], seconds)]
    if metrics.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in metrics.notes)]
    if metrics.failures:
        rows = [[f["name"], f["stage"], f["reason"]] for f in metrics.failures]
        parts += ["## Clips left out", markdown_table(["clip", "stage", "reason"], rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def about(content: Content) -> str:
    """What the scores rest on."""
    metrics = content.run.metrics
    guess = f"chance {content.chance:.1f} %"
    if content.majority is not None:
        label, share = content.majority
        guess += f"; always answering {label!r}, the class with most test clips, {share:.1f} %"
    parts = [f"{len(content.run.labels)} classes ({guess}).", interval_words(metrics)]
    if content.run.training:
        parts.append("Weights were chosen on validation clips cut from train; the test clips were used once.")
    if content.looked:
        parts.append(f"Appearance features: {metrics.appearance_weights or 'unknown'}.")
    return " ".join(parts)


def how(d: Difference) -> str:
    """How differences are judged."""
    return (
        f"Intervals: {d.how}. A difference is called one where the interval excludes 0 and p is below 0.05."
    )


def fold_table(content: Content) -> tuple[list[str], list[list[str]]]:
    """Header and rows of top-1 by fold."""
    metrics = content.run.metrics
    streams = [s for s in content.run.streams if len(metrics.streams[s].folds_top1) == len(metrics.folds)]
    rows = [
        [str(fold), *(f"{metrics.streams[s].folds_top1[i]:.1f}" for s in streams)]
        for i, fold in enumerate(metrics.folds)
    ]
    return ["fold", *streams], rows


def _classes(content: Content) -> list[str]:
    def words(row: ClassRow) -> list[str]:
        return [row.label, f"{row.accuracy[content.run.main]:.0f}"]

    best, worst = content.ends
    rows = [words(b) + words(w) for b, w in zip(best, worst, strict=True)]
    return (
        [f"## Classes ({content.run.main})", markdown_table(["best", "%", "worst", "%"], rows)]
        if rows
        else []
    )


def _rescue(content: Content) -> list[str]:
    rescue = content.rescue
    if rescue is None:
        return []
    out = [
        f"## What motion changes: {rescue.words} against appearance",
        f"{rescue.gained} clips gained, {rescue.lost} lost.",
    ]
    for title, kind, clips in (
        ("Motion rescues", "rescued", rescue.rescued),
        ("Motion hurts", "hurt", rescue.hurt),
    ):
        if clips:
            out += [f"### {title}", *(_shown(shown, f"{kind}_{i}") for i, shown in enumerate(clips, start=1))]
    return out


def _shown(shown: Shown, name: str) -> str:
    header = ["clip", "right", "%", "taken for", "%"]
    row = [shown.name, shown.label, f"{100 * shown.right.score:.0f}", shown.wrong.predicted, f"{100 * shown.wrong.score:.0f}"]  # fmt: skip
    picture = (
        f"![a frame and its motion](figures/{name}.jpg)" if shown.picture else f"No picture: {shown.reason}."
    )
    return f"{markdown_table(header, [row])}\n\n{picture}"
