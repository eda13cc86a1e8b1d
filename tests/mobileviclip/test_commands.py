"""Video-text commands, and MobileViCLIP as appearance encoder."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import typer

from moclip_lite.appearance.create import make_encoder
from moclip_lite.appearance.mobileviclip import MobileViCLIPEncoder
from moclip_lite.cli import app
from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.mobileviclip import VARIANTS, create_mobileviclip, load_model, save_model
from moclip_lite.mobileviclip.encoder import ModelSpec, VideoTextEncoder
from moclip_lite.mobileviclip.training.settings import VideoTextSettings
from moclip_lite.progress import Silent
from moclip_lite.retrieval import WindowSpec, build_index, save_index
from moclip_lite.sampling import frame_positions
from moclip_lite.storage.cache import FeatureCache
from mv_tools import read_rgb_at

from support.cli import assert_ok, assert_refused, launched, moclip
from support.mobileviclip import TINY, apple_state, shaken
from support.paths import ROOT

pytestmark = pytest.mark.usefixtures("quick_exports")

TINY_8 = dataclasses.replace(TINY, num_frames=8)
MODEL = ("--model", "mobileviclip-tiny")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, "tiny", TINY_8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    model = shaken(TINY_8)
    model.weights = "made for tests"
    save_model(tmp_path / "tiny.safetensors", model)
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def videos(tmp_path: Path, make_clip: Callable[..., Path]) -> Path:
    for label, step in (("left", (-3, 0)), ("right", (3, 0))):
        for number in range(4):
            make_clip(f"videos/{label}/{number}.mp4", frames=10 + number, step=step)
    return tmp_path / "videos"


def test_index_and_search(videos: Path, weights: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.safetensors"
    words = ("index", videos, "--out", index, *MODEL, "--pretrained", weights)
    result = assert_ok(moclip(*words, "--json"))
    assert (result.json["videos"], result.json["windows"], result.json["failures"]) == (8, 8, [])
    answer = assert_ok(moclip("search", "a person juggling", "--index", index, "-k", 3, "--json"))
    (query,) = answer.json["queries"]
    assert query["query"] == "a person juggling"
    assert len(query["results"]) == 3
    assert set(query["results"][0]) == {"path", "start", "stop", "score"}
    assert "RANDOM" not in answer.err
    assert "a person juggling" in assert_ok(moclip("search", "a person juggling", "-I", index)).out
    (videos / "left" / "0.mp4").unlink()
    gone = assert_ok(moclip("search", "x", "--index", index, "-k", 100, "--json"))
    assert len(gone.json["queries"][0]["results"]) == 7
    assert "1 of 8 videos are gone" in gone.err
    assert_refused(moclip("search", "x", "--index", index, "--pretrained", "none"), "other weights")
    assert_refused(moclip("search", " ", "--index", index), "empty")
    assert_refused(moclip("search", "x", "--index", weights), "not an index")
    assert_refused(moclip("search", "x", "--index", tmp_path), "is a folder, not a safetensors file")
    assert_refused(moclip("search", "x", "--index", tmp_path / "absent.safetensors"), "missing")
    assert_refused(moclip("index", tmp_path / "absent", "--out", index), "no such folder")
    assert_refused(moclip("index", videos, "--out", tmp_path / "i.csv"), ".safetensors")
    assert_refused(
        moclip("index", videos, "--out", index, "--model", "mobileviclip-huge"), "mobileviclip-tiny"
    )


def test_random_weights_are_reported(videos: Path, tmp_path: Path) -> None:
    result = assert_ok(
        moclip("index", videos, "-o", tmp_path / "i.safetensors", *MODEL, "--pretrained", "none")
    )
    assert "RANDOM weights" in result.err
    long = assert_ok(moclip("search", "word " * 100, "-I", tmp_path / "i.safetensors"))
    assert "cut to 75" in long.err
    assert "RANDOM weights" in long.err


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """Weights converted from a checkpoint without a text tower."""
    state = {k: v for k, v in apple_state(shaken(TINY_8)).items() if not k.startswith("text_encoder.")}
    torch.save(state, tmp_path / "pictures.pt")
    out = tmp_path / "half.safetensors"
    output = assert_ok(
        moclip("convert", tmp_path / "pictures.pt", "--out", out, *MODEL, "--partial", "--json")
    )
    assert output.json["random_parts"] == ["text tower"]
    assert "RANDOM weights in its text tower" in output.err
    return out


def test_partly_random_weights_are_reported_with_every_answer(
    videos: Path, half: Path, tmp_path: Path
) -> None:
    """Also the second time, when everything comes from the cache."""
    index, table, clip = tmp_path / "i.safetensors", tmp_path / "t.csv", videos / "left" / "0.mp4"
    table.write_text("clip,caption\nleft/0,to the left\nright/0,to the right\n")
    weights = (*MODEL, "--pretrained", half)
    run = [
        f"data.root={videos}",
        f"run.dir={tmp_path / 'run'}",
        "clip.model=mobileviclip-tiny",
        f"clip.pretrained={half}",
        "clip.frames=8",
        "run.streams=[appearance]",
        "run.workers=1",
        "run.onnx=false",
        "train_head.epochs=1",
    ]
    sets = [word for value in run for word in ("--set", value)]
    commands: list[tuple[object, ...]] = [
        ("index", videos, "--out", index, *weights),
        ("search", "x", "--index", index),
        ("retrieval", table, "--root", videos, *weights),
        ("zero-shot", clip, *weights, "--labels", "a,b"),
        ("zero-shot", videos, *weights),
        ("run", ROOT / "experiments" / "folder.yaml", *sets),
        ("predict", clip, "--model", tmp_path / "run"),
    ]
    for words in commands:
        for again in range(1 if words[0] == "run" else 2):
            output = assert_ok(moclip(*words, "--json"))
            assert "RANDOM weights in its text tower" in output.err, (words[0], again)
    for words in commands[:3]:
        assert "RANDOM weights in its text tower" in assert_ok(moclip(*words, "--json")).json["model"]


@pytest.mark.parametrize(("options", "random"), [((), True), (("--train-text",), False)])
def test_a_frozen_random_text_tower_stays_random(
    videos: Path, half: Path, tmp_path: Path, options: tuple[str, ...], random: bool
) -> None:
    for number, pretrained in enumerate((half, "none")):
        out = tmp_path / str(number)
        words = ("train", "video-text", videos, "-o", out, *MODEL, "--pretrained", pretrained, "--epochs", 1)
        assert_ok(moclip(*words, *options))
        assert load_model(out / "model.safetensors").random_parts == (("text tower",) if random else ())


def test_indexing_with_unreadable_files_exits_with_2(videos: Path, weights: Path, tmp_path: Path) -> None:
    """The other files are indexed, and the unreadable one is named."""
    (videos / "left" / "1.mp4").write_bytes(b"broken")
    words = ("index", videos, "--out", tmp_path / "i.safetensors", *MODEL, "--pretrained", weights)
    for options in ((), ("--json",)):
        result = moclip(*words, *options)
        assert result.code == 2
        assert "Traceback" not in result.err
    assert (result.json["videos"], [f["name"] for f in result.json["failures"]]) == (7, ["left/1.mp4"])
    assert_ok(moclip("search", "x", "--index", tmp_path / "i.safetensors"))


def test_a_relative_checkpoint_works_from_anywhere(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights.parent)
    index, out = tmp_path / "i.safetensors", tmp_path / "run"
    near = (*MODEL, "--pretrained", weights.name)
    train = ("train", "video-text", videos, "-o", out, "--epochs", 1, "--json")
    assert_ok(moclip("index", "videos", "--out", index, *near))
    first = assert_ok(moclip(*train, *near)).json
    monkeypatch.chdir(videos)
    assert_ok(moclip("search", "x", "--index", index))
    assert assert_ok(moclip(*train, *MODEL, "--pretrained", f"../{weights.name}")).json == first
    weights.rename(tmp_path / "moved.safetensors")
    assert_refused(moclip("search", "x", "--index", index), "i.safetensors", "--pretrained")
    assert_ok(moclip("search", "x", "--index", index, "--pretrained", tmp_path / "moved.safetensors"))


def test_zero_shot(videos: Path, weights: Path) -> None:
    clip = videos / "left" / "0.mp4"
    words = ("zero-shot", clip, *MODEL, "--pretrained", weights, "--labels", "a person diving, water")
    words += ("--json",)
    (answer,) = assert_ok(moclip(*words)).json
    assert {p["label"] for p in answer["predictions"]} == {"a person diving", "water"}
    assert sum(p["score"] for p in answer["predictions"]) == pytest.approx(1)
    whole = assert_ok(moclip("zero-shot", videos, *MODEL, "--pretrained", weights, "--json"))
    assert whole.json["n"] == 2
    assert "RANDOM" in assert_ok(moclip(*words[:4], "--pretrained", "none", *words[6:])).err


def test_retrieval(videos: Path, weights: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("video_id,sentence\nleft/0,a pan to the left\nright/1,a pan to the right\n")
    words = ("retrieval", table, "--root", videos, *MODEL, "--pretrained", weights)
    result = assert_ok(moclip(*words, "--json")).json
    assert (result["videos"], result["texts"]) == (2, 2)
    assert result["text_to_video"]["r5"] == 100
    assert "dual softmax" in assert_ok(moclip(*words)).out
    (videos / "left" / "1.mp4").write_bytes(b"broken")
    table.write_text("video_id,sentence\nleft/0,a pan\nleft/1,a pan\n")
    partial = moclip(*words, "--json")
    assert partial.code == 2
    assert "1 clips could not be read; the others are in the scores" in partial.err
    assert partial.json["videos"] == 1
    table.write_text("video_id,sentence\nleft/9,x\n")
    assert_refused(moclip(*words), "left/9")


def test_two_processes_train_like_one(videos: Path, weights: Path, tmp_path: Path) -> None:
    """torchrun with gloo: batches of 4 in one process, of 2 in two, one of which can't read a clip."""
    (videos / "left" / "1.mp4").write_bytes(b"broken")
    words = ("train", "video-text", videos, *MODEL, "--pretrained", weights, "--epochs", 1, "--lr", 1e-3)
    words += ("--grad-checkpointing", "--json", "--device", "cpu")  # as in several processes
    one, two = tmp_path / "one", tmp_path / "two"
    done = (
        moclip(*words, "--batch", 4, "--out", one),
        launched(*words, "--batch", 2, "--out", two, processes=2),
    )
    assert all(each.code != 0 and "the model is trained on the others" in each.err for each in done)
    whole, parts = (each.json for each in done)  # one of the processes speaks
    assert list(parts["unread"]) == list(whole["unread"]) == [str(videos / "left" / "1.mp4")]
    assert parts["epochs"][0]["loss"] == pytest.approx(whole["epochs"][0]["loss"], rel=1e-3)
    double = load_model(two / "model.safetensors").state_dict()
    for name, value in load_model(one / "model.safetensors").state_dict().items():
        # Norms' statistics too. Where a gradient is rounding error alone, AdamW moves a weight by lr a step, either way.
        torch.testing.assert_close(double[name], value, rtol=1e-3, atol=6e-3, msg=name)


