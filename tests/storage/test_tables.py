"""Tables have the types of their columns, and are refused before the work where they can't be written."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from moclip_lite.errors import ConfigError
from moclip_lite.storage.files import check_output
from moclip_lite.storage.tables import check_table, write_table

COLUMNS = {"path": str, "rank": int, "score": float}


@pytest.mark.parametrize("rows", [[], [("a.mp4", 1, 0.5)]])
def test_columns_have_their_types_with_and_without_rows(
    tmp_path: Path, rows: list[tuple[str, int, float]]
) -> None:
    write_table(tmp_path / "x.parquet", COLUMNS, rows)
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.schema.types == [pa.string(), pa.int64(), pa.float64()]
    assert table.num_rows == len(rows)
    write_table(tmp_path / "x.csv", COLUMNS, rows)
    assert (tmp_path / "x.csv").read_text().splitlines()[0] == "path,rank,score"


def test_places_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    refused = {
        "folder.csv": "is a folder; name a file in it",
        "file/x.csv": "file is not a folder",
        "pipe.csv": "not a regular file",
        "nowhere/x.csv": "nowhere is not a folder",
        f"{'n' * 300}.csv": "can't be written",
        "a\0b.csv": "can't be written",
    }
    before = sorted(tmp_path.iterdir())
    for name, reason in refused.items():
        with pytest.raises(ConfigError, match=reason) as error:
            check_table(tmp_path / name)
        assert str(tmp_path / name) in str(error.value)
    assert sorted(tmp_path.iterdir()) == before
    for name in ("new.csv", "new/folder/x.csv", "file"):
        check_output(tmp_path / name)
    with pytest.raises(ConfigError, match="not a folder") as error:
        check_output(tmp_path / "file" / "any", named=tmp_path / "file")
    assert str(error.value).startswith(f"{tmp_path / 'file'} can't be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(ConfigError, match="no permission"):
        check_output(tmp_path / "locked" / "x.csv")
