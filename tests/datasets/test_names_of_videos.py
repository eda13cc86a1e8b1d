"""Names of videos in exports and tables that are encoded, or that look like a file's name, find the file."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from moclip_lite.datasets.importers.convert import ImportOptions, import_annotations
from moclip_lite.datasets.table import inspect_table, read_table
from moclip_lite.datasets.table.load import divide_by_table, load_table
from moclip_lite.errors import DataError

NAME = "Küche eins.mkv"
FORMS = {form: unicodedata.normalize(form, NAME) for form in ("NFC", "NFD")}


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"video")
    return path


def imported(videos: Path, *names: str) -> list[str]:
    """The names in the table of an export of Label Studio whose tasks have whole videos of these names."""
    choice = {"type": "choices", "value": {"choices": ["x"]}}
    tasks = [{"id": 1, "data": {"video": name}, "annotations": [{"result": [choice]}]} for name in names]
    export = videos / "export.json"
    export.write_text(json.dumps(tasks))
    import_annotations("label-studio", [str(export)], videos / "t.csv", ImportOptions(videos))
    return [row.video for row in read_table(videos / "t.csv")]


def table(path: Path, *rows: str) -> Path:
    (path / "t.csv").write_text("\n".join(("video,label,group", *rows)) + "\n", encoding="utf-8")
    return path / "t.csv"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name",
    [
        "/data/upload/1/3f2a1b0c-K%C3%BCche%20eins.mkv",
        "sub/K%C3%BCche%20eins.mkv",
        "http://host/data/upload/3f2a1b0c-K%C3%BCche%20eins.mkv",
        f"/data/upload/1/3f2a1b0c-{FORMS['NFC']}",
        f"sub/{FORMS['NFD']}",
        FORMS["NFD"].removesuffix(".mkv"),
    ],
)
def test_imports_find_encoded_and_decomposed_names(form: str, name: str, tmp_path: Path) -> None:
    assert imported(folder(tmp_path, f"sub/{FORMS[form]}"), name) == [f"sub/{FORMS[form]}"]


def test_a_name_is_taken_as_it_is_written_first(tmp_path: Path) -> None:
    videos = folder(tmp_path, "a%20b.mp4", "a b.mp4", *FORMS.values())
    names = ["a%20b.mp4", FORMS["NFC"], FORMS["NFD"], "a b.mp4"]
    assert imported(videos, *names) == names


def test_names_that_are_too_many_are_refused(tmp_path: Path) -> None:
    mixed = unicodedata.normalize("NFC", "é") + unicodedata.normalize("NFD", "é") + ".mp4"
    videos = folder(tmp_path, *(unicodedata.normalize(form, mixed) for form in FORMS))
    with pytest.raises(DataError, match=r"2 files below .* are called so"):
        imported(videos, mixed)
    (problem,) = inspect_table(table(videos, f"{mixed},x,")).problems
    assert problem.reason.startswith("2 files look like")


def test_tables_find_names_of_any_normal_form(tmp_path: Path) -> None:
    """Folders and files may be of different forms; the clip is called as the file is."""
    place = f"{unicodedata.normalize('NFD', 'Öl')}/{FORMS['NFC']}"
    videos = folder(tmp_path, place)
    written = unicodedata.normalize("NFC", "Öl") + "/" + FORMS["NFD"]
    path = table(videos, f"{written},x,g")
    assert [row.video for row in read_table(path)] == [place]
    divided = divide_by_table(replace(load_table(path), root=videos), path)
    assert [clip.group for clip in divided.clips] == ["g"]
    twice = inspect_table(table(videos, f"{written},x,g", f"{place},x,g"))
    assert [problem.reason for problem in twice.problems] == ["is the same as row 2"]
