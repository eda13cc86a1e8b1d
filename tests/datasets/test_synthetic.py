"""Generated clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moclip_lite.datasets import SyntheticSpec, generate
from moclip_lite.datasets.synthetic.pictures import encode_clip, render_clip
from moclip_lite.errors import DataError


def test_clips_of_an_earlier_version_are_not_completed(tmp_path: Path) -> None:
    spec = SyntheticSpec(textures=("bricks",), motions=("rotate",), clips_per_class=4, frames=4)
    generate(tmp_path, spec)
    generate(tmp_path, spec)
    settings = json.loads((tmp_path / "synthetic.json").read_text(encoding="utf-8"))
    del settings["version"]
    (tmp_path / "synthetic.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(DataError, match="another version"):
        generate(tmp_path, spec)


def test_a_seed_gives_the_same_file_whatever_was_encoded_before(tmp_path: Path) -> None:
    pictures, options = render_clip("water", "zoom_in", 24, (0, 1))
    again, same_options = render_clip("water", "zoom_in", 24, (0, 1))
    assert (again == pictures).all()
    assert same_options == options
    files = set()
    for _ in range(40):
        encode_clip(tmp_path / "a.mp4", pictures, options)
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1
