"""Pairs of clips and captions: tables, class folders, duplicates and augmentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from moclip_lite.datasets import Clip
from moclip_lite.datasets.prompts import Prompts
from moclip_lite.errors import DataError, MoclipError
from moclip_lite.mobileviclip.training.duplicates import Duplicates, number_files
from moclip_lite.mobileviclip.training.pairs import FilePairs, Pair, class_pairs
from moclip_lite.mobileviclip.training.table import read_pairs

from support.mobileviclip import SMALLEST


def test_tables(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip("videos/video1.mp4")
    (tmp_path / "videos" / "b.avi").write_bytes(b"not a video")
    (tmp_path / "t.csv").write_text("video_id,sentence\nvideo1,a cat\nvideos/b.avi,A  CAT\n")
    with pytest.raises(DataError, match="1 clips are not in"):
        read_pairs(tmp_path / "t.csv", tmp_path / "videos")
    (tmp_path / "t.csv").write_text("video_id,sentence\nvideo1,a cat\nb.avi,A  CAT\nvideo1,a dog\n")
    pairs = read_pairs(tmp_path / "t.csv", tmp_path / "videos")
    assert [p.group for p in pairs] == [0, 0, 1]
    assert pairs[1].captions == ("A CAT",)
    pd.DataFrame({"clip": ["video1.mp4"], "caption": ["a cat"]}).to_parquet(tmp_path / "t.parquet")
    assert (
        read_pairs(tmp_path / "t.parquet", tmp_path / "videos")[0].clip == tmp_path / "videos" / "video1.mp4"
    )
    source = FilePairs(pairs, SMALLEST)
    clip, caption = source.pair(0, np.random.default_rng(0))
    assert clip.shape == (2, 3, 32, 32)
    assert (clip >= 0).all()
    assert (clip <= 1).all()
    assert caption == "a cat"
    with pytest.raises(DataError, match=r"b\.avi") as refused:
        source.pair(1, np.random.default_rng(0))
    assert str(refused.value).count("b.avi") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip,caption\n", "no rows"),
        ("a,b\n1,2\n", "column"),
        ("clip,caption\nx,\n", "row 1 has no caption"),
        ("clip,caption\nx,a wall\ny,\u200b\n", "row 2 has no caption"),
        ("clip,caption\n,a wall\n", "row 1 names no clip"),
        ("", "can't be read"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        read_pairs(tmp_path / "t.csv")
    with pytest.raises(DataError, match="no such table"):
        read_pairs(tmp_path / "absent.csv")
    (tmp_path / "t.parquet").write_text(text)
    with pytest.raises(DataError, match="can't be read"):
        read_pairs(tmp_path / "t.parquet")


def test_a_clip_without_a_name_is_no_file_beside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos.mp4").write_bytes(b"x")
    (tmp_path / "videos" / "1.mp4").write_bytes(b"x")
    table = tmp_path / "t.parquet"
    pd.DataFrame({"clip": [1, None], "caption": ["a", "b"]}).astype({"clip": "Int64"}).to_parquet(table)
    with pytest.raises(DataError, match="row 2 names no clip"):
        read_pairs(table, tmp_path / "videos")


@pytest.mark.parametrize("caption_first", [True, False])
@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("a man, a dog", "3 fields, the header has 2"),
        ("a man, a dog, and a cat", "4 fields"),
        ("a man,", "3 fields"),
        (None, "1 fields"),
        ('"a man, a dog', "quote"),
        ('"a man" and a dog', "quote"),
    ],
)
def test_rows_of_another_length_are_refused(
    tmp_path: Path, caption_first: bool, caption: str | None, words: str
) -> None:
    """A caption with an unquoted comma would be cut, or shift the columns; the message names the row."""

    def line(clip: str, said: str | None) -> str:
        cells = [cell for cell in (clip, said) if cell is not None]
        return ",".join(reversed(cells) if caption_first else cells)

    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    table = tmp_path / "t.csv"
    table.write_text(
        "\n".join([line("clip", "caption"), line("a.mp4", '"one, two"'), line("b.mp4", caption)])
    )
    with pytest.raises(DataError, match=rf"row 2.*{words}"):
        read_pairs(table)
    table.write_text("\ufeff" + "\n\n".join([line("clip", " caption"), line("a.mp4", '"one, ""two"""')]))
    assert read_pairs(table) == [Pair(tmp_path / "a.mp4", ('one, "two"',), 0)]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("v.mp4", "v"),
        ("v.MP4", "v"),
        ("v.1.mkv", "v.1"),
        ("sub/v.AVI", "sub\\v"),
        ("sub/v.mp4", "sub\\v.mp4"),
    ],
)
def test_names_in_tables(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"x")
    (tmp_path / "t.csv").write_text(f"clip,caption\n{name},x\n")
    assert read_pairs(tmp_path / "t.csv")[0].clip == tmp_path / file


