"""The package as a whole: public names, what importing it needs, backends without an installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mv_tools

_READ_NATIVELY = """
import builtins, sys

ALLOWED = {"numpy", "av", "mv_tools", *sys.stdlib_module_names}
import_module = builtins.__import__


def refuse(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and name.partition(".")[0] not in ALLOWED:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return import_module(name, globals, locals, fromlist, level)


builtins.__import__ = refuse
import mv_tools

decoder = mv_tools.MotionDecoder(sys.argv[1])
assert decoder.backend == sys.argv[2], decoder.backend
assert any(mv_tools.flow(frame).any() for frame in decoder)
assert mv_tools.probe(sys.argv[1]).pictures is not None
assert len(mv_tools.read_rgb_at(decoder, [0, 5]).frames) == 2
try:
    mv_tools.transcode(sys.argv[1], sys.argv[1] + ".mkv")
except mv_tools.BackendUnavailable as error:
    assert "pip install 'moclip-lite[transcode]'" in str(error)
else:
    raise AssertionError("transcoded without ffmpeg-python")
"""


def test_public_names_are_sorted_and_exist() -> None:
    names = mv_tools.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert all(hasattr(mv_tools, name) for name in names)


def test_numpy_and_av_are_enough_to_read_motion(clip: Path) -> None:
    backend = mv_tools.MotionDecoder(clip).backend
    subprocess.run([sys.executable, "-c", _READ_NATIVELY, str(clip), backend], check=True)


def test_a_native_module_of_another_system_is_told_and_not_gone_around(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mv_tools.pictures import native_headers

    def loaded(name: str) -> None:
        raise ImportError("/lib/libc.so.6: version `GLIBC_2.38' not found", name=name)

    monkeypatch.setattr(native_headers.importlib, "import_module", loaded)
    native_headers.native_problem.cache_clear()
    try:
        assert "native" not in mv_tools.available_backends()
        for backend in ("auto", "native", "libav"):
            with pytest.raises(
                mv_tools.BackendUnavailable, match=r"GLIBC_2\.38.*pip install --force-reinstall"
            ):
                mv_tools.MotionDecoder(clip, backend)
    finally:
        native_headers.native_problem.cache_clear()


def test_unavailable_backend_says_what_to_install(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mv_tools.backends.mvextractor import backend

    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(mv_tools.BackendUnavailable, match=r"pip install .moclip-lite\[mvextractor\]"):
        mv_tools.MotionDecoder(clip, "mvextractor")


def test_mvextractor_reads_files_whose_names_are_not_utf8(clip: Path, tmp_path: Path) -> None:
    if "mvextractor" not in mv_tools.available_backends():
        pytest.skip("motion-vector-extractor has wheels for x86-64 Linux only")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4"))
    try:
        shutil.copy(clip, path)
    except OSError:
        pytest.skip("the file system refuses such names")
    assert mv_tools.MotionDecoder(path, "mvextractor")[3].index == 3
