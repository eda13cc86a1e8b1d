"""Labels for files that no training saw, of whatever codec, length and name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import mv_tools
from moclip_lite import Classifier
from moclip_lite.datasets.synthetic.pictures import render_clip
from moclip_lite.errors import CheckpointError
from mv_tools import ArgumentError

from support.cli import TrainedRun, assert_ok, assert_refused, moclip
from support.clips import H264, encode, panning

UNSEEN = (("bricks", "pan_left"), ("bricks", "rotate"), ("water", "pan_left"), ("water", "rotate"))


def _pictures(texture: str, motion: str, frames: int = 16) -> npt.NDArray[np.uint8]:
    """Drawn with a seed that the training clips don't have."""
    return render_clip(texture, motion, frames, (4711, UNSEEN.index((texture, motion))))[0]


@pytest.fixture(scope="module")
def classifier(trained: TrainedRun) -> Classifier:
    """The shared run, loaded."""
    return Classifier.load(trained.folder, device="cpu")


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A clip of each class as H.264, MPEG-4 in .avi and others."""
    base = tmp_path_factory.mktemp("unseen")
    made = {f"{t}_{m}": encode(base / f"{t}_{m}.mp4", _pictures(t, m), **H264) for t, m in UNSEEN}
    rotating = _pictures("water", "rotate")
    made["mpeg4"] = encode(base / "old.avi", rotating, "mpeg4", g="12")
    made["mpeg2"] = encode(base / "disc.mpg", rotating, "mpeg2video", g="12")
    made["vp9"] = encode(
        base / "web.webm", rotating, "libvpx-vp9", g="12", deadline="realtime", **{"cpu-used": "8"}
    )
    made["intra"] = encode(base / "intra.mp4", rotating, **{**H264, "g": "1"})
    made["one"] = encode(base / "one.mp4", rotating[:1], **H264)
    made["two"] = encode(base / "two.mp4", rotating[:2], **H264)
    made["raw"] = encode(base / "raw.h264", rotating, **H264)
    made["odd"] = encode(base / "odd.avi", rotating[:, :87, :123], "mpeg4", g="12")
    made["large"] = encode(base / "large.mp4", np.repeat(np.repeat(rotating, 2, 1), 2, 2), **H264)
    return made


# From Python


def test_unseen_clips_get_their_labels(classifier: Classifier, unseen: dict[str, Path]) -> None:
    right = [classifier.predict(unseen[f"{t}_{m}"], top_k=1)[0][0] == f"{t}_{m}" for t, m in UNSEEN]
    assert sum(right) >= 3, right


def test_ranking_is_sorted_probabilities(classifier: Classifier, unseen: dict[str, Path]) -> None:
    path = unseen["water_rotate"]
    ranking = classifier.predict(str(path), top_k=10)
    assert sorted(label for label, _ in ranking) == sorted(classifier.labels)
    scores = [score for _, score in ranking]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-5)
    assert all(type(score) is float for score in scores)
    assert classifier.predict(path, top_k=2) == ranking[:2]
    assert classifier.predict(path) == classifier.predict(path)
    assert len(classifier.predict(path)) == 4  # five were asked for, there are four


@pytest.mark.parametrize("top_k", [0, -1])
def test_no_labels_are_refused(top_k: int, classifier: Classifier, unseen: dict[str, Path]) -> None:
    for source in (unseen["water_rotate"], [unseen["water_rotate"]]):
        with pytest.raises(ArgumentError, match=f"top_k must be at least 1, got {top_k}"):
            classifier.predict(source, top_k=top_k)  # type: ignore[call-overload]


def test_list_of_paths(classifier: Classifier, unseen: dict[str, Path]) -> None:
    paths = [unseen["water_rotate"], unseen["bricks_pan_left"]]
    assert classifier.predict(paths) == [classifier.predict(path) for path in paths]
    assert classifier.predict([]) == []


def test_predictions_equal_those_of_the_run(classifier: Classifier, trained: TrainedRun) -> None:
    """Through the cache or straight from the file: the same label."""
    lines = (trained.folder / "predictions_fusion.csv").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines[:4]:
        name, _, predicted, score, *_ = line.split(",")
        label, found = classifier.predict(trained.data / name, top_k=1)[0]
        assert label == predicted
        assert found == pytest.approx(float(score), abs=2e-3)


@pytest.mark.parametrize("kind", ["mpeg4", "mpeg2"])
def test_older_codecs_keep_their_own_vectors(
    kind: str, classifier: Classifier, unseen: dict[str, Path]
) -> None:
    found = classifier.explain(unseen[kind])
    assert set(found.streams) == {"motion", "appearance", "fusion"}
    assert found.stream == "fusion"
    assert any("full decoding (libav)" in note for note in found.notes) == (kind == "mpeg2")
    assert not any("re-encoded" in note for note in found.notes)


def test_codec_without_vectors_is_reencoded_and_said_so(
    classifier: Classifier, unseen: dict[str, Path]
) -> None:
    before = unseen["vp9"].read_bytes()
    found = classifier.explain(unseen["vp9"])
    assert set(found.streams) == {"motion", "appearance", "fusion"}
    assert any("no motion vectors" in note and "re-encoded" in note for note in found.notes)
    assert unseen["vp9"].read_bytes() == before


@pytest.mark.parametrize("kind", ["intra", "one"])
def test_clip_without_motion_is_told_by_appearance(
    kind: str, classifier: Classifier, unseen: dict[str, Path]
) -> None:
    found = classifier.explain(unseen[kind])
    assert found.stream == "appearance"
    assert set(found.streams) == {"appearance"}
    assert any("no motion" in note and "appearance" in note for note in found.notes)
    assert found.ranking[0][0].startswith("water")


@pytest.mark.parametrize("kind", ["two", "raw", "odd", "large"])
def test_other_lengths_and_sizes(kind: str, classifier: Classifier, unseen: dict[str, Path]) -> None:
    found = classifier.explain(unseen[kind])
    assert found.stream == "fusion"
    assert np.isfinite([score for _, score in found.ranking]).all()
    label, expected = found.ranking[0][0], classifier.predict(unseen["water_rotate"], 1)[0][0]
    if kind == "raw":  # the same pictures in another container
        assert label == expected
    if kind == "large":  # and in another size, which may change what random weights see, not the motion
        assert label.partition("_")[2] == expected.partition("_")[2]


def test_h264_needs_no_remark(classifier: Classifier, unseen: dict[str, Path]) -> None:
    found = classifier.explain(unseen["water_rotate"])
    assert found.notes == []
    assert found.path == str(unseen["water_rotate"])
    assert found.seconds > 0


def test_errors_in_python(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.mp4"):
        classifier.predict(tmp_path / "none.mp4")
    text = tmp_path / "text.mp4"
    text.write_text("no video\n" * 100, encoding="utf-8")
    with pytest.raises(mv_tools.MotionError, match=r"text\.mp4"):
        classifier.predict(text)


# From the command line


def test_command_line_answers_in_json(trained: TrainedRun, unseen: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "ein Ordner" / "日本語"
    folder.mkdir(parents=True)
    names = ["Übung mit Leerzeichen.mp4", "клип [x] 🎬.mp4", "it's 100% new.MP4"]
    for name in names:
        (folder / name).write_bytes(unseen["water_rotate"].read_bytes())
    (folder / "notes.txt").write_text("no video", encoding="utf-8")
    words = ("predict", unseen["mpeg4"], unseen["vp9"], unseen["intra"], unseen["one"], folder.parent)
    outcome = assert_ok(moclip(*words, "--model", trained.folder, "--json", "--top-k", 3))
    assert "RANDOM weights" in outcome.err
    answers = outcome.json
    paths = [str(path) for path in words[1:5]] + sorted(str(folder / name) for name in names)
    assert [a["path"] for a in answers] == paths
    for answer in answers:
        assert set(answer) >= {"path", "predictions", "seconds"}
        assert len(answer["predictions"]) == 3
        assert all(set(row) == {"label", "score"} for row in answer["predictions"])
        assert 0 <= answer["predictions"][0]["score"] <= 1
        assert answer["seconds"] > 0
    assert len({json.dumps(a["predictions"]) for a in answers[4:]}) == 1  # one file under three names
    assert [a["stream"] for a in answers[:4]] == ["fusion", "fusion", "appearance", "appearance"]
    assert "re-encoded" in " ".join(answers[1]["notes"])


@pytest.mark.parametrize(("words", "labels"), [((), 2), (("-k", 1), 1), (("-k", 4), 4)])
def test_a_line_holds_as_many_labels_as_asked_for(
    words: tuple[object, ...], labels: int, trained: TrainedRun, unseen: dict[str, Path]
) -> None:
    outcome = assert_ok(moclip("predict", unseen["water_rotate"], "--model", trained.folder, *words))
    assert outcome.out.count(" %") == labels
    assert len(outcome.out.splitlines()) == 1


def test_command_line_shows_each_stream(trained: TrainedRun, unseen: dict[str, Path]) -> None:
    files = (unseen["water_rotate"], unseen["intra"])
    outcome = assert_ok(moclip("predict", *files, "--model", trained.folder, "-v"))
    text = "".join(outcome.out.split())
    assert "water_rotate.mp4" in text
    for word in ("fusion", "motion", "appearance"):
        assert word in text
    assert "no motion in this file" in outcome.err


def test_command_line_prints_a_line_a_file(
    classifier: Classifier, trained: TrainedRun, unseen: dict[str, Path], tmp_path: Path
) -> None:
    """Label, score, runner-up and time, in order; what the files cost on stderr."""
    files = [unseen["water_rotate"], tmp_path / "missing.mp4", unseen["bricks_pan_left"]]
    outcome = moclip("predict", *files, "--model", trained.folder)
    assert outcome.code == 2
    lines = outcome.out.splitlines()
    assert len(lines) == 2
    for line, path in zip(lines, files[::2], strict=True):
        (first, score), (second, lower) = classifier.predict(path, 2)
        expected = f"{path}: {first} {100 * score:.1f} %  ({second} {100 * lower:.1f} %)"
        assert re.fullmatch(re.escape(expected) + r"  \d+\.\d\d s", line)
    assert re.search(
        r"2 files: \d+ ms CPU a file, \d+\.\d GFLOPs, 100 % of the files needed pictures", outcome.err
    )


def test_broken_files_are_reported_and_the_rest_goes_on(
    trained: TrainedRun, unseen: dict[str, Path], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(unseen["water_rotate"].read_bytes()[:2000])
    resized = _two_sizes(tmp_path)
    bad = (empty, tmp_path / "missing.mp4", cut)
    words = ("predict", *bad, resized, unseen["water_rotate"], "--model", trained.folder, "--json")
    outcome = moclip(*words)
    assert outcome.code == 2
    assert outcome.json[-1]["path"] == str(unseen["water_rotate"])
    assert outcome.json[-1]["predictions"]
    answered = {a["path"] for a in outcome.json}
    assert not answered & {str(path) for path in bad}
    for path in bad:
        assert str(path) in outcome.err
    assert str(resized) in answered or str(resized) in outcome.err
    assert "Traceback" not in outcome.err


def test_size_change_costs_only_its_own_file(
    trained: TrainedRun, unseen: dict[str, Path], tmp_path: Path
) -> None:
    """Two pictures of one clip that differ in size can't be stacked."""
    folder = trained.copy(tmp_path / "run")
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    assert text.count("  frames: 1\n") == 1
    (folder / "config.yaml").write_text(text.replace("  frames: 1\n", "  frames: 2\n"), encoding="utf-8")
    resized = _two_sizes(tmp_path)
    outcome = moclip("predict", resized, unseen["water_rotate"], "--model", folder, "--json")
    assert outcome.code == 2
    assert [a["path"] for a in outcome.json] == [str(unseen["water_rotate"])]
    assert "resized.h264" in outcome.err
    assert "size changes" in outcome.err


