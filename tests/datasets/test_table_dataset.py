"""Data sets from annotation tables: names, groups, splits, and what is reported or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.datasets import Clip, Fold, holdout_fold, load_folder, official_folds
from moclip_lite.datasets.content import content_of
from moclip_lite.datasets.extraction import content_digests
from moclip_lite.datasets.fold_checks import checked
from moclip_lite.datasets.table.load import checked_table, divide_by_table, load_table
from moclip_lite.errors import CheckpointError, DataError
from moclip_lite.results.trained_on import refuse_trained, write_division
from moclip_lite.sampling import Segment
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.digest import digest_bytes

from support.annotations import long_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for label in ("run", "walk"):
        (tmp_path / label).mkdir()
        for number in range(4):
            (tmp_path / label / f"p{number}_a.mp4").write_bytes(f"{label}{number}".encode())
    return tmp_path


def write(folder: Path, *rows: str, header: str = "video,label,start,end") -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


SEGMENTS = [f"walk/p{i}_a.mp4,{'walk' if k % 2 else 'run'},{k},{k + 0.5}" for i in range(4) for k in range(4)]


def test_clips_of_a_video_stay_together(folder: Path) -> None:
    dataset = load_table(write(folder, *SEGMENTS))
    assert dataset.clips[1].name == "walk/p0_a.mp4@1-1.5"
    assert dataset.clips[1].video == dataset.clips[1].group == "walk/p0_a.mp4"
    assert dataset.labels == ("run", "walk")
    fold = holdout_fold(dataset, 0.25, 0.34, seed=0)
    sides = [{clip.video for clip in part} for part in (fold.train, fold.val, fold.test)]
    assert sum(map(len, sides)) == 4


def test_a_video_that_is_called_like_a_segment_of_another_is_refused(folder: Path) -> None:
    (folder / "run/p0_a.mp4@1-2").touch()
    rows = ["run/p0_a.mp4,run,1,2", "run/p0_a.mp4@1-2,run,,"]
    with pytest.raises(DataError, match=r"would both be called run/p0_a\.mp4@1-2; rename one"):
        load_table(write(folder, *rows))


def test_whole_videos_have_no_group(folder: Path) -> None:
    """A clip of its own is a sampling unit, as in class folders."""
    dataset = load_table(write(folder, "run/p0_a.mp4,run", "walk/p0_a.mp4,walk", header="video,label"))
    assert {clip.group for clip in dataset.clips} == {None}
    assert [clip.name for clip in dataset.clips] == ["run/p0_a.mp4", "walk/p0_a.mp4"]


def test_groups_of_the_table_go_before_videos(folder: Path) -> None:
    """Groups may divide a video, which is reported; rows without one get their video."""
    rows = ["walk/p0_a.mp4,walk,0,1,x", "walk/p0_a.mp4,run,1,2,y", "run/p1_a.mp4,run,0,1,"]
    dataset = load_table(write(folder, *rows, header="video,label,start,end,group"))
    assert [clip.group for clip in dataset.clips] == ["x", "y", "run/p1_a.mp4"]
    assert "segments of 1 video(s) are in different groups" in " ".join(dataset.notes)


def test_a_table_may_put_a_video_on_two_sides(folder: Path) -> None:
    """It says so by its splits: each side is a group, and the data set's notes tell it."""
    rows = [
        f"walk/p{i}_a.mp4,{label},{k},{k + 1},{'test' if k > 3 else 'train'}"
        for i in range(2)
        for k, label in enumerate(("run", "walk") * 3)
    ]
    dataset = load_table(write(folder, *rows, header="video,label,start,end,split"))
    assert "two sides of a split: walk/p0_a.mp4, walk/p1_a.mp4" in " ".join(dataset.notes)
    (fold,) = official_folds(dataset, 0.5, seed=0)
    assert not fold.shared_groups()
    assert {clip.group for clip in fold.test} == {"walk/p0_a.mp4 (test)", "walk/p1_a.mp4 (test)"}
    assert not {clip.video for clip in fold.train} & {clip.video for clip in fold.val}