def test_names_without_or_with_two_files_are_refused(tmp_path: Path) -> None:
    for ending in (".avi", ".mp4"):
        (tmp_path / f"v{ending}").write_bytes(b"x")
    (tmp_path / "t.csv").write_text("clip,caption\nv,x\n")
    with pytest.raises(DataError, match=r"v\.avi or v\.mp4"):
        read_pairs(tmp_path / "t.csv")
    for name in ("ü" * 300, "a\0b", ".", ""):
        (tmp_path / "t.csv").write_text(f"clip,caption\n{name},x\n")
        with pytest.raises(DataError):
            read_pairs(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("clip,caption,caption\nv.mp4,x,y\n")
    with pytest.raises(DataError, match="2 columns 'caption'"):
        read_pairs(tmp_path / "t.csv")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(pd, "read_parquet", lambda path, **_: (_ for _ in ()).throw(ImportError("pyarrow")))
    with pytest.raises(MoclipError, match=r"moclip-lite\[parquet\]"):
        read_pairs(tmp_path / "t.parquet")


def test_classes_that_share_a_caption_are_one_group(tmp_path: Path) -> None:
    labels = ["ApplyMakeup", "Dive", "apply_makeup", "Jog", "Sprint"]
    clips = [Clip(tmp_path / label, label, label) for label in labels]
    prompts = Prompts(("a {}.",), {"Jog": ("jog", "run"), "Sprint": ("sprint", "Run")})
    makeup, dive, same, jog, sprint = (pair.group for pair in class_pairs(clips, prompts))
    assert makeup == same
    assert jog == sprint
    assert len({makeup, dive, jog}) == 3


def test_class_captions_with_sides_are_not_mirrored(clip: Path) -> None:
    clips = [Clip(clip, "a", "MoveLeft"), Clip(clip, "b", "Jump")]
    pairs = class_pairs(clips, Prompts(("a video of {}.", "{}")))
    assert pairs[0] == Pair(clip, ("a video of move left.", "move left"), 1)
    source = FilePairs(pairs, SMALLEST, min_area=1.0, flip=1.0)
    still = FilePairs(pairs, SMALLEST, min_area=1.0, flip=0.0)
    for index, mirrored in ((0, False), (1, True)):
        one, _ = source.pair(index, np.random.default_rng(3))
        other, _ = still.pair(index, np.random.default_rng(3))
        torch.testing.assert_close(one, other.flip(-1) if mirrored else other)


def test_files_are_identified_by_content(tmp_path: Path) -> None:
    for name, content in (("a", b"xx"), ("b", b"xx"), ("c", b"yy"), ("d", b"xxx")):
        (tmp_path / f"{name}.mp4").write_bytes(content)
    (tmp_path / "e.mp4").symlink_to(tmp_path / "c.mp4")
    paths = [tmp_path / f"{name}.mp4" for name in "abcdefg"]  # the last two do not exist
    numbers = number_files(paths)
    groups = [sorted(p.stem for p in paths if numbers[p] == n) for n in sorted(set(numbers.values()))]
    assert sorted(groups) == [["a", "b"], ["c", "e"], ["d"], ["f"], ["g"]]
    pairs = [Pair(paths[0], ("x",), 0), Pair(paths[1], ("y",), 1), Pair(paths[2], ("X",), 0)]
    source = FilePairs(pairs, SMALLEST)
    clips, captions = zip(*(source.group(i) for i in range(3)), strict=True)
    assert clips[0] == clips[1] != clips[2]
    assert captions == (0, 1, 0)
    assert source.duplicates() == Duplicates(captions=1, names=1)
    assert "1 captions" in source.duplicates().summary()
    assert FilePairs(pairs[1:2], SMALLEST).duplicates().summary() == ""
