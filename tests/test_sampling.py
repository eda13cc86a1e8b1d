"""Which frames are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moclip_lite.sampling import choose_segments, frame_positions, segment_windows

counts = st.integers(1, 400)


@given(counts, counts)
def test_positions_are_ascending_within_the_clip_and_symmetric(total: int, count: int) -> None:
    found = frame_positions(total, count)
    assert found.shape == (count,)
    assert (np.diff(found) >= 0).all()
    assert found[0] >= 0
    assert found[-1] <= total - 1
    if total > count:
        assert len(set(found.tolist())) == count
        assert abs((total - 1 - found[::-1]) - found).max() <= 1
    else:
        assert found.tolist() == [min(i, total - 1) for i in range(count)]


def test_one_frame_is_the_middle_one() -> None:
    assert frame_positions(101, 1).tolist() == [50]
    assert frame_positions(1, 3).tolist() == [0, 0, 0]


@given(counts, st.integers(1, 40), st.integers(1, 12))
def test_windows_are_consecutive_and_within_the_clip(total: int, segments: int, length: int) -> None:
    found = segment_windows(total, segments, length)
    assert found.shape == (segments, length)
    assert found.min() >= 0
    assert found.max() <= total - 1
    assert (np.diff(found[:, 0]) >= 0).all()
    step = np.diff(found, axis=1)
    if total >= length:
        assert (step == 1).all()
    else:
        assert np.isin(step, (0, 1)).all()


@given(st.integers(1, 64), st.integers(1, 64), st.integers(0, 2**31))
def test_random_segments_stay_in_their_part(available: int, count: int, seed: int) -> None:
    found = choose_segments(available, count, np.random.default_rng(seed))
    assert (np.diff(found) >= 0).all()
    low, high = np.arange(count) * available / count, np.arange(1, count + 1) * available / count
    assert (found >= np.floor(low)).all()
    assert (found <= np.ceil(high)).all()
    assert found.max() < available


def test_fixed_segments_do_not_vary() -> None:
    assert choose_segments(16, 4).tolist() == [2, 6, 10, 14]
    assert choose_segments(16, 16).tolist() == list(range(16))


@pytest.mark.parametrize(
    "call", [lambda: frame_positions(0, 1), lambda: segment_windows(5, 0, 1), lambda: choose_segments(0, 1)]
)
def test_counts_below_one_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        call()
