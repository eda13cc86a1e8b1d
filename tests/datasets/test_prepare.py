"""Preparation: recipes, the tree against the lists, manifests, interruption, full disks."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moclip_lite.datasets import holdout_fold, load_folder, load_ucf101, official_folds
from moclip_lite.datasets.manifest import read_manifest
from moclip_lite.datasets.prepare.recipes import parse_recipe, recipe_name
from moclip_lite.datasets.ucf101 import check_tree, read_lists
from moclip_lite.errors import ConfigError, DataError
from moclip_lite.storage.digest import digest_file
from mv_tools import MotionDecoder, Recipe, probe

from support.cli import FOLDER_YAML, assert_ok, assert_refused, class_folders, finish, moclip, sets, start
from support.clips import encode, panning

CLASSES = ("Archery", "Diving")


def names_of(groups: range, clips: int = 1) -> list[str]:
    return [f"{c}/v_{c}_g{g:02d}_c{k:02d}.avi" for c in CLASSES for g in groups for k in range(1, clips + 1)]


def write_lists(folder: Path, train: list[str], test: list[str], *, first: int = 1, end: str = "\n") -> Path:
    """Lists of three equal splits; classes counted from `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    number = {label: i + first for i, label in enumerate(CLASSES)}
    texts = {"classInd": "".join(f"{number[c]} {c}{end}" for c in CLASSES)}
    for split in (1, 2, 3):
        texts[f"trainlist0{split}"] = "".join(f"{n} {number[n.split('/')[0]]}{end}" for n in train)
        texts[f"testlist0{split}"] = "".join(f"{n}{end}" for n in test)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes of three groups, XviD's codec in .avi."""
    root = tmp_path_factory.mktemp("ucf") / "UCF-101"
    for i, name in enumerate(names_of(range(1, 4))):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(path, panning(8 + i % 3, 64, 48), "mpeg4", g="12")
    return root


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    return write_lists(tmp_path / "lists", names_of(range(1, 3)), names_of(range(3, 4)))


def words(tree: Path, lists: Path, out: Path, *more: object) -> list[object]:
    return [
        "dataset",
        "prepare",
        "ucf101",
        "--root",
        tree,
        "--splits",
        lists,
        "--out",
        out,
        "--workers",
        1,
        "--json",
        *more,
    ]


# Recipes


@given(
    gop=st.integers(1, 300),
    bframes=st.integers(0, 16),
    refs=st.integers(1, 16),
    crf=st.integers(0, 51),
    side=st.none() | st.integers(16, 512),
    fps=st.none() | st.integers(1, 120),
    preset=st.sampled_from(["ultrafast", "fast", "medium", "placebo"]),
    codec=st.sampled_from(["h264", "hevc", "mpeg4"]),
)
def test_a_recipe_has_one_name_that_reads_back(
    gop: int, bframes: int, refs: int, crf: int, side: int | None, fps: int | None, preset: str, codec: str
) -> None:
    values = {"codec": codec, "gop": gop, "bframes": bframes, "side": side, "fps": fps}
    if codec == "mpeg4":
        values["crf"] = min(max(crf, 1), 31)
    else:
        values |= {"crf": crf, "preset": preset, "refs": refs if codec == "h264" else min(refs, 8)}
    recipe = Recipe(**values, threads=1)  # type: ignore[arg-type]
    assert parse_recipe(recipe_name(recipe)) == recipe


def test_names_of_recipes() -> None:
    assert recipe_name(Recipe()) == "gop12"
    assert parse_recipe("gop250_b3") == Recipe(gop=250, bframes=3, threads=1)
    assert recipe_name(parse_recipe("crf20_gop12")) == "gop12"
    assert parse_recipe("mpeg4_gop12") == Recipe(codec="mpeg4", crf=1, threads=1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("fast", "the GOP"),
        ("gop12_quick", "'quick'"),
        ("gop12_fast_fast", "'fast'"),
        ("gop12_fps0", "fps must be"),
        ("b3", "the GOP"),
        ("gop12_gop5", "'gop5'"),
        ("gop12_q3", "'q3'"),
        ("gop0", "gop must be"),
        ("gop12_crf77", "crf must be"),
        ("../gop12", "'../gop12'"),
        ("mpeg4_gop12_crf3", "'crf3'"),
        ("mpeg4_gop12_q0", "from 1 to 31"),
        ("mpeg4_gop12_q40", "from 1 to 31"),
        ("gop12_side99999", "side must be"),
        ("mpeg4_gop12_ref4", "refs is for h264 and hevc"),
        ("mpeg4_gop12_slow", "preset is for h264 and hevc"),
        ("hevc_gop12_ref11", "refs must be from 1 to 10"),
        ("hevc_gop12_b2_ref9", "refs must be from 1 to 8"),
        ("", "''"),
    ],
)
def test_no_recipe(name: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_recipe(name)
    assert says in str(caught.value)


# From the tree to recipes side by side


@pytest.mark.slow
def test_recipes_lie_side_by_side_with_their_manifests(tree: Path, lists: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = assert_ok(moclip(*words(tree, lists, out, "--recipe", "gop4", "--recipe", "gop250_b2_ref2")))
    assert [(v["recipe"], v["made"], v["failures"]) for v in outcome.json] == [
        ("gop4", 6, []),
        ("gop250_b2_ref2", 6, []),
    ]
    assert "not the whole of UCF101" in outcome.err
    for recipe, gop, b in (("gop4", 4, False), ("gop250_b2_ref2", 10, True)):
        rows = read_manifest(out / recipe)
        assert [row.name for row in rows] == names_of(range(1, 4))
        for row in rows:
            path = out / recipe / row.path
            decoder = MotionDecoder(path)
            assert (row.frames, row.fps, row.width, row.height) == (len(decoder), 25.0, 64, 48)
            assert row.digest == digest_file(path)
            assert (row.label, row.recipe) == (row.name.split("/")[0], recipe)
            assert row.group == row.name.split("/v_")[1].rsplit("_", 1)[0]
            part = "test" if "_g03_" in row.name else "train"
            assert (row.split1, row.split2, row.split3) == (part, part, part)
        summary = probe(out / recipe / rows[2].path)
        assert summary.metadata.has_b_frames is b
        assert summary.gop.max == min(gop, summary.metadata.num_frames)
    listed = assert_ok(moclip("dataset", "list", out / "gop4", "--json")).json
    assert listed["manifest"]["frames"] == sum(row.frames for row in read_manifest(out / "gop4"))
    assert listed["manifest"]["splits"]["split1"] == {"train": 4, "test": 2}
    assert listed["classes"][0]["groups"] == ["Archery_g01", "Archery_g02", "Archery_g03"]
    assert_refused(moclip("dataset", "list", out), "several recipes", "gop250_b2_ref2, gop4")
    assert "gop4: 54 frames" in assert_ok(moclip("dataset", "list", out / "gop4")).err


def test_the_manifest_stands_in_for_the_lists(tree: Path, lists: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert_ok(moclip(*words(tree, lists, out)))
    with_lists = load_ucf101(out / "gop12", lists, (1, 3))
    without = load_ucf101(out, None, (1, 3))  # the one recipe in it is found
    assert (without.clips, without.labels, without.official) == (
        with_lists.clips,
        with_lists.labels,
        with_lists.official,
    )
    with pytest.raises(DataError, match="no split 4"):
        load_ucf101(out, None, (4,))
    with pytest.raises(DataError, match="splits_dir"):
        load_ucf101(tree, None)
    (out / "gop12" / without.clips[0].path.relative_to(out / "gop12")).unlink()
    with pytest.raises(DataError, match="1 clips of its manifest are gone"):
        load_ucf101(out, None)


@pytest.mark.slow
def test_a_second_run_only_does_the_rest(tree: Path, lists: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert_ok(moclip(*words(tree, lists, out)))
    clips = sorted((out / "gop12").rglob("*.mp4"))
    clips[0].unlink()
    clips[1].write_bytes(clips[1].read_bytes()[:-200])  # cut short
    before = {p: p.stat().st_mtime_ns for p in clips[2:]}
    report = assert_ok(moclip(*words(tree, lists, out))).json
    assert (report["made"], report["kept"]) == (2, 4)
    assert before == {p: p.stat().st_mtime_ns for p in clips[2:]}
    (out / "gop12" / "manifest.parquet").write_bytes(b"PAR1 no")
    assert_refused(moclip("dataset", "list", out), "damaged or no manifest")
    assert assert_ok(moclip(*words(tree, lists, out))).json["kept"] == 6
    assert len(read_manifest(out / "gop12")) == 6


@pytest.mark.slow
def test_interrupted_and_run_again(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for label in ("a", "b"):
        (data / label).mkdir(parents=True)
        first = encode(data / label / "0.mp4", panning(40, 160, 120), g="12")
        for i in range(1, 20):
            shutil.copy(first, data / label / f"{i}.mp4")
    line = ("dataset", "prepare", "folder", "--root", data, "--out", out, "--workers", 1)
    process = start(*line, cwd=tmp_path)
    while not list(out.rglob("[0-9]*.mp4")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process).code == 130
    there = {p: p.stat().st_mtime_ns for p in out.rglob("*.mp4") if not p.name.startswith(".")}
    assert 1 <= len(there) < 40
    assert not [p for p in out.rglob(".*") if p.is_file()], "drafts are left"
    report = assert_ok(moclip(*line, "--json")).json
    assert (report["made"], report["kept"]) == (40 - len(there), len(there))
    assert there == {p: p.stat().st_mtime_ns for p in there}


def test_a_full_disk_leaves_whole_clips_only(
    tree: Path, lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder that writes half of the third clip and meets a full disk."""
    import imageio_ffmpeg

    true, count = imageio_ffmpeg.get_ffmpeg_exe(), tmp_path / "count"
    fake = tmp_path / "ffmpeg"
    fake.write_text(
        f"#!/bin/sh\necho x >> {count}\nfor last; do case $last in file:*.mp4) target=${{last#file:}};; esac; done\n"
        f'if [ $(wc -l < {count}) -ge 3 ]; then echo half > "$target"; '
        'echo "av_interleaved_write_frame(): No space left on device" >&2; exit 1; fi\n'
        f'exec {true} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(fake))
    out = tmp_path / "out"
    assert_refused(moclip(*words(tree, lists, out)), "the disk is full", "finished work is kept")
    assert len([p for p in out.rglob("*") if p.suffix == ".mp4"]) == 2
    assert len(read_manifest(out / "gop12")) == 2
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: true)
    assert assert_ok(moclip(*words(tree, lists, out))).json["made"] == 4


# Trees and lists that are not UCF101


def test_what_is_missing_and_what_is_extra(tree: Path, lists: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(tree, spoilt)
    first, *_ = names_of(range(1, 4))
    (spoilt / first).rename(spoilt / "Archery" / "v_Archery_g09_c09.avi")
    out = tmp_path / "out"
    assert_refused(moclip(*words(spoilt, lists, out)), "1 of 6 listed clips", first, "--skip-missing")
    assert not out.exists()
    outcome = assert_ok(moclip(*words(spoilt, lists, out, "--skip-missing")))
    assert outcome.json["made"] == 5
    assert "1 of 6 listed clips" in outcome.err
    assert "1 videos are in no list and are left alone: Archery/v_Archery_g09_c09.avi" in outcome.err


@pytest.mark.slow
def test_the_published_numbers_are_known(tmp_path: Path) -> None:
    """Lists of UCF101's shape pass without a word; a cut one is refused."""
    classes = [f"Class{i:03d}" for i in range(101)]
    names = [f"{c}/v_{c}_g{g:02d}_c{k:02d}.avi" for c in classes for g in range(1, 26) for k in range(1, 6)]
    names += [f"{c}/v_{c}_g{g:02d}_c{k:02d}.avi" for c in classes for g in range(1, 26) for k in (6, 7)][:695]
    assert len(names) == 13_320
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{i} {c}\n" for i, c in enumerate(classes, start=1)))
    for split in (1, 2, 3):
        held = range(7 * split - 6, 7 * split + 1)
        test = [n for n in names if int(n.split("_g")[1][:2]) in held]
        (lists / f"testlist0{split}.txt").write_text("\n".join(test))
        train = sorted(set(names) - set(test))
        (lists / f"trainlist0{split}.txt").write_text("\n".join(train))
    assert check_tree(tmp_path / "empty", read_lists(lists, (1, 2, 3))) == []
    for split in (1, 2, 3):
        path = lists / f"trainlist0{split}.txt"
        path.write_text("\n".join(path.read_text().splitlines()[:-10]))
    short = read_lists(lists, (1,))
    with pytest.raises(DataError, match=r"13,310 clips of 101 classes, UCF101's name 13,320"):
        check_tree(tmp_path / "empty", short)
    assert "not the whole" in check_tree(tmp_path / "empty", short, partial=True)[0]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_of_other_versions_read_alike(first: int, end: str, tree: Path, tmp_path: Path) -> None:
    lists = write_lists(
        tmp_path / "lists", names_of(range(1, 3)), names_of(range(3, 4)), first=first, end=end
    )
    dataset = load_ucf101(tree, lists, (1, 2, 3))
    assert len(dataset.clips) == 6
    assert dataset.labels == CLASSES
    # Numbers in the lists that count from the other end than classInd.txt's
    (lists / "classInd.txt").write_text("".join(f"{i + 1 - first} {c}\n" for i, c in enumerate(CLASSES)))
    assert load_ucf101(tree, lists, (1,)).labels == CLASSES
    text = (lists / "trainlist01.txt").read_text().replace("/", "\\")
    (lists / "trainlist01.txt").write_text("\ufeff" + text, encoding="utf-8")
    assert len(load_ucf101(tree, lists, (1,)).clips) == 6


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("classInd.txt", "1 Archery\n1 Diving\n", "twice"),
        ("classInd.txt", "Archery\n", "expected 'number name'"),
        ("classInd.txt", "\n", "names no classes"),
        ("trainlist01.txt", "Archery/v_Archery_g01_c01.avi 3\n", "label 3 is not 'Archery'"),
        ("trainlist01.txt", "Archery/a.avi 1\nDiving/b.avi 1\n", "line 2: label 1 is not 'Diving'"),
        ("trainlist01.txt", "../Archery/a.avi 1\n", "leads out"),
        ("trainlist01.txt", "Archery/a.avi 1\nArchery/a.avi 1\n", "listed twice"),
        ("testlist01.txt", b"\xff\xfe\x00", "not a text file"),
    ],
)
def test_lists_that_contradict_themselves(file: str, text: str | bytes, says: str, lists: Path) -> None:
    (lists / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=says):
        read_lists(lists, (1,))


# Leaks


def test_groups_on_both_sides_are_refused(tree: Path, tmp_path: Path) -> None:
    leaking = write_lists(tmp_path / "lists", names_of(range(1, 3)), names_of(range(3, 4)))
    fair = official_folds(load_ucf101(tree, leaking), 0.5, 0)
    assert not fair[0].shared_groups()
    many = tmp_path / "many"
    for name in names_of(range(1, 5), clips=2):
        (many / name).parent.mkdir(parents=True, exist_ok=True)
        (many / name).touch()
    train = [n for n in names_of(range(1, 5), clips=2) if "_g04_c01" not in n]
    write_lists(leaking, train, names_of(range(4, 5)))  # g04 in train as c02, in test as c01
    dataset = load_ucf101(many, leaking)
    with pytest.raises(DataError, match=r"2 groups stand on both sides .*Archery_g04.*shared_groups"):
        official_folds(dataset, 0.3, 0)
    (fold,) = official_folds(dataset, 0.3, 0, shared_groups=True)
    assert fold.notes == ("2 groups stand on both sides of a split: scores are too high",)
    data = ("data.kind=ucf101", f"data.root={many}", f"data.splits_dir={leaking}", f"run.dir={tmp_path}/run")
    assert_refused(moclip("run", FOLDER_YAML, *sets(data)), "both sides of a split")


def test_validation_is_never_cut_through_a_group_unasked(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(6):  # two groups: one for test, one for all the rest
            (tmp_path / label / f"p{i % 2}_{i}.mp4").touch()
    dataset = load_folder(tmp_path, group_pattern=r"^(p\d)_")
    with pytest.raises(DataError, match="too few groups"):
        holdout_fold(dataset, 0.5, 0.3, 0)
    fold = holdout_fold(dataset, 0.5, 0.3, 0, shared_groups=True)
    assert fold.val
    assert "both sides" in fold.notes[0]


# Class folders and real clips


def test_groups_of_a_folder_go_into_its_manifest(tmp_path: Path) -> None:
    data, out = class_folders(tmp_path / "data", frames=6), tmp_path / "out"
    line = ("dataset", "prepare", "folder", "--root", data, "--out", out, "--group-pattern", "^(p[0-9])_")
    assert_ok(moclip(*line, "--workers", 1))
    assert {row.group for row in read_manifest(out / "gop12")} == {"p0", "p1", "p2", "p3"}
    assert {clip.group for clip in load_folder(out).clips} == {"p0", "p1", "p2", "p3"}


def test_clips_are_not_written_among_the_originals(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", per_class=1, frames=4)
    for out in (data, data / "prepared"):
        line = ("dataset", "prepare", "folder", "--root", data, "--out", out, "--workers", 1)
        assert_refused(moclip(*line), "lies within")
    assert sorted(p.name for p in data.iterdir()) == ["left", "right"]


@pytest.mark.shared
def test_real_clips(shared: Path, tmp_path: Path) -> None:
    root = tmp_path / "UCF-101" / "Diving"
    root.mkdir(parents=True)
    source = shared / "videos" / "ucf101_sample" / "Diving" / "v_Diving_g01_c01.avi"
    shutil.copy(source, root)
    assert_ok(moclip("dataset", "prepare", "folder", "--root", root.parent, "--out", tmp_path / "out"))
    (row,) = read_manifest(tmp_path / "out" / "gop12")
    assert (row.width, row.height, row.frames) == (320, 240, len(MotionDecoder(source)))
    assert row.fps == pytest.approx(MotionDecoder(source).metadata.average_fps, rel=1e-3)
