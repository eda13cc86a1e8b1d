"""The ONNX files of a run folder: they answer as PyTorch does, without importing it, or are refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from moclip_lite import Classifier
from moclip_lite.engine.base import EngineName
from moclip_lite.engine.files import SECTIONS
from moclip_lite.engine.model_json import write_model_json
from moclip_lite.errors import CheckpointError, ConfigError, MoclipError
from moclip_lite.export.engine import export_engine
from moclip_lite.hub.portable import portable_files
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.storage.digest import digest_file
from moclip_lite.storage.files import read_json, write_json

from support.cli import FOLDER_YAML, QUICK, TrainedRun, assert_ok, assert_refused, class_folders, moclip, sets

pytestmark = pytest.mark.usefixtures("quick_exports")

HEAVY = ("torch", "torchvision", "open_clip", "timm", "sklearn", "pandas", "scipy", "matplotlib")
PROGRAM = f"""
import sys
from moclip_lite.cli import main
code = main(sys.argv[1:])
loaded = [name for name in {HEAVY} if name in sys.modules]
sys.exit(f"imported: {{loaded}}" if loaded or code else 0)
"""


@pytest.fixture(scope="module")
def exported(trained: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared run with ONNX files."""
    folder = trained.copy(tmp_path_factory.mktemp("engine") / "run")
    written = export_engine(folder)
    assert {e.path.name for e in written} >= {"motion.onnx", "fusion.onnx", "appearance.onnx"}
    assert len(written) == 6  # with the motion network in two parts and the image encoder
    return folder


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    """A copy to damage; the image encoder in the cache is shared."""
    return Path(shutil.copytree(exported, tmp_path / "run"))


def test_answers_as_pytorch_does(exported: Path, trained: TrainedRun, make_clip: Callable[..., Path]) -> None:
    """On clips of the data, on one without motion and on one of another size."""
    fast = Classifier.load(exported)
    slow = Classifier.load(exported, engine="torch", device="cpu")
    assert (fast.engine.name, fast.engine_note, slow.engine.name) == ("onnx", "", "torch")
    assert {*fast.engine.files} == {"pictures.onnx", *(path.name for path in exported.glob("onnx/*.onnx"))}
    assert fast.engine.files["motion.onnx"] == digest_file(exported / "onnx" / "motion.onnx")
    assert slow.engine.files == {}
    assert fast.warnings == slow.warnings
    assert set(fast.heads) == set(slow.heads)
    assert fast.motion is not None
    clips = [
        *sorted(trained.data.rglob("*.mp4"))[::11],
        make_clip("still.mp4", g="1", bf="0"),
        make_clip("b.mp4", bf="2"),
    ]
    for clip in clips:
        found, expected = fast.explain(clip), slow.explain(clip)
        assert (found.stream, found.notes) == (expected.stream, expected.notes)
        for stream, ranking in expected.streams.items():
            assert dict(found.streams[stream]) == pytest.approx(dict(ranking), abs=1e-4)


