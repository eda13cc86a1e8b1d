"""The strip of a timeline: pictures keep their shape, times tell them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moclip_lite.timeline.strip import Strip, save_png
from moclip_lite.timeline.thumbnails import Thumbnail
from moclip_lite.timeline.timeline import Timeline

MAGENTA = (255, 0, 255)


def strip(duration: float, count: int = 0, height: int = 72, width: int = 96) -> Strip:
    """Of pictures in one colour, at the beginnings of equal parts; without segments."""
    timeline = Timeline("a.mp4", duration, (), (), ("walk",), 1.0, 0.5, 0.5)
    picture = np.full((height, width, 3), MAGENTA, np.uint8)
    return Strip(timeline, [Thumbnail(number * duration / count, picture) for number in range(count)])


@pytest.mark.parametrize("count", [1, 7, 10])
@pytest.mark.parametrize(("height", "width"), [(72, 96), (72, 41), (32, 160)])
def test_pictures_keep_their_shape(count: int, height: int, width: int, tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", strip(20, count, height, width))
    with Image.open(tmp_path / "a.png") as image:
        drawn = (np.asarray(image.convert("RGB")) == MAGENTA).all(axis=2)
    columns = np.flatnonzero(drawn.any(axis=0))
    first = columns[: np.flatnonzero(np.diff(columns, append=columns[-1] + 2) > 1)[0] + 1]
    tall = int(drawn.any(axis=1).sum())
    assert len(first) / tall == pytest.approx(width / height, rel=2 / tall)
    assert (np.diff(columns) > 1).sum() == count - 1


@pytest.mark.parametrize("duration", [0.04, 0.96, 2.4, 3, 9.6, 20, 300, 40_000])
def test_times_differ(duration: float) -> None:
    shown = strip(duration, 10)
    for times in (shown.ticks(), [picture.seconds for picture in shown.thumbnails]):
        words = [shown.clock(time) for time in times]
        assert len(words) > 2
        assert len(set(words)) == len(words)


def test_times_have_no_more_decimals_than_needed() -> None:
    assert [strip(duration).clock(0) for duration in (60, 3, 0.96)] == ["0:00", "0:00.0", "0:00.00"]
