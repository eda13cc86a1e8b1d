"""A finished run is tested again, and zero-shot classification."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.cli import TINY, WITH_TEXT, TrainedRun, assert_ok, assert_refused, class_folders, moclip, sets
from support.run_files import LABELS, STREAMS, modification_times, read_metrics


def test_evaluate_repeats_the_numbers(trained: TrainedRun, tmp_path: Path) -> None:
    before = modification_times(trained.folder)
    found = assert_ok(moclip("evaluate", trained.folder, "--json")).json
    metrics = read_metrics(trained.folder)
    for stream in STREAMS:
        assert found[stream] == metrics[stream]
    assert modification_times(trained.folder) == before
    moved = shutil.copytree(trained.data, tmp_path / "moved")
    elsewhere = assert_ok(moclip("evaluate", trained.folder, "--root", moved, "--json"))
    assert elsewhere.json["fusion"] == metrics["fusion"]
    assert "nothing to do" in elsewhere.err  # the cache goes by content, not by path


def test_evaluate_with_other_views(trained: TrainedRun) -> None:
    outcome = assert_ok(moclip("evaluate", trained.folder, "--set", "test.crops=5", "--json"))
    assert outcome.json["motion"]["n"] == 8
    assert "fusion" in assert_ok(moclip("evaluate", trained.folder)).out
    assert_refused(moclip("evaluate", trained.folder, "--part", "train"), "--part", "'train'")
    assert_refused(moclip("evaluate", trained.folder, "--set", "test.crops=2"), "test.crops", "2")


def test_evaluate_refuses_other_labels(trained: TrainedRun, tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    message = assert_refused(moclip("evaluate", trained.folder, "--root", data))
    assert "labels" in message or "classes" in message


@pytest.mark.usefixtures("small_clip")
def test_zero_shot(trained: TrainedRun, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(
        "templates: ['a film of {}']\nclasses: {water_rotate: [a whirlpool]}\n", encoding="utf-8"
    )
    words = ("zero-shot", *trained.words()[1:], *sets((WITH_TEXT,)))
    found = assert_ok(moclip(*words, "--prompts", prompts, "--json")).json
    assert found["n"] == 8
    assert set(found["per_class"]) == set(LABELS)
    assert 0 <= found["top1"] <= found["top5"] <= 100
    table = assert_ok(moclip(*words, "--prompts", prompts)).out
    assert "macro %" in table
    assert f"{found['macro']:.1f}" in table
    assert "top-5" not in table  # of four classes
    prompts.write_text("templates: ['no place for the name']\n", encoding="utf-8")
    assert_refused(moclip(*words, "--prompts", prompts), "{}")
    clip = sorted(trained.data.rglob("*.mp4"))[0]
    labels = "a wall, the sea, a dog"
    one = assert_ok(moclip("zero-shot", clip, "--labels", labels, *sets((*TINY, WITH_TEXT)), "--json")).json
    assert [row["path"] for row in one] == [str(clip)]
    assert sorted(p["label"] for p in one[0]["predictions"]) == ["a dog", "a wall", "the sea"]
    assert sum(p["score"] for p in one[0]["predictions"]) == pytest.approx(1, abs=1e-4)


def test_weights_that_cannot_be_had_are_named(trained: TrainedRun) -> None:
    words = (*trained.words()[1:], *sets((WITH_TEXT,)))
    assert_refused(moclip("zero-shot", *words, "--pretrained", "no-such-tag"), "no-such-tag")
    assert_refused(moclip("run", *words, "--set", "clip.model=ViT-Q-99"), "ViT-Q-99")
    absent = "/nowhere/weights.safetensors"
    assert_refused(moclip("zero-shot", *words, "--pretrained", absent), absent)


def test_only_the_streams_that_are_asked_for_are_tested(trained: TrainedRun) -> None:
    found = assert_ok(moclip("evaluate", trained.folder, "--set", "run.streams=[motion]", "--json")).json
    assert "motion" in found
    assert not {"fusion", "appearance", "motion_head", "appearance_frame"} & set(found)
