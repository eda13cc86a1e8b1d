"""The cascade: thresholds from validation clips; fewer pictures and the same answers where motion is sure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from moclip_lite import Classifier
from moclip_lite.errors import CheckpointError
from moclip_lite.results.calibration import Calibration, read_calibration
from moclip_lite.results.cascade import MIN_CLIPS, NEVER, Cascade, fit_cascade, read_cascade
from moclip_lite.results.fitted_for import digests_of_weights
from moclip_lite.results.fold_folder import FoldFolder
from moclip_lite.storage.files import write_tensors
from moclip_lite.streams import Stream
from moclip_lite.training.weights_file import CONTENT

from support.cli import TINY, TrainedRun, assert_ok, assert_refused, moclip, sets

Scores = npt.NDArray[np.float32]


def _scores(rng: np.random.Generator, targets: npt.NDArray[np.int64], accuracy: float) -> Scores:
    """Probabilities of 4 classes that are right with this chance, surer where they are right."""
    right = rng.random(len(targets)) < accuracy
    answers = np.where(right, targets, (targets + 1) % 4)
    logits = rng.normal(0, 0.5, (len(targets), 4))
    logits[np.arange(len(targets)), answers] += np.where(right, rng.uniform(1, 6, len(targets)), 1.5)
    return np.asarray(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), np.float32)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("accuracies", [(0.9, 0.95, 1.0), (0.5, 0.6, 0.9), (0.95, 0.7, 0.7), (0.3, 0.3, 1.0)])
def test_accuracy_on_validation_is_kept(seed: int, accuracies: tuple[float, ...]) -> None:
    """At both thresholds, and at any higher one, no clip is lost in total."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 4, 60)
    motion, one, full = (_scores(rng, targets, accuracy) for accuracy in accuracies)
    cascade = fit_cascade(motion, one, full, targets)
    assert cascade is not None
    assert cascade.cascaded >= cascade.full
    right = full.argmax(1) == targets
    for threshold in sorted(float(p) for p in motion.max(axis=1) if p >= cascade.motion):
        taken = motion.max(axis=1) >= threshold
        assert (motion.argmax(1) == targets)[taken].sum() >= right[taken].sum()


def test_motion_that_is_always_right_needs_no_picture_and_one_that_is_wrong_always() -> None:
    targets = np.arange(40) % 4
    sure = np.full((40, 4), 0.02, np.float32)
    sure[np.arange(40), targets] = 0.94
    wrong = np.roll(sure, 1, axis=1)
    assert fit_cascade(sure, None, sure, targets) == Cascade(pytest.approx(0.94), NEVER, 40, 100, 100, 1, 0)
    assert fit_cascade(wrong, wrong, sure, targets) == Cascade(NEVER, NEVER, 40, 100, 100, 0, 0)
    few = slice(MIN_CLIPS - 1)
    assert fit_cascade(sure[few], None, sure[few], targets[few]) is None


