"""The real analysing process behind the real server: what people get for real files."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moclip_lite import Classifier
from moclip_lite.engine.runtime import OnnxEngine
from moclip_lite.errors import CheckpointError
from moclip_lite.predict.content import content_digest
from moclip_lite.predict.open_run import open_run
from moclip_lite.predict.prediction import Prediction
from moclip_lite.serve.child.analysis import Analysis, Task
from moclip_lite.serve.http.refusal import Refusal
from moclip_lite.serve.models import PredictAnswer
from moclip_lite.serve.worker import child_command
from moclip_lite.storage.files import read_tensors, write_tensors

from support.broken_files import audio_file, empty_file, text_file, truncated_late
from support.cli import TrainedRun
from support.clips import encode, panning
from support.serving import Serving, serving


@pytest.fixture
def server(real_server: Serving) -> Serving:
    """The shared one."""
    return real_server


def analysed(server: Serving, **body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """State and result of a job."""
    job = server.client.post("/api/jobs", json=body).json()["id"]
    status = server.wait(job)
    assert status["state"] == "done", status
    return status, server.client.get(status["links"]["result"]).json()


def test_the_model_is_described(server: Serving, trained: TrainedRun) -> None:
    about = server.client.get("/api/about").json()
    assert about["labels"] == list(Classifier.load(trained.folder).labels)
    assert about["streams"][0] == "fusion"
    assert any("RANDOM" in warning for warning in about["warnings"])


def _label(folder: Path) -> None:
    labels = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps(["other", *labels[1:]]))


def _setting(folder: Path) -> None:
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("stride: ", "stride: 1"))
    assert (folder / "config.yaml").read_text() != text


def _weights(folder: Path) -> None:
    arrays, metadata = read_tensors(folder / "fusion.safetensors")
    arrays = {name: array * 1.5 for name, array in arrays.items()}
    write_tensors(folder / "fusion.safetensors", arrays, metadata)


def _calibration(folder: Path) -> None:
    value = json.loads((folder / "timeline.json").read_text())
    (folder / "timeline.json").write_text(json.dumps({**value, "energy": 1e3}))


def _report(folder: Path) -> None:
    (folder / "report.html").write_text("another")


@pytest.mark.parametrize("change", [_label, _setting, _weights, _calibration, _report])
def test_the_digest_of_a_model_covers_what_answers(
    change: Callable[[Path], None], trained: TrainedRun, tmp_path: Path
) -> None:
    folder = trained.copy(tmp_path / "run")

    def digest() -> str:
        run, experiment, _ = open_run(folder, [])
        return content_digest(run, experiment, run.read_labels(), _Engine("onnx"))

    before = digest()
    assert before == digest()
    change(folder)
    assert (digest() == before) == (change is _report)


class _Engine(OnnxEngine):
    """An engine without networks."""

    def __init__(self, name: str, **files: str) -> None:
        self.name, self.files = name, files


def test_the_digest_of_a_model_covers_its_engine(trained: TrainedRun) -> None:
    """Other files of the same weights answer otherwise in the last digits, or in int8."""
    run, experiment, _ = open_run(trained.folder, [])
    engines = [_Engine("torch"), _Engine("onnx"), _Engine("onnx", motion="1"), _Engine("onnx", motion="2")]
    digests = [content_digest(run, experiment, run.read_labels(), engine) for engine in engines]
    assert len(set(digests)) == len(engines)


def test_a_loaded_model_does_not_need_its_folder(trained: TrainedRun, root: Path, tmp_path: Path) -> None:
    """Nothing is read on first use: it could be another model's."""
    folder = trained.copy(tmp_path / "run")
    (tmp_path / "serve").mkdir()
    answers = []
    for remove in (False, True):
        command = child_command(str(folder), "cpu", [], {})
        with serving(tmp_path / "serve", command, root=root) as running:
            if remove:
                shutil.rmtree(folder)
            answer = running.client.post("/api/predict", json={"path": "clip.mp4"}).json()
        answers.append(
            {**answer, "seconds": 0, "cpu_seconds": 0, "timeline": {**answer["timeline"], "seconds": 0}}
        )
    assert answers[0] == answers[1]


def test_predict_answers_as_the_program_does(server: Serving, trained: TrainedRun, root: Path) -> None:
    with (root / "clip.mp4").open("rb") as file:
        answer = server.client.post(
            "/api/predict", files={"file": ("my.mp4", file)}, data={"top_k": "2"}
        ).json()
    classifier = Classifier.load(trained.folder)
    expected = classifier.explain(root / "clip.mp4", 2)
    assert [one["label"] for one in answer["predictions"]] == [label for label, _ in expected.ranking]
    for stream, ranking in expected.streams.items():
        scores = [one["score"] for one in answer["streams"][stream]]
        assert scores == pytest.approx([score for _, score in ranking], abs=1e-5)
    timeline = classifier.timeline(root / "clip.mp4", threshold=0.3)
    assert answer["timeline"]["segments"] == [segment.to_dict() for segment in timeline.segments]
    assert answer["path"] == answer["timeline"]["path"] == "my.mp4"
    assert not any("upload" in name for name in server.left())


