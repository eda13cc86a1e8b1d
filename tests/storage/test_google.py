"""Folders and videos at gs://, on fake-gcs-server, where it and gcsfs are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from moclip_lite.storage import mirror
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.objects import ObjectFolder
from mv_tools import MotionDecoder, SourceChanged
from mv_tools.remote import RemoteFile

from support.waiting import until

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)
pytest.importorskip("gcsfs", reason="gcsfs is not installed: pip install gcsfs")


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = os.environ.get("FAKE_GCS_SERVER") or shutil.which("fake-gcs-server")
    if program is None:
        pytest.skip("fake-gcs-server is not installed; FAKE_GCS_SERVER may name it")
    data = tmp_path_factory.mktemp("gcs")
    (data / "bucket").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    words = [
        "-scheme",
        "http",
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
        "-backend",
        "memory",
        "-data",
        str(data),
    ]
    words += ["-public-host", address, "-external-url", f"http://{address}"]
    with (
        subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://{address}")
        patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        try:
            until(lambda: answers(port))
            yield "gs://bucket"
        finally:
            process.terminate()


def test_objects_locks_and_folders(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path))
    objects = ObjectFolder(f"{bucket}/objects")
    objects.write("a/b.txt", b"hello")
    assert (objects.names(), objects.read("a/b.txt")) == (["a/b.txt"], b"hello")
    assert [objects.create("lock", b"1"), objects.create("lock", b"2")] == [True, False]
    folder = Path(f"{bucket}/run")
    with mirror.held(folder, "run", "metrics.json", lambda text: None):
        (mirror.working_copy(folder) / "metrics.json").write_text("{}")
    assert ObjectFolder.at(folder).names() == ["metrics.json"]
    key = "ab" + 30 * "0"
    FeatureCache(Path(f"{bucket}/cache")).put("motion", key, {"x": np.arange(3)})
    assert ObjectFolder(f"{bucket}/cache").names() == [f"motion/ab/{key}.safetensors"]


def test_a_video_is_read_by_ranges_and_its_change_is_noticed(bucket: str, clip: Path) -> None:
    ObjectFolder(bucket).send(clip, "clip.mp4")
    for one, other in zip(MotionDecoder(clip), MotionDecoder(f"{bucket}/clip.mp4"), strict=True):
        np.testing.assert_array_equal(one.mv, other.mv)
    objects = ObjectFolder(bucket)
    objects.write("changing.bin", b"a" * 300_000)
    file = RemoteFile(f"{bucket}/changing.bin")
    objects.write("changing.bin", b"b" * 300_000)
    with pytest.raises(SourceChanged):
        file.read_at(200_000, 10)
