"""Packings that were interrupted: what they leave, who may go on with it, and that nothing foreign stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.errors import CheckpointError, ConfigError
from moclip_lite.experiment.feature_pack import pack_file
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.shards import write as writing
from moclip_lite.shards.read import ShardReader

from support.cli import assert_refused, moclip
from support.features import labelled_features

DRAFT = "index.partial.json"


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "f.safetensors"
    save_features(path, *labelled_features())
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted(
    features: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    shard: int,
    before: bool,
    rows: int = 100,
) -> None:
    """Pack until just before a shard is written, or just after, as a process that is killed there."""
    write = writing._write_shard

    def stop(folder: Path, plan: writing.ShardPlan, number: int, *rest: object) -> object:
        if number == shard and before:
            raise KeyboardInterrupt
        result = write(folder, plan, number, *rest)  # type: ignore[arg-type]
        if number == shard:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(writing, "_write_shard", stop)
        with pytest.raises(KeyboardInterrupt):
            pack_file(features, folder, rows)


@pytest.mark.parametrize("shard", [0, 1, 2])
@pytest.mark.parametrize("before", [True, False])
def test_a_packing_goes_on_wherever_it_was_killed(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: int, before: bool
) -> None:
    whole, folder = pack_file(features, tmp_path / "whole", 100), tmp_path / "s"
    interrupted(features, folder, monkeypatch, shard=shard, before=before)
    for name in ("part-00001", "index", "index.partial"):  # as a killed process leaves them
        (folder / f".{name}-0123456789ab.parquet").touch()
    assert pack_file(features, folder, 100) == whole
    assert names(folder) == names(tmp_path / "whole")
    ShardReader(folder).verify()


@pytest.mark.parametrize("shard", [0, 1])
@pytest.mark.parametrize("before", [True, False])
def test_a_draft_of_another_plan_is_refused_and_left(
    features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: int, before: bool
) -> None:
    interrupted(features, tmp_path / "s", monkeypatch, shard=shard, before=before, rows=50)
    left = names(tmp_path / "s")
    with pytest.raises(ConfigError, match=r"interrupted packing of something else.*or remove it"):
        pack_file(features, tmp_path / "s", 100)
    assert names(tmp_path / "s") == left
    pack_file(features, tmp_path / "s", 50)


def test_a_damaged_draft_is_refused(features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(features, tmp_path / "s", monkeypatch, shard=1, before=True)
    (tmp_path / "s" / DRAFT).write_text("{")
    with pytest.raises(ConfigError, match=r"whose index.partial.json is damaged"):
        pack_file(features, tmp_path / "s", 100)


@pytest.mark.parametrize(
    "name", ["part-00007.parquet", "notes.parquet", ".part-00000-0123456789ab.parquet", "a.tar"]
)
def test_verify_tells_files_that_the_index_does_not_list(features: Path, tmp_path: Path, name: str) -> None:
    pack_file(features, tmp_path / "s", 100)
    (tmp_path / "s" / "notes.txt").touch()
    ShardReader(tmp_path / "s").verify()
    (tmp_path / "s" / name).touch()
    with pytest.raises(CheckpointError, match="does not list"):
        ShardReader(tmp_path / "s").verify()
    assert_refused(moclip("pack", tmp_path / "s", "--verify"), f"the first is {name}")
    pack_file(features, tmp_path / "s", 100)
    written_by_packing = "part-" in name
    assert (name in names(tmp_path / "s")) == (not written_by_packing)  # others' files stay
