"""Jobs on a cluster of two nodes: results, failures, lost and joining nodes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moclip_lite.errors import MoclipError

from support.cluster_jobs import Job, write

pytest.importorskip("ray", reason='Ray is not installed: pip install "moclip-lite[ray]"')

from support.ray_cluster import cluster, node_options


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    with cluster(nodes=2) as found:
        yield found


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def runner(running: Any, notes: list[str]) -> Any:
    from moclip_lite.parallel.runner import make_runner

    return make_runner("ray", 0, running.address, notes.append)


def run(runner: Any, jobs: list[Job], folder: Path) -> dict[str, str | None]:
    outcomes = [(job.name, reason) for job, reason in runner.run(write, jobs, folder=folder)]
    assert len(outcomes) == len({name for name, _ in outcomes}) == len(jobs)
    return dict(outcomes)


def test_every_job_is_done_once(runner: Any, tmp_path: Path, notes: list[str]) -> None:
    assert runner.remote
    assert runner.processes == 2
    jobs = [Job(f"{number}", tmp_path) for number in range(100)]
    assert run(runner, jobs, tmp_path) == dict.fromkeys((job.name for job in jobs), None)
    assert {path.name for path in tmp_path.iterdir()} == {job.name for job in jobs}
    assert any("1 cores" in note for note in notes)


def test_a_job_fails_alone(
    runner: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = {"f": "fail", "b": "bug", "x": "exit"}
    jobs = [Job(f"{number}", tmp_path) for number in range(40)]
    jobs[20:20] = [Job(name, tmp_path, what) for name, what in kinds.items()]
    jobs.append(Job("m", tmp_path, path=tmp_path / "absent.mp4"))
    with caplog.at_level(logging.ERROR, logger="moclip.bugs"):
        outcomes = run(runner, jobs, tmp_path)
    assert outcomes.pop("f") == "asked to fail"
    assert outcomes.pop("m") == "the file is missing"
    assert "RuntimeError: unexpected" in str(outcomes.pop("b"))
    assert "ended the process" in str(outcomes.pop("x"))
    assert set(outcomes.values()) == {None}
    assert [record.args for record in caplog.records] == [("b",)]


def test_an_error_of_all_jobs_ends_them(runner: Any, tmp_path: Path) -> None:
    jobs = [Job(f"{number}", tmp_path, "stop all" if number == 5 else "slow") for number in range(200)]
    with pytest.raises(MoclipError, match="the disk is full"):
        run(runner, jobs, tmp_path)
    assert sum(path.suffix == "" for path in tmp_path.iterdir()) < 150


def test_nodes_leave_and_join(running: Any, runner: Any, tmp_path: Path, notes: list[str]) -> None:
    def change() -> None:
        while len(list(tmp_path.iterdir())) < 10:
            time.sleep(0.05)
        running.remove_node(sorted(running.worker_nodes, key=id)[0], allow_graceful=False)
        running.add_node(**node_options(1))

    jobs = [Job(f"{number}", tmp_path, "slow") for number in range(120)]
    changing = threading.Thread(target=change)
    changing.start()
    try:
        assert set(run(runner, jobs, tmp_path).values()) == {None}
    finally:
        changing.join()
    assert {path.name for path in tmp_path.iterdir() if not path.suffix} == {job.name for job in jobs}
    assert any("is lost; its jobs are done elsewhere" in note for note in notes)


def test_nodes_of_other_code_are_left_out(
    runner: Any, tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from moclip_lite.parallel import cluster_crew
    from moclip_lite.parallel.cluster_worker import code_versions

    other = {**code_versions(), "av": "1.2.3"}
    monkeypatch.setattr(cluster_crew, "code_versions", lambda: other)
    with pytest.raises(MoclipError, match=r"no node of the cluster can help: node .*: it has av .* \(here 1\.2\.3\)"):
        run(runner, [Job("a", tmp_path)], tmp_path)
    assert any("is left out" in note for note in notes)


def test_nodes_that_do_not_see_the_folder_are_left_out(
    runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import contextmanager

    from moclip_lite.parallel import cluster as module

    @contextmanager
    def elsewhere(folder: Path) -> Iterator[Path]:
        yield folder / "not-there" / "token"

    monkeypatch.setattr(module, "_token", elsewhere)
    with pytest.raises(MoclipError, match="it does not see .*not-there, which must be on shared storage"):
        run(runner, [Job("a", tmp_path)], tmp_path)
