"""Times of live sources: one clock over gaps, jumps and missing time stamps, and how late pictures are."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from mv_tools import MotionFrame, open_live
from mv_tools.live.clock import SourceClock
from mv_tools.live.lag import Lag
from mv_tools.live.waits import Wait, Waits

from support.clips import H264, WITH_B, encode, encode_at, panning


def test_the_clock_goes_on() -> None:
    clock = SourceClock(real_time=True, lossy=True)
    times = [clock.seconds(100 + i / 25, i / 25)[0] for i in range(50)]
    assert times[:2] == pytest.approx([0.0, 0.04])
    back, jump = clock.seconds(3.0, 2.0)  # the camera's clock was set
    assert (back, jump) == (pytest.approx(2.0), "time stamps jump back by 99.0 s")
    assert clock.seconds(3.04, 2.04) == (pytest.approx(2.04), "")
    assert clock.seconds(3.44, 2.44)[1] == "no picture for 0.40 s"
    assert clock.seconds(3.40, 2.45) == (pytest.approx(2.40), "")  # reordered pictures are no jump
    clock.reconnect()
    assert clock.seconds(500.0, 10.0) == (pytest.approx(10.0), "")
    assert clock.seconds(None, 10.04) == (pytest.approx(10.04), "")
    live = SourceClock(real_time=True)
    for i in range(20):
        live.seconds(i / 25, i / 25)
    assert live.seconds(5.0, 0.8) == (pytest.approx(0.8), "time stamps jump forward by 4.2 s")
    assert live.seconds(9.0, 4.8)[0] == pytest.approx(4.8)  # the source was silent
    forward, jump = clock.seconds(900.0, 11.0)
    assert (forward, jump) == (pytest.approx(11.0, abs=0.1), "time stamps jump forward by 400.0 s")


@pytest.mark.parametrize("slower", [2, 5, 8, 12.5])
def test_a_lower_frame_rate_is_learned(slower: float) -> None:
    """As of cameras in the dark: one loss at most, at the change."""
    clock = SourceClock(lossy=True)
    for i in range(50):
        clock.seconds(i / 25, i / 25)
    jumps = [clock.seconds(time, time)[1] for time in (2 + i * slower / 25 for i in range(1, 40))]
    assert sum(map(bool, jumps)) == (slower > 4.5)
    assert not any(jumps[1:])


def test_single_gaps_are_losses_each_time() -> None:
    clock, time, losses = SourceClock(lossy=True), 0.0, 0
    for i in range(400):
        time += 10 / 25 if i % 40 == 39 else 1 / 25
        losses += bool(clock.seconds(time, time)[1])
    assert losses == 10


def test_a_gap_in_a_recording_is_time_and_no_loss() -> None:
    """As of a recorder that was paused, and of a time lapse."""
    clock = SourceClock()
    stamps = [i / 25 for i in range(50)] + [2 + 7.5, 2 + 7.54, 300.0, 300.04]
    given = [clock.seconds(stamp, 0.0) for stamp in stamps]
    assert [time for time, _ in given] == pytest.approx(stamps)
    assert not any(jump for _, jump in given)


def test_reordered_pictures_are_no_gap_where_decoding_times_are_known() -> None:
    """Groups of 1 and of 16 B pictures: presentation times of the ones that are decoded first leap ahead."""
    clock, number, jumps = SourceClock(real_time=True, lossy=True), 0, list[str]()
    for b_pictures in [0] * 30 + [16] * 3:
        start = number
        for shown in [b_pictures, *range(b_pictures)]:
            decoded = number / 25
            jumps.append(clock.seconds((start + shown) / 25, decoded, decoded - 0.04)[1])
            number += 1
    assert not any(jumps)
    decoded = number / 25 + 1.0
    assert clock.seconds(decoded, decoded, decoded)[1] == "no picture for 1.08 s"


@pytest.mark.parametrize(("rate", "back"), [(25, 0.1), (10, 1.6), (5, 3.0), (2, 8.0)])
def test_decoding_times_that_go_back_are_a_jump(rate: int, back: float) -> None:
    """Presentation times go back by up to 16 pictures, decoding times by none."""
    clock = SourceClock(real_time=True, lossy=True)
    for i in range(50):
        assert clock.seconds(i / rate, i / rate, i / rate + 0.002 * (i % 2))[1] == ""  # rounded
    stamp = 50 / rate - back
    time, jump = clock.seconds(stamp, 50 / rate, stamp)
    assert jump.startswith("time stamps jump back")
    assert time == pytest.approx(50 / rate)


def test_pictures_of_slow_cameras_that_come_together_are_no_jump() -> None:
    clock = SourceClock(real_time=True, lossy=True)
    arrived = [1.1 * (i + (i % 20 == 10)) for i in range(60)]  # one of twenty is held up until the next one
    given = [clock.seconds(1.1 * i, at, 1.1 * i) for i, at in enumerate(arrived)]
    assert not any(jump for _, jump in given)


def test_the_first_time_stamp_continues_pictures_without() -> None:
    """As RTP's after the first sender report: no jump."""
    clock = SourceClock(real_time=True, lossy=True)
    given = [clock.seconds(stamp, i / 25) for i, stamp in enumerate([None, 37.2, 37.24, 37.28])]
    assert [time for time, _ in given] == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert not any(jump for _, jump in given)
    clock = SourceClock(real_time=True, lossy=True)  # counted from the first picture, with reordered ones
    clock.reconnect(0.04)
    times = [clock.seconds(stamp, i / 25)[0] for i, stamp in enumerate([None, 0.12, 0.04, 0.08, 0.16])]
    assert times == pytest.approx([0.0, 0.12, 0.04, 0.08, 0.16])