def test_shown_defaults_are_those_of_the_settings() -> None:
    command = typer.main.get_command(app).commands["train"].commands["video-text"]
    shown = {
        p.name: p.show_default for p in command.params if isinstance(getattr(p, "show_default", None), str)
    }
    assert set(shown) == {"epochs", "warmup", "batch", "lr", "weight_decay", "threads"}
    defaults = VideoTextSettings().model_dump()
    assert shown == {name: str(defaults[name]) for name in shown}


def test_a_finished_training_is_kept(videos: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("train", "video-text", videos, "--out", out, *MODEL, "--pretrained", weights, "--batch", 4)
    words += ("--lr", 0.001)
    metrics = assert_ok(moclip(*words, "--epochs", 2, "--json")).json
    assert [row["epoch"] for row in metrics["epochs"]] == [0, 1]
    trained = load_model(out / "model.safetensors")
    assert trained.weights == "trained on 8 pairs from made for tests"
    before = load_model(weights)
    assert not torch.equal(trained.video.trunk.head.fc.weight, before.video.trunk.head.fc.weight)
    assert torch.equal(trained.text.projection_layer, before.text.projection_layer)  # frozen
    again = assert_ok(moclip(*words, "--epochs", 2, "--json"))
    assert again.json == metrics
    assert "nothing to do, this training is finished" in " ".join(again.err.split())
    assert "training mobileviclip" not in again.err
    assert_refused(moclip(*words, "--epochs", 3), "holds another training")
    (videos / "right" / "3.mp4").write_bytes((videos / "left" / "0.mp4").read_bytes()[:-1])
    assert_refused(moclip(*words, "--epochs", 2), "clips were replaced")
    table = tmp_path / "t.csv"
    table.write_text("clip,caption\nleft/0.mp4,a pan\n")
    words = ("train", "video-text", table, "--root", videos, "-o", tmp_path / "x", *MODEL, "--pretrained")
    words += (weights,)
    assert_refused(moclip(*words), "too few")


def test_training_with_unreadable_clips_exits_with_2(videos: Path, weights: Path, tmp_path: Path) -> None:
    """The model is trained on the others; the unreadable one is named, also where nothing is left to do."""
    (videos / "left" / "1.mp4").write_bytes(b"broken")
    words = ("train", "video-text", videos, "-o", tmp_path / "run", *MODEL, "--pretrained", weights)
    for options in (("--json",), ()):
        result = moclip(*words, "--epochs", 1, *options)
        assert result.code == 2
        assert "1 clips could not be read; the model is trained on the others" in " ".join(result.err.split())
        assert str(videos / "left" / "1.mp4") in result.json["unread"] if options else "1.mp4" in result.out
    assert "nothing to do, this training is finished" in " ".join(result.err.split())
    assert load_model(tmp_path / "run" / "model.safetensors").weights.startswith("trained on 8 pairs")


def test_an_index_is_searched_with_the_frames_it_was_made_with(videos: Path, tmp_path: Path) -> None:
    weights = tmp_path / "four.safetensors"
    model = shaken(dataclasses.replace(TINY_8, num_frames=4))
    model.weights = "made for tests"
    save_model(weights, model)
    spec = ModelSpec(name="tiny", pretrained=str(weights), num_frames=4)
    index = build_index(videos, VideoTextEncoder(spec), WindowSpec(), FeatureCache(tmp_path / "c"), Silent())
    save_index(tmp_path / "i.safetensors", index)
    assert_ok(moclip("search", "x", "--index", tmp_path / "i.safetensors"))


def test_convert(tmp_path: Path, weights: Path) -> None:
    theirs = tmp_path / "theirs.pt"
    torch.save(apple_state(shaken(TINY_8)), theirs)
    out = tmp_path / "ours.safetensors"
    result = assert_ok(moclip("convert", theirs, "--out", out, *MODEL, "--fold", "--json"))
    assert (result.json["missing"], result.json["unexpected"], result.json["layout"]) == ([], [], "apple")
    assert load_model(out).folded
    assert create_mobileviclip("tiny", out).folded
    state = {**apple_state(shaken(TINY_8)), "image_encoder.model.more": torch.zeros(1)}
    torch.save(state, theirs)
    assert_refused(moclip("convert", theirs, "--out", out, *MODEL), "1 unexpected", "more")
    output = assert_ok(moclip("convert", theirs, "--out", out, *MODEL, "--partial"))
    assert "unexpected: image_encoder.model.more" in output.err
    assert_refused(moclip("convert", theirs, "--out", tmp_path / "ours.pt", *MODEL), "end in .safetensors")
    assert_refused(moclip("convert", weights, "--out", out, *MODEL), "this program's format already")
    words = ("convert", theirs, "--out", out, *MODEL, "--partial", "--rename", "nowhere=x")
    assert "'nowhere' matches none of the names in" in assert_ok(moclip(*words)).err
    assert_refused(moclip("convert", theirs, "--out", out, *MODEL, "--rename", "x"), "REGEX=REPLACEMENT")
    assert_refused(moclip("convert", theirs, "--out", out, *MODEL, "--rename", "(=x"), "regular expression")
    assert_refused(moclip("convert", theirs, "--out", out, *MODEL, "--rename", r"text=\9"), "can't be used")


def test_export(tmp_path: Path, weights: Path) -> None:
    files = assert_ok(moclip("export", weights, "--out", tmp_path / "onnx", "--json")).json
    assert [Path(f["path"]).name for f in files] == ["video.onnx", "text.onnx"]
    assert all(f["difference"] <= 1e-4 for f in files)
    about = json.loads((tmp_path / "onnx" / "model.json").read_text())
    assert about["config"]["num_frames"] == 8
    assert_refused(moclip("export", tmp_path / "nothing", "--out", tmp_path / "onnx"), "nothing to export")
    assert_refused(moclip("export", tmp_path, "--out", tmp_path / "onnx"), "not a run folder")


def test_mobileviclip_as_appearance_encoder(clip: Path, weights: Path) -> None:
    experiment = load_experiment(None, ["clip.model=mobileviclip-tiny", f"clip.pretrained='{weights}'"])
    assert (
        experiment.clip.frames,
        load_experiment(None, ["clip.model=mobileviclip-tiny"]).clip.pretrained,
    ) == (8, "datacompdr")
    encoder = make_encoder(experiment.clip, experiment.run.seed, torch.device("cpu"))
    assert isinstance(encoder, MobileViCLIPEncoder)
    assert not encoder.random
    pictures = read_rgb_at(clip, frame_positions(24, 8).tolist()).frames
    feature = encoder.encode_images(pictures)
    assert feature.shape == (1, encoder.dim)
    model = load_model(weights)
    with torch.inference_mode():
        expected = model.encode_video(encoder.prepare(pictures)[None], normalize=True)
    np.testing.assert_allclose(feature, expected, atol=1e-4)
    both = encoder.encode_prepared(torch.cat([encoder.prepare(pictures), encoder.prepare(pictures[::-1])]))
    assert both.shape == (2, encoder.dim)
    assert encoder.frame_cost()["parameters"] > 0
    with pytest.raises(ConfigError, match="mobileviclip-huge"):
        make_encoder(load_experiment(None, ["clip.model=mobileviclip-huge"]).clip, 0, torch.device("cpu"))


def test_a_run_with_mobileviclip(videos: Path, weights: Path, tmp_path: Path) -> None:
    sets = [
        f"data.root={videos}",
        f"run.dir={tmp_path / 'run'}",
        "clip.model=mobileviclip-tiny",
        f"clip.pretrained={weights}",
        "clip.frames=8",
        "run.streams=[appearance]",
        "run.workers=1",
        "run.onnx=false",
        "train_head.epochs=2",
    ]
    words = [word for value in sets for word in ("--set", value)]
    root = ROOT
    metrics = assert_ok(moclip("run", root / "experiments" / "folder.yaml", *words, "--json")).json
    assert metrics["appearance"]["n"] == 2
    clip = videos / "left" / "0.mp4"
    (answer,) = assert_ok(moclip("predict", clip, "--model", tmp_path / "run", "--json")).json
    assert len(answer["predictions"]) == 2
    assert_ok(moclip("export", tmp_path / "run", "--out", tmp_path / "onnx"))
    stored = onnx.load(tmp_path / "onnx" / "pictures.onnx")
    assert not any("text" in entry.name for entry in stored.graph.initializer)
    example = [sys.executable, root / "docs" / "examples" / "predict_onnx.py", tmp_path / "onnx", clip]
    rows = subprocess.run(example, capture_output=True, text=True, check=True).stdout.splitlines()
    scores = {label: float(score) for label, score in (row.split("\t") for row in rows)}
    assert scores == pytest.approx({p["label"]: p["score"] for p in answer["predictions"]}, abs=1e-4)
