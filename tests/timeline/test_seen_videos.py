"""Videos of annotated segments that were among the clips which trained a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.datasets import Clip, Fold
from moclip_lite.datasets.extraction import content_digests
from moclip_lite.results.fold_folder import FoldFolder
from moclip_lite.results.trained_on import write_division
from moclip_lite.sampling import Segment
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.timeline.seen_videos import seen_videos
from moclip_lite.timeline.truth import read_truth


def folder_of(path: Path, *, place: Path, digests: bool = True, **parts: tuple[Clip, ...]) -> FoldFolder:
    """A run folder that says which clips trained it."""
    folder = FoldFolder(path / "run")
    fold = Fold("holdout", **{part: parts.get(part, ()) for part in ("train", "val", "test")})
    known = content_digests(fold.clips(), FeatureCache(path / "cache")) if digests else {}
    write_division(folder.division, fold, str(place), known)
    return folder


def made(root: Path, *names: str) -> list[Clip]:
    """Files of different content."""
    root.mkdir(exist_ok=True)
    for name in names:
        (root / name).write_bytes(f"{root.name}/{name}".encode())
    return [Clip(root / name, name, "a") for name in names]


def table(root: Path, *rows: str) -> Path:
    path = root / "table.csv"
    path.write_text("\n".join(["video,label,start,end", *rows]) + "\n", encoding="utf-8")
    return path


def test_videos_that_trained_are_counted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    one, two, three, four = made(data, "1.mp4", "2.mp4", "3.mp4", "4.mp4")
    folder = folder_of(tmp_path, place=data, train=(one,), val=(two,), test=(three,))
    path = table(data, *(f"{clip.name},a,0,1" for clip in (one, two, three, four)), "1.mp4,a,2,3")
    assert seen_videos(folder, read_truth(path, ["a"])) == [
        f"2 of the 4 videos of {path} were among the training or validation clips of {folder.path} "
        "(1.mp4, 2.mp4): the scores are too high"
    ]
    path = table(data, "3.mp4,a,0,1", "4.mp4,a,0,1")
    assert seen_videos(folder, read_truth(path, ["a"])) == []


def test_videos_are_recognised_by_content_and_by_segments(tmp_path: Path) -> None:
    """A copy of another name; a segment of the same name and times; a video whose segment trained."""
    data, other = tmp_path / "data", tmp_path / "other"
    one, two, three = made(data, "1.mp4", "2.mp4", "3.mp4")
    part = [Clip(c.path, f"{c.name}@2-3", "a", segment=Segment(2.0, 3.0)) for c in (two, three)]
    folder = folder_of(tmp_path, place=data, train=(one, *part))
    other.mkdir()
    for source, name in (("1.mp4", "x.mp4"), ("2.mp4", "y.mp4")):
        (other / name).write_bytes((data / source).read_bytes())
    path = table(other, "x.mp4,a,0,1", "y.mp4,a,2,3")
    assert "2 of the 2 videos" in seen_videos(folder, read_truth(path, ["a"]))[0]
    path = table(tmp_path, "3.mp4,a,0,1")
    (words,) = seen_videos(folder, read_truth(path, ["a"], data), data)
    assert "1 of the 1 videos" in words
    assert "(3.mp4): the scores are too high" in words


def test_another_part_of_a_copy_is_recognised(tmp_path: Path) -> None:
    """Of which the run had a segment, and of which the run had all."""
    data, other = tmp_path / "data", tmp_path / "other"
    one, two = made(data, "1.mp4", "2.mp4")
    part = Clip(one.path, "1.mp4@2-3", "a", segment=Segment(2.0, 3.0))
    folder = folder_of(tmp_path, place=data, train=(part, two))
    other.mkdir()
    (other / "x.mp4").symlink_to(data / "1.mp4")
    (other / "y.mp4").write_bytes((data / "2.mp4").read_bytes())
    path = table(other, "x.mp4,a,7,9", "y.mp4,a,0,1")
    assert "2 of the 2 videos" in seen_videos(folder, read_truth(path, ["a"]))[0]


@pytest.mark.parametrize(
    ("digests", "words"), [(True, "if they show the same"), (False, "were among the training")]
)
def test_names_of_another_folder_are_told_from_the_same_clips(
    digests: bool, words: str, tmp_path: Path
) -> None:
    one, *_ = made(tmp_path / "data", "1.mp4")
    folder = folder_of(tmp_path, place=tmp_path / "data", digests=digests, train=(one,))
    made(tmp_path / "other", "1.mp4")
    (sentence,) = seen_videos(folder, read_truth(table(tmp_path / "other", "1.mp4,a,0,1"), ["a"]))
    assert words in sentence


def test_a_run_that_does_not_say_is_told(tmp_path: Path) -> None:
    made(tmp_path / "data", "1.mp4")
    (sentence,) = seen_videos(
        FoldFolder(tmp_path), read_truth(table(tmp_path / "data", "1.mp4,a,0,1"), ["a"])
    )
    assert sentence.startswith(f"{tmp_path} does not say which clips trained it")