@pytest.mark.parametrize("rate", [10, 25, 50])
def test_pictures_without_time_stamps_follow_their_arrival(rate: int) -> None:
    """Though 25 a second are stated; in groups of three, as they are read."""
    clock, times = SourceClock(real_time=True), list[float]()
    clock.reconnect(1 / 25)
    for i in range(40 * rate):
        times.append(clock.seconds(None, (i + 2 - (i + 2) % 3) / rate, waited=i % 3 == 1)[0])
    assert times[-1] == pytest.approx(40.0, abs=0.3)
    assert all(0 < b - a < 2.5 / rate for a, b in pairwise(times[-5 * rate :]))


def test_a_slow_reader_does_not_slow_pictures_without_time_stamps_down() -> None:
    """Work of 0.06 s with each picture, 25 a second: the reader falls behind, the clock of the source does not."""
    clock, waits, now, done, had = SourceClock(real_time=True), Waits(), 0.0, 0.0, 0.0
    clock.reconnect(1 / 25)
    for i in range(1500):
        asked, now = now, max(now, i / 25)
        wait = waits.add(now - asked, done - had, clock.usual_step)
        time, _ = clock.seconds(None, now, waited=wait.sure)
        had, now = now, now + (0.06 if i >= 250 else 0.0)
        done = now
    assert now > 84.0
    assert time == pytest.approx(1499 / 25, abs=0.2)


def test_pictures_without_time_stamps_are_never_shown_behind_their_arrival() -> None:
    """Though 25 a second are stated of 50, and none of them is waited for later on."""
    clock = SourceClock(real_time=True)
    clock.reconnect(1 / 25)
    times = [clock.seconds(None, i / 50, waited=i < 50)[0] for i in range(2000)]
    assert times[-1] == pytest.approx(40.0, abs=0.5)


def test_pictures_without_time_stamps_of_a_recording_have_the_stated_rate() -> None:
    clock = SourceClock()
    clock.reconnect(1 / 50)
    assert [clock.seconds(None, 0.0)[0] for _ in range(3)] == pytest.approx([0.0, 0.02, 0.04])


@pytest.mark.parametrize(
    ("name", "codec", "rate", "options"),
    [
        ("x.h264", "libx264", 50, H264 | {"bf": "2"}),
        ("x.h264", "libx264", 10, H264),
        ("x.hevc", "libx265", 50, {"x265-params": "bframes=2:pools=none:log-level=none"}),
    ],
)
def test_a_stream_without_time_stamps_has_those_of_its_frame_rate(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    codec: str,
    rate: int,
    options: dict[str, str],
) -> None:
    path = encode(tmp_path / name, panning(40), codec, rate, **options)
    with open_live(str(path), timeout=0.1) as source:
        times = [frame.pts_seconds for frame in source if isinstance(frame, MotionFrame)]
    assert times == pytest.approx([i / rate for i in range(40)])  # in ascending order
    assert f"taken as {rate} a second" in caplog.text


def test_pictures_before_the_first_keyframe_take_their_time(shared: Path) -> None:
    with open_live(shared / "videos/faults/midstream.264", timeout=0.1) as source:
        first = next(iter(source))
    assert first.pts_seconds == pytest.approx(0.96)
    assert first.index == 0


