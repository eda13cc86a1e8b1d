"""What lies in a folder of prepared clips: one Parquet table, ``manifest.parquet``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Final

from ..errors import DataError
from ..storage.files import atomic_path
from .clip import Clip, VideoDataset

__all__ = ["MANIFEST", "ManifestRow", "dataset_of", "prepared_root", "read_manifest", "write_manifest"]

MANIFEST: Final = "manifest.parquet"
_RECIPE: Final = "recipe.json"
_MOST: Final = 1 << 28  # bytes: UCF101's is 1 MB


@dataclass(frozen=True)
class ManifestRow:
    """One prepared clip.

    Attributes:
        path: within the folder, with forward slashes.
        name: of the original within its data set; what lists and results call the clip.
        label, number, group: class, its place in the data set's order, and group ("" where none is known).
        split1, split2, split3: "train", "test" or "" (not in that split).
        frames: pictures.
        fps: pictures per second; 0 where the container does not know.
        width, height: in samples.
        bytes, mtime: size and modification time in nanoseconds: whether the rest still holds.
        digest: BLAKE2b of the content, 32 hex digits.
        recipe: its name.
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


def write_manifest(folder: Path, rows: Sequence[ManifestRow]) -> None:
    """Write the table atomically, by path."""
    import pyarrow as pa  # half a second to import
    from pyarrow import parquet

    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
    schema = pa.schema([(f.name, kinds[str(f.type)]) for f in fields(ManifestRow)])
    ordered = [asdict(row) for row in sorted(rows, key=lambda row: row.path)]
    with atomic_path(folder / MANIFEST) as draft:
        parquet.write_table(pa.Table.from_pylist(ordered, schema), draft)


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
    again = "remove it and prepare the folder again; clips that are there stay"
    if path.stat().st_size > _MOST:
        raise DataError(f"{path} is too large for a manifest; {again}")
    try:
        found = parquet.read_table(path, columns=[f.name for f in fields(ManifestRow)]).to_pylist()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged or no manifest; {again}") from error
    kinds = {"str": str, "int": int, "float": float}
    rows = []
    for values in found:
        if not all(type(values.get(f.name)) is kinds[str(f.type)] for f in fields(ManifestRow)):
            raise DataError(f"{path} is damaged or no manifest; {again}")
        row = ManifestRow(**values)
        inside = PurePosixPath(row.path)
        if inside.is_absolute() or ".." in inside.parts:
            raise DataError(f"{path} names {row.path!r}, which is outside {folder}")
        rows.append(row)
    return rows


def prepared_root(root: Path) -> Path:
    """Where the class folders lie: `root`, or the one recipe's folder in it.

    Raises:
        DataError: `root` holds the clips of several recipes.
    """
    if (root / _RECIPE).is_file() or not root.is_dir():
        return root
    inside = sorted(path.parent for path in root.glob(f"*/{_RECIPE}"))
    if len(inside) > 1:
        names = ", ".join(folder.name for folder in inside)
        raise DataError(f"{root} holds clips of several recipes ({names}); name one, as in {inside[0]}")
    return inside[0] if inside else root


def dataset_of(root: Path, rows: Sequence[ManifestRow], splits: Sequence[int] = ()) -> VideoDataset:
    """The clips and official splits that a manifest names.

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
                f"{root}: its manifest knows no split {split}; name the lists with data.splits_dir"
            )
        official[f"split{split}"] = (parts[0], parts[1])
    labels = tuple(label for _, label in sorted({(row.number, row.label) for row in rows}))
    return VideoDataset(root, tuple(clips), labels, official)
