"""Fusion against its best single stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from moclip_lite.results.gain import fusion_gain
from moclip_lite.results.predictions import ClipKey, Prediction
from moclip_lite.results.read import Run
from moclip_lite.results.report.content import gather
from moclip_lite.results.report.markdown import to_markdown
from moclip_lite.results.report.sections import report_document
from moclip_lite.streams import Stream

from support.runs import made_run


def with_predictions(run: Run, right: dict[Stream, list[list[bool]]]) -> Run:
    """The run with these answers: stream -> fold -> whether each clip is right."""
    predictions = {
        stream: {
            ClipKey(f"{i}.mp4", f"f{fold}"): Prediction("a", "a" if ok else "b", 0.9)
            for fold, answers in enumerate(folds)
            for i, ok in enumerate(answers)
        }
        for stream, folds in right.items()
    }
    top1 = {s: 100 * sum(map(sum, folds)) / sum(map(len, folds)) for s, folds in right.items()}
    streams = {s: replace(run.metrics.streams[Stream.MOTION], top1=top1[s]) for s in right}
    return replace(run, metrics=replace(run.metrics, streams=streams), predictions=predictions)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return made_run(tmp_path / "run", ["a", "b"])


def test_folds_below_are_counted(run: Run) -> None:
    fusion = [[True] * 12, [False] * 8 + [True] * 4, [True] * 11 + [False]]
    motion = [[True] * 10 + [False] * 2, [True] * 12, [True] * 12]
    gain = fusion_gain(
        with_predictions(
            run, {Stream.MOTION: motion, Stream.APPEARANCE: [[False] * 12] * 3, Stream.FUSION: fusion}
        )
    )
    assert gain is not None
    assert gain.stream is Stream.MOTION
    assert (gain.folds, gain.below, gain.significantly) == (3, 2, 1)
    assert gain.difference.points.value == pytest.approx(100 * (27 - 34) / 36)
    assert "below it in 2 of 3 folds, significantly (McNemar, p < 0.05) in 1" in gain.sentence()


def test_the_best_stream_is_chosen_on_the_same_tests(run: Run) -> None:
    """Motion is better on fewer and easier tests, and worse on those that both have."""
    right = {
        Stream.FUSION: [[True] * 10, [True] * 10],
        Stream.MOTION: [[True] * 6 + [False] * 4, []],
        Stream.APPEARANCE: [[True] * 8 + [False] * 2, [False] * 10],
    }
    gain = fusion_gain(with_predictions(run, right))
    assert gain is not None
    assert gain.stream is Stream.APPEARANCE
    apart = {**right, Stream.APPEARANCE: [[], [True] * 7 + [False] * 3]}
    gain = fusion_gain(with_predictions(run, apart))  # no test that all three have
    assert gain is not None
    assert gain.stream is Stream.APPEARANCE


@pytest.mark.usefixtures("no_drawings")
def test_the_report_says_it(run: Run) -> None:
    right = {Stream.MOTION: [[True, False] * 6], Stream.FUSION: [[True] * 12]}
    content = gather(with_predictions(run, right), {})
    text = to_markdown(report_document(content))
    assert "Fusion against its best single stream (motion only (network)): +50.0 points" in text
    assert "folds" not in text.split("best single stream")[1].split("\n")[0]


def test_a_single_stream_has_nothing_to_compare_with(run: Run) -> None:
    assert fusion_gain(with_predictions(run, {Stream.FUSION: [[True] * 4]})) is None
    assert fusion_gain(with_predictions(run, {Stream.MOTION: [[True] * 4]})) is None
