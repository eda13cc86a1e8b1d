"""The report shows the run folder's figures, escapes names, and loads nothing from outside."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moclip_lite.datasets import Clip
from moclip_lite.experiment.fold.one_pass import with_sources
from moclip_lite.results.confusion import save_confusion_png
from moclip_lite.results.metrics import Cost
from moclip_lite.results.predictions import ClipKey, Prediction
from moclip_lite.results.read import Run, load_run
from moclip_lite.results.report import SCORES, failure_rows, markdown_table, stream_table, write_report
from moclip_lite.results.report.charts import curves_svg
from moclip_lite.results.report.content import gather
from moclip_lite.results.report.document import Block, Paragraph, Table
from moclip_lite.results.report.pictures import disagreements, draw_clip, select_pictures
from moclip_lite.results.report.sections import report_document
from moclip_lite.results.tensorboard import write_events
from moclip_lite.streams import Stream

from support.cli import TrainedRun
from support.pages import is_self_contained
from support.runs import made_run

HOSTILE = [
    "<script>alert(1)</script>",
    'a"b onerror=x',
    "$x^{$ | `b`",
    "[l](javascript:1)",
    "ünï \u202e",
    "../../x",
]


def test_page_shows_the_figures_of_the_run(trained: TrainedRun) -> None:
    text = (trained.folder / "report.html").read_text(encoding="utf-8")
    page, run = is_self_contained(text), load_run(trained.folder)
    assert len(text) < 2_000_000
    for stream in run.streams:
        assert stream.words in page.shown
        assert (
            f"{run.metrics.streams[stream].ci95[0]:.1f} to {run.metrics.streams[stream].ci95[1]:.1f}"
            in page.shown
        )
    for words in (
        "Differences on the same clips",
        "Training",
        "Confusion",
        "Settings",
        "always predicting",
        "Intervals: 95 %",
    ):
        assert words in page.shown
    assert "MoCLIP-Lite, fusion" not in page.shown  # published scores are of another data set
    gained = len(disagreements(run.predictions["fusion"], run.predictions["appearance"]))
    assert f"{gained} clips gained" in page.shown
    pictures = [a for tag, a in page.tags if tag == "img"]
    assert len(pictures) == min(gained, 4) + min(
        len(disagreements(run.predictions["appearance"], run.predictions["fusion"])), 4
    )
    svgs = [a for tag, a in page.tags if tag == "svg"]
    assert len(svgs) == 4  # curves and three matrices
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


@pytest.mark.usefixtures("no_drawings")
def test_confusion_matrix_counts_the_clips(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", ["a", "b", "c"], clips=9)
    content = gather(run, {})
    matrix = content.matrices[0]
    assert matrix.stream == "fusion"
    assert sum(count for *_, count, _ in matrix.cells) == 27
    diagonal = sum(count for row, column, count, _ in matrix.cells if row == column)
    assert 100 * diagonal / 27 == pytest.approx(run.metrics.streams[Stream.FUSION].top1)
    for row in content.classes:
        assert row.clips == 9
    assert content.effect is not None
    assert sum(r.gained for r in content.classes) == content.effect.gained
    net = content.effect.gained - content.effect.lost
    assert 100 * net / 27 == pytest.approx(
        run.metrics.streams[Stream.FUSION].top1 - run.metrics.streams[Stream.APPEARANCE].top1
    )


def test_page_of_101_classes_is_small(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", [f"ClassNumber{i:03d}" for i in range(101)], clips=36, right=0.5)
    write_report(run, {})
    text = (run.folder / "report.html").read_text(encoding="utf-8")
    is_self_contained(text)
    assert len(text) < 2_000_000
    assert "all 101 classes" in text


@pytest.mark.usefixtures("no_drawings")
def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", HOSTILE)
    failure = {"name": "<img src=x onerror=y>", "stage": "motion", "reason": "a | b\n<i>"}
    run = replace(run, metrics=replace(run.metrics, notes=("<b>note</b>",), failures=(failure,)))
    write_report(run, {})
    page = is_self_contained((run.folder / "report.html").read_text(encoding="utf-8"))
    for name in (*HOSTILE[:4], "<b>note</b>", "<img src=x onerror=y>"):
        assert name in page.shown
    assert not {"b", "script"} & {tag for tag, a in page.tags if tag != "b" or "style" not in a}
    text = (run.folder / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "[l](" not in text.replace("\\[l\\](", "")
    for line in text.splitlines():
        if "onerror=y" in line:
            assert line.replace("\\|", "").count("|") == 4
    save_confusion_png(tmp_path / "c.png", np.eye(6, dtype=np.int64), HOSTILE, "$hostile^{")
    with Image.open(tmp_path / "c.png") as image:
        assert image.width > 100


def test_names_that_the_font_lacks_are_drawn_without_a_warning(tmp_path: Path) -> None:
    """A warning fails a test."""
    names = ["\U0001f3c3", "\u8dd1\u6b65", "\u09a6\u09cc\u09a1\u09bc", "\ud800", "a\nb"]
    save_confusion_png(tmp_path / "c.png", np.eye(5, dtype=np.int64), names, "\U0001f3c3")
    assert (tmp_path / "c.png").is_file()


def test_markdown_cells_are_escaped() -> None:
    table = markdown_table(["a|b"], [["x\ny"], ["`|`"], ["\\"]])
    assert table.splitlines() == ["| a\\|b |", "|---|", "| x y |", "| \\`\\|\\` |", "| \\\\ |"]


def test_folds_have_a_table_and_curves(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", ["a", "b"], folds=3)
    write_report(run, {})
    page = is_self_contained((run.folder / "report.html").read_text(encoding="utf-8"))
    assert "One line per fold" in page.shown
    assert list(run.training) == ["f0", "f1", "f2"]
    assert "## Folds" in (run.folder / "report.md").read_text(encoding="utf-8")


def test_curves_are_drawn_from_the_history() -> None:
    assert curves_svg({}) is None
    rows = [{"epoch": e, "loss": 1.0, "val_loss": 1.0, "accuracy": 50.0, "lr": 0.1} for e in range(3)]
    svg = curves_svg({"run": {"fusion": {"history": rows, "best_epoch": 1}}})
    assert svg is not None
    assert "validation %, top-1" in svg
    assert "mean over classes" not in svg
    assert "validation %, mean over classes" in str(
        curves_svg({"run": {"motion": {"history": rows, "best_epoch": 1}}})
    )
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "<style" not in svg
    assert svg == curves_svg({"run": {"fusion": {"history": rows, "best_epoch": 1}}})


def test_epochs_alone_are_drawn_and_a_single_one_is_marked() -> None:
    """A head whose weights a solver found has no learning rate."""
    solved = {"epoch": 0, "loss": 1.0, "val_loss": 1.0, "accuracy": 50.0}
    trained = [{**solved, "epoch": epoch, "lr": 0.1} for epoch in range(2)]
    head = {"history": [solved], "best_epoch": 0}
    assert curves_svg({"run": {"fusion": head}}) is None
    many = str(curves_svg({"run": {"motion": {"history": trained, "best_epoch": 0}, "fusion": head}}))
    one = str(curves_svg({"run": {"motion": {"history": trained[:1], "best_epoch": 0}}}))
    assert "fusion" not in many
    assert ("fill: #3b82c4" in many, "fill: #3b82c4" in one) == (False, True)  # what has no line has a marker


@pytest.mark.usefixtures("no_drawings")
@pytest.mark.parametrize("end", ["", " with friends in the kitchen"])
def test_long_names_of_classes_differ_in_the_matrix(end: str, tmp_path: Path) -> None:
    names = [f"a person with a very long coat is {verb}{end}" for verb in ("running", "walking", "sitting")]
    write_report(made_run(tmp_path / "run", names), {})
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    matrix = page[page.index('<svg class="matrix"') :]
    shown = re.findall(r"<title>([^<]*)</title>([^<]*)</text>", matrix[: matrix.index("</svg>")])
    assert [title for title, _ in shown] == [name for name in names for _ in range(2)]
    assert len({text for _, text in shown}) == len(names)
    assert all(len(text) == 26 for _, text in shown)
    save_confusion_png(tmp_path / "c.png", np.eye(3, dtype=np.int64), [name * 9 for name in names], "fusion")


def test_pictures_show_the_highest_scores_of_each_class(clip: Path, tmp_path: Path) -> None:
    def keyed(values: list[tuple[str, str, float]]) -> dict[ClipKey, Prediction]:
        return {ClipKey(str(i), 0): Prediction(*value) for i, value in enumerate(values)}

    right = keyed([("a", "a", 0.9), ("a", "a", 0.8), ("b", "b", 0.5), ("b", "a", 0.9), ("a", "a", 0.99)])
    wrong = keyed([("a", "b", 0.6), ("a", "b", 0.6), ("b", "a", 0.6), ("b", "a", 0.9), ("a", "a", 0.9)])
    assert [key.name for key in disagreements(right, wrong)] == ["0", "1", "2"]
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    clips = {name: Clip(path, name, "") for name, path in (("0", clip), ("2", tmp_path / "broken.mp4"))}
    shown = select_pictures(right, wrong, clips, 3)
    assert [(s.name, s.label) for s in shown] == [("0", "a"), ("2", "b"), ("1", "a")]
    assert shown[0].jpeg is not None
    assert "broken.mp4" in shown[1].reason
    assert "no longer exists" in shown[2].reason


def test_picture_is_a_frame_and_its_motion(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(draw_clip(clip))
    with Image.open(tmp_path / "x.jpg") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] == 2 * 320 + 4
    left, right = pixels[:, :320], pixels[:, -320:]
    assert np.abs(left - right).mean() > 10  # coloured by a motion of 3 pixels to the right: red
    assert (right - left)[..., 0].mean() > (right - left)[..., 2].mean()


@pytest.mark.usefixtures("no_drawings")
def test_missing_videos_are_stated(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", ["a", "b", "c"], clips=12, right=0.4)
    write_report(run, {})
    text = (run.folder / "report.md").read_text(encoding="utf-8")
    assert "No picture: the video no longer exists" in text
    assert not list((run.folder / "figures").glob("*.jpg"))


def test_tensorboard_reads_the_logs(trained: TrainedRun, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(trained.folder / "tensorboard"))
    log.Reload()
    run = load_run(trained.folder)
    history = next(iter(run.training.values()))["fusion"]["history"]
    assert [round(e.value, 4) for e in log.Scalars("fusion/val_loss")] == [
        round(row["val_loss"], 4) for row in history
    ]
    assert log.Scalars("test/fusion_top1")[0].value == pytest.approx(run.metrics.streams[Stream.FUSION].top1)
    assert log.Images("confusion/fusion")[0].width > 100
    # Writing again replaces the logs; each fold has its own.
    many = made_run(tmp_path / "run", ["a", "b"], folds=2)
    write_events(many)
    write_events(many)
    places = {p.parent.name: p for p in (many.folder / "tensorboard").rglob("*tfevents*")}
    assert set(places) == {"tensorboard", "f0", "f1"}
    assert len(list((many.folder / "tensorboard").rglob("*tfevents*"))) == 3


@pytest.mark.usefixtures("no_drawings")
def test_motion_alone_has_no_comparison_with_appearance(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", ["a", "b"])
    alone = replace(
        run,
        metrics=replace(run.metrics, streams={Stream.MOTION: run.metrics.streams[Stream.MOTION]}),
        predictions={Stream.MOTION: run.predictions[Stream.MOTION]},
    )
    write_report(alone, {})
    page = is_self_contained((run.folder / "report.html").read_text(encoding="utf-8"))
    assert "What motion changes" not in page.shown
    assert "Differences" not in page.shown
    for words in ("Appearance", "top-5", "clip:", "Published"):  # two classes, and no encoder was loaded
        assert words not in page.shown


def test_failures_are_counted_by_clip() -> None:
    failures = [
        {"name": name, "stage": stage, "reason": reason}
        for name, stage, reason in (
            ("a.mp4", "motion", "no such file"),
            ("b.mp4", "motion", "no motion"),
            ("a.mp4", "clip", "no such file"),
            ("b.mp4", "clip", "no frames"),
        )
    ]
    assert failure_rows(failures) == [
        ["a.mp4", "motion, clip", "no such file"],
        ["b.mp4", "motion, clip", "no motion; no frames"],
    ]


def class_tables(run: Run, accuracies: list[float]) -> list[Block]:
    """The blocks on classes where fusion has the given accuracy in each class."""
    per_class = dict(zip(run.labels, accuracies, strict=True))
    scores = replace(run.metrics.streams[Stream.FUSION], per_class=per_class)
    streams = {**run.metrics.streams, Stream.FUSION: scores}
    run = replace(run, metrics=replace(run.metrics, streams=streams))
    sections = {s.title: s.blocks for s in report_document(gather(run, {})).sections}
    return list(sections["Classes"])


@pytest.mark.usefixtures("no_drawings")
def test_classes_of_equal_accuracy_are_counted_in_one_row(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", [f"class{i:02d}" for i in range(30)])
    sentence, _ = class_tables(run, [100.0] * 30)
    assert isinstance(sentence, Paragraph)
    assert sentence.text == "fusion: each class has 100 %."
    lowest, highest, _ = class_tables(run, [25.0, 50.0, 50.0] + [75.0] * 15 + [100.0] * 12)
    assert isinstance(lowest, Table)
    assert isinstance(highest, Table)
    assert [[str(cell) for cell in row] for row in lowest.rows] == [
        ["class00", "25"],
        ["class01", "50"],
        ["class02", "50"],
        ["15 classes", "75"],
    ]
    assert [str(cell) for cell in highest.rows[0]] == ["12 classes", "100"]


@pytest.mark.usefixtures("no_drawings")
def test_generated_clips_have_ceilings(tmp_path: Path) -> None:
    labels = [
        f"{texture}_{motion}"
        for texture in ("bricks", "water")
        for motion in ("pan_left", "rotate", "zoom_in")
    ]
    run = made_run(tmp_path / "run", labels)
    assert gather(run, {}).ceilings == {}
    run.config["data"]["kind"] = "synthetic"
    header, rows = stream_table(SCORES, run.metrics, gather(run, {}).ceilings)
    column = header.index("ceiling %")
    assert {str(row[0]): row[column] for row in rows} == {
        "motion only (network)": "50",
        "appearance only (head)": "33",
        "fusion": "100",
    }


@pytest.mark.usefixtures("no_drawings")
def test_unknown_costs_are_left_out(tmp_path: Path) -> None:
    """Features from a file: the encoders' operations are unknown."""
    run = made_run(tmp_path / "run", ["a", "b"])
    costs = {Stream.FUSION: Cost(2_000_000, 0)}
    run = replace(run, metrics=replace(run.metrics, costs=costs))
    run.config["data"]["kind"] = "features"
    assert "GFLOPs" not in stream_table(SCORES, run.metrics)[0]
    write_report(run, {})
    page = is_self_contained((run.folder / "report.html").read_text(encoding="utf-8"))
    assert "only the heads are counted" in page.shown
    results, settings, _ = page.shown.rpartition("train_motion:")
    assert settings
    for words in ("GFLOPs", "0.00", " ms "):
        assert words not in results


def test_costs_of_heads_include_their_networks() -> None:
    costs = {
        Stream.MOTION: Cost(10, 10, 1.0, 1.0),
        Stream.MOTION_HEAD: Cost(2, 2, 0.1, 0.1),
        Stream.APPEARANCE: Cost(3, 3, 0.1, 0.1),
        Stream.FUSION: Cost(5, 5, 0.5, 0.5),
    }
    frame, network = Cost(100, 0, 2.0, 2.0), costs[Stream.MOTION]
    totals = {stream: with_sources(stream, cost, frame, 4, network) for stream, cost in costs.items()}
    assert totals == {
        Stream.MOTION: Cost(10, 10, 1.0, 1.0),
        Stream.MOTION_HEAD: Cost(12, 12, 1.1, 1.1),
        Stream.APPEARANCE: Cost(103, 3, 8.1, 8.1),
        Stream.FUSION: Cost(115, 15, 9.5, 9.5),
    }
