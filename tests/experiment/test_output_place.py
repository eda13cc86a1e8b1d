"""No command writes among the class folders of a data set, where its output would become a class."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.output_place import refuse_among_classes

from support.cli import FOLDER_YAML, ROOT, TrainedRun, assert_refused, moclip

GRID = ROOT / "experiments" / "ablations" / "fusion_variant.yaml"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for label in ("walk", "run"):
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "0.mp4").touch()
    return tmp_path / "data"


COMMANDS = {
    "pack": ("pack", FOLDER_YAML, "--out"),
    "run": ("run", FOLDER_YAML, "--run-dir"),
    "train": ("train", "motion", FOLDER_YAML, "--run-dir"),
    "cache": ("extract", "motion", FOLDER_YAML, "--set", "run.workers=1", "--cache"),
    "tune": ("tune", FOLDER_YAML, "--budget", "1", "--out"),
    "ablate": ("ablate", GRID, "--out"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_among_the_class_folders_is_refused_before_the_work(command: str, data: Path) -> None:
    words = [*COMMANDS[command], data / "made"]
    root = ("--set", f"data.root={data}") if command == "cache" else ("--root", data)
    assert_refused(moclip(*words, *root), f"{data / 'made'} lies within {data}", str(words[-2]))
    assert sorted(path.name for path in data.iterdir()) == ["run", "walk"]


def test_features_of_a_run_too(trained: TrainedRun) -> None:
    for words in (
        ("pack", trained.folder, "--features", "--out", trained.data / "made"),
        ("extract", "features", trained.folder, "--out", trained.data / "made" / "f.safetensors"),
        ("export", trained.folder, "--out", trained.data / "made"),
    ):
        assert_refused(moclip(*words), f"{trained.data / 'made'} lies within", "--out")


def test_the_cache_that_the_environment_names_too(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCLIP_CACHE", str(data / "made"))
    refused = moclip("extract", "motion", FOLDER_YAML, "--set", f"data.root={data}")
    assert_refused(refused, f"{data / 'made'} lies within {data}", "with MOCLIP_CACHE or --cache")
    assert sorted(path.name for path in data.iterdir()) == ["run", "walk"]


@pytest.mark.parametrize(
    ("overrides", "place"),
    [
        ((), "data/.made"),  # hidden folders are no classes
        ((), "beside"),
        (("data.skip_missing=true",), "data/made"),
        (("data.kind=shards",), "data/made"),
        (("data.recipe=gop12",), "data/made"),
    ],
)
def test_other_places_are_free(data: Path, overrides: tuple[str, ...], place: str) -> None:
    made = load_experiment(None, [f"data.root={data}", *overrides])
    refuse_among_classes(made.data, data.parent / place, "--out")


def test_links_are_followed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data)
    made = load_experiment(None, [f"data.root={tmp_path / 'link'}"])
    with pytest.raises(ConfigError, match="lies within"):
        refuse_among_classes(made.data, data / "made" / "deep", "--out")
