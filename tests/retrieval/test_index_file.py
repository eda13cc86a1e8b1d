"""Files of an index: damaged and hostile ones are refused."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from moclip_lite.errors import CheckpointError, DataError
from moclip_lite.mobileviclip.encoder import VideoTextEncoder
from moclip_lite.retrieval import VideoIndex, load_index, save_index, search
from moclip_lite.retrieval.index import VideoFile

from support.retrieval import index_of

HOSTILE = [
    float("inf"),
    float("nan"),
    -1,
    10**400,
    1e30,
    True,
    None,
    "x",
    "",
    "\0",
    "\ud800",
    "../x",
    "http://[bad",
    "/etc/passwd",
    [],
    {},
    [[]],
]


def _leaves(value: object, place: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(leaf for key, part in inner for leaf in _leaves(part, (*place, key)))]


@pytest.mark.parametrize(
    "how", ["missing", "cut", "foreign", "outside", "lengths", "window", "shape", "json"]
)
def test_damaged_indexes_are_refused(
    folder: Path, encoder: VideoTextEncoder, tmp_path: Path, how: str
) -> None:
    path = tmp_path / "i.safetensors"
    index = index_of(folder, encoder, tmp_path / "cache")
    save_index(path, index)
    arrays = load_file(path)
    description = {
        "root": str(folder),
        "videos": [dataclasses.asdict(v) for v in index.videos],
        "model": dataclasses.asdict(index.model),
        "model_digest": index.model_digest,
        "model_text": "x",
    }
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        if how == "outside":
            description["videos"][0]["path"] = "../secret.mp4"  # type: ignore[index]
        elif how == "lengths":
            arrays["vectors"] = arrays["vectors"] * 2
        elif how == "window":
            arrays["video_of"] = arrays["video_of"] + 7
        elif how == "shape":
            arrays["seconds"] = arrays["seconds"][:1]
        text = "{" if how == "json" else json.dumps(description)
        save_file(arrays, path, {"format": "else" if how == "foreign" else "moclip-index-2", "about": text})
    with pytest.raises(CheckpointError, match=r"i\.safetensors"):
        load_index(path)


def test_hostile_descriptions_are_refused(encoder: VideoTextEncoder, tmp_path: Path, model: Path) -> None:
    """Replace each value of a description by a senseless one: a search ends in hits or in one sentence."""
    path = tmp_path / "i.safetensors"
    (tmp_path / "v.mp4").write_bytes(b"v")
    video = VideoFile("v.mp4", 1, (tmp_path / "v.mp4").stat().st_mtime_ns)
    vectors = encoder.encode_texts(["a", "b"])
    index = VideoIndex(
        tmp_path,
        (video,),
        vectors,
        np.zeros(2, np.int64),
        np.array([[0, 1], [1, 2]], np.float32),
        encoder.spec,
        encoder.digest,
        "x",
    )
    save_index(path, index)
    with safe_open(str(path), "numpy") as file:
        description = json.loads(file.metadata()["about"])
    arrays, refused = load_file(path), 0
    for place in _leaves(description):
        for wrong in HOSTILE:
            changed = copy.deepcopy(description)
            inside = changed
            for key in place[:-1]:
                inside = inside[key]
            if place:
                inside[place[-1]] = wrong
            text = json.dumps(changed if place else wrong)
            save_file(arrays, path, {"format": "moclip-index-2", "about": text.replace("Infinity", "1e999")})
            message = ""
            try:
                search(load_index(path), encoder, ["a"], 1)
            except (CheckpointError, DataError) as error:
                message = str(error)
            assert not message or str(path) in message or "gone" in message, (place, wrong)
            refused += bool(message)
    assert refused > 100


WRONG_ARRAYS: dict[str, list[Callable[..., Any]]] = {
    "vectors": [
        lambda a: a * np.nan,
        lambda a: a[:, :8],
        lambda a: a[0],
        lambda a: a[0, 0],
        lambda a: a[:0],
        lambda a: a.astype(np.float64),
        lambda a: a[:, :8] / np.linalg.norm(a[:, :8], axis=1, keepdims=True),
        lambda a: a[..., None],
        lambda a: a[:, :0],
    ],
    "seconds": [
        lambda a: a * 0 + [1e30, -5],
        lambda a: a[:, ::-1],
        lambda a: a - 5,
        lambda a: a + np.inf,
        lambda a: a + 1e30,
        lambda a: a * np.nan,
        lambda a: a.T[:1],
        lambda a: a.ravel(),
    ],
    "video_of": [
        lambda a: a - 1,
        lambda a: a + 1,
        lambda a: a.astype(np.int32),
        lambda a: a[:1],
        lambda a: a + 2**62,
    ],
}


@pytest.mark.parametrize(
    ("name", "spoil"), [(name, spoil) for name, row in WRONG_ARRAYS.items() for spoil in row]
)
def test_hostile_arrays_are_refused(
    encoder: VideoTextEncoder, tmp_path: Path, name: str, spoil: Callable[..., Any]
) -> None:
    path = tmp_path / "i.safetensors"
    arrays = {
        "vectors": encoder.encode_texts(["a", "b"]),
        "video_of": np.zeros(2, np.int64),
        "seconds": np.array([[0, 1], [1, 2]], np.float32),
    }
    wrong = np.ascontiguousarray(spoil(arrays[name]))
    arrays[name] = wrong if name != "seconds" else wrong.astype(np.float32)
    description = VideoIndex(
        tmp_path, (VideoFile("v.mp4", 1, 1),), *arrays.values(), encoder.spec, encoder.digest, "x"
    )
    save_index(path, description)
    with pytest.raises(CheckpointError, match=r"i\.safetensors"):
        search(load_index(path), encoder, ["a"], 1)
