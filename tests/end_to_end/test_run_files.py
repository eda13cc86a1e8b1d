"""The files of a finished run: complete, consistent with each other, without pickles."""

from __future__ import annotations

import csv
import json

import pytest
import yaml
from PIL import Image
from safetensors import safe_open

from support.cli import FOLDER_YAML, TrainedRun, assert_ok, moclip, sets
from support.run_files import LABELS, STREAMS, read_metrics
from support.tables import read_rows


def test_run_folder_is_complete(trained: TrainedRun) -> None:
    names = {p.name for p in trained.folder.iterdir()}
    assert {"config.yaml", "labels.json", "metrics.json", "training.json"} <= names
    assert {"report.md", "report.html", "tensorboard"} <= names
    for stream in STREAMS:
        assert {f"{stream}.safetensors", f"confusion_{stream}.csv", f"confusion_{stream}.png"} <= names
        assert f"predictions_{stream}.csv" in names
        with safe_open(str(trained.folder / f"{stream}.safetensors"), "numpy") as file:
            assert len(list(file.keys())) > 2
    assert "failures.csv" not in names
    assert not [name for name in names if name.startswith(".")], "drafts are left"
    assert json.loads((trained.folder / "labels.json").read_text(encoding="utf-8")) == LABELS
    config = yaml.safe_load((trained.folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["root"] == str(trained.data)
    assert config["clip"]["model"] == "timm:test_vit"
    assert config["motion"]["backend"] == "auto"  # defaults are written out too


def test_metrics_have_the_promised_form(trained: TrainedRun) -> None:
    metrics = read_metrics(trained.folder)
    assert metrics["clips"]["test"] == 8
    assert sum(metrics["clips"].values()) == 32
    for stream in STREAMS:
        found = metrics[stream]
        assert found["n"] == 8
        assert set(found["per_class"]) == set(LABELS)
        rows = read_rows(trained.folder / f"predictions_{stream}.csv")
        right = 100 * sum(row["label"] == row["predicted"] for row in rows) / len(rows)
        assert found["top1"] == pytest.approx(right)  # percent
        assert found["top1"] <= found["top5"] == 100  # four classes
        for label, value in found["per_class"].items():
            own = [row for row in rows if row["label"] == label]
            assert value == pytest.approx(100 * sum(r["predicted"] == label for r in own) / len(own))
    assert metrics["failures"] == []
    assert "RANDOM" in metrics["appearance_weights"]
    assert metrics["fusion"]["top1"] >= 75
    assert metrics["fusion"]["top1"] >= max(metrics["motion"]["top1"], metrics["appearance"]["top1"])


@pytest.mark.parametrize("stream", STREAMS)
def test_confusion_matrix_counts_the_predictions(stream: str, trained: TrainedRun) -> None:
    with (trained.folder / f"confusion_{stream}.csv").open(encoding="utf-8", newline="") as file:
        header, *body = list(csv.reader(file))
    assert header[1:] == LABELS == [row[0] for row in body]
    rows = read_rows(trained.folder / f"predictions_{stream}.csv")
    for true, counts in zip(LABELS, body, strict=True):
        for predicted, count in zip(LABELS, counts[1:], strict=True):
            assert int(count) == sum((r["label"], r["predicted"]) == (true, predicted) for r in rows)
    with Image.open(trained.folder / f"confusion_{stream}.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 100


def test_report_shows_what_the_metrics_say(trained: TrainedRun) -> None:
    text, metrics = (trained.folder / "report.md").read_text(encoding="utf-8"), read_metrics(trained.folder)
    for words, stream in (("fusion", "fusion"), ("motion only (network)", "motion")):
        assert f"| {words} | {metrics[stream]['top1']:.1f} |" in text
    assert "RANDOM weights" in text
    for name in text.split("](")[1:]:
        assert (trained.folder / name.split(")")[0]).is_file()


def test_nothing_is_pickled(trained: TrainedRun) -> None:
    files = [p for root in (trained.folder, trained.cache) for p in root.rglob("*") if p.is_file()]
    assert len(files) > 60
    allowed = {
        ".safetensors",
        ".json",
        ".yaml",
        ".csv",
        ".png",
        ".md",
        ".sqlite",
        ".html",
        ".svg",
        ".jpg",
        ".lock",
        ".onnx",
        ".scores",
    }
    assert {p.suffix for p in files if "tfevents" not in p.name} <= allowed
    for path in files:
        head = path.read_bytes()[:9]
        if path.suffix in (".safetensors", ".scores"):  # eight bytes of length, then JSON
            assert head[8:] == b"{", path
            continue
        assert head[:1] != b"\x80", f"{path} begins as a pickle"
        assert head[:2] != b"PK", f"{path} is a zip archive, as torch.save writes"


def test_parts_are_distinct_and_test_is_never_trained_on(trained: TrainedRun) -> None:
    tested = {row["clip"] for row in read_rows(trained.folder / "predictions_fusion.csv")}
    assert len(tested) == 8
    validated = assert_ok(moclip("evaluate", trained.folder, "--part", "val", "--json")).json
    assert validated["fusion"]["n"] == read_metrics(trained.folder)["clips"]["val"]
    words = [*sets((f"data.root={trained.data}",)), "--json"]
    listed = assert_ok(moclip("dataset", "list", FOLDER_YAML, *words)).json
    assert listed["clips"] == 32