def test_splits_with_validation_and_rows_outside(folder: Path) -> None:
    parts = ("train", "train", "val", "test", "")
    rows = [
        f"{label}/p{i % 4}_a.mp4,{label},{i},{i + 1},{part}"
        for label in ("run", "walk")
        for i, part in enumerate(parts)
    ]
    dataset = load_table(write(folder, *rows, header="video,label,start,end,split"))
    (fold,) = official_folds(dataset, 0.2, seed=0)
    assert [len(part) for part in (fold.train, fold.val, fold.test)] == [4, 2, 2]
    assert fold.notes == ("2 clips are in no part of it and are left out",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["walk/p0_a.mp4,run,0,1", "walk/p0_a.mp4,walk,0,1"],
            "row 3, column label: walk/p0_a.mp4@0-1 is 'walk' here",
        ),
        (["walk/p9_a.mp4,run,0,1"], "row 2, column video: there is no such video"),
        (["walk/p0_a.mp4,run,8,9"], "row 2, column start: 8 s is behind the video's end at 5.000 s"),
        (
            ["walk/p0_a.mp4,run,0,1", "walk/p0_a.mp4,run,4,6.5"],
            "row 3, column end: 6.5 s is behind the video's end",
        ),
    ],
)
def test_refusals(folder: Path, rows: list[str], message: str) -> None:
    path = write(folder, *rows)
    with pytest.raises(DataError, match=message):
        load_table(path, duration=lambda path, enough: 5.0)


def test_ends_a_little_late_are_taken(folder: Path) -> None:
    path = write(folder, "walk/p0_a.mp4,run,0,5.9", "walk/p1_a.mp4,run,0,9")
    assert [p.row for p in checked_table(path, duration=lambda path, enough: 5.0).problems] == [3]
    assert not checked_table(
        path, duration=lambda path, enough: None
    ).problems  # reported where the file is read


def test_missing_videos_can_be_left_out(folder: Path) -> None:
    path = write(folder, "none.mp4,run,0,1", "walk/p0_a.mp4,run,0,1")
    dataset = load_table(path, skip_missing=True)
    assert len(dataset.clips) == 1
    assert dataset.notes[0] == "left out, 1 row(s) of table.csv whose video is absent"


def test_overlaps_and_other_columns_are_told(folder: Path) -> None:
    rows = ["walk/p0_a.mp4,run,0,2,me", "walk/p0_a.mp4,walk,1,3,me"]
    notes = " ".join(load_table(write(folder, *rows, header="video,label,start,end,by")).notes)
    assert "columns that are not read: by" in notes
    assert "1 segment(s) overlap one with another label, such as row 3 (walk) and row 2 (run)" in notes


def test_groups_and_splits_for_class_folders(folder: Path) -> None:
    """Clips are named with or without their ending; labels may stand there and must agree then."""
    dataset = load_folder(folder)
    rows = [
        f"{label}/p{i}_a{'.avi' if i else ''},{label},person{i},{'test' if i == 3 else 'train'}"
        for label in ("run", "walk")
        for i in range(4)
    ]
    header = "video,label,group,split1"
    divided = divide_by_table(dataset, write(folder, *rows, header=header))
    assert [clip.group for clip in divided.clips[:2]] == ["person0", "person1"]
    assert divided.official["split1"][1] == {"run/p3_a.mp4", "walk/p3_a.mp4"}
    for wrong, message in (
        (rows[:-1], "has no row for 1 clips"),
        ([*rows, "run/p9_a,run,x,train"], "row 10, column video: run/p9_a is no clip"),
        (
            [*rows[:-1], rows[-1].replace(",walk,", ",run,")],
            "row 9, column label: 'run', but the clip's class is",
        ),
        ([*rows, "run/p0_a.mp4,run,x,train"], "row 10, column video: row 2 names the same clip"),
    ):
        with pytest.raises(DataError, match=message):
            divide_by_table(dataset, write(folder, *wrong, header=header))
    with pytest.raises(DataError, match="row 2, column start: these clips are whole videos"):
        divide_by_table(dataset, write(folder, "run/p0_a.mp4,run,0,1"))


