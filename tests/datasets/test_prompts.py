"""Sentences that stand for classes, and classes that they can't tell apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from moclip_lite.datasets.prompts import Prompts, normalize_caption
from moclip_lite.errors import ConfigError
from moclip_lite.experiment.session import Session
from moclip_lite.experiment.zero_shot import zero_shot_file
from moclip_lite.storage.names import is_blank
from moclip_lite.timeline.zero_shot import ZeroShotModel

LABELS = ("ApplyMakeup", "Dive", "apply_makeup")


def test_labels_that_read_alike_share_their_sentences() -> None:
    assert Prompts().shared(["Dive", "Run"]) == {}
    assert Prompts().shared_notes(["Dive", "Run"]) == []
    (note,) = Prompts().shared_notes(LABELS)
    assert "'ApplyMakeup' and 'apply_makeup' share the sentence" in note
    with pytest.raises(ConfigError, match="words can't tell them apart"):
        Prompts().refuse_shared(LABELS)


def test_one_shared_paraphrase_is_enough() -> None:
    prompts = Prompts(("a {}.",), {"Jog": ("jog", "Run"), "Sprint": ("sprint", "run")})
    assert prompts.shared(["Jog", "Sprint"]) == {"a run.": ["Jog", "Sprint"]}
    assert normalize_caption(" A  Run.") == "a run."


def test_data_sets_with_such_labels_are_warned_of() -> None:
    warnings: list[str] = []
    session: Any = SimpleNamespace(
        inputs=SimpleNamespace(own_appearance=None),
        feature_file=None,
        prompts=Prompts(),
        labels=LABELS,
        reporter=SimpleNamespace(warn=warnings.append),
        encoder=SimpleNamespace(class_vectors=lambda labels, prompts: np.eye(len(labels))),
    )
    assert Session.class_vectors.func(session).shape == (3, 3)
    assert warnings == Prompts().shared_notes(LABELS)


def test_free_labels_that_share_a_sentence_are_refused(tmp_path: Any) -> None:
    (tmp_path / "p.yaml").write_text("classes: {a: [jog, run], b: [run]}\n")
    prompts = Prompts(paraphrases={"a": ("jog", "run"), "b": ("run",)})
    encoder = SimpleNamespace(require_text=lambda: None)
    experiment = SimpleNamespace(clip=SimpleNamespace(prompts=tmp_path / "p.yaml"))
    session: Any = SimpleNamespace(encoder=encoder, prompts=prompts, experiment=experiment)
    with pytest.raises(ConfigError, match="share the sentence 'a photo of a person run"):
        zero_shot_file(session, tmp_path / "clip.mp4", ["a", "b"])
    with pytest.raises(ConfigError, match="share the sentence"):
        ZeroShotModel(session, ["a", "b"])


@pytest.mark.parametrize(
    ("text", "blank"),
    [
        ("", True),
        (" \n", True),
        ("&nbsp;", True),
        ("\u200b", True),
        ("&amp;nbsp;", True),
        ("a", False),
        ("走", False),
    ],
)
def test_texts_that_show_nothing(text: str, blank: bool) -> None:
    assert is_blank(text) == blank
