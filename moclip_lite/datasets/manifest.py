"""Table of the clips in a prepared folder: ``manifest.parquet``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ..errors import DataError
from ..storage.files import atomic_path
from .clip import Clip, VideoDataset

__all__ = [
    "MANIFEST",
    "RECIPE",
    "ManifestRow",
    "dataset_of",
    "prepared_root",
    "read_manifest",
    "summarize",
    "write_manifest",
]

MANIFEST: Final = "manifest.parquet"
RECIPE: Final = "recipe.json"
"""File in a prepared folder that holds the settings of its recipe."""

_MAX_BYTES: Final = 1 << 28  # UCF101's has 1 MB


@dataclass(frozen=True)
class ManifestRow:
    """One prepared clip.

    Attributes:
        path: within the folder, with forward slashes.
        name: name of the original within its data set, used in lists and results.
        label, number, group: class, its position in the data set's order, and group ("" if unknown).
        split1, split2, split3: "train", "test" or "" (not in that split).
        frames: number of pictures.
        fps: pictures per second; 0 if the container does not store it.
        width, height: in samples.
        bytes, mtime: size and modification time in nanoseconds, by which a changed file is recognised.
        digest: BLAKE2b of the content, 32 hex digits.
        recipe: name of the recipe.
        original_digest: BLAKE2b of the original's content; "" in manifests of earlier versions.
        original_stamp: the original's size, times and inode when it was read, by which it need not be read
            again.
    """

    path: str
    name: str
    label: str
    number: int
    group: str
    split1: str
    split2: str
    split3: str
    frames: int
    fps: float
    width: int
    height: int
    bytes: int
    mtime: int
    digest: str
    recipe: str
    original_digest: str = ""
    original_stamp: str = ""


_NEWER: Final = ("original_digest", "original_stamp")  # columns that earlier versions did not write
_KINDS: Final[dict[str, type]] = {"str": str, "int": int, "float": float}
_AGAIN: Final = "remove it and prepare the folder again; clips that are there stay"


def write_manifest(folder: Path, rows: Sequence[ManifestRow]) -> None:
    """Write the table atomically, sorted by path."""
    import pyarrow as pa  # half a second to import
    from pyarrow import parquet

    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema([(column.name, types[str(column.type)]) for column in fields(ManifestRow)])
    values = [asdict(row) for row in sorted(rows, key=lambda row: row.path)]
    with atomic_path(folder / MANIFEST) as draft:
        parquet.write_table(pa.Table.from_pylist(values, schema), draft)


def read_manifest(folder: Path) -> list[ManifestRow]:
    """The rows of a prepared folder.

    Raises:
        DataError: missing, damaged, of another form, or a path that leads out of the folder.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{path} is missing; `moclip dataset prepare` writes it")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path} is too large for a manifest; {_AGAIN}")
    columns = fields(ManifestRow)
    try:
        there = set(parquet.read_schema(path).names)
        columns = tuple(column for column in columns if column.name in there or column.name not in _NEWER)
        table = parquet.read_table(path, columns=[column.name for column in columns]).to_pylist()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged or no manifest; {_AGAIN}") from error
    rows = []
    for values in table:
        if not all(type(values.get(column.name)) is _KINDS[str(column.type)] for column in columns):
            raise DataError(f"{path} is damaged or no manifest; {_AGAIN}")
        row = ManifestRow(**values)
        clip_path = PurePosixPath(row.path)
        if clip_path.is_absolute() or ".." in clip_path.parts:
            raise DataError(f"{path} names {row.path!r}, which is outside {folder}")
        rows.append(row)
    return rows


def prepared_root(root: Path) -> Path:
    """The folder that holds the class folders: `root`, or the only recipe's folder in it.

    Raises:
        DataError: `root` holds the clips of several recipes.
    """
    if (root / RECIPE).is_file() or not root.is_dir():
        return root
    prepared = sorted(path.parent for path in root.glob(f"*/{RECIPE}"))
    if len(prepared) > 1:
        names = ", ".join(folder.name for folder in prepared)
        raise DataError(f"{root} holds clips of several recipes ({names}); name one, as in {prepared[0]}")
    return prepared[0] if prepared else root


def dataset_of(root: Path, rows: Sequence[ManifestRow], splits: Sequence[int] = ()) -> VideoDataset:
    """The clips and official splits in a manifest.

    Raises:
        DataError: a listed clip is absent, or a split is not in the manifest.
    """
    clips = [Clip(root / row.path, row.name, row.label, row.group or None) for row in rows]
    absent = [clip.name for clip in clips if not clip.path.is_file()]
    if absent:
        raise DataError(
            f"{root}: {len(absent)} clips of its manifest are gone ({absent[0]}); prepare it again"
        )
    official = {}
    for split in splits:
        parts = tuple(
            frozenset(row.name for row in rows if getattr(row, f"split{split}", "") == part)
            for part in ("train", "test")
        )
        if not all(parts):
            raise DataError(
                f"{root}: its manifest holds no split {split}; name the lists with data.splits_dir"
            )
        official[f"split{split}"] = (parts[0], parts[1])
    labels = tuple(label for _, label in sorted({(row.number, row.label) for row in rows}))
    return VideoDataset(root, tuple(clips), labels, official)


def summarize(rows: Sequence[ManifestRow]) -> dict[str, Any]:
    """Totals of a manifest: recipe, frames, hours, megabytes, picture sizes (smallest first) and splits."""
    splits = {}
    for split in ("split1", "split2", "split3"):
        parts = Counter(getattr(row, split) for row in rows)
        if parts["train"] or parts["test"]:
            splits[split] = {"train": parts["train"], "test": parts["test"]}
    sizes = sorted({(row.width * row.height, row.width, row.height) for row in rows})
    return {
        "recipe": rows[0].recipe,
        "frames": sum(row.frames for row in rows),
        "hours": round(sum(row.frames / row.fps for row in rows if row.fps) / 3600, 4),
        "megabytes": round(sum(row.bytes for row in rows) / 1e6, 1),
        "sizes": [f"{width}x{height}" for _, width, height in sizes],
        "splits": splits,
    }
