"""Files of a run folder with any value in any place: each is read, or refused in a sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moclip_lite.datasets import Clip
from moclip_lite.engine.files import int8_by_default
from moclip_lite.engine.model_json import INT8, read_model_json
from moclip_lite.errors import CheckpointError
from moclip_lite.results.calibration import Calibration, StreamCalibration, read_calibration
from moclip_lite.results.cascade import Cascade, read_cascade
from moclip_lite.results.ledger import SecondsLedger
from moclip_lite.results.metrics import Metrics
from moclip_lite.results.predictions import read_predictions
from moclip_lite.results.read import load_run
from moclip_lite.results.trained_on import clips_seen

from support.runs import made_run

HOSTILE = (
    *("null", "true", "[]", "{}", '"x"', "[1]", '{"x": 1}', "-1", "0.5"),
    *("NaN", "Infinity", "-Infinity", "1e400", "1" + "0" * 30, "1" * 5000, "-1" + "0" * 400),
)
"""JSON, and what Python takes for it."""


def replaced(document: Any) -> Iterator[Any]:
    """The document with a mark in the place of each of its values, and without each of its keys."""
    places = list(_places(document))
    for place in places:
        yield _with(document, place, "MARK")
    for place in places:
        if place and isinstance(place[-1], str):
            yield _without(document, place)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from _places(part, (*place, key))


def _with(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = copy.deepcopy(document)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    return changed


def _without(document: Any, place: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(document)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    del holder[place[-1]]
    return changed


def sweep(path: Path, document: Any, read: Callable[[], object]) -> int:
    """Read a file with each hostile value in each place of a document; how many were refused."""
    path.write_text(json.dumps(document), encoding="utf-8")
    read()
    texts = [
        json.dumps(changed).replace('"MARK"', value)
        for changed in replaced(document)
        for value in (HOSTILE if "MARK" in json.dumps(changed) else HOSTILE[:1])
    ]
    refused = 0
    for text in texts:
        path.write_text(text, encoding="utf-8")
        try:
            read()
        except CheckpointError as error:
            refused += 1
            assert len(str(error)) < 400  # noqa: PT017
            assert "pydantic" not in str(error)  # noqa: PT017
    return refused


def test_a_calibration(tmp_path: Path) -> None:
    path = tmp_path / "timeline.json"
    Calibration(1.5, 0.2, {"motion": StreamCalibration(1.1, 0.3, 5, 80.0)}).write(path)
    assert sweep(path, json.loads(path.read_text()), lambda: read_calibration(path)) > 50


def test_a_cascade(tmp_path: Path) -> None:
    path = tmp_path / "cascade.json"
    Cascade(0.9, 0.8, 20, 90.0, 91.0, 0.5, 0.2).write(path)

    def read() -> None:
        found = read_cascade(path)
        assert found is not None
        assert found.words

    assert sweep(path, json.loads(path.read_text()), read) > 50


def test_a_division(tmp_path: Path) -> None:
    path = tmp_path / "division.json"
    clips = [Clip(Path("a.mp4"), f"{part}/a.mp4", "x") for part in ("train", "val")]
    document = {
        "fold": "f",
        "root": "/data",
        "train": {"train/a.mp4": "ab"},
        "val": {"b@0-1": None},
        "test": {},
    }
    digests = {"train/a.mp4": "ab"}
    read = lambda: clips_seen(path, clips, "/data", digests, ("train", "val"))  # noqa: E731
    assert sweep(path, document, read) > 50


def test_the_times_of_stages(tmp_path: Path) -> None:
    """What is damaged is forgotten."""
    path = tmp_path / "seconds.json"

    def read() -> None:
        with SecondsLedger(path).timing("x", {}):
            pass

    assert sweep(path, {json.dumps(["x", {}]): 1.5}, read) == 0


@pytest.mark.slow
def test_metrics(tmp_path: Path) -> None:
    run = tmp_path / "run"
    made_run(run, ["a", "b"])
    path = run / "metrics.json"
    document = json.loads(path.read_text())
    assert sweep(path, {k: v for k, v in document.items() if k != "motion"}, lambda: Metrics.read(path)) > 100


@pytest.mark.slow
def test_the_history_of_a_training(tmp_path: Path) -> None:
    run = tmp_path / "run"
    made_run(run, ["a", "b"])
    path = run / "training.json"
    row = {"epoch": 0, "loss": 1.0, "val_loss": 1.0, "accuracy": 50.0}
    assert sweep(path, {"motion": {"history": [row], "best_epoch": 0}}, lambda: load_run(run)) > 50


def test_the_description_of_onnx_files(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    document = {
        "made_from": {"version": 1},
        "files": {"motion.onnx": {"digest": "ab"}},
        "warnings": ["x"],
        "preprocessing": {"pictures": {"size": 4}},
        "encoder": {"key": "ab", "digest": "cd"},
        INT8: {"refused": "x"},
    }

    def read() -> None:
        description = read_model_json(path)
        int8_by_default(description)
        assert all(isinstance(text, str) for text in description.get("warnings", []))

    assert sweep(path, document, read) > 30


def test_predictions_with_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    """Spreadsheets write one."""
    run = tmp_path / "run"
    made_run(run, ["a", "b"])
    path = run / "predictions_motion.csv"
    before, text = read_predictions(path), path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + text)
    assert read_predictions(path) == before
    path.write_bytes(text.replace(b"clip,", b"video,"))
    with pytest.raises(CheckpointError, match="is damaged: it has no column 'clip'"):
        read_predictions(path)