def test_segments_that_windows_share(exported: Path) -> None:
    """Encoded one by one, or some at a time, they give what a whole window gives."""
    rng = np.random.default_rng(3)
    for engine in ("onnx", "torch"):
        classifier = Classifier.load(exported, engine=engine, device="cpu")
        assert classifier.engine.encodes_segments
        motion = (2 * rng.standard_normal(classifier.experiment.motion.shape)).astype(np.float16)
        parts = [classifier.engine.segment_features(motion[i : i + 3]) for i in range(0, len(motion), 3)]
        found = classifier.engine.window_features(np.concatenate(parts))
        for one, other in zip(found, classifier.engine.motion_features(motion), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_a_preloaded_engine_does_not_need_its_folder(
    engine: EngineName, copied: Path, make_clip: Callable[..., Path]
) -> None:
    """Another run's files may lie there by then; the clip without motion needs the head's mean motion."""
    clips = [make_clip("still.mp4", g="1", bf="0"), make_clip("b.mp4", bf="2")]
    expected = [Classifier.load(copied, engine=engine, device="cpu").explain(clip).streams for clip in clips]
    classifier = Classifier.load(copied, engine=engine, device="cpu")
    classifier.engine.preload()
    shutil.rmtree(copied)
    assert [classifier.explain(clip).streams for clip in clips] == expected
    segments = np.zeros(classifier.experiment.motion.shape, np.float16)
    assert len(classifier.engine.segment_features(segments)) == len(segments)


def test_files_of_older_versions_lack_the_parts(copied: Path) -> None:
    description = json.loads((copied / "onnx" / "model.json").read_text())
    for name in ("segments.onnx", "windows.onnx"):
        del description["files"][name]
        (copied / "onnx" / name).unlink()
    write_model_json(copied / "onnx" / "model.json", description)
    classifier = Classifier.load(copied)
    assert classifier.engine.name == "onnx"
    assert not classifier.engine.encodes_segments


def test_nothing_heavy_is_imported(exported: Path, trained: TrainedRun) -> None:
    clip = next(trained.data.rglob("*.mp4"))
    words = [str(word) for word in ("predict", clip, "--model", exported, "--json")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["predictions"]


def test_the_image_encoder_is_written_once(exported: Path, copied: Path) -> None:
    names = ["motion.onnx", "segments.onnx", "windows.onnx", "fusion.onnx", "appearance.onnx"]
    assert [e.path.name for e in export_engine(copied)] == names
    files = [json.loads((run / "onnx" / "model.json").read_text())["encoder"] for run in (exported, copied)]
    assert files[0] == files[1]


def test_what_is_published_answers_alike(exported: Path, trained: TrainedRun, tmp_path: Path) -> None:
    for name, content in portable_files(RunFolder(exported), "user/name").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    networks = {path.name for path in (exported / "onnx").glob("*.onnx")}
    assert {path.name for path in (tmp_path / "onnx").glob("*.onnx")} == networks
    clip = next(trained.data.rglob("*.mp4"))
    one = Classifier.load(exported, engine="onnx").predict(clip)
    two = Classifier.load(tmp_path, engine="onnx", overrides=[f"cache.dir={trained.cache}"]).predict(clip)
    assert one == two


def _rewrite(folder: Path, section: str, key: str, value: object) -> None:
    values = yaml.safe_load((folder / "config.yaml").read_text())
    values[section][key] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(values))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _encoder_file(folder: Path) -> Path:
    values = yaml.safe_load((folder / "config.yaml").read_text())
    key = json.loads((folder / "onnx" / "model.json").read_text())["encoder"]["key"]
    return Path(values["cache"]["dir"]) / "encoder_onnx" / key[:2] / f"{key}.onnx"


def _change_rules(folder: Path) -> None:
    path = folder / "onnx" / "model.json"
    description = json.loads(path.read_text())
    description["preprocessing"]["pictures"]["interpolation"] = "nearest"
    path.write_text(json.dumps(description))


def _move_cache(folder: Path) -> None:
    _rewrite(folder, "cache", "dir", str(folder / "elsewhere"))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "none": (lambda run: shutil.rmtree(run / "onnx"), "has no ONNX files"),
    "absent": (lambda run: (run / "onnx" / "fusion.onnx").unlink(), r"fusion\.onnx is missing"),
    "cut": (lambda run: _cut(run / "onnx" / "motion.onnx"), r"motion\.onnx is damaged or was replaced"),
    "swapped": (
        lambda run: shutil.copy(run / "onnx" / "appearance.onnx", run / "onnx" / "fusion.onnx"),
        r"fusion\.onnx is damaged or was replaced",
    ),
    "no json": (lambda run: (run / "onnx" / "model.json").write_text("{"), "is damaged"),
    "other json": (lambda run: (run / "onnx" / "model.json").write_text("[]"), "is damaged"),
    "changed json": (_change_rules, "model.json is damaged: it was changed"),
    "views": (lambda run: _rewrite(run, "test", "crops", 3), "were written for other settings"),
    "frames": (lambda run: _rewrite(run, "clip", "frames", 2), "were written for other settings"),
    "labels": (
        lambda run: (run / "labels.json").write_text(json.dumps(["a", "b", "c", "d"])),
        "were written for other labels",
    ),
    "cache": (_move_cache, "image encoder is missing in the cache"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_files_of_something_else_are_refused(kind: str, copied: Path) -> None:
    damage, words = DAMAGE[kind]
    damage(copied)
    with pytest.raises(CheckpointError, match=words) as caught:
        Classifier.load(copied, engine="onnx")
    assert f"moclip export {copied} --engine" in str(caught.value)
    if kind != "labels":  # those are refused by the weights too
        loaded = Classifier.load(copied)
        assert loaded.engine.name == "torch"
        assert loaded.engine_note.startswith("PyTorch answers: ")


def test_files_of_an_earlier_version_answer(copied: Path) -> None:
    """Which wrote settings with paths, and where the motion network started from."""
    path = copied / "onnx" / "model.json"
    description = json.loads(path.read_text())
    used = Classifier.load(copied).experiment.model_dump(mode="json")
    description["made_from"]["settings"] = {name: used[name] for name in SECTIONS}
    assert (
        "/" in description["made_from"]["settings"]["clip"]["pretrained"]
        or used["motion"]["pretrained"] == "auto"
    )
    write_model_json(path, description)
    assert Classifier.load(copied, engine="onnx").engine.name == "onnx"


def test_settings_that_leave_the_files_as_they_are_get_no_advice(copied: Path) -> None:
    """Files that are gone are not the fault of a changed setting."""
    shutil.rmtree(copied / "onnx")
    note = Classifier.load(copied, overrides=["test.crops=3"]).engine_note
    assert f"`moclip export {copied} --engine` writes them" in note


def test_retrained_weights_are_noticed(copied: Path) -> None:
    """Other weights beside the files, and weights that are gone."""
    path = copied / "fusion.safetensors"
    path.write_bytes((copied / "appearance.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="belong to other weights"):
        Classifier.load(copied, engine="onnx")
    path.unlink()
    with pytest.raises(CheckpointError, match="belong to other weights"):
        Classifier.load(copied, engine="onnx")


@pytest.mark.parametrize("change", ["test.crops=3", "clip.frames=2"])
def test_changed_settings_are_not_blamed_on_the_files(change: str, copied: Path) -> None:
    """An export would write files for the run's own settings again; what is advised instead works."""
    name = change.partition("=")[0]
    with pytest.raises(
        CheckpointError, match=rf"own {name}: leave the change out, or take --engine torch"
    ) as caught:
        Classifier.load(copied, engine="onnx", overrides=[change])
    note = Classifier.load(copied, overrides=[change]).engine_note
    assert f"own {name}: leave the change out" in note
    assert "moclip export" not in str(caught.value) + note
    assert Classifier.load(copied, engine="torch", overrides=[change]).engine_note == ""
    assert Classifier.load(copied, engine="onnx").engine.name == "onnx"


def test_a_damaged_encoder_is_noticed(copied: Path) -> None:
    path = _encoder_file(copied)
    body = path.read_bytes()
    try:
        path.write_bytes(body[:-1] + bytes([body[-1] ^ 1]))
        with pytest.raises(CheckpointError, match="damaged or was replaced"):
            Classifier.load(copied, engine="onnx")
        found = moclip("cache", "verify", "--cache", path.parents[2], "--json").json["damaged"]
        assert [row["path"] for row in found] == [str(path)]
        assert_ok(moclip("export", copied, "--engine"))
        assert path.read_bytes() == body
    finally:
        path.write_bytes(body)
    assert Classifier.load(copied, engine="onnx").engine.name == "onnx"


def test_engines_that_are_not_there(copied: Path) -> None:
    with pytest.raises(ConfigError, match="auto, onnx, onnx-int8 or torch, got 'tensorrt'"):
        Classifier.load(copied, engine="tensorrt")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="runs on the CPU, not on cuda"):
        Classifier.load(copied, engine="onnx", device="cuda")


def test_from_the_command_line(copied: Path, trained: TrainedRun) -> None:
    clip = next(trained.data.rglob("*.mp4"))
    words = ("predict", clip, "--model", copied, "--json")
    assert "PyTorch" not in assert_ok(moclip(*words)).err
    shutil.rmtree(copied / "onnx")
    assert "PyTorch answers" in assert_ok(moclip(*words)).err
    assert_refused(moclip(*words, "--engine", "onnx"), "no ONNX files", "--engine` writes them")
    assert_refused(moclip(*words, "--engine", "x"), "the engine must be auto, onnx, onnx-int8 or torch")
    assert_refused(moclip("export", copied), "--out FOLDER, or --engine")
    assert_ok(moclip("export", copied, "--engine"))
    assert_ok(moclip(*words, "--engine", "onnx"))


def test_a_run_writes_them_at_its_end_and_another_removes_them(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    places = (f"data.root={data}", f"run.dir={tmp_path / 'run'}", "data.group_pattern=^(p[0-9])")
    words = ["run", data, *sets((*QUICK, *places))]
    outcome = assert_ok(moclip(*words, "--set", "run.onnx=true"))
    assert "writing ONNX files" in outcome.err
    assert Classifier.load(tmp_path / "run", engine="onnx").engine.name == "onnx"
    assert "ONNX" not in assert_ok(moclip(*words, "--set", "run.onnx=true")).err  # nothing to do
    assert_ok(moclip(*words, "--set", "run.seed=1"))
    assert not (tmp_path / "run" / "onnx").exists()


@pytest.mark.parametrize("begun", [True, False])
def test_a_run_that_was_killed_behind_its_tests_gets_what_it_lacks(tmp_path: Path, begun: bool) -> None:
    """The ONNX files, whether or not their export had begun, and the cost of a prediction."""
    words = ["run", str(FOLDER_YAML), *sets((*QUICK, "train_motion.epochs=1", "run.onnx=false"))]
    places = sets((f"data.root={class_folders(tmp_path / 'data')}", f"run.dir={tmp_path / 'run'}"))
    assert_ok(moclip(*words, *places, "--cache", tmp_path / "cache"))
    metrics = read_json(tmp_path / "run" / "metrics.json")
    assert metrics.pop("prediction")["clips"] == 2
    write_json(tmp_path / "run" / "metrics.json", metrics)
    onnx = tmp_path / "run" / "onnx"
    if begun:
        (onnx / ".export-killed").mkdir(parents=True)
        (onnx / ".export-killed" / ".motion-0123456789ab.onnx").write_bytes(b"half")
    again = assert_ok(moclip(*words, *places, "--cache", tmp_path / "cache", "--set", "run.onnx=true"))
    assert "is finished" in again.err
    assert {path.name for path in onnx.iterdir()} == {
        *("motion.onnx", "segments.onnx", "windows.onnx", "model.json")
    }
    assert read_json(tmp_path / "run" / "metrics.json")["prediction"]["engine"] == "onnx"
    assert "a prediction takes" in (tmp_path / "run" / "report.md").read_text().lower()


def test_what_hinders_it_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MoclipError("the disk is full")

    monkeypatch.setattr("moclip_lite.export.engine.export_engine", refuse)
    data = class_folders(tmp_path / "data")
    places = (
        f"data.root={data}",
        f"run.dir={tmp_path / 'run'}",
        "data.group_pattern=^(p[0-9])",
        "run.onnx=true",
    )
    outcome = assert_ok(moclip("run", data, *sets((*QUICK, *places))))
    assert "no ONNX files: the disk is full" in outcome.err
    assert RunFolder(tmp_path / "run").metrics.is_file()
