"""How files are encoded, and the advice to prepare them."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.datasets.encoding import Encoding, encoding_of, foreign, originals_note
from moclip_lite.datasets.prepare.recipes import parse_recipe
from moclip_lite.datasets.settings import DataSettings
from moclip_lite.motion.settings import MotionSpec
from moclip_lite.predict.encoder_note import encoder_note, trained_recipes
from moclip_lite.predict.read_file import FileReader
from mv_tools import MotionDecoder, Recipe


def test_encodings_are_told_apart(clip: Path, clip_b: Path, clip_mpeg4: Path) -> None:
    made = [encoding_of(MotionDecoder(path)) for path in (clip, clip_b, clip_mpeg4)]
    assert [(e.codec, e.reordered, e.gop) for e in made] == [
        ("h264", False, 12),
        ("h264", True, 12),
        ("mpeg4", False, 12),
    ]


@pytest.mark.parametrize(
    ("encoding", "recipes", "expected"),
    [
        (Encoding("h264", False, 12), ["gop12"], False),
        (Encoding("h264", False, 250), ["gop12"], False),
        (Encoding("h264", True, 12), ["gop12"], True),
        (Encoding("hevc", False, 12), ["gop12"], True),
        (Encoding("hevc", True, 12), ["gop12", "hevc_gop250_b3"], False),
        (Encoding("mpeg4", False, 12), [], False),
    ],
)
def test_what_differs_from_all_recipes_is_foreign(
    encoding: Encoding, recipes: list[str], expected: bool
) -> None:
    assert foreign(encoding, [parse_recipe(name) for name in recipes]) is expected


def test_advice_on_preparing(clip: Path, clip_b: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    assert "preparing helps: 1 of 2" in originals_note([clip, clip_b], Recipe(), "gop12")
    assert "with B pictures" in originals_note([clip_b, broken], Recipe(), "gop12")
    assert "already (1 looked at)" in originals_note([clip], Recipe(), "gop12")
    assert originals_note([broken], Recipe(), "gop12") == ""


def test_predictions_tell_of_files_encoded_differently(clip: Path, clip_b: Path) -> None:
    spec = MotionSpec(segments=2, frames=2, grid=(4, 4))
    recipes = trained_recipes(DataSettings(root=Path("x"), recipe="gop12"))
    assert "encoded differently" in FileReader(clip_b, spec, None, recipes=recipes).both().notes[-1]
    assert not any(
        "differently" in note for note in FileReader(clip, spec, None, recipes=recipes).both().notes
    )
    assert encoder_note(MotionDecoder(clip_b), []) is None


def test_recipes_of_training_clips_are_known_by_name_only() -> None:
    both = DataSettings(root=Path("x"), recipe="gop12", train_recipes=("gop12", "mpeg4_gop12"))
    assert [recipe.codec for recipe in trained_recipes(both)] == ["h264", "mpeg4"]
    assert trained_recipes(DataSettings(root=Path("data/weizmann/gop12"))) == [parse_recipe("gop12")]
    for root in (None, Path("clips")):
        assert trained_recipes(DataSettings(root=root)) == []
