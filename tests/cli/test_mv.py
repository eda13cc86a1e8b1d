"""Output, files and errors of `moclip mv`."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from mv_tools import MotionDecoder, MotionFrame, flow, probe

from support.cli import assert_ok, assert_refused, moclip


def test_probe_agrees_with_the_decoder(clip: Path, clip_b: Path) -> None:
    for path in (clip, clip_b):
        document = assert_ok(moclip("mv", "probe", path, "--json")).json
        meta = MotionDecoder(path).metadata
        assert document["path"] == str(path)
        for name in ("codec", "width", "height", "coded_width", "coded_height", "num_frames", "has_b_frames"):
            assert document[name] == getattr(meta, name), name
        assert document["codec"] == "h264"
        assert (document["width"], document["height"], document["num_frames"]) == (96, 64, 24)
        assert sum(document["pict_types"].values()) == 24
        assert document["gop"] == {"min": 12, "median": 12.0, "max": 12}
        assert {"path": str(path), **probe(path).to_json()} == document
    assert document["has_b_frames"]
    assert "B" in document["pattern"]


def test_probe_prints_a_table(clip: Path) -> None:
    outcome = assert_ok(moclip("mv", "probe", clip))
    assert "h264" in outcome.out
    assert "keyframes" in outcome.out
    assert "skipped %" in outcome.out
    assert "property" in outcome.out
    assert "native, all pictures" in outcome.out
    assert outcome.err == ""
    decoded = assert_ok(moclip("mv", "probe", clip, "--backend", "libav"))
    assert "libav, all pictures" in decoded.out
    assert "skipped %" not in decoded.out
    assert assert_ok(moclip("mv", "probe", clip, "--all", "--json")).json["sample"] == 24


def _assert_vectors(arrays: dict[str, np.ndarray], frames: list[MotionFrame]) -> None:
    np.testing.assert_array_equal(arrays["mv"], np.stack([f.mv for f in frames]))
    np.testing.assert_array_equal(arrays["ref_idx"], np.stack([f.ref_idx for f in frames]))
    assert arrays["mv"].dtype == np.int16
    assert arrays["index"].tolist() == [f.index for f in frames]
    assert arrays["decode_index"].tolist() == [f.decode_index for f in frames]
    assert [("IPB")[k] for k in arrays["pict_type"]] == [f.pict_type for f in frames]
    np.testing.assert_allclose(arrays["pts_seconds"], [f.pts_seconds for f in frames])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_extract_writes_the_vectors(suffix: str, clip_b: Path, tmp_path: Path) -> None:
    out = tmp_path / f"new folder/motion{suffix}"
    said = assert_ok(moclip("mv", "extract", clip_b, "-o", out, "--json")).json
    backend = MotionDecoder(clip_b).backend
    size = out.stat().st_size
    assert said == {"path": str(out), "frames": 24, "bytes": size, "backend": backend, "notes": []}
    arrays = dict(np.load(out)) if suffix == ".npz" else load_file(out)
    _assert_vectors(arrays, list(MotionDecoder(clip_b)))
    assert np.abs(arrays["mv"]).max() > 0
    assert [p.name for p in out.parent.iterdir()] == [out.name]


def test_what_is_left_out_is_told(shared: Path, tmp_path: Path) -> None:
    """By each command that writes what it read of a file."""
    file = shared / "videos/faults/open_gop_cut_at_keyframe.ts"
    told = "1 picture left out because the pictures that they refer to are missing"
    for name in ("motion.npz", "stats.csv"):
        words = (
            "mv",
            "extract",
            file,
            "-o",
            tmp_path / name,
            "--kind",
            "stats" if "stats" in name else "flow",
        )
        assert f"warning: {told}" in assert_ok(moclip(*words)).err
        assert told in assert_ok(moclip(*words, "--json")).json["notes"]
    assert f"warning: {told}" in assert_ok(moclip("mv", "show", file, "-o", tmp_path / "x.png")).err


def test_extract_chosen_frames_as_flow(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "flow.NPZ"
    words = ("mv", "extract", clip, "-o", out, "--kind", "flow", "--start", 3, "--stop", 20, "--every", 4)
    outcome = assert_ok(moclip(*words))
    assert outcome.out == ""
    assert "5 frames" in outcome.err
    arrays = dict(np.load(out))
    frames = MotionDecoder(clip).get_frames_at([3, 7, 11, 15, 19])
    assert arrays["index"].tolist() == [3, 7, 11, 15, 19]
    np.testing.assert_array_equal(arrays["flow"], np.stack([flow(f) for f in frames]))
    assert np.median(arrays["flow"][0, 0]) == pytest.approx(3, abs=0.26)  # the content moves right by 3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-o", "x.npy"), ".npz or .safetensors"),
        (("-o", "x.csv"), "a .csv file gets --kind stats"),
        (("-o", "x.parquet", "--kind", "flow"), "a .parquet file gets --kind stats"),
        (("-o", "x.npz", "--kind", "sideways"), "'sideways'"),
        (("-o", "x.npz", "--backend", "nothing"), "'nothing'"),
        (("-o", "x.npz", "--start", "24"), "24"),
    ],
)
def test_extract_refuses(
    words: tuple[str, ...], says: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(moclip("mv", "extract", clip, *words), says)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_called_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "./" not in assert_refused(moclip("mv", "probe", "-ido.mov"), "No such option")
    Path("-ido.mov").touch()
    assert_refused(
        moclip("mv", "probe", "-ido.mov"), "No such option", "To name the file -ido.mov, write ./-ido.mov"
    )
    assert_refused(moclip("mv", "probe", "./-ido.mov"), "the file is empty")


@pytest.mark.parametrize("style", ["arrows", "colour", "both"])
def test_show_draws_a_picture(style: str, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "motion.PNG"
    assert_ok(moclip("mv", "show", clip, "-o", out, "--frame", 5, "--style", style))
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 96
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


@pytest.mark.slow
def test_show_makes_a_film(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "motion.mp4"
    assert_ok(moclip("mv", "show", clip, "-o", out))
    with av.open(str(out)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 24


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-o", "x.gif"), ".png or .mp4"),
        (("-o", "x.png", "--style", "loud"), "'loud'"),
        (("-o", "x.png", "--frame", "24"), "24 frames"),
    ],
)
def test_show_refuses(
    words: tuple[str, ...], says: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(moclip("mv", "show", clip, *words), says)
    assert list(tmp_path.iterdir()) == []


def test_transcode_keeps_to_its_recipe(clip_mpeg4: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.mp4"
    assert_ok(moclip("mv", "transcode", clip_mpeg4, out, "--gop", 8, "--bframes", 2))
    document = assert_ok(moclip("mv", "probe", out, "--json")).json
    assert (document["codec"], document["num_frames"], document["width"]) == ("h264", 24, 96)
    assert document["gop"] == {"min": 8, "median": 8.0, "max": 8}
    assert "B" in document["pattern"]
    back = tmp_path / "back.avi"
    assert_ok(moclip("mv", "transcode", out, back, "--codec", "mpeg4", "--side", 48))
    document = assert_ok(moclip("mv", "probe", back, "--json")).json
    assert (document["codec"], document["width"], document["height"]) == ("mpeg4", 72, 48)


def test_transcode_refuses(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    assert_refused(moclip("mv", "transcode", copy, copy), "same file")
    assert_refused(moclip("mv", "transcode", copy, tmp_path / "out"), "ending")
    assert_refused(moclip("mv", "transcode", copy, tmp_path / "out.mp4", "--gop", 0), "gop")
    assert_refused(moclip("mv", "transcode", copy, tmp_path / "out.mp4", "--codec", "av1"), "'av1'")
    message = assert_refused(moclip("mv", "transcode", copy, tmp_path / "out.xyz"), "out.xyz")
    assert "0x" not in message, "ffmpeg's own words, with addresses in them"
    assert copy.read_bytes() == clip.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["copy.mp4"]