@pytest.mark.parametrize(
    "lost",
    [lambda text: "", lambda text: text[: text.index("clip:")], lambda text: text[: text.rindex("flips")]],
)
def test_a_configuration_that_was_cut_short_is_refused(
    trained: TrainedRun, unseen: dict[str, Path], tmp_path: Path, lost: Callable[[str], str]
) -> None:
    """No default takes the place of a setting that the weights were trained with."""
    folder = trained.copy(tmp_path / "run")
    config = folder / "config.yaml"
    config.write_text(lost(config.read_text(encoding="utf-8")), encoding="utf-8")
    for words in (
        ("predict", unseen["water_rotate"], "--model", folder),
        ("evaluate", folder),
        ("run", folder),
        ("export", folder, "--engine"),
    ):
        assert_refused(moclip(*words), f"{config} is not the complete configuration that a run writes")


def _two_sizes(folder: Path) -> Path:
    """A raw stream that changes its picture size on the way."""
    parts = [
        encode(folder / f"{width}.h264", panning(10, width, height), **H264).read_bytes()
        for width, height in ((96, 64), (64, 48))
    ]
    path = folder / "resized.h264"
    path.write_bytes(b"".join(parts))
    return path


def test_folder_without_videos(trained: TrainedRun, tmp_path: Path) -> None:
    assert_refused(moclip("predict", tmp_path, "--model", trained.folder), str(tmp_path), "no video")


