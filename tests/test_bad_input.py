"""Input that is broken or unusual: a plain sentence and exit code 2, or a row among the failures."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from cli_fixtures import (
    FOLDER_YAML,
    MOTION_ONLY,
    TrainedRun,
    assert_ok,
    assert_refused,
    class_folders,
    entries,
    moclip,
    sets,
)
from conftest import H264, encode, panning
from safetensors.numpy import load_file

from moclip_lite.cache import FeatureCache
from mv_tools import MotionDecoder

pytest_plugins = ["cli_fixtures"]

QUICK = (*MOTION_ONLY, "run.streams=[motion]", "train_motion.epochs=2", "motion.flip=0")


def _empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def _truncated(folder: Path) -> Path:
    """The index of this MP4 stands at the end, which is cut away."""
    whole = encode(folder / "truncated.mp4", panning(), **H264)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return whole


def _truncated_late(folder: Path) -> Path:
    """The index stands in front and promises more pictures than are there."""
    whole = encode(folder / "whole.mkv", panning(), **H264)
    with (
        av.open(str(whole)) as source,
        av.open(str(folder / "late.mp4"), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole.unlink()
    path = folder / "late.mp4"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    return path


def _text(folder: Path) -> Path:
    path = folder / "letter.mp4"
    path.write_text("Dear reader, this is not a video.\n" * 60, encoding="utf-8")
    return path


def _audio(folder: Path) -> Path:
    path = folder / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        for start in range(0, 4096, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


BROKEN: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "empty": (_empty, ("empty.mp4", "empty")),
    "truncated": (_truncated, ("truncated.mp4", "cut short")),
    "truncated late": (_truncated_late, ("late.mp4",)),
    "text": (_text, ("letter.mp4", "not a video file")),
    "audio": (_audio, ("song.mp4", "no video stream", "audio")),
}


def _resized(folder: Path) -> Path:
    """Two H.264 streams of different sizes, one behind the other."""
    path = folder / "resized.h264"
    parts = []
    for width, height in ((96, 64), (64, 48)):
        part = encode(folder / f"{width}.h264", panning(10, width, height), **H264)
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))
    return path


def _variable_rate(folder: Path) -> tuple[Path, list[int]]:
    """Pictures at uneven times, in milliseconds."""
    path, times = folder / "uneven.mkv", [0, 40, 45, 120, 121, 300, 301, 302, 700, 1500, 1540, 1600]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"threads": "1", **H264})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(panning(len(times)), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path, times


# One file


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


def test_all_intra_and_one_frame_hold_no_motion(tmp_path: Path) -> None:
    intra = encode(tmp_path / "intra.mp4", panning(12), **{**H264, "g": "1"})
    one = encode(tmp_path / "one.mp4", panning(1), **H264)
    for path, total in ((intra, 12), (one, 1)):
        found = assert_ok(moclip("mv", "probe", path, "--json")).json
        assert found["pict_types"] == {"I": total}
        assert found["inter_share"] == found["max_motion"] == 0
        assert_ok(moclip("mv", "extract", path, "-o", tmp_path / "x.npz"))
        arrays = np.load(tmp_path / "x.npz")
        assert arrays["mv"].shape[0] == total
        assert not arrays["mv"].any()
        assert (arrays["ref_idx"] == -1).all()
        assert_ok(moclip("mv", "show", path, "-o", tmp_path / "x.png"))


def test_codec_without_vectors_is_described_and_says_why(tmp_path: Path) -> None:
    path = encode(tmp_path / "web.webm", panning(12), "libvpx-vp9", deadline="realtime", **{"cpu-used": "8"})
    found = assert_ok(moclip("mv", "probe", path, "--json")).json
    assert (found["codec"], found["num_frames"], found["max_motion"]) == ("vp9", 12, None)
    assert "no motion vectors" in found["note"]
    assert_refused(moclip("mv", "extract", path, "-o", tmp_path / "x.npz"), "vp9", "moclip mv transcode")


def test_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    path, times = _variable_rate(tmp_path)
    assert_ok(moclip("mv", "extract", path, "-o", tmp_path / "x.npz"))
    arrays = np.load(tmp_path / "x.npz")
    np.testing.assert_allclose(arrays["pts_seconds"] * 1000, times, atol=1)
    assert assert_ok(moclip("mv", "probe", path, "--json")).json["num_frames"] == len(times)
    out = tmp_path / "even.mp4"
    assert_ok(moclip("mv", "transcode", path, out))
    assert len(MotionDecoder(out)) >= len(times)


def test_resolution_change_is_named(tmp_path: Path) -> None:
    path = _resized(tmp_path)
    assert assert_ok(moclip("mv", "probe", path, "--json")).json["num_frames"] == 20
    assert_refused(moclip("mv", "extract", path, "-o", tmp_path / "x.npz"), "picture size changes")
    assert_ok(moclip("mv", "extract", path, "-o", tmp_path / "x.npz", "--stop", 10))
    assert np.load(tmp_path / "x.npz")["mv"].shape == (10, 2, 16, 24, 2)
    assert_ok(moclip("mv", "extract", path, "-o", tmp_path / "x.npz", "--start", 10))
    assert np.load(tmp_path / "x.npz")["mv"].shape == (10, 2, 12, 16, 2)


@pytest.mark.parametrize(("width", "height"), [(95, 63), (17, 33), (50, 38)])
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


# A data set


def _with_broken_clips(root: Path) -> dict[str, tuple[str, ...]]:
    """Two classes with broken files among the good ones; returns name -> what its reason says."""
    class_folders(root)
    expected = {}
    for i, (make, parts) in enumerate(BROKEN.values()):
        path = make(root / ("left", "right")[i % 2])
        expected[path.relative_to(root).as_posix()] = parts[1:]
    return expected


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_broken_clips_of_a_run_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    expected = _with_broken_clips(data)
    words = ("run", FOLDER_YAML, *sets((*QUICK, f"data.root={data}", f"run.dir={folder}")))
    outcome = assert_ok(moclip(*words))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    rows = _rows(folder / "failures.csv")
    assert [row["clip"] for row in rows] == sorted(expected)
    assert [row["name"] for row in metrics["failures"]] == sorted(expected)
    report = (folder / "report.md").read_text(encoding="utf-8")
    for row in rows:
        assert row["stage"] == "motion"
        assert "\n" not in row["reason"]
        for part in expected[row["clip"]]:
            assert part in row["reason"]
        assert row["clip"] in report
        assert row["clip"].replace("/", "") in "".join(outcome.out.split()).replace("/", "").replace("│", "")
    assert f"{len(expected)} could not be read" in outcome.err
    good = sum(metrics["clips"].values()) - len(expected)
    assert good == 8
    tested = {row["clip"] for row in _rows(folder / "predictions_motion.csv")}
    assert not tested & set(expected)
    again = assert_ok(moclip(*words, "--json"))
    assert "this experiment is finished" in again.err
    assert [row["name"] for row in again.json["failures"]] == sorted(expected)


def test_failures_of_an_extraction_go_to_a_file(tmp_path: Path) -> None:
    data, table = tmp_path / "data", tmp_path / "left out.csv"
    expected = _with_broken_clips(data)
    words = ("extract", "motion", data, *sets(MOTION_ONLY), "--failures", table, "--json")
    outcome = assert_ok(moclip(*words))
    assert outcome.json["made"] == 8
    assert [row["name"] for row in outcome.json["failures"]] == sorted(expected)
    assert [row["clip"] for row in _rows(table)] == sorted(expected)
    for name in expected:
        (data / name).unlink()
    assert assert_ok(moclip(*words)).json["failures"] == []
    assert not table.exists()  # an old list would mislead


def test_broken_clips_of_a_preparation(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    expected = _with_broken_clips(data)
    words = ("dataset", "prepare", "folder", "--root", data, "--out", out, "--workers", 1, "--json")
    outcome = moclip(*words)
    assert outcome.code == 2
    assert f"{len(expected)} clips could not be re-encoded" in outcome.err
    assert [row["name"] for row in outcome.json["failures"]] == sorted(expected)
    assert outcome.json["made"] == 8
    assert len(list(out.rglob("*.mp4"))) == 8


def test_clips_without_motion_are_counted(tmp_path: Path) -> None:
    data, folder = class_folders(tmp_path / "data"), tmp_path / "run"
    encode(data / "left" / "intra.mp4", panning(12), **{**H264, "g": "1"})
    encode(data / "right" / "one.mp4", panning(1), **H264)
    outcome = assert_ok(moclip("run", data, *sets((*QUICK, f"run.dir={folder}")), "--json"))
    assert any("2 clips hold no motion" in note for note in outcome.json["notes"])
    assert outcome.json["failures"] == []
    only = tmp_path / "only"
    for label in ("a", "b"):
        (only / label).mkdir(parents=True)
        for i in range(4):
            encode(only / label / f"{i}.mp4", panning(4 + i), **{**H264, "g": "1"})
    message = assert_refused(moclip("run", only, *sets((*QUICK, f"run.dir={folder}2"))))
    assert "no stream can be trained" in message


def test_mixed_sizes_and_rates_in_one_set(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    encode(data / "left" / "größer.mp4", panning(12, 160, 120), **H264)
    encode(data / "right" / "odd size.avi", panning(12)[:, :63, :95], "mpeg4", g="12")
    _variable_rate(data / "left")
    _resized(data / "right")
    words = ("extract", "motion", data, *sets(MOTION_ONLY), "--failures", tmp_path / "f.csv", "--json")
    found = assert_ok(moclip(*words)).json
    assert found["made"] + len(found["failures"]) == 12
    assert {row["name"] for row in found["failures"]} <= {"right/resized.h264"}


def test_class_without_clips(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    (data / "jumping").mkdir()
    (data / "jumping" / "readme.txt").write_text("soon", encoding="utf-8")
    assert_refused(moclip("dataset", "list", data), "jumping", "--skip-missing")
    outcome = assert_ok(moclip("dataset", "list", data, "--skip-missing", "--json"))
    assert [row["label"] for row in outcome.json["classes"]] == ["left", "right"]
    run = ("run", data, *sets((*QUICK, f"run.dir={tmp_path / 'run'}")))
    assert_refused(moclip(*run), "jumping")
    skipped = assert_ok(moclip(*run, "--skip-missing", "--json"))
    assert skipped.json["labels"] == ["left", "right"]
    assert "left out, no clips: jumping" in skipped.err


def test_folders_that_are_no_data_set(tmp_path: Path) -> None:
    assert_refused(moclip("dataset", "list", tmp_path), "class folders")
    assert_refused(
        moclip("dataset", "list", FOLDER_YAML, "--set", f"data.root={tmp_path}/none"), "no such folder"
    )
    (tmp_path / "one").mkdir()
    encode(tmp_path / "one" / "a.mp4", panning(4), **H264)
    run = ("run", tmp_path, *sets((*QUICK, f"run.dir={tmp_path / 'run'}")))
    assert_refused(moclip(*run), "too few")
    for i in range(7):
        encode(tmp_path / "one" / f"{i}.mp4", panning(4 + i), **H264)
    message = assert_refused(moclip(*run))
    assert "class" in message or "stream" in message


def test_split_list_that_names_absent_files(tmp_path: Path) -> None:
    data, lists = class_folders(tmp_path / "data", per_class=4), tmp_path / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 left\n2 right\n", encoding="utf-8")
    names = [p.relative_to(data).as_posix() for p in sorted(data.rglob("*.mp4"))]
    absent = [f"left/v_left_g{i:02d}_c01.avi" for i in range(1, 8)]
    train = [name for name in names if "p0" not in name] + absent
    (lists / "trainlist01.txt").write_text("\n".join(train) + "\n", encoding="utf-8")
    (lists / "testlist01.txt").write_text("\n".join(n for n in names if "p0" in n), encoding="utf-8")
    base = ("data.kind=ucf101", f"data.root={data}", f"data.splits_dir={lists}")
    words = ("run", FOLDER_YAML, *sets((*QUICK, *base, f"run.dir={tmp_path / 'run'}")))
    message = assert_refused(moclip(*words), "7 of 15 listed clips", "and 2 more", "--skip-missing")
    assert [name in message for name in absent] == [True] * 5 + [False] * 2
    outcome = assert_ok(moclip(*words, "--skip-missing", "--json"))
    assert "7 of 15 listed clips" in outcome.err
    assert sum(outcome.json["clips"].values()) == 8
    (lists / "trainlist01.txt").write_text("\n".join(names), encoding="utf-8")
    assert_refused(moclip(*words), "in train and in test")
    (lists / "trainlist01.txt").write_text("up/a.avi 1\n", encoding="utf-8")
    assert_refused(moclip(*words), "trainlist01.txt, line 1", "'up'")
    (lists / "trainlist01.txt").write_text("left/a.avi 2\n", encoding="utf-8")
    assert_refused(moclip(*words), "trainlist01.txt, line 1", "label 2")
    (lists / "classInd.txt").unlink()
    assert_refused(moclip(*words), "classInd.txt is missing")


# The cache


def test_damaged_entries_are_made_again_and_never_used(trained: TrainedRun, tmp_path: Path) -> None:
    """One entry of each stage is cut in half: the numbers are those of the sound cache."""
    first = json.loads((trained.folder / "metrics.json").read_text(encoding="utf-8"))
    cut = {stage: entries(trained.cache, stage)[0] for stage in ("motion", "clip", "motion_tokens")}
    whole = {stage: load_file(path) for stage, path in cut.items()}
    for path in cut.values():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    outcome = assert_ok(moclip(*trained.words(tmp_path / "run"), "--json"))
    for path in cut.values():
        assert any(
            line.startswith("warning: ") and str(path) in line and "damaged" in line
            for line in outcome.err.splitlines()
        ), outcome.err
    for stream in ("motion", "appearance", "fusion"):
        assert outcome.json[stream] == first[stream]
    for stage, path in cut.items():
        again = load_file(path)
        assert set(again) == set(whole[stage])
        for name, array in whole[stage].items():
            np.testing.assert_allclose(again[name], array, atol=1e-5, err_msg=f"{stage} {name}")
    assert_ok(moclip("cache", "verify", "--cache", trained.cache))


def test_entry_of_another_clip_is_not_used(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    words = ("run", data, *sets((*QUICK, f"cache.dir={tmp_path / 'cache'}")))
    first = assert_ok(moclip(*words, "--run-dir", tmp_path / "one", "--json")).json
    a, b = entries(tmp_path / "cache", "motion")[:2]
    sound = load_file(a)["fields"]
    a.write_bytes(b.read_bytes())
    second = assert_ok(moclip(*words, "--run-dir", tmp_path / "two", "--json"))
    assert "belongs to another key" in second.err
    assert second.json["motion"] == first["motion"]
    np.testing.assert_array_equal(load_file(a)["fields"], sound)


def extraction(data: Path, cache: Path, folder: Path) -> tuple[Any, ...]:
    """The words that extract motion into `cache`, failures told in `folder`."""
    place = ("--cache", cache, "--failures", folder / "f.csv")
    return ("extract", "motion", data, *sets(MOTION_ONLY), *place, "--json")


def test_damaged_notes_beside_the_cache(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    cache = tmp_path / "cache"
    words = extraction(data, cache, tmp_path)
    assert_ok(moclip(*words))
    (cache / "digests.sqlite").write_bytes(b"not a database at all\n" * 500)
    again = assert_ok(moclip(*words))
    assert (again.json["made"], again.json["reused"]) == (0, 8)


# A full disk


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a file system of so many bytes; calling it again changes its size."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def mount(size: int) -> Path:
        nonlocal mounted
        options = f"size={size}" + (",remount" if mounted else "")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("file systems can't be mounted here")
        mounted = True
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _no_drafts(place: Path) -> bool:
    return not [p for p in place.rglob(".*") if p.is_file()]


def test_full_disk_keeps_what_was_finished(tiny_disk: Callable[[int], Path], tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", per_class=8)
    cache = tiny_disk(64 << 10) / "cache"
    words = extraction(data, cache, tmp_path)
    assert_refused(moclip(*words), "disk is full", "kept")
    kept = entries(cache, "motion")
    assert 0 < len(kept) < 16
    assert _no_drafts(cache)
    assert_ok(moclip("cache", "verify", "--cache", cache))
    tiny_disk(4 << 20)
    again = assert_ok(moclip(*words)).json
    assert (again["made"], again["reused"]) == (16 - len(kept), len(kept))


def test_full_disk_is_foreseen(tiny_disk: Callable[[int], Path], tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data")
    cache = tiny_disk(64 << 10) / "cache"
    words = ("extract", "motion", data, "--cache", cache, "--failures", tmp_path / "f.csv")
    assert_refused(moclip(*words), "8 clips", "free")
    assert entries(cache, "motion") == []


def test_full_disk_for_single_files(tiny_disk: Callable[[int], Path], tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", panning(30, 160, 120), **H264)
    disk = tiny_disk(8 << 10)
    for words in (
        ("mv", "extract", clip, "-o", disk / "x.npz"),
        ("mv", "extract", clip, "-o", disk / "x.safetensors"),
        ("mv", "show", clip, "-o", disk / "x.png"),
        ("mv", "show", clip, "-o", disk / "x.mp4"),
        ("mv", "transcode", clip, disk / "x.mp4", "--crf", 1),
    ):
        assert_refused(moclip(*words), "disk is full")
        assert list(disk.iterdir()) == [], words


def test_full_disk_for_a_run_folder(tiny_disk: Callable[[int], Path], tmp_path: Path) -> None:
    data, cache = class_folders(tmp_path / "data"), tmp_path / "cache"
    folder = tiny_disk(16 << 10) / "run"
    words = ("run", data, *sets((*QUICK, f"run.dir={folder}", f"cache.dir={cache}")))
    assert_refused(moclip(*words), "disk is full")
    assert len(entries(cache, "motion")) == 8
    assert _no_drafts(folder)
    tiny_disk(8 << 20)
    assert assert_ok(moclip(*words, "--json")).json["motion"]["n"] > 0


def test_full_disk_without_a_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where no file system can be mounted: the kernel's answer to a rename is replaced."""
    data, cache = class_folders(tmp_path / "data"), tmp_path / "cache"
    real, written = os.replace, 0

    def full(source: str | Path, target: str | Path) -> None:
        nonlocal written
        written += Path(target).suffix == ".safetensors"
        if written > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        real(source, target)

    extract = ("extract", "motion", data, "--cache", cache, *sets(MOTION_ONLY))
    words = (*extract, "--failures", tmp_path / "f.csv", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert_refused(moclip(*words), "disk is full", "kept")
    assert len(entries(cache, "motion")) == 3
    assert _no_drafts(cache)
    assert FeatureCache(cache).verify() == []
    assert assert_ok(moclip(*words)).json["reused"] == 3
