"""`moclip pack`: shards of clips and of features, and runs on them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moclip_lite.appearance.encoder import LazyEncoder
from moclip_lite.datasets import Clip, VideoDataset
from moclip_lite.datasets.extraction import ExtractReport
from moclip_lite.errors import CheckpointError, ConfigError, MoclipError
from moclip_lite.experiment.config import load_experiment
from moclip_lite.experiment.feature_pack import pack_file
from moclip_lite.experiment.inputs.feature_shards import load_feature_shards
from moclip_lite.experiment.inputs.feature_storage import load_features, save_features
from moclip_lite.experiment.inputs.packed_clips import PackedClips, PackedExtractor
from moclip_lite.experiment.run import run_experiment
from moclip_lite.experiment.session import Session
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.shards.index import ShardIndex, block_digests
from moclip_lite.shards.read import ShardReader
from moclip_lite.shards.write import ShardPlan
from moclip_lite.storage.cache_keys import STAGES
from moclip_lite.storage.digest import digest_file
from moclip_lite.storage.files import read_description, read_tensors
from moclip_lite.streams import Stream

from support.cli import TrainedRun, assert_ok, assert_refused, moclip, sets
from support.features import labelled_features

pytestmark = pytest.mark.usefixtures("no_drawings")


@pytest.fixture(scope="module")
def feature_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "f.safetensors"
    save_features(path, *labelled_features())
    return path


@pytest.fixture(scope="module")
def packed(feature_file: Path) -> Path:
    folder = feature_file.parent / "shards"
    pack_file(feature_file, folder, shard_rows=100)
    return folder


def session_on(root: Path, folder: Path, *settings: str) -> Session:
    kind = "features" if root.is_file() else "shards"
    places = (f"data.kind={kind}", f"data.root={root}", f"run.dir={folder}", f"cache.dir={folder}-cache")
    fixed = ("train_head.epochs=3", "train_head.batch=16", "fusion.head=concat_mlp", *places)
    return Session(load_experiment(None, [*fixed, *settings]))


def weights(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    return {path.name: read_tensors(path)[0] for path in folder.rglob("*.safetensors")}


def assert_same_weights(one: Path, other: Path) -> None:
    mine, others = weights(one), weights(other)
    assert mine
    assert mine.keys() == others.keys()
    for name, tensors in mine.items():
        for tensor, values in tensors.items():
            np.testing.assert_array_equal(values, others[name][tensor], f"{name} {tensor}")


@pytest.mark.parametrize("buffer", [None, 40])
def test_shards_give_the_model_of_the_unpacked_file_bit_for_bit(
    feature_file: Path, packed: Path, tmp_path: Path, buffer: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no more than a few clips fit into memory: the order is the same."""
    for module in ("moclip_lite.training.batches", "moclip_lite.fusion.streamed"):
        monkeypatch.setattr(f"{module}.CHUNK", 16)
    asked = () if buffer is None else (f"data.buffer={buffer}",)
    for name, root in (("file", feature_file), ("shards", packed)):
        session = session_on(root, tmp_path / name, *asked)
        metrics = run_experiment(session).to_json()
        assert metrics["fusion"]["n"] == 60
        assert session.feature_file is not None
        assert (session.feature_file.stream is None) == (buffer is None)
    assert_same_weights(tmp_path / "file", tmp_path / "shards")


def test_shards_know_what_the_file_knows(feature_file: Path, packed: Path) -> None:
    file, shards = load_features(feature_file), load_feature_shards(ShardReader(packed), None)
    assert [(c.name, c.label, c.group) for c in file.dataset.clips] == [
        (c.name, c.label, c.group) for c in shards.dataset.clips
    ]
    assert (file.dataset.official, file.origin, file.bound) == (
        shards.dataset.official,
        shards.origin,
        shards.bound,
    )
    for name in ("motion", "appearance", "classes"):
        np.testing.assert_array_equal(getattr(file, name), getattr(shards, name))


