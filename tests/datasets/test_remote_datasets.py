"""Data sets and predictions at URLs, against a real S3 server on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moclip_lite.datasets.remote import load_remote_folder
from moclip_lite.errors import DataError

from support.cli import FOLDER_YAML, QUICK, assert_ok, assert_refused, class_folders, moclip, sets
from support.s3_server import ACCESS, SECRET, Server, serving

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("s3")) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        class_folders(running.folder / "clips", frames=8)
        (running.folder / "clips" / "readme.txt").write_text("x")
        yield running


def test_class_folders_and_splits_are_listed(server: Server) -> None:
    root = Path(f"{server.url}/clips")
    data = load_remote_folder(root, group_pattern="^(p[0-9])_")
    local = sorted(
        p.relative_to(server.folder / "clips").as_posix() for p in (server.folder / "clips").rglob("*.mp4")
    )
    assert [clip.name for clip in data.clips] == local
    assert {clip.label for clip in data.clips} == {name.partition("/")[0] for name in local}
    assert all(clip.group for clip in data.clips)
    assert data.notes == ("left out, 1 object(s) that do not end like videos",)
    for number, part in enumerate(("train", "test")):
        for name in local[number::2]:
            target = server.folder / "divided" / part / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(server.folder / "clips" / name, target)
    train, test = load_remote_folder(Path(f"{server.url}/divided")).official["split1"]
    assert {name.partition("/")[0] for name in train} == {"train"}
    assert len(test) == len(local) // 2
    with pytest.raises(DataError, match="holds no videos"):
        load_remote_folder(Path(f"{server.url}/nothing"))


def test_a_run_and_a_prediction_at_urls_keep_no_credentials(server: Server, tmp_path: Path) -> None:
    places = (
        f"data.root={server.url}/clips",
        f"run.dir={tmp_path / 'run'}",
        f"cache.dir={tmp_path / 'cache'}",
    )
    outcome = assert_ok(moclip("run", FOLDER_YAML, *sets((*QUICK, "train_motion.epochs=1", *places))))
    assert "root: s3://bucket/clips\n" in (tmp_path / "run" / "config.yaml").read_text()
    assert_ok(moclip("run", tmp_path / "run"))  # finished: recognised without reading a video
    clip = min((server.folder / "clips").rglob("*.mp4")).relative_to(server.folder)
    table = tmp_path / "predictions.csv"
    predicted = moclip(
        "predict", f"{server.url}/{clip}", "--model", tmp_path / "run", "--table", table, "--json"
    )
    assert assert_ok(predicted).json[0]["predictions"]
    assert table.read_text().startswith("path,rank,label,score\n")
    absent = moclip("predict", f"{server.url}/absent.mp4", "--model", tmp_path / "run")
    assert_refused(absent, "absent.mp4", "no such object")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    text = outcome.err.encode() + absent.err.encode() + b"".join(written)
    assert ACCESS.encode() not in text
    assert SECRET.encode() not in text


def test_a_table_names_objects_below_its_url(server: Server, tmp_path: Path) -> None:
    names = sorted(
        p.relative_to(server.folder / "clips").as_posix() for p in (server.folder / "clips").rglob("*.mp4")
    )
    rows = [f"{name},{name.partition('/')[0]}" for name in names]
    (server.folder / "clips" / "table.csv").write_text("\n".join(["video,label", *rows]) + "\n")
    asked = sets(
        ("data.kind=table", f"data.table={server.url}/clips/table.csv", f"data.root={server.url}/clips")
    )
    words = ["extract", "motion", FOLDER_YAML, *sets(QUICK), *asked, "--cache", tmp_path / "cache", "--json"]
    assert assert_ok(moclip(*words, "--failures", tmp_path / "failures.csv")).json["made"] == len(names)
    for value in ("../other.mp4", "/etc/passwd", "https://127.0.0.1/x.mp4", "absent.mp4"):
        (server.folder / "clips" / "table.csv").write_text(
            "\n".join(["video,label", *rows, f"{value},x"]) + "\n"
        )
        assert_refused(moclip(*words), Path(value).name)
