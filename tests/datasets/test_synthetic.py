"""Generated clips."""

from __future__ import annotations

from pathlib import Path

from moclip_lite.datasets.synthetic.pictures import encode_clip, render_clip


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