def test_audio_only_is_refused(trained: TrainedRun, tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    outcome = moclip("predict", path, "--model", trained.folder)
    assert outcome.code == 2
    assert "no video stream" in outcome.err
    assert outcome.out == ""


# Run folders that don't fit


def test_run_folder_must_be_one(unseen: dict[str, Path], tmp_path: Path) -> None:
    clip = unseen["water_rotate"]
    assert_refused(moclip("predict", clip, "--model", tmp_path), "is not a run folder")
    assert_refused(moclip("predict", clip, "--model", tmp_path / "none"), "is not a run folder")


def test_incomplete_run_folder(trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    for path in folder.glob("*.safetensors"):
        path.unlink()
    with pytest.raises(CheckpointError, match="no trained weights"):
        Classifier.load(folder)


def test_weights_of_one_stream_are_enough(
    trained: TrainedRun, unseen: dict[str, Path], tmp_path: Path
) -> None:
    folder = trained.copy(tmp_path / "run")
    for name in ("fusion", "appearance", "motion_head"):
        (folder / f"{name}.safetensors").unlink()
    alone = Classifier.load(folder, device="cpu")
    assert alone.explain(unseen["water_rotate"]).stream == "motion"
    with pytest.raises(mv_tools.MotionError, match="no motion"):
        alone.predict(unseen["intra"])


@pytest.mark.parametrize("stage", ["motion", "fusion", "appearance"])
def test_checkpoint_of_other_labels(stage: str, trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    path = folder / f"{stage}.safetensors"
    with safe_open(str(path), "numpy") as file:
        metadata = dict(file.metadata())
    save_file(load_file(path), path, {**metadata, "labels": "0" * 32})
    with pytest.raises(CheckpointError, match=rf"{stage}\.safetensors was made for other labels"):
        Classifier.load(folder)


def test_other_label_list(trained: TrainedRun, unseen: dict[str, Path], tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    for wrong in (labels[::-1], labels[:-1], [*labels, "more"]):  # the order counts too
        (folder / "labels.json").write_text(json.dumps(wrong), encoding="utf-8")
        message = assert_refused(moclip("predict", unseen["water_rotate"], "--model", folder), "other labels")
        assert str(folder) in message
    for wrong in ("{}", "[]", "[1, 2]", "[", "\udcff"):
        (folder / "labels.json").write_bytes(wrong.encode("utf-8", "surrogateescape"))
        assert_refused(moclip("predict", unseen["water_rotate"], "--model", folder), "labels.json")


@pytest.mark.parametrize("stage", ["motion", "fusion", "appearance"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_weights_cut_short(stage: str, keep: float, trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    path = folder / f"{stage}.safetensors"
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * keep)])
    with pytest.raises(CheckpointError, match=rf"{stage}\.safetensors is damaged"):
        Classifier.load(folder)


def test_weights_of_another_network(trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text.replace("width: 24", "width: 16"), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"motion\.safetensors.*shape"):
        Classifier.load(folder)


def test_weights_that_are_not_finite(trained: TrainedRun, tmp_path: Path) -> None:
    folder = trained.copy(tmp_path / "run")
    path = folder / "fusion.safetensors"
    with safe_open(str(path), "numpy") as file:
        metadata = dict(file.metadata())
    arrays = load_file(path)
    name = next(key for key, value in arrays.items() if value.dtype.kind == "f" and value.ndim == 2)
    arrays[name][0, 0] = np.nan
    save_file(arrays, path, metadata)
    with pytest.raises(CheckpointError, match="not finite"):
        Classifier.load(folder)