@pytest.mark.parametrize(
    "change",
    [{"motion": 0}, {"motion": "x"}, {"one_frame": 3}, {"clips": 0}, {"full": 101}, {"by_motion": None}],
)
def test_damaged_thresholds_are_refused(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "cascade.json"
    assert read_cascade(path) is None
    good = Cascade(0.9, 0.8, 40, 90.0, 91.0, 0.5, 0.25)
    good.write(path)
    assert read_cascade(path) == good
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_cascade(path)


@pytest.mark.parametrize("name", ["cascade.json", "timeline.json"])
@pytest.mark.parametrize("content", ["", "digest"])  # weights of other projects say none of their numbers
def test_what_was_fitted_for_other_weights_is_refused(name: str, content: str, tmp_path: Path) -> None:
    """Also where both lie in a folder that was copied; files of earlier versions say nothing."""
    folder = FoldFolder(tmp_path)

    def put(value: float) -> None:
        metadata = {CONTENT: f"{content}{value}"} if content else {}
        for stream in ("motion", "fusion"):
            write_tensors(folder.weights(stream), {"a": np.full(3, value, np.float32)}, metadata)

    path, read, fitted = {
        "cascade.json": (folder.cascade, read_cascade, Cascade(0.9, 0.8, 40, 90.0, 91.0, 0.5, 0.25)),
        "timeline.json": (folder.timeline, read_calibration, Calibration(1.0, 0.1)),
    }[name]
    put(1.0)
    noted = replace(fitted, weights=digests_of_weights(folder, ("motion", "fusion", "appearance")))
    assert set(noted.weights) == {"motion", "fusion"}
    noted.write(path)
    assert read(path) == noted
    put(2.0)
    with pytest.raises(CheckpointError, match=r"was fitted for other weights than .*motion\.safetensors"):
        read(path)
    fitted.write(path)
    assert read(path) == fitted
    path.write_text(json.dumps({**json.loads(path.read_text()), "weights": {"../x": "a"}}))
    with pytest.raises(CheckpointError, match="damaged"):
        read(path)


def test_a_run_notes_the_weights_of_its_calibration(trained: TrainedRun) -> None:
    folder = FoldFolder(trained.folder)
    calibration = read_calibration(folder.timeline)
    assert calibration is not None
    assert calibration.weights == digests_of_weights(folder, calibration.streams)
    assert "motion" in calibration.weights


def _run_with(thresholds: tuple[float, float], trained: TrainedRun, target: Path) -> Path:
    folder = trained.copy(target)
    Cascade(*thresholds, 40, 90.0, 90.0, 0.5, 0.25).write(folder / "cascade.json")
    return folder


def test_where_motion_is_sure_no_picture_is_read(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = next(trained.data.rglob("*.mp4"))
    plain = Classifier.load(trained.folder, device="cpu")
    expected = plain.explain(clip)

    never = Classifier.load(_run_with((NEVER, NEVER), trained, tmp_path / "never"), device="cpu")
    found = never.explain(clip, cascade=True)
    assert (found.streams, found.stream, found.frames) == (expected.streams, "fusion", 1)
    assert found.gflops == expected.gflops

    always = Classifier.load(_run_with((1e-3, NEVER), trained, tmp_path / "always"), device="cpu")

    def refuse(*_: object) -> None:
        raise AssertionError("pictures were read")

    monkeypatch.setattr("moclip_lite.predict.read_file.read_frames", refuse)
    found = always.explain(clip, cascade=True)
    assert (found.stream, found.frames) == ("motion", 0)
    assert found.streams == {"motion": expected.streams["motion"]}
    assert any("motion alone" in note for note in found.notes)
    assert found.gflops is not None
    assert expected.gflops is not None
    assert found.gflops < expected.gflops


def test_one_frame_before_all(trained: TrainedRun, tmp_path: Path) -> None:
    clip = next(trained.data.rglob("*.mp4"))
    folder = _run_with((NEVER, 1e-3), trained, tmp_path / "run")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("  frames: 1\n", "  frames: 4\n"))
    classifier = Classifier.load(folder, device="cpu")
    found = classifier.explain(clip, cascade=True)
    assert (found.stream, found.frames, set(found.streams)) == ("fusion", 1, {"fusion", "motion"})
    assert classifier.explain(clip).frames == 4
    assert set(classifier.explain(clip).streams) == {
        str(stream) for stream in (Stream.MOTION, *classifier.heads)
    }


def test_from_the_command_line(trained: TrainedRun, tmp_path: Path) -> None:
    clip = next(trained.data.rglob("*.mp4"))
    words = ("predict", clip, "--json", "--cascade", "--model")
    assert_refused(
        moclip(*words, trained.folder), "no thresholds for a cascade", "at least 15 validation clips"
    )
    assert_refused(moclip(*words, trained.folder, "--segments"), "--cascade is for whole files")
    outcome = assert_ok(moclip(*words, _run_with((1e-3, NEVER), trained, tmp_path / "run")))
    assert "on 40 validation clips 90.0 % right" in outcome.err
    assert outcome.json[0]["frames"] == 0
    assert "0 % of the files" in assert_ok(moclip(*(w for w in words if w != "--json"), tmp_path / "run")).err


@pytest.mark.slow
def test_a_run_calibrates_it(generated: Path, tmp_path: Path) -> None:
    """Half of the training clips validate: more than 14 do not come together otherwise."""
    assert sum(1 for _ in generated.rglob("*.mp4")) == 32
    places = (
        f"data.root={generated}",
        f"run.dir={tmp_path / 'run'}",
        "data.test_fraction=0.1",
        "data.val_fraction=0.75",
    )
    quick = (*TINY, *places, "train_motion.epochs=2", "train_head.epochs=2")
    assert_ok(moclip("run", generated, *sets(quick)))
    cascade = read_cascade(tmp_path / "run" / "cascade.json")
    assert cascade is not None
    assert cascade.clips >= MIN_CLIPS
    assert cascade.cascaded >= cascade.full
    assert cascade.weights.keys() == {"motion", "fusion"}
    assert_ok(moclip("run", generated, *sets((*quick, "run.streams=[motion]"))))
    assert not (tmp_path / "run" / "cascade.json").exists()