@pytest.mark.parametrize("name", ["clip.mp4", "hevc.mkv", "old.avi", "web.webm"])
def test_a_job_has_all_that_the_page_shows(name: str, server: Serving) -> None:
    status, result = analysed(server, path=name)
    plays = name in ("clip.mp4", "web.webm")
    assert result["video"]["preview"] is not plays
    assert result["video"]["duration"] == pytest.approx(72 / 25, abs=0.1)
    assert result["vectors"]["pictures"] == 72
    assert result["vectors"]["has_motion"]
    chunk = server.client.get(status["links"]["vectors"].format(chunk=0))
    assert chunk.content[:4] == b"MCV1"
    video = server.client.get(status["links"]["video"], headers={"range": "bytes=0-99"})
    assert (video.status_code, len(video.content)) == (206, 100)
    assert str(server.folder) not in json.dumps(result)


_OF_THE_SERVER = {"timeline": None, "notes": ["no timeline: made up"]}


class _Answers:
    """A classifier of made-up answers."""

    def explain(self, path: Path, top_k: int) -> Prediction:
        return Prediction(str(path), [("pan", 1.0)], "motion", {"motion": [("pan", 1.0)]})

    def timeline(self, path: Path, **options: Any) -> None:
        raise CheckpointError("made up")


def test_answers_for_codecs_without_vectors(tmp_path: Path) -> None:
    """They have all that ``moclip predict --json`` says, and vectors in pixels of the video.

    VP9 has no vectors; those of its copy, whose short side has 480 pixels, are 1.5 times as long here.
    """
    shown = panning(5, 864, 720, (12, 0))
    path = encode(tmp_path / "large.webm", shown, "libvpx-vp9", deadline="realtime", **{"cpu-used": "8"})
    task = Task(video=path, name="large.webm", folder=tmp_path, page=True)
    classifier: Any = _Answers()
    Analysis(classifier, task, lambda *_: None).run()
    result = json.loads((tmp_path / "result.json").read_text())
    energy = result["vectors"]["energy"]
    assert np.mean([pixels for _, pixels in energy]) == pytest.approx(12, abs=1.5)
    documented = {name: result[name] for name in PredictAnswer.model_fields}
    assert documented == {**classifier.explain(path, 5).to_json(), **_OF_THE_SERVER, "path": "large.webm"}
    assert {*result} - {*documented} == {"video", "vectors"}


def test_downloads_are_the_timeline(server: Serving) -> None:
    status, result = analysed(server, path="clip.mp4")
    segments = result["timeline"]["segments"]
    rows = list(csv.DictReader(io.StringIO(server.client.get(status["links"]["csv"]).text)))
    assert [row["label"] for row in rows] == [segment["label"] for segment in segments]
    assert all(row["video"] == "clip.mp4" for row in rows)
    assert server.client.get(status["links"]["json"]).json() == result["timeline"]
    cues = server.client.get(status["links"]["vtt"]).text
    assert cues.startswith("WEBVTT")
    assert cues.count(" --> ") == len(segments)


BROKEN = {
    "text": (text_file, "not a video file"),
    "empty": (empty_file, "empty"),
    "sound": (audio_file, "no video stream"),
    "cut": (truncated_late, "cut short"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_files_get_their_sentence(kind: str, server: Serving, tmp_path: Path) -> None:
    make, words = BROKEN[kind]
    content = make(tmp_path).read_bytes()
    answer = server.client.post("/api/predict", files={"file": ("holiday.mp4", content)})
    assert answer.status_code == 422
    sentence = answer.json()["error"]
    assert words in sentence
    assert "holiday.mp4" in sentence
    assert str(server.folder) not in sentence


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"max_pixels": 1000}, "megapixels"),
        ({"max_length": 1.5}, "2.88 s long; this server takes up to 1.5 s"),
    ],
)
def test_bounds_of_the_video(bounds: dict[str, Any], words: str, root: Path, tmp_path: Path) -> None:
    task = Task(video=root / "clip.mp4", name="my.mp4", folder=tmp_path, **bounds)
    classifier: Any = None  # nothing is classified
    with pytest.raises(Refusal, match=words) as caught:
        Analysis(classifier, task, lambda *_: None).run()
    assert caught.value.status == 413
    assert list(tmp_path.iterdir()) == []
