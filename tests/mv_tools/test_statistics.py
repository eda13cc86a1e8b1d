"""Statistics of each picture as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mv_tools
from mv_tools.statistics import COLUMNS

from support.cli import assert_ok, assert_refused, moclip
from support.clips import WITH_B, encode, panning


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("statistics") / "clip.mp4"
    encode(path, panning(24, 128, 96), **WITH_B)
    return path


def test_rows_say_what_the_fields_hold(clip: Path, tmp_path: Path) -> None:
    for suffix in (".parquet", ".csv"):
        out = tmp_path / f"stats{suffix}"
        assert_ok(moclip("mv", "extract", clip, "--kind", "stats", "-o", out))
    parquet, text = pd.read_parquet(tmp_path / "stats.parquet"), pd.read_csv(tmp_path / "stats.csv")
    assert list(parquet) == list(text) == list(COLUMNS)
    frames = list(mv_tools.MotionDecoder(clip))
    assert len(parquet) == len(text) == len(frames)
    for frame, row in zip(frames, parquet.to_dict("records"), strict=True):
        x, y = mv_tools.flow(frame)
        assert (row["index"], row["pict_type"], row["keyframe"]) == (
            frame.index,
            frame.pict_type,
            frame.is_keyframe,
        )
        assert row["seconds"] == frame.pts_seconds
        np.testing.assert_allclose(row["mean_x"], x.mean(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(row["max_length"], np.hypot(x, y).max(), rtol=1e-5)
    np.testing.assert_allclose(text["mean_length"], parquet["mean_length"], rtol=1e-4, atol=1e-5)


def test_other_endings_and_chosen_pictures(clip: Path, tmp_path: Path) -> None:
    refused = moclip("mv", "extract", clip, "--kind", "stats", "-o", tmp_path / "s.npz")
    assert_refused(refused, "s.npz", ".parquet or .csv")
    assert_ok(
        moclip("mv", "extract", clip, "--kind", "stats", "-o", tmp_path / "s.csv", "--start", 3, "--every", 5)
    )
    assert pd.read_csv(tmp_path / "s.csv")["index"].tolist() == [3, 8, 13, 18, 23]
