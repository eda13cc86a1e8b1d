"""Appearance features of one's own: formats, names, hostile files, and a run from training to export."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from moclip_lite.appearance.clip_arrays import ClipArrays, read_clip_arrays
from moclip_lite.appearance.zero_shot import unit
from moclip_lite.datasets import Clip
from moclip_lite.datasets.clip import Segment
from moclip_lite.errors import CheckpointError, ConfigError, DataError
from moclip_lite.experiment.config import load_experiment

from support.cli import assert_refused, class_folders, moclip, sets

pytestmark = pytest.mark.usefixtures("quick_exports")

Arrays = dict[str, np.ndarray[Any, Any]]
RNG = np.random.default_rng(0)
ARRAYS: Arrays = {f"{label}/{i}": RNG.random((3, 5), np.float32) for label in "ab" for i in range(2)}


def npz(path: Path, arrays: Arrays, model: str) -> Path:
    np.savez(path, **arrays, **({"__model__": np.array(model)} if model else {}))
    return path


def safetensors(path: Path, arrays: Arrays, model: str) -> Path:
    save_file(arrays, path, {"model": model} if model else None)
    return path


def table(path: Path, arrays: Arrays, model: str) -> Path:
    frames = [(name, row) for name, array in arrays.items() for row in np.atleast_2d(array)]
    columns = {"clip": [name for name, _ in frames], "feature": [row.tolist() for _, row in frames]}
    made = pyarrow.table(columns)
    parquet.write_table(made.replace_schema_metadata({"model": model} if model else None), path)
    return path


WRITERS: dict[str, Callable[[Path, Arrays, str], Path]] = {
    ".npz": npz,
    ".safetensors": safetensors,
    ".parquet": table,
}


@pytest.mark.parametrize("model", ["", "DINO"])
@pytest.mark.parametrize("ending", WRITERS)
def test_all_formats_hold_the_same(ending: str, model: str, tmp_path: Path) -> None:
    read = read_clip_arrays(WRITERS[ending](tmp_path / f"f{ending}", ARRAYS, model))
    assert (read.model, read.shape) == (model, (3, 5))
    for name, array in ARRAYS.items():
        np.testing.assert_allclose(read.features(Path(f"{name}.avi")), array, atol=1e-7)
    flat = {name: array[0] for name, array in ARRAYS.items()}
    assert read_clip_arrays(WRITERS[ending](tmp_path / f"g{ending}", flat, model)).shape == (1, 5)
    assert read.identity["digest"] != ClipArrays(tmp_path, ARRAYS, "other").identity["digest"]


@pytest.mark.parametrize(
    ("names", "clip", "found"),
    [
        (["a/1.avi"], "a/1.avi", "a/1.avi"),
        (["a/1"], "a/1.avi", "a/1"),
        (["1"], "a/1.avi", "1"),
        (["1.avi"], "/far/away/a/1.avi", "1.avi"),
        (["1", "a/1"], "a/1.avi", "a/1"),
        (["v1.5_x"], "a/v1.5_x.avi", "v1.5_x"),
        (["1.mp4"], "a/1.avi", None),
        (["b/1"], "a/1.avi", None),
        (["11"], "a/1.avi", None),
    ],
)
def test_names(names: list[str], clip: str, found: str | None) -> None:
    arrays = ClipArrays(Path("f.npz"), dict.fromkeys(names, np.ones(3, np.float32)))
    assert arrays.find(Path(clip)) == arrays.find(Clip(Path(clip), clip, "a")) == found


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a/v.avi@0.5-1.04"], "a/v.avi@0.5-1.04"),
        (["a/v@0.5-1.04"], "a/v@0.5-1.04"),
        (["v@0.5-1.04"], "v@0.5-1.04"),
        (["v.avi@0.5-1"], None),  # another segment
        (["v@0.5-1"], None),
        (["a/v.avi"], None),
        (["a/v"], None),
    ],
)
def test_names_of_segments(names: list[str], found: str | None) -> None:
    """What is cut off is the ending of the video's name, not a part of the times."""
    arrays = ClipArrays(Path("f.npz"), dict.fromkeys(names, np.ones(3, np.float32)))
    segment = Segment(0.5, 1.04)
    assert arrays.find(Clip(Path("v.avi"), f"a/v.avi@{segment}", "a", segment=segment)) == found


def test_names_that_do_not_match_are_told() -> None:
    def clip(name: str) -> Clip:
        return Clip(Path(name), name, "a")

    arrays = ClipArrays(Path("f.npz"), {"a/1": np.ones(3, np.float32), "c/9": np.ones(3, np.float32)})
    told: list[str] = []
    report = arrays.report([clip("a/1.avi"), clip("a/2.avi")], told.append)
    assert list(report.keys) == ["a/1.avi"]
    assert [failure.name for failure in report.failures] == ["a/2.avi"]
    assert "c/9" in told[0]
    with pytest.raises(DataError, match="none of its arrays"):
        arrays.report([clip("b/3.avi")], told.append)
    with pytest.raises(DataError, match=r"fits a/1\.avi and b/a/1\.avi"):
        arrays.report([clip("a/1.avi"), clip("b/a/1.avi")], told.append)


def _object_array(path: Path) -> None:
    np.savez(path, allow_pickle=True, a=np.array([{}], object))


