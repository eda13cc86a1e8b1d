"""Classes and groups whose names differ by case or Unicode normal form alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.datasets import load_folder
from moclip_lite.datasets.settings import DataSettings
from moclip_lite.datasets.spellings import spelling_notes
from moclip_lite.datasets.table.load import load_table
from moclip_lite.experiment.inputs.dataset import load_dataset
from moclip_lite.progress import Silent

from support.cli import assert_ok, moclip, sets

ASK = "are they one? Then give them one name"
COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def folder(root: Path, *labels: str) -> Path:
    for label in labels:
        (root / label).mkdir(parents=True)
        for name in ("anna_0.mp4", "Anna_1.mp4", "bob_0.mp4"):
            (root / label / name).touch()
    return root


@pytest.mark.parametrize(
    ("labels", "notes"),
    [
        (("Walk", "run", "walk"), (f"the classes Walk and walk differ by case alone; {ASK}",)),
        (
            ("Run", "Walk", "run", "walk"),
            (f"the classes Run and run, Walk and walk differ by case alone; {ASK}",),
        ),
        (
            (DECOMPOSED, COMPOSED),
            (f"the classes 'cafe\\u0301' and 'caf\\xe9' differ by Unicode normal form alone; {ASK}",),
        ),
        (
            (DECOMPOSED, COMPOSED.title()),
            (
                f"the classes 'Caf\\xe9' and 'cafe\\u0301' differ by case and Unicode normal form alone; {ASK}",
            ),
        ),
        (("walk", "walks", "w\u00e4lk"), ()),
    ],
)
def test_classes(labels: tuple[str, ...], notes: tuple[str, ...], tmp_path: Path) -> None:
    assert spelling_notes(load_folder(folder(tmp_path, *labels))) == notes


def test_a_data_set_notes_classes_and_groups(tmp_path: Path) -> None:
    data = DataSettings(kind="folder", root=folder(tmp_path, "Walk", "walk"), group_pattern="^([^_]+)_")
    assert load_dataset(data, 1, Silent()).notes == (
        f"the classes Walk and walk differ by case alone; {ASK}",
        f"the groups Anna and anna differ by case alone; {ASK}",
    )
    words = ("dataset", "list", data.root, *sets((f"data.group_pattern={data.group_pattern}",)))
    outcome = assert_ok(moclip(*words))
    assert f"the groups Anna and anna differ by case alone; {ASK}" in " ".join(outcome.err.split())


def test_videos_that_stand_for_groups_are_not_asked_about(tmp_path: Path) -> None:
    table = folder(tmp_path, "a") / "table.csv"
    rows = [f"a/{name},{label},{k},{k + 1}" for name in ("x.mp4", "X.mp4") for k, label in enumerate("ab")]
    for name in ("x.mp4", "X.mp4"):
        (tmp_path / "a" / name).touch()
    table.write_text("\n".join(("video,label,start,end", *rows)) + "\n")
    dataset = load_table(table)
    assert {clip.group for clip in dataset.clips} == {"a/x.mp4", "a/X.mp4"}
    assert spelling_notes(dataset) == ()
