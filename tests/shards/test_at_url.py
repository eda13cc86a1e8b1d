"""Shards at a URL: written and read on a real S3 server, and what a damaged one says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.errors import CheckpointError, ConfigError, DataError
from moclip_lite.experiment.feature_pack import pack_file
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.shards import write as writing
from moclip_lite.shards.index import INDEX
from moclip_lite.shards.read import ShardReader
from moclip_lite.storage.objects import ObjectFolder
from mv_tools.remote import RemoteFile

from support.features import labelled_features
from support.s3_server import Server, connected

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with connected(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "f.safetensors"
    save_features(path, *labelled_features())
    return path


@pytest.fixture
def shards(server: Server, features: Path, request: pytest.FixtureRequest) -> Path:
    folder = Path(f"{server.url}/{request.node.name.partition('[')[0]}")
    pack_file(features, folder, shard_rows=100)
    return folder


def all_rows(folder: Path) -> list[np.ndarray]:
    reader = ShardReader(folder)
    names, positions = sorted(reader.index.columns), np.arange(reader.index.rows)[::-1]
    return [array for _, arrays in reader.numbers(names, positions) for array in arrays]


def test_rows_at_a_url_are_those_of_a_folder(shards: Path, features: Path, tmp_path: Path) -> None:
    here = pack_file(features, tmp_path / "here", shard_rows=100)
    assert ShardReader(shards).index == here
    for one, other in zip(all_rows(shards), all_rows(tmp_path / "here"), strict=True):
        np.testing.assert_array_equal(one, other)
    ShardReader(shards).verify()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [(cut, "of the index: it is cut"), (changed, "checksum"), (Path.unlink, "is missing")],
)
def test_a_damaged_shard_is_refused_and_written_again(
    server: Server, shards: Path, features: Path, damage: Callable[[Path], None], words: str
) -> None:
    (part,) = (path for path in (server.folder / shards.name).iterdir() if "00001" in path.name)
    sound = part.read_bytes()
    damage(part)
    with pytest.raises((CheckpointError, Exception), match=words):
        all_rows(shards)
    pack_file(features, shards, shard_rows=100)
    assert part.read_bytes() == sound


def test_a_shard_that_changes_between_two_reads_is_refused(shards: Path, server: Server) -> None:
    reader = ShardReader(shards)
    next(iter(reader.numbers(["appearance"], np.arange(1))))
    part = server.folder / shards.name / reader.index.shards[0].file
    ObjectFolder.at(shards).write(part.name, part.read_bytes()[::-1])
    reader._files.clear()
    with pytest.raises(CheckpointError, match="does not match its checksum"):
        next(iter(reader.numbers(["appearance"], np.arange(1))))


def test_an_interrupted_packing_goes_on(
    server: Server, features: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, write, made = Path(f"{server.url}/interrupted"), writing._write_shard, list[int]()

    def write_or_fail(folder: Path, plan: writing.ShardPlan, number: int, *rest: object) -> object:
        if number == 1 and not made:
            made.append(-1)
            raise KeyboardInterrupt
        made.append(number)
        return write(folder, plan, number, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(writing, "_write_shard", write_or_fail)
    made.append(0)
    made.clear()
    with monkeypatch.context() as patch:
        patch.setattr(writing, "_write_shard", lambda *a: write_or_fail(*a) if a[2] else write(*a))
        with pytest.raises(KeyboardInterrupt):
            pack_file(features, folder, shard_rows=100)
    assert INDEX not in ObjectFolder.at(folder).names()
    with pytest.raises(DataError, match="no folder of shards"):
        ShardReader(folder)
    pack_file(features, folder, shard_rows=100)
    assert made == [-1, 1, 2]
    assert "index.partial.json" not in ObjectFolder.at(folder).names()
    ObjectFolder.at(folder).write("part-00007.parquet", b"of an earlier packing")
    with pytest.raises(CheckpointError, match=r"does not list, the first is part-00007.parquet"):
        ShardReader(folder).verify()
    pack_file(features, folder, shard_rows=100)
    ShardReader(folder).verify()
    with pytest.raises(ConfigError, match="holds other shards"):
        pack_file(features, folder, shard_rows=50)


def test_few_rows_fetch_a_small_part(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from moclip_lite.shards.index import Column

    folder, rows = Path(f"{server.url}/large"), np.random.default_rng(0).random((8192, 512), np.float32)
    plan = writing.ShardPlan(
        kind="features", rows=len(rows), content="0" * 32, columns={"appearance": Column((512,))},
        labels={"clip": "string"}, description={}, shard_rows=8192,
    )  # fmt: skip
    writing.write_shards(
        folder, plan, lambda a, b: {"appearance": rows[a:b], "clip": [str(i) for i in range(a, b)]}
    )
    fetched, fetch = [], RemoteFile._fetch
    monkeypatch.setattr(
        RemoteFile, "_fetch", lambda self, a, b: (fetched.append(b - a), fetch(self, a, b))[1]
    )
    reader = ShardReader(folder)
    ((_, (row,)),) = reader.numbers(["appearance"], np.array([5000]))
    np.testing.assert_array_equal(row[0], rows[5000].astype(np.float16).astype(np.float32))
    assert sum(fetched) < 0.25 * reader.index.size  # a row group of 1,024 and the footer