def _bomb(path: Path) -> None:
    np.savez(path, a=np.ones(3, np.float32))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.npy", b"x")
    data = path.read_bytes()
    entry = data.rindex(b"PK\x01\x02")  # its declared size, in the central directory
    path.write_bytes(data[: entry + 24] + (2**32 - 2).to_bytes(4, "little") + data[entry + 28 :])


HOSTILE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "text": (".npz", lambda path: path.write_text("x")),
    "empty": (".npz", lambda path: path.write_bytes(b"")),
    "objects": (".npz", _object_array),
    "wrong size": (".npz", _bomb),
    "text tensors": (".safetensors", lambda path: path.write_text("x")),
    "text table": (".parquet", lambda path: path.write_text("x")),
    "other columns": (".parquet", lambda path: parquet.write_table(pyarrow.table({"a": [1]}), path)),
    "no rows": (
        ".parquet",
        lambda path: parquet.write_table(
            pyarrow.table({"clip": pyarrow.array([], "string"), "feature": pyarrow.array([], "float")}), path
        ),
    ),
    "uneven": (
        ".parquet",
        lambda path: parquet.write_table(
            pyarrow.table({"clip": ["a", "b"], "feature": [[1.0], [1.0, 2.0]]}), path
        ),
    ),
    "none": (".npz", lambda path: npz(path, {}, "")),
    "whole numbers": (".npz", lambda path: npz(path, {"a": np.ones(3, int)}, "")),
    "not finite": (".npz", lambda path: npz(path, {"a": np.array([np.nan])}, "")),
    "not finite in float32": (".npz", lambda path: npz(path, {"a": np.array([1e39])}, "")),
    "three axes": (".npz", lambda path: npz(path, {"a": np.ones((2, 2, 2))}, "")),
    "uneven frames": (".npz", lambda path: npz(path, {"a": np.ones((2, 3)), "b": np.ones((1, 3))}, "")),
    "uneven length": (".npz", lambda path: npz(path, {"a": np.ones(3), "b": np.ones(4)}, "")),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(kind: str, tmp_path: Path) -> None:
    ending, write = HOSTILE[kind]
    path = tmp_path / f"f{ending}"
    write(path)
    with pytest.raises(CheckpointError, match=rf"f{ending}"):
        read_clip_arrays(path)


def test_long_features_are_normalised() -> None:
    """The squares of their numbers are beyond float32."""
    rows = np.array([[3e20, 4e20], [0.0, 0.0]], np.float32)
    np.testing.assert_allclose(unit(rows), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)


def test_other_endings_and_absent_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("x")
    for name in ("f.csv", "absent.npz"):
        with pytest.raises(DataError, match=r"data\.appearance"):
            read_clip_arrays(tmp_path / name)
    with pytest.raises(ConfigError, match="features of its own"):
        load_experiment(None, ["data.kind=features", "data.appearance=f.npz"])


def test_a_run_on_features_of_ones_own(tmp_path: Path) -> None:
    """Train, evaluate, predict, export, export of features; nothing asks for a CLIP."""
    data, run, own = (
        class_folders(tmp_path / "data", per_class=6, frames=4),
        tmp_path / "run",
        tmp_path / "own.npz",
    )
    clips = sorted(path.relative_to(data) for path in data.rglob("*.mp4"))
    arrays = {clip.as_posix(): np.float32(RNG.random((2, 8)) + (clip.parts[0] < "m")) for clip in clips}
    missing = arrays.pop(clips[0].as_posix())
    npz(own, {**arrays, "nowhere": missing}, "mine")
    options = (
        f"data.root={data}",
        f"data.appearance={own}",
        f"cache.dir={tmp_path / 'cache'}",
        f"run.dir={run}",
    )
    quick = ("run.streams=[appearance]", "train_head.epochs=2", "run.device=cpu")
    yaml = tmp_path / "e.yaml"
    yaml.write_text("run: {}\n")
    result = moclip("run", yaml, *sets([*options, *quick]))
    assert result.code == 0, result.err
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["appearance_weights"] == f"features of {own} (mine)"
    assert [row["name"] for row in metrics["failures"]] == [clips[0].as_posix()]
    assert "nowhere" in result.err
    assert moclip("evaluate", run).code == 0
    assert moclip("extract", "features", run, "--out", tmp_path / "f.safetensors").code == 0
    result = moclip("predict", data / clips[1], "--model", run, "--json")
    assert result.code == 0, result.err
    assert_refused(moclip("predict", data / clips[0], "--model", run), "compute them with the same backbone")
    other = npz(tmp_path / "other.npz", {clips[0].name: missing}, "theirs")
    assert_refused(
        moclip("predict", data / clips[0], "--model", run, *sets([f"data.appearance={other}"])),
        "CLIP weights",
    )
    npz(other, {clips[0].name: missing}, "mine")
    result = moclip("predict", data / clips[0], "--model", run, *sets([f"data.appearance={other}"]))
    assert result.code == 0, result.err
    result = moclip("export", run, "--out", tmp_path / "onnx")
    assert result.code == 0, result.err
    assert not (tmp_path / "onnx" / "pictures.onnx").exists()
    own.unlink()
    assert_refused(moclip("predict", data / clips[1], "--model", run), "compute them with the same backbone")
    assert_refused(moclip("run", yaml, *sets([*options, "run.streams=[zero_shot]"])), "no such file")
    npz(own, arrays, "mine")
    assert_refused(moclip("run", yaml, *sets([*options, "run.streams=[zero_shot]"])), "holds no text")
