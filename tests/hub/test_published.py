"""What leaves the machine: no path, no clip's name, and nothing that others can't use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.numpy import save

from moclip_lite import Classifier
from moclip_lite.engine.files import EngineFiles
from moclip_lite.engine.model_json import read_model_json, write_model_json
from moclip_lite.errors import CheckpointError
from moclip_lite.experiment.config import Experiment, load_run_settings
from moclip_lite.export.engine import export_engine
from moclip_lite.hub.portable import portable_files
from moclip_lite.hub.private import PrivatePaths
from moclip_lite.motion.network import build_motion_net
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.storage.files import read_json, write_json
from moclip_lite.training.checkpoint import save_weights

from support.cli import assert_ok, assert_refused, moclip
from support.hub_runs import LABELS, small_run
from support.hub_server import FakeHub, Repository

pytestmark = pytest.mark.usefixtures("quick_exports")


def path_settings() -> list[str]:
    """All settings that may hold a path, but for the one whose runs are not published."""
    keys = [
        f"{section}.{name}"
        for section, kind in Experiment.__annotations__.items()
        for name, field in Experiment.model_fields[section].annotation.model_fields.items()  # type: ignore[union-attr]
        if "Path" in str(field.annotation) and kind
    ]
    return [*(key for key in keys if key != "data.appearance"), "clip.pretrained"]


def contents(folder: RunFolder) -> dict[str, bytes]:
    files = portable_files(folder, "user/walks")
    return {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in files.items()}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose settings, notes and ONNX files tell of folders with spaces in their names."""
    place = tmp_path_factory.mktemp("told")
    values = {key: f"/some/secret dir/alice/{key.replace('.', ' ')}/x y" for key in path_settings()}
    values["data.table"] = "s3://bucket/secret dir/alice/table.csv"
    folder = small_run(place, [f"{key}={value}" for key, value in values.items()])
    export_engine(folder.path)
    write_json(folder.encoder, {"model": "ViT-B-32", "pretrained": values["clip.pretrained"], "digest": "0"})
    metrics = read_json(folder.metrics)
    metrics["notes"] = [f"{key} lies in {value} now" for key, value in values.items()]
    metrics["appearance_weights"] = f"of {values['clip.pretrained']}"
    write_json(folder.metrics, metrics)
    return folder


def test_settings_that_hold_paths_are_known() -> None:
    assert {"run.dir", "cache.dir", "data.root", "motion.pretrained", "clip.prompts"} <= set(path_settings())


def test_no_path_is_published(told: RunFolder, hub: FakeHub) -> None:
    assert_ok(moclip("push", told.path, "user/walks"))
    stored = hub.repositories["user/walks"].files
    assert {"onnx/motion.onnx", "encoder.json", "report.html"} <= set(stored)
    for name, content in stored.items():
        for words in ("alice", "secret", "site-packages", str(told.path), told.path.parent.name):
            assert words.encode() not in content, (name, words)


def test_rewritten_networks_belong_to_what_is_published(told: RunFolder, tmp_path: Path) -> None:
    for name, content in contents(told).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert Classifier.load(tmp_path, engine="onnx", device="cpu").engine.name == "onnx"
    folder = RunFolder(tmp_path)
    files = EngineFiles.find(folder, load_run_settings(folder.config), folder.read_labels())
    notes = {entry.key: entry.value for entry in onnx.load(str(files.networks["motion"])).metadata_props}
    assert json.loads(notes["labels"]) == LABELS
    assert "made_from" not in notes


def test_networks_that_are_not_listed_stay_here(told: RunFolder, tmp_path: Path) -> None:
    run = shutil.copytree(told.path, tmp_path / "run")
    shutil.copy(run / "onnx" / "motion.onnx", run / "onnx" / "fusion.onnx")
    assert "onnx/fusion.onnx" not in portable_files(RunFolder(run), "user/walks")


def test_a_path_in_weights_is_refused(hub: FakeHub, run: RunFolder, tmp_path: Path) -> None:
    network = build_motion_net(load_run_settings(run.config).motion, len(LABELS), pretrained=False)
    save_weights(run.weights("motion"), network, LABELS, {"from": f"{tmp_path}/secret/clips"})
    message = assert_refused(moclip("push", run.path, "user/walks"), "motion.safetensors holds a path")
    assert "secret/clips" in message
    assert hub.requests == []


