"""Chunks of jobs, and which jobs are given up."""

from __future__ import annotations

from pathlib import Path

import pytest

from moclip_lite.errors import MoclipError
from moclip_lite.parallel.cluster_queue import JobQueue
from moclip_lite.parallel.cluster_worker import ClusterWorker
from moclip_lite.parallel.runner import LocalRunner, make_runner, runner_of

from support.cluster_jobs import Job, write


@pytest.mark.parametrize("count", [0, 1, 7, 100, 5000])
@pytest.mark.parametrize("workers", [0, 1, 4, 1000])
def test_chunks_cover_all_jobs_once(count: int, workers: int) -> None:
    queue, taken = JobQueue(count, workers), []
    while queue:
        chunk = queue.take()
        assert 0 < len(chunk) <= 64
        taken += chunk
        queue.learn(len(chunk), 0.001)
    assert taken == list(range(count))


def test_chunks_are_as_long_as_jobs_are_short() -> None:
    queue = JobQueue(10_000, 2)
    assert queue.take() == [0]
    for seconds, size in ((0.01, 25), (10.0, 1), (1e-9, 64)):
        queue.learn(1, seconds)
        assert len(queue.take()) == size


def test_jobs_of_a_dead_process_are_tried_alone_and_given_up_at_the_second_time() -> None:
    queue = JobQueue(3, 1)
    first = [queue.take() for _ in range(3)]
    assert queue.died([number for chunk in first for number in chunk]) == []
    alone = [queue.take() for _ in range(3)]
    assert sorted(alone) == [[0], [1], [2]]
    assert queue.died([1]) == []
    assert queue.take() == [1]
    assert queue.died([1]) == [1]
    assert not queue


@pytest.mark.parametrize("address", ["nowhere", "ray://10.0.0.1:10001", "127.0.0.1:x", ":"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(MoclipError, match="HOST:PORT"):
        make_runner("ray", 0, address, print)


def test_a_url_is_left_to_the_work_itself(tmp_path: Path) -> None:
    worker, jobs = ClusterWorker(), [Job("a", tmp_path, path=Path("s3:/bucket/a.mp4"))]
    assert worker.run(write, jobs)[0] == [("done", "the file is missing")]
    assert worker.run(write, [Job("b", tmp_path, path=tmp_path / "b.mp4")])[0][0][0] == "unseen"


def test_no_head_is_one_sentence() -> None:
    pytest.importorskip("ray")
    with pytest.raises(MoclipError, match=r"no Ray head answers at 127\.0\.0\.1:1 "):
        make_runner("ray", 0, "127.0.0.1:1", print)


def test_local_runners() -> None:
    assert runner_of(3) == LocalRunner(3)
    assert make_runner("local", 2, None, print) == LocalRunner(2)
    runner = make_runner("local", 0, None, print)
    assert runner_of(runner) is runner
    assert not runner.remote