def test_a_container_with_decoding_times_only(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.avi", panning(40), **WITH_B)
    with open_live(str(path), timeout=0.1) as source:
        times = [frame.pts_seconds for frame in source if isinstance(frame, MotionFrame)]
    assert times == pytest.approx([i / 25 for i in range(40)])


def test_a_recording_with_gaps_loses_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    times = [i / 25 + 3 * (i // 20) for i in range(60)]
    path = encode_at(tmp_path / "x.mp4", panning(60), times, **WITH_B)
    with open_live(str(path), timeout=0.1) as source:
        live = [frame.pts_seconds for frame in source if isinstance(frame, MotionFrame)]
    assert live == pytest.approx(times)
    assert source.statistics.losses == 0
    assert caplog.text == ""


def test_lag_is_measured_against_the_fastest() -> None:
    lag = Lag()
    for i in range(100):
        lag.add(i / 10, 50 + i / 10)
    assert lag.of(9.9, 59.9 + 1.5) == pytest.approx(1.5)
    for i in range(100, 36_000):  # reading falls behind slowly: packets are there when they are asked for
        lag.add(i / 10 * (1 - 2e-4), 50 + i / 10)
    assert lag.behind(3599.9 * (1 - 2e-4), 50 + 3599.9) == pytest.approx(0.72, abs=0.01)


def test_a_delay_that_stays_is_no_lag() -> None:
    """A source that stands still for 4.5 s and goes on: each packet has to be waited for."""
    lag, waits = Lag(), Waits()
    for i in range(50):
        lag.add(i / 10, 50 + i / 10, waits.add(0.1, 0.0, 0.1), step=0.1)
    late = [54.5 + i / 10 for i in range(50, 70)]
    for i, arrived in enumerate(late):
        lag.add(5 + i / 10, arrived, waits.add(0.1 if i else 4.6, 0.0, 0.1), step=0.1)
        assert lag.behind(5 + i / 10, arrived) == 0.0
        assert (lag.of(5 + i / 10, arrived) < 0.1) == (i >= 7)  # single ones may be late
    lag.add(7.0, 66.5 + 3)  # was there already: this process is late
    assert lag.behind(7.0, 66.5 + 3) == pytest.approx(8.0, abs=0.1)


def test_a_camera_whose_clock_is_slow_never_lags() -> None:
    lag, waits, rate = Lag(), Waits(0.2), 1 - 1e-3
    for i in range(36_000):
        wait = waits.add(0.1 if i % 3 == 0 else 0.0, 0.01, 0.1)
        lag.add(i / 10 * rate, i / 10, wait, step=0.1)
        assert lag.of(i / 10 * rate, i / 10) < 0.1


def overloaded(lag: Lag, waits: Waits, held_up: float, *, seconds: float = 300.0) -> float:
    """Read 25 pictures a second with work of 0.3 s for each 0.2 s, unless reading is 2 s behind.

    Args:
        held_up: share of the packets that are there and are had 9 ms later, because of other threads.

    Returns:
        Seconds by which reading is behind in truth.
    """
    rng, now, done, had = random.Random(1), 0.0, 0.0, 0.0
    for i in range(round(seconds * 25)):
        time, asked = i / 25, now
        now = max(now + (0.009 if now >= time and rng.random() < held_up else 0.0), time)
        lag.add(time, now, waits.add(now - asked, done - had, 1 / 25), step=1 / 25)
        had = now
        if i % 5 == 0 and lag.behind(time, now) < 2.0:
            now += 0.3
        done = now
    return now - time


@pytest.mark.parametrize("held_up", [0.0, 0.1, 0.3, 0.9])
def test_packets_that_other_threads_hold_up_hide_no_lag(held_up: float) -> None:
    """A packet that is there takes a while where other threads are busy: that is no proof of having caught up."""
    lag = Lag()
    assert overloaded(lag, Waits(), held_up) < 3.0


def test_only_packets_waited_for_in_a_row_prove_that_reading_has_caught_up() -> None:
    waits = Waits(pause=0.1)
    assert [waits.add(0.02, 0.0, 0.04).row for _ in range(3)] == [1, 2, 3]
    assert [waits.add(0.0, 0.0, 0.04).row for _ in range(6)] == [3] * 6  # came within the pause
    assert waits.add(0.0, 0.0, 0.04).row == 0
    assert not any(waits.add(0.02, 0.0, 0.04).sure for _ in range(7))
    assert waits.add(0.02, 0.0, 0.04).sure
    assert not waits.add(0.02, 0.3, 0.04).sure  # much work came before: packets must have been there
    assert waits.add(4.5, 0.0, 0.04).sure


def test_a_long_wait_hides_lag_for_a_while_only() -> None:
    """As of a stall, behind which reading never catches up."""
    lag = Lag()
    lag.add(0.0, 0.0)
    lag.add(0.04, 5.04, Wait(5.0, 1))
    assert lag.behind(0.04, 5.04) == 0.0
    for i in range(2, 2500):
        lag.add(i / 25, i / 25 + 5.0)
    assert lag.behind(2499 / 25, 2499 / 25 + 5.0) == pytest.approx(5.0)


def test_fast_cameras_are_waited_for_less() -> None:
    assert Waits().add(0.003, 0.0, 1 / 125).seconds
    assert not Waits().add(0.003, 0.0, 1 / 25).seconds


def test_a_delay_belongs_to_the_pictures_from_which_on_it_appeared() -> None:
    lag, waits = Lag(), Waits()
    for i in range(100):
        late = 4.5 if i >= 50 else 0.0
        lag.add(i / 10, 50 + i / 10 + late, waits.add(4.6 if i == 50 else 0.1, 0.0, 0.1), step=0.1)
    assert [lag.shown_at(seconds) for seconds in (0.0, 4.9, 5.0, 9.9)] == pytest.approx(
        [50.0, 54.9, 59.5, 64.4], abs=0.05
    )
    lag.restart()
    lag.add(20.0, 90.0)
    assert lag.shown_at(4.0) == pytest.approx(54.0, abs=0.05)
    assert lag.shown_at(20.0) == pytest.approx(90.0)


def test_another_connection_has_another_delay() -> None:
    lag = Lag()
    lag.add(0.0, 50.0)
    lag.restart()
    assert lag.behind(1.0, 90.0) == 0.0
    lag.add(1.0, 60.0)
    assert lag.of(1.0, 60.5) == pytest.approx(0.5)