@pytest.mark.parametrize("name", ["/data", "/a b/c", "clips/here", "/some/\u00e9t\u00e9/x", "/some/a&b"])
def test_paths_are_found_as_files_write_them(name: str) -> None:
    experiment = Experiment.model_validate({"data": {"root": name}})
    private = PrivatePaths(experiment, ())
    for text in (name, json.dumps({"x": name}), f"<td>{name.replace('&', '&amp;')}</td>"):
        with pytest.raises(CheckpointError, match="holds a path"):
            private.refuse("x", text.encode())
    hidden = private.hide(f"it lies in {name}, and so on")
    private.refuse("x", hidden.encode())
    assert hidden.endswith(", and so on")
    private.refuse("x", f"{name}base x{name}".encode())


def _tensors(numbers: bytes, remark: str) -> bytes:
    """A safetensors file."""
    return save({"weight": np.frombuffer(numbers, np.uint8)}, {"remark": remark})


def _network(numbers: bytes, remark: str) -> bytes:
    """An ONNX file."""
    weight = onnx.helper.make_tensor("weight", onnx.TensorProto.UINT8, [len(numbers)], numbers, raw=True)
    node = onnx.helper.make_node("Constant", [], ["weight"], value=weight, name="constant", remark=remark)
    graph = onnx.helper.make_graph([node], "graph", [], [])
    return bytes(onnx.helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(("name", "write"), [("x.safetensors", _tensors), ("x.onnx", _network)])
def test_numbers_that_spell_a_short_path(name: str, write: Callable[[bytes, str], bytes]) -> None:
    private = PrivatePaths(Experiment.model_validate({"data": {"root": "/d"}}), [Path("/some/folder")])
    private.refuse(name, write(b"\0/d\0", "nothing"))
    for numbers, remark in ((b"\0", "from /d"), (b"\0", "/d/clips"), (b"\0/some/folder\0", "nothing")):
        with pytest.raises(CheckpointError, match="holds a path"):
            private.refuse(name, write(numbers, remark))


def test_no_clip_is_named(hub: FakeHub, run: RunFolder) -> None:
    """Neither tested clips nor those that could not be read, which are counted once."""
    metrics = read_json(run.metrics)
    broken = "left/person seven.mp4"
    metrics["failures"] = [
        {"name": name, "stage": stage, "reason": f"{name} is damaged"}
        for name in (broken, "left/bad.mp4")
        for stage in ("motion", "clip", "text")
    ]
    metrics["notes"] = [f"a copy: {broken}, right/1.mp4", "beside the folders: loose_clip.avi"]
    write_json(run.metrics, metrics)
    assert_ok(moclip("push", run.path, "user/walks"))
    stored = hub.repositories["user/walks"].files
    for name, content in stored.items():
        for words in ("seven", "bad.mp4", "right/1", "loose_clip"):
            assert words.encode() not in content, (name, words)
    for name in ("README.md", "metrics.json", "report.md", "report.html"):
        assert b"2 clip(s) could not be read" in stored[name], name
    assert b"walks" in stored["report.html"]


def test_words_that_clips_are_called_stay(run: RunFolder, tmp_path: Path) -> None:
    """A clip's name can be a word of a note, or a part of a path that is hidden."""
    secret = f"{tmp_path}/secret/clips"
    metrics = read_json(run.metrics)
    names = ("motion", "the", "7", "secret", "secret/clips", "left/walk one", "left/walk two.mp4")
    metrics["failures"] = [{"name": name, "stage": "motion", "reason": "damaged"} for name in names]
    metrics["notes"] = [
        "The motion network was chosen by the clips of walk 7",
        f"frames of {secret}, the data set",
        "copies: left/walk one, left/walk two.mp4",
        f"copies: /other/left/walk one, {secret}/left/walk two.mp4",
    ]
    write_json(run.metrics, metrics)
    notes = json.loads(contents(run)["metrics.json"])["notes"]
    assert notes[0] == metrics["notes"][0]
    assert notes[1] in ("frames of …/clips, the data set", "frames of …, the data set")
    assert notes[2] == "copies: …, …"
    for words in ("walk", "two", "secret", tmp_path.name, "/other"):
        assert words not in "".join(notes[1:]), (words, notes)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _claim_fusion(run: RunFolder) -> None:
    metrics = read_json(run.metrics)
    write_json(run.metrics, {**metrics, "fusion": metrics["motion"]})


DAMAGE: dict[str, tuple[Callable[[RunFolder], Any], str]] = {
    "cut weights": (lambda run: _cut(run.weights("motion")), "motion.safetensors is damaged"),
    "cut head": (lambda run: run.weights("fusion").write_bytes(b"cut"), "fusion.safetensors is damaged"),
    "cut control": (lambda run: run.weights("motion_head").write_bytes(b"cut"), "is damaged"),
    "timeline": (lambda run: run.timeline.write_text("{", encoding="utf-8"), "timeline.json is damaged"),
    "calibration": (lambda run: run.timeline.write_text("{}", encoding="utf-8"), "timeline.json is damaged"),
    "cascade": (lambda run: run.cascade.write_text("{}", encoding="utf-8"), "cascade.json is damaged"),
    "labels": (lambda run: run.labels.write_text('["a", "b"]', encoding="utf-8"), "for other labels"),
    "scores": (_claim_fusion, "fusion.safetensors is missing, but metrics.json has scores"),
    "metrics": (lambda run: run.metrics.write_text("[]", encoding="utf-8"), "metrics.json is damaged"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_nobody_can_use_is_not_published(kind: str, hub: FakeHub, run: RunFolder) -> None:
    damage, words = DAMAGE[kind]
    damage(run)
    message = assert_refused(moclip("push", run.path, "user/walks"), words)
    assert "moclip-push-" not in message
    assert hub.requests == []


def test_networks_of_other_weights_are_not_published(told: RunFolder, hub: FakeHub, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(told.path, tmp_path / "run"))
    network = build_motion_net(load_run_settings(run.config).motion, len(LABELS), pretrained=False)
    save_weights(run.weights("motion"), network, LABELS, {})
    message = assert_refused(moclip("push", run.path, "user/walks"), "ONNX files", "other weights")
    _says_what_to_do(message, run)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("part", "words"), [("version", "another version"), ("settings", "other settings"), (None, "is damaged")]
)
def test_networks_of_something_else_are_not_published(
    part: str | None, words: str, told: RunFolder, hub: FakeHub, tmp_path: Path
) -> None:
    run = RunFolder(shutil.copytree(told.path, tmp_path / "run"))
    place = run.path / "onnx" / "model.json"
    description = read_model_json(place)
    if part is None:
        description["files"]["motion.onnx"]["digest"] = "0"
    else:
        description["made_from"][part] = {"version": 0, "settings": {"test": {"crops": 5}}}[part]
    write_model_json(place, description)
    _says_what_to_do(assert_refused(moclip("push", run.path, "user/walks"), words), run)
    assert hub.requests == []


def _says_what_to_do(message: str, run: RunFolder) -> None:
    assert f"`moclip export {run.path} --engine` writes them again, or remove {run.path / 'onnx'}" in message


MISFITS: dict[str, Callable[[bytes], bytes]] = {
    "labels.json": lambda _: b'["left", "right", "up"]',
    "config.yaml": lambda content: content.replace(b"width: 8", b"width: 16"),
    "timeline.json": lambda _: b"{}",
    "cascade.json": lambda _: b"[]",
}


@pytest.mark.parametrize("torch", [True, False])
@pytest.mark.parametrize("name", MISFITS)
def test_parts_that_do_not_fit_leave_no_folder(
    name: str,
    torch: bool,
    hub: FakeHub,
    walks: Repository,
    told: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without PyTorch, the ONNX files that would answer tell of the settings."""
    if not torch:
        walks.files = contents(told)
        monkeypatch.setattr("moclip_lite.hub.check.find_spec", lambda _: None)
    walks.files[name] = MISFITS[name](walks.files.get(name, b""))
    assert_refused(moclip("pull", "user/walks", "-o", tmp_path / "out", "-q"), "user/walks can't be used")
    assert not list(tmp_path.glob("*out*"))


def test_the_revision_is_part_of_what_to_type(hub: FakeHub, run: RunFolder) -> None:
    hub.repositories["user/walks"] = Repository()
    pushed = assert_ok(moclip("push", run.path, "user/walks@v1"))
    assert "--model hf://user/walks@v1" in pushed.err
    card = hub.repositories["user/walks"].files["README.md"].decode()
    assert card.count("hf://user/walks@v1") == 2
    assert "moclip pull user/walks@v1 -o model" in card
