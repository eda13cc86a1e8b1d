"""Broken files are refused with one sentence and exit code 2; unusual files are processed correctly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mv_tools import MotionDecoder

from support.broken_files import BROKEN, resized_file, variable_rate
from support.cli import assert_ok, assert_refused, moclip
from support.clips import H264, encode, panning


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_broken_file_is_refused_by_every_command(kind: str, tmp_path: Path) -> None:
    make, parts = BROKEN[kind]
    path, out = make(tmp_path), tmp_path / "out"
    out.mkdir()
    assert_refused(moclip("mv", "extract", path, "-o", out / "x.npz"), *parts)
    assert_refused(moclip("mv", "show", path, "-o", out / "x.mp4"), *parts[:1])
    assert_refused(moclip("mv", "transcode", path, out / "x.mp4"), *parts[:1])
    if kind != "truncated late":  # its first pictures can be described
        assert_refused(moclip("mv", "show", path, "-o", out / "x.png"), *parts[:1])
        assert_refused(moclip("mv", "probe", path), *parts)
        assert_refused(moclip("mv", "probe", path, "--json"), *parts)
    assert list(out.iterdir()) == [], "something half made is left"


def test_missing_file_is_refused_by_every_command(tmp_path: Path) -> None:
    path = tmp_path / "missing.mp4"
    for words in (
        ("mv", "probe", path),
        ("mv", "extract", path, "-o", tmp_path / "x.npz"),
        ("mv", "show", path, "-o", tmp_path / "x.png"),
        ("mv", "transcode", path, tmp_path / "x.mp4"),
    ):
        assert_refused(moclip(*words), "missing.mp4", "no such video file")
    assert_refused(moclip("mv", "probe", tmp_path), "folder, not a video file")
    assert list(tmp_path.iterdir()) == []


def test_all_intra_and_single_frame_have_no_motion(tmp_path: Path) -> None:
    intra = encode(tmp_path / "intra.mp4", panning(12), **{**H264, "g": "1"})
    one = encode(tmp_path / "one.mp4", panning(1), **H264)
    for path, total in ((intra, 12), (one, 1)):
        found = assert_ok(moclip("mv", "probe", path, "--json")).json
        assert found["pict_types"] == {"I": total}
        assert found["inter_share"] is found["mean_motion"] is found["max_motion"] is None
        assert_ok(moclip("mv", "extract", path, "-o", tmp_path / "x.npz"))
        arrays = np.load(tmp_path / "x.npz")
        assert arrays["mv"].shape[0] == total
        assert not arrays["mv"].any()
        assert (arrays["ref_idx"] == -1).all()
        assert_ok(moclip("mv", "show", path, "-o", tmp_path / "x.png"))


def test_codec_without_vectors_is_described_and_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "web.webm", panning(12), "libvpx-vp9", deadline="realtime", **{"cpu-used": "8"})
    found = assert_ok(moclip("mv", "probe", path, "--json")).json
    assert (found["codec"], found["num_frames"], found["max_motion"]) == ("vp9", 12, None)
    assert "no motion vectors" in found["note"]
    assert_refused(moclip("mv", "extract", path, "-o", tmp_path / "x.npz"), "vp9", "moclip mv transcode")


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    path, times = variable_rate(tmp_path)
    assert_ok(moclip("mv", "extract", path, "-o", tmp_path / "x.npz"))
    arrays = np.load(tmp_path / "x.npz")
    np.testing.assert_allclose(arrays["pts_seconds"] * 1000, times, atol=1)
    assert assert_ok(moclip("mv", "probe", path, "--json")).json["num_frames"] == len(times)
    out = tmp_path / "even.mp4"
    assert_ok(moclip("mv", "transcode", path, out))
    assert len(MotionDecoder(out)) >= len(times)


def test_resolution_change_is_refused(tmp_path: Path) -> None:
    path = resized_file(tmp_path)
    assert assert_ok(moclip("mv", "probe", path, "--json")).json["num_frames"] == 20
    assert_refused(moclip("mv", "extract", path, "-o", tmp_path / "x.npz"), "picture size changes")
    assert_ok(moclip("mv", "extract", path, "-o", tmp_path / "x.npz", "--stop", 10))
    assert np.load(tmp_path / "x.npz")["mv"].shape == (10, 2, 16, 24, 2)
    assert_ok(moclip("mv", "extract", path, "-o", tmp_path / "x.npz", "--start", 10))
    assert np.load(tmp_path / "x.npz")["mv"].shape == (10, 2, 12, 16, 2)


@pytest.mark.parametrize(("width", "height"), [(17, 33), (50, 38)])
def test_odd_sizes(width: int, height: int, tmp_path: Path) -> None:
    pictures = panning(12)[:, :height, :width]
    odd = encode(tmp_path / "odd.avi", pictures, "mpeg4", g="12")
    meta = assert_ok(moclip("mv", "probe", odd, "--json")).json
    assert (meta["width"], meta["height"]) == (width, height)
    assert (meta["coded_width"] % 16, meta["coded_height"] % 16) == (0, 0)
    assert_ok(moclip("mv", "extract", odd, "-o", tmp_path / "x.npz"))
    assert np.load(tmp_path / "x.npz")["mv"].shape[2:4] == (
        meta["coded_height"] // 4,
        meta["coded_width"] // 4,
    )
    assert_ok(moclip("mv", "show", odd, "-o", tmp_path / "x.png"))
    assert_ok(moclip("mv", "show", odd, "-o", tmp_path / "x.mp4"))
    assert_ok(moclip("mv", "transcode", odd, tmp_path / "even.mp4"))
    made = MotionDecoder(tmp_path / "even.mp4").metadata
    assert (made.width, made.height) == (width + width % 2, height + height % 2)


@pytest.mark.parametrize(
    "name", ["été à la plage.mp4", "日本語 クリップ.mp4", "a [b] 'c' %d #1.mp4", "-o.mp4", "http:clip.mp4"]
)
def test_unusual_names(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "plain.mp4", panning(12), **H264).rename(tmp_path / name)
    assert assert_ok(moclip("mv", "probe", "--json", "--", name)).json["path"] == name
    assert_ok(moclip("mv", "extract", "-o", f"{name}.npz", "--", name))
    assert_ok(moclip("mv", "show", "-o", f"{name}.png", "--", name))
    assert_ok(moclip("mv", "transcode", "--gop", 6, "--", name, f"out {name}"))
    assert len(MotionDecoder(tmp_path / f"out {name}")) == 12
    table = assert_ok(moclip("mv", "probe", "--", name)).out
    assert "".join(name.split()) in "".join(table.split())