def test_clips_that_differ_by_their_ending_alone(tmp_path: Path) -> None:
    for name in ("a/x0.mp4", "a/x0.m4v", "b/y0.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    dataset = load_folder(tmp_path)
    header = "video,group"
    table = write(tmp_path, "a/x0.mp4,one", "a/x0.m4v,two", "b/y0.avi,three", header=header)
    groups = {clip.name: clip.group for clip in divide_by_table(dataset, table).clips}
    assert groups == {"a/x0.mp4": "one", "a/x0.m4v": "two", "b/y0.mp4": "three"}
    for name in ("a/x0", "a/x0.avi"):
        table = write(tmp_path, "a/x0.mp4,one", f"{name},two", "b/y0,three", header=header)
        with pytest.raises(
            DataError, match=rf"row 3, column video: {name} may be a/x0\.m4v, a/x0\.mp4; write"
        ):
            divide_by_table(dataset, table)


def test_durations_come_from_the_files(tmp_path: Path) -> None:
    from moclip_lite.datasets.segments import video_seconds

    long_video(tmp_path / "long.mp4", ["left", "right"])
    path = write(tmp_path, "long.mp4,left,0,0.48", "long.mp4,right,0.48,0.96", "long.mp4,right,0.96,1.2")
    problems = checked_table(path, duration=video_seconds).problems
    assert [(p.row, p.column) for p in problems] == [(4, "start")]


def test_overlaps_across_a_split_are_refused(folder: Path) -> None:
    """A table may divide a video; segments on two sides must not show the same."""
    rows = [
        f"walk/p0_a.mp4,{label},{k},{k + 0.9 + (k == 3)},{'test' if k > 3 else 'train'}"
        for k, label in enumerate(("run", "walk") * 4)
    ]
    dataset = load_table(write(folder, *rows, header="video,label,start,end,split"))
    (fold,) = official_folds(dataset, 0.5, seed=0, shared_groups=True)
    says = r"1 clips overlap a segment or the whole of the same file on another side of the split .walk/p0"
    with pytest.raises(DataError, match=says):
        checked(fold, dataset.labels, {}, test_fraction=0.0, shared=False)
    noted = checked(fold, dataset.labels, {}, test_fraction=0.0, shared=True)
    assert "scores are too high" in " ".join(noted.notes)


@pytest.mark.parametrize("whole", ["train", "test"])
def test_a_segment_and_the_whole_of_its_file_are_not_on_two_sides(folder: Path, whole: str) -> None:
    other = "test" if whole == "train" else "train"
    rows = [f"walk/p0_a.mp4,walk,,,{whole}", f"walk/p0_a.mp4,walk,0,0.5,{other}"]
    rows += [f"run/p0_a.mp4,run,0,{k},{side}" for k, side in ((0.4, "train"), (0.5, "train"))]
    rows += [f"walk/p1_a.mp4,walk,{k},{k + 0.4},train" for k in (0, 0.4, 0.8)]
    dataset = load_table(write(folder, *rows, header="video,label,start,end,split"))
    (fold,) = official_folds(dataset, 0.0, seed=0, shared_groups=True)
    with pytest.raises(DataError, match=r"overlap a segment or the whole of the same file"):
        checked(fold, dataset.labels, {}, test_fraction=0.0, shared=False)


TIMES = {"whole": None, "0-2": Segment(0, 2), "1-3": Segment(1, 3), "3-4": Segment(3, 4)}


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("one", TIMES)
@pytest.mark.parametrize("other", TIMES)
def test_a_file_of_two_names_is_one_file(one: str, other: str, link: bool, tmp_path: Path) -> None:
    """All pairs of parts of it, in training and in test, in one table and in a later one."""
    (tmp_path / "a.mp4").write_bytes(b"video")
    (tmp_path / "b.mp4").symlink_to("a.mp4") if link else (tmp_path / "b.mp4").write_bytes(b"video")

    def clip(name: str, times: str) -> Clip:
        segment = TIMES[times]
        return Clip(tmp_path / name, name if segment is None else f"{name}@{segment}", "run", None, segment)

    trained, tested = clip("a.mp4", one), clip("b.mp4", other)
    known = content_digests([trained, tested], FeatureCache(tmp_path / "cache"))
    fold = Fold("f", (trained,), (), (tested,))
    division = tmp_path / "division.json"
    write_division(division, Fold("f", (trained,), (), ()), "place", known)
    if trained.extent.overlaps(tested.extent):
        with pytest.raises(DataError, match="on another side of the split"):
            checked(fold, ("run",), known, test_fraction=None, shared=False)
        with pytest.raises(CheckpointError, match="clips were used in training"):
            refuse_trained(division, [tested], "other", known)
    else:
        (note,) = checked(fold, ("run",), known, test_fraction=None, shared=False).notes
        assert "1 file(s) have several names, in different parts of the split (a.mp4 = b.mp4)" in note
        assert refuse_trained(division, [tested], "other", known) is None


def test_copies_of_whole_files_are_told_once(tmp_path: Path) -> None:
    """As published divisions have some."""
    clips = [Clip(tmp_path / name, name, "run") for name in ("a.mp4", "b.mp4")]
    fold = Fold("f", (clips[0],), (), (clips[1],))
    notes = checked(
        fold, ("run",), dict.fromkeys(("a.mp4", "b.mp4"), "afile"), test_fraction=None, shared=True
    ).notes
    assert len(notes) == 1
    assert "have a copy of equal content" in notes[0]


def test_segments_in_shards_are_parts_of_their_file(tmp_path: Path) -> None:
    """Shards hold them as whole clips; only their content says which part they are."""
    segments = [Segment(k, k + 1.0) for k in range(4)]
    clips = [Clip(tmp_path, f"day.mp4@{segment}", "run") for segment in segments]
    known = {clip.name: content_of("afile", segment) for clip, segment in zip(clips, segments, strict=True)}
    fold = Fold("f", tuple(clips[:2]), (), tuple(clips[2:]))
    assert checked(fold, ("run",), known, test_fraction=None, shared=False).notes == ()
    write_division(tmp_path / "division.json", fold, "place", known)
    for place in ("place", "a copy of the shards"):
        assert refuse_trained(tmp_path / "division.json", clips[2:], place, known) is None
        with pytest.raises(CheckpointError, match="2 of 2 test clips were used in training"):
            refuse_trained(tmp_path / "division.json", clips[:2], place, known)
    known[clips[3].name] = content_of("afile", Segment(0.5, 1.5))
    with pytest.raises(DataError, match="on another side of the split"):
        checked(fold, ("run",), known, test_fraction=None, shared=False)


@pytest.mark.parametrize("older", ["division", "tested"])
def test_contents_of_earlier_versions_are_recognised(older: str, tmp_path: Path) -> None:
    """They were digests of a file's digest and the times."""
    segment = Segment(0.0, 1.0)
    trained = Clip(tmp_path / "a.mp4", "a.mp4@0-1", "run", None, segment)
    tested = Clip(tmp_path / "b.mp4", "b.mp4@0-1", "run", None, segment)
    content = content_of("afile", segment)
    before = digest_bytes([b"afile 0.0 1.0"])
    written, given = (before, content) if older == "division" else (content, before)
    division = tmp_path / "division.json"
    write_division(division, Fold("f", (trained,), (), ()), "place", {trained.name: written})
    with pytest.raises(CheckpointError, match="1 of 1 test clips were used in training"):
        refuse_trained(division, [tested], "elsewhere", {tested.name: given})
    write_division(
        division,
        Fold("f", (trained,), (), (tested,)),
        "place",
        dict.fromkeys(("a.mp4@0-1", "b.mp4@0-1"), written),
    )
    note = refuse_trained(division, [tested], "place", {tested.name: given})
    assert note is not None
    assert "have a copy" in note


def test_copies_with_two_labels_are_told(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"video")
    clips = tuple(
        Clip(tmp_path / f"{name}.mp4", f"{name}.mp4@0-1", label, None, Segment(0, 1))
        for name, label in (("a", "run"), ("b", "walk"))
    )
    known = content_digests(clips, FeatureCache(tmp_path / "cache"))
    (note,) = checked(Fold("f", clips, (), ()), ("run",), known, test_fraction=None, shared=False).notes
    assert note == "1 clip(s) have copies with another label: a.mp4@0-1 (run) = b.mp4@0-1 (walk)"


def test_a_part_of_a_trained_file_is_recognised(tmp_path: Path) -> None:
    """And a whole file, of which a part trained."""
    path, whole = tmp_path / "v.mp4", Clip(tmp_path / "v.mp4", "v.mp4", "run")
    part = Clip(path, "v.mp4@0-1", "run", None, Segment(0.0, 1.0))
    for trained, tested in ((whole, part), (part, whole)):
        write_division(tmp_path / "division.json", Fold("f", (trained,), (), ()), "place", {})
        with pytest.raises(CheckpointError, match="clips were used in training"):
            refuse_trained(tmp_path / "division.json", [tested], "place", {})


def test_overlap_with_training_is_refused(folder: Path) -> None:
    """Also in another table of the same videos: segments that touch are none."""

    def clip(start: float, end: float) -> Clip:
        segment = Segment(start, end)
        return Clip(folder / "v.mp4", f"v.mp4@{segment}", "run", None, segment)

    fold = Fold("holdout", (clip(0, 5), clip(20, 30)), (), (clip(5, 6),))
    write_division(folder / "division.json", fold, str(folder), {})
    assert refuse_trained(folder / "division.json", [clip(5, 20), clip(30, 31)], str(folder), {}) is None
    for tested in (clip(4, 6), clip(24, 25), clip(19.5, 31)):
        with pytest.raises(CheckpointError, match="1 of 1 test clips were used in training"):
            refuse_trained(folder / "division.json", [tested], str(folder), {})
