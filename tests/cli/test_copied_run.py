"""The configuration of a copied run folder does not replace the original."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moclip_lite.cli.copied_run import refuse_copied
from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.storage.files import write_json

from support.cli import assert_refused, moclip


def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A run folder and its copy, both of which say that the results go into the first."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    text = load_experiment(None, [f"run.dir={original}", f"data.root={tmp_path / 'data'}"]).to_yaml()
    (original / "config.yaml").write_text(text, encoding="utf-8")
    write_json(original / "metrics.json", {})
    shutil.copytree(original, copy)
    return original, copy


@pytest.mark.parametrize("command", [("run",), ("train", "motion"), ("train", "fusion")])
def test_the_configuration_of_a_copy_is_refused(command: tuple[str, ...], tmp_path: Path) -> None:
    original, copy = folders(tmp_path)
    words = (f"{copy}/config.yaml is of", f"another folder, {original},", f"moclip run {copy}", "--run-dir")
    assert_refused(moclip(*command, copy / "config.yaml"), *words)
    assert (original / "metrics.json").is_file()


def test_what_replaces_no_other_run_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, copy = folders(tmp_path)
    refuse_copied(original / "config.yaml", original, None, {})
    refuse_copied(copy, original, None, {})
    refuse_copied(copy / "config.yaml", tmp_path / "gone", None, {})
    refuse_copied(copy / "config.yaml", original, [f"run.dir = {original}"], {})
    refuse_copied(copy / "config.yaml", original, None, {"run.dir": original})
    fold = original / "folds" / "split1"
    fold.mkdir(parents=True)
    write_json(fold / "labels.json", ["a"])
    refuse_copied(fold / "config.yaml", original, None, {})
    monkeypatch.chdir(original)
    refuse_copied(Path("config.yaml"), original, None, {})
    (copy / "metrics.json").rename(copy / "notes.json")
    refuse_copied(copy / "config.yaml", original, None, {})  # an experiment's file, not a run folder
    write_json(copy / "labels.json", ["a"])
    with pytest.raises(ConfigError, match="is of the run folder"):
        refuse_copied(copy / "config.yaml", original, None, {"run.dir": None})