def test_heads_in_closed_form_need_the_features_in_memory(packed: Path, tmp_path: Path) -> None:
    run_experiment(session_on(packed, tmp_path / "whole", "fusion.head=linear_pool"))
    session = session_on(packed, tmp_path / "part", "fusion.head=linear_pool", "data.buffer=40")
    with pytest.raises(ConfigError, match=r"linear_\w+ is solved for all training clips at once.*concat_mlp"):
        run_experiment(session)


def test_an_interrupted_packing_goes_on(feature_file: Path, packed: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_file(feature_file, tmp_path / "s", 100, stop)
    assert not (tmp_path / "s" / "index.json").exists()
    first = (tmp_path / "s" / "part-00000.parquet").stat().st_mtime_ns
    index = pack_file(feature_file, tmp_path / "s", 100)
    assert (tmp_path / "s" / "part-00000.parquet").stat().st_mtime_ns == first
    assert index == ShardReader(packed).index
    assert pack_file(feature_file, tmp_path / "s", 100) == index  # nothing to do
    with pytest.raises(ConfigError, match="holds other shards"):
        pack_file(feature_file, tmp_path / "s", 50)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(ConfigError, match="is not empty"):
        pack_file(feature_file, tmp_path / "other")


DAMAGE = {
    "cut": "it is cut or was changed",
    "changed": "does not match its checksum",
    "missing": "part-00001.parquet is missing",
    "exchanged": "does not match its checksum|it is cut",
    "of others": "belongs to other shards",
    "index cut": "index.json is damaged",
    "index changed": "does not match its digest",
    "no index": "is no folder of shards",
    "file elsewhere": "impossible name|does not match its digest",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_shards_are_refused_in_a_sentence(
    feature_file: Path, packed: Path, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(packed, folder)
    part, index = folder / "part-00001.parquet", folder / "index.json"
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:-100])
    elif damage == "changed":
        data = bytearray(part.read_bytes())
        data[len(data) // 2] ^= 1
        part.write_bytes(data)
    elif damage == "missing":
        part.unlink()
    elif damage == "exchanged":
        part.write_bytes((folder / "part-00000.parquet").read_bytes())
    elif damage == "of others":
        pack_file(feature_file, tmp_path / "t", 60)
        shutil.copy(index, tmp_path / "kept")
        values, other = (json.loads((f / "index.json").read_text()) for f in (folder, tmp_path / "t"))
        from moclip_lite.shards.index import ShardIndex

        mixed = ShardIndex.read(tmp_path / "t" / "index.json")
        object.__setattr__(mixed, "plan", values["plan"])
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "t", folder)
        mixed.write(index)
        assert other["plan"] != values["plan"]
    elif damage == "index cut":
        index.write_text(index.read_text()[:-50])
    elif damage == "index changed":
        index.write_text(index.read_text().replace('"rows": 100', '"rows": 99', 1))
    elif damage == "file elsewhere":
        index.write_text(index.read_text().replace("part-00001.parquet", "../part-00001.parquet"))
    else:
        index.unlink()
    with pytest.raises(MoclipError, match=DAMAGE[damage]):
        run_experiment(session_on(folder, tmp_path / "run"))
    if damage in ("cut", "changed", "missing"):
        assert pack_file(feature_file, folder, 100) == ShardReader(packed).index  # written again
        ShardReader(folder).verify()


@pytest.mark.parametrize("change", ["missing", "of text"])
def test_a_column_that_is_missing_or_of_another_type_is_refused(
    packed: Path, tmp_path: Path, change: str
) -> None:
    """In shards whose digests were made anew."""
    names = pq.read_schema(packed / "part-00001.parquet").names
    numbers = set(ShardReader(packed).index.columns)
    for name in names if change == "missing" else sorted(numbers):
        folder = Path(shutil.copytree(packed, tmp_path / name))
        part = folder / "part-00001.parquet"
        table = pq.read_table(part)
        metadata = table.schema.metadata
        table = table.drop_columns([name])
        if change == "of text":
            table = table.append_column(name, pa.array(["x"] * len(table)))
        pq.write_table(table.replace_schema_metadata(metadata), part)
        index = ShardIndex.read(folder / "index.json")
        shards = list(index.shards)
        shards[1] = replace(
            shards[1], size=part.stat().st_size, digest=digest_file(part), blocks=block_digests(part)
        )
        replace(index, shards=tuple(shards)).write(folder / "index.json")
        reader, every = ShardReader(folder), np.arange(index.rows)
        if name in numbers:
            with pytest.raises(CheckpointError, match=f"part-00001.parquet.* {name}"):
                list(reader.numbers([name], every))
        if change == "missing":
            with pytest.raises(CheckpointError, match=f"part-00001.parquet .*no column {name}"):
                reader.table([name])
    with pytest.raises(CheckpointError, match=r"part-00000.parquet: clip does not hold bytes"):
        list(ShardReader(packed).blobs("clip", np.arange(10)))


def test_a_data_set_in_shards_gives_the_run_of_its_videos(trained: TrainedRun, tmp_path: Path) -> None:
    """Motion networks and heads, without the videos, with an empty cache."""
    shards = tmp_path / "shards"
    packing = moclip("pack", *trained.words()[1:], "--out", shards, "--shard-clips", 7, "--json")
    assert assert_ok(packing).json["kind"] == "clips"
    assert_ok(moclip("pack", shards, "--verify"))
    listing = assert_ok(moclip("dataset", "list", shards, "--json")).json
    assert len(listing["clips"] if isinstance(listing["clips"], list) else range(listing["clips"])) > 7
    elsewhere = sets(("data.kind=shards", f"data.root={shards}", f"cache.dir={tmp_path / 'cache'}"))
    again = moclip("pack", *trained.words()[1:], *elsewhere, "--out", tmp_path / "again", "--shard-clips", 7)
    assert_ok(again)  # the same entries and the same plan, without videos and with an empty cache
    assert ShardIndex.read(tmp_path / "again" / "index.json") == ShardIndex.read(shards / "index.json")
    assert_ok(moclip(*trained.words(tmp_path / "run"), *elsewhere))
    assert_same_weights(trained.folder, tmp_path / "run")
    noted = read_description(RunFolder(tmp_path / "run").weights(Stream.FUSION))
    assert noted is not None
    assert noted["features"] == ShardIndex.read(shards / "index.json").description["measured"]["features"]
    elsewhere_weights = moclip(*trained.words(tmp_path / "run2"), *elsewhere, "--pretrained", "/absent.pt")
    assert_refused(elsewhere_weights, "was packed with clip.pretrained=none")
    seeded = moclip(*trained.words(tmp_path / "run2"), *elsewhere, "--set", "run.seed=1")
    assert_refused(seeded, "was packed with run.seed=0")
    for name, value in (("segments", 5), ("stride", 2), ("normalize_distance", "false")):
        other = moclip(*trained.words(tmp_path / "run2"), *elsewhere, "--set", f"motion.{name}={value}")
        assert_refused(other, f"was packed with motion.{name}=", "pack again")


@pytest.mark.parametrize(
    ("asked", "splits"), [((), (1, 2)), (("data.splits=[2]",), (2,)), (("data.splits=[1,2]",), (1, 2))]
)
def test_runs_on_shards_take_the_official_splits_that_are_named(
    tmp_path: Path, asked: tuple[str, ...], splits: tuple[int, ...]
) -> None:
    """By default all that were packed; the run folder says which."""
    clips = tuple(Clip(tmp_path / f"{n}.mp4", f"{n}.mp4", "ab"[n % 2]) for n in range(4))
    parts = (frozenset({"0.mp4", "1.mp4"}), frozenset({"2.mp4", "3.mp4"}))
    dataset = VideoDataset(tmp_path, clips, ("a", "b"), {"split1": parts, "split2": parts[::-1]})
    session = session_on(tmp_path, tmp_path / "run", *asked)
    session.inputs.__dict__ |= {"feature_file": None, "packed": SimpleNamespace(dataset=dataset)}
    assert list(session.dataset.official) == [f"split{number}" for number in splits]
    assert session.saved_experiment.data.splits == splits


def test_features_are_not_packed_as_clips(packed: Path, tmp_path: Path) -> None:
    assert_refused(
        moclip("pack", packed, "--out", tmp_path / "again"), "holds features", "is copied as it is"
    )
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("noted", [None, 1, "1", [1]], ids=str)
def test_shards_tell_the_version_of_their_features(monkeypatch: pytest.MonkeyPatch, noted: object) -> None:
    """Those of earlier versions of this program do not."""
    facts: dict[str, Any] = {"measured": {"features": {"motion": noted}} if noted else {}}
    packed = PackedClips.__new__(PackedClips)
    packed.facts, packed.stages = facts, ("motion",)
    packed.reader = cast("Any", SimpleNamespace(shown="shards"))
    assert packed.versions == ({"motion": 1} if noted == 1 else {})
    monkeypatch.setitem(STAGES, "motion", replace(STAGES["motion"], version=2))
    words = "shards holds motion fields of version 1, and this program computes version 2"
    assert packed.other_version("motion").startswith(words) == (noted == 1)
    assert packed.other_version("motion").endswith("pack again") == (noted == 1)
    warned: list[str] = []
    extractor = PackedExtractor.__new__(PackedExtractor)
    extractor._packed = packed
    extractor._reporter = cast("Any", SimpleNamespace(say=lambda text: None, warn=warned.append))
    extractor._said(ExtractReport("motion"))
    assert warned == [packed.other_version("motion")] * (noted == 1)


def test_what_is_measured_is_no_part_of_a_plan() -> None:
    """Another machine, or another cache, goes on with a packing and repairs its shards."""
    plan = ShardPlan(
        kind="clips", rows=1, content="c", columns={}, labels={}, description={}, measured={"ms": 1.0}
    )
    assert replace(plan, measured={"ms": 2.0}).digest == plan.digest
    assert replace(plan, description={"ms": 2.0}).digest != plan.digest


def test_another_machine_repairs_shards(
    trained: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that an encoder takes is measured anew there."""
    words = ("pack", *trained.words()[1:], "--out", tmp_path / "shards", "--shard-clips", 7)
    assert_ok(moclip(*words))
    cost = LazyEncoder.cost
    monkeypatch.setattr(LazyEncoder, "cost", property(lambda made: {**cost.fget(made), "latency_ms": 1e6}))
    (tmp_path / "shards" / "part-00001.parquet").unlink()
    assert_ok(moclip(*words))
    assert_ok(moclip("pack", tmp_path / "shards", "--verify"))


def test_a_buffer_that_decides_the_order_is_another_training(trained: TrainedRun, tmp_path: Path) -> None:
    """Each of two trainings on one cache gives what it gives on an empty one."""
    shards = tmp_path / "shards"
    assert_ok(moclip("pack", *trained.words()[1:], "--out", shards, "--shard-clips", 7))

    def run(name: str, cache: str, *more: str) -> dict[str, dict[str, np.ndarray]]:
        chosen = ("data.kind=shards", f"data.root={shards}", "run.streams=[motion]")
        chosen += ("train_motion.batch=2", "train_motion.epochs=2")
        places = (f"cache.dir={tmp_path / cache}",)
        assert_ok(moclip(*trained.words(tmp_path / name), *sets((*chosen, *places, *more))))
        return weights(tmp_path / name)

    small, whole = run("small", "one", "data.buffer=4"), run("whole", "one")
    run("all", "two"), run("few", "two", "data.buffer=4")
    assert_same_weights(tmp_path / "whole", tmp_path / "all")
    assert_same_weights(tmp_path / "small", tmp_path / "few")
    names = small["motion.safetensors"]
    assert any(not np.array_equal(names[name], whole["motion.safetensors"][name]) for name in names)
