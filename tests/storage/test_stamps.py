"""Whether a file is still the one whose digest was taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moclip_lite.storage.content_digests import ContentDigests, stamped_digest
from moclip_lite.storage.digest import digest_file
from moclip_lite.storage.stamps import FileStamp, check_unchanged, stamp_of
from mv_tools import SourceChanged

from support.http_files import http_files


def test_a_file_that_was_changed_or_replaced_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    known = ContentDigests(tmp_path / "digests.sqlite").stamped([path])[path]
    assert known == stamped_digest(path)
    assert known.digest == digest_file(path)
    check_unchanged(path, known.stamp)
    other = tmp_path / "b.mp4"
    other.write_bytes(b"two")
    stat = path.stat()
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)  # of the same size and time
    with pytest.raises(SourceChanged, match=r"a\.mp4 was changed while it was read; run the command again"):
        check_unchanged(path, known.stamp)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        check_unchanged(path, known.stamp)


def test_another_machine_compares_what_it_can(tmp_path: Path) -> None:
    """Inodes and change times of shared storage may differ from one machine to the next."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    stamp = stamp_of(path)
    assert isinstance(stamp, FileStamp)
    check_unchanged(path, stamp._replace(machine="another", inode=1, changed=2))
    with pytest.raises(SourceChanged):
        check_unchanged(path, stamp._replace(inode=1))
    path.write_bytes(b"longer")
    with pytest.raises(SourceChanged):
        check_unchanged(path, stamp._replace(machine="another"))


@pytest.mark.parametrize("lacks", [(), ("tags",), ("tags", "times")])
def test_a_file_at_a_url_that_was_changed_is_refused(tmp_path: Path, lacks: tuple[str, ...]) -> None:
    (tmp_path / "a.mp4").write_bytes(b"one")
    os.utime(tmp_path / "a.mp4", (1e9, 1e9))
    with http_files(tmp_path, *lacks) as url:
        path = Path(f"{url}/a.mp4")
        known = stamped_digest(path)
        assert known.digest == digest_file(tmp_path / "a.mp4")
        check_unchanged(path, known.stamp)
        (tmp_path / "a.mp4").write_bytes(b"two")
        os.utime(tmp_path / "a.mp4", (1e9, 1e9))
        with pytest.raises(SourceChanged, match=r"http://.*/a\.mp4 was changed while it was read; run the"):
            check_unchanged(path, known.stamp)
        (tmp_path / "a.mp4").unlink()
        with pytest.raises(FileNotFoundError, match="no such object"):
            check_unchanged(path, known.stamp)
