"""Which frames are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moclip_lite.sampling import choose_segments, frame_positions, reachable_positions, segment_windows

counts = st.integers(1, 400)


@given(counts, counts)
def test_positions_are_ascending_within_the_clip_and_symmetric(total: int, count: int) -> None:
    positions = frame_positions(total, count)
    assert positions.shape == (count,)
    assert (np.diff(positions) >= 0).all()
    assert positions[0] >= 0
    assert positions[-1] <= total - 1
    if total > count:
        assert len(set(positions.tolist())) == count
        assert abs((total - 1 - positions[::-1]) - positions).max() <= 1
    else:
        assert positions.tolist() == [min(i, total - 1) for i in range(count)]


def test_one_frame_is_the_middle_one() -> None:
    assert frame_positions(101, 1).tolist() == [50]
    assert frame_positions(1, 3).tolist() == [0, 0, 0]


def closed_gops(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(entry, before) of GOPs without B pictures."""
    entry = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
    return entry, np.arange(len(entry)) - entry


def pictures_to_decode(entry: np.ndarray, before: np.ndarray, chosen: np.ndarray) -> int:
    """Each GOP is decoded as far as its last chosen picture."""
    return sum(int(before[chosen][entry[chosen] == start].max()) + 1 for start in set(entry[chosen].tolist()))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.integers(1, 16))
def test_reachable_positions_lie_in_their_parts_and_decode_no_more(lengths: list[int], count: int) -> None:
    entry, before = closed_gops(lengths)
    total = len(entry)
    chosen, middle = reachable_positions(entry, before, count), frame_positions(total, count)
    if total <= count:
        assert chosen.tolist() == middle.tolist()
        return
    assert (np.diff(chosen) > 0).all()
    assert ((2 * chosen + 1) * count // (2 * total)).tolist() == list(range(count))
    assert pictures_to_decode(entry, before, chosen) <= pictures_to_decode(entry, before, middle)
    for i, position in enumerate(chosen):
        if position == middle[i]:
            continue
        keys = [p for p in range(total) if before[p] == 0 and (2 * p + 1) * count // (2 * total) == i]
        if keys:
            centre = (2 * i + 1) * total / (2 * count)
            assert position in keys
            assert abs(position + 0.5 - centre) == min(abs(key + 0.5 - centre) for key in keys)


def test_reachable_positions_by_hand() -> None:
    # Keyframes at 0, 40 and 50; parts of 25 pictures; 62 is passed on the way to 75.
    assert reachable_positions(*closed_gops([40, 10, 50]), 4).tolist() == [0, 40, 62, 75]
    # One GOP: what is passed on the way keeps its midpoint, the last part is reached soonest.
    assert reachable_positions(*closed_gops([100]), 4).tolist() == [12, 37, 62, 75]
    # A GOP of 12: never further than half a GOP from the midpoints.
    positions = reachable_positions(*closed_gops([12] * 10), 4)
    assert positions.tolist() == [12, 48, 72, 108]
    # IBBP in presentation order: P is decoded before the B pictures in front of it.
    entry, before = np.zeros(8, np.int64), np.array([0, 2, 3, 1, 5, 6, 4, 7])
    assert reachable_positions(entry, before, 2).tolist() == [2, 6]


@given(counts, st.integers(1, 40), st.integers(1, 12))
def test_windows_are_consecutive_and_within_the_clip(total: int, segments: int, length: int) -> None:
    windows = segment_windows(total, segments, length)
    assert windows.shape == (segments, length)
    assert windows.min() >= 0
    assert windows.max() <= total - 1
    assert (np.diff(windows[:, 0]) >= 0).all()
    step = np.diff(windows, axis=1)
    if total >= length:
        assert (step == 1).all()
    else:
        assert np.isin(step, (0, 1)).all()


@given(st.integers(1, 64), st.integers(1, 64), st.integers(0, 2**31))
def test_random_segments_stay_in_their_part(available: int, count: int, seed: int) -> None:
    drawn = choose_segments(available, count, np.random.default_rng(seed))
    assert (np.diff(drawn) >= 0).all()
    low, high = np.arange(count) * available / count, np.arange(1, count + 1) * available / count
    assert (drawn >= np.floor(low)).all()
    assert (drawn <= np.ceil(high)).all()
    assert drawn.max() < available


def test_fixed_segments_do_not_vary() -> None:
    assert choose_segments(16, 4).tolist() == [2, 6, 10, 14]
    assert choose_segments(16, 16).tolist() == list(range(16))


@pytest.mark.parametrize(
    "call",
    [
        lambda: frame_positions(0, 1),
        lambda: segment_windows(5, 0, 1),
        lambda: choose_segments(0, 1),
        lambda: reachable_positions(np.zeros(0, np.int64), np.zeros(0, np.int64), 1),
    ],
)
def test_counts_below_one_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        call()
