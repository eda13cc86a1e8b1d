"""Jobs on a cluster of two nodes: results, failures, lost and joining nodes."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.numpy import load_file

from moclip_lite.errors import MoclipError
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.parallel.cluster_worker import PACKAGES
from moclip_lite.storage.cache_keys import STAGES

from support.broken_files import text_file
from support.cli import FOLDER_YAML, TINY, TrainedRun, assert_ok, assert_refused, class_folders, moclip
from support.cluster_jobs import Job, write
from support.features import labelled_features

pytest.importorskip("ray", reason='Ray is not installed: pip install "moclip-lite[ray]"')

from support.ray_cluster import add_node, cluster


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
    """Outcomes by name; names are printed as jobs end, which is how commands print results."""
    outcomes = []
    for job, reason in runner.run(write, jobs, folder=folder):
        sys.stdout.write(f"{job.name}\n")
        outcomes.append((job.name, reason))
    assert len(outcomes) == len({name for name, _ in outcomes}) == len(jobs)
    return dict(outcomes)


def test_every_job_is_done_once(
    runner: Any, tmp_path: Path, notes: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.remote
    assert runner.processes == 2
    jobs = [Job(f"{number}", tmp_path) for number in range(100)]
    assert run(runner, jobs, tmp_path) == dict.fromkeys((job.name for job in jobs), None)
    assert {path.name for path in tmp_path.iterdir()} == {job.name for job in jobs}
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(job.name for job in jobs)
    assert any("1 cores" in note for note in notes)


def test_a_job_fails_alone(runner: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_job_whose_process_the_system_killed_is_done_again(runner: Any, tmp_path: Path) -> None:
    jobs = [Job(f"{number}", tmp_path, "killed once" if number == 7 else "") for number in range(20)]
    assert set(run(runner, jobs, tmp_path).values()) == {None}
    assert (tmp_path / "7").exists()


def test_an_error_of_all_jobs_ends_them(runner: Any, tmp_path: Path) -> None:
    jobs = [Job(f"{number}", tmp_path, "stop all" if number == 5 else "slow") for number in range(200)]
    with pytest.raises(MoclipError, match="the disk is full"):
        run(runner, jobs, tmp_path)
    assert sum(path.suffix == "" for path in tmp_path.iterdir()) < 150


def test_nodes_leave_and_join(running: Any, runner: Any, tmp_path: Path, notes: list[str]) -> None:
    jobs = [Job(f"{number}", tmp_path, "slow") for number in range(120)]
    outcomes = []
    for outcome in runner.run(write, jobs, folder=tmp_path):
        outcomes.append(outcome)
        if len(outcomes) == 10:
            running.remove_node(sorted(running.worker_nodes, key=id)[0], allow_graceful=False)
            add_node(running, 1)
    assert sorted(job.name for job, _ in outcomes) == sorted(job.name for job in jobs)
    assert {reason for _, reason in outcomes} == {None}
    assert {path.name for path in tmp_path.iterdir() if not path.suffix} == {job.name for job in jobs}
    assert any("is lost; its jobs are done elsewhere" in note for note in notes)


def test_nodes_of_other_code_are_left_out(
    runner: Any, tmp_path: Path, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from moclip_lite.parallel import cluster_crew
    from moclip_lite.parallel.cluster_worker import code_versions

    other = {**code_versions(), "av": "1.2.3"}
    monkeypatch.setattr(cluster_crew, "code_versions", lambda: other)
    with pytest.raises(
        MoclipError, match=r"no node of the cluster can help: node .*: it has av .* \(here 1\.2\.3\)"
    ):
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
    with pytest.raises(MoclipError, match=r"it does not see .*not-there, which must be on shared storage"):
        run(runner, [Job("a", tmp_path)], tmp_path)


def entries_of(root: Path) -> dict[str, dict[str, bytes]]:
    """Arrays of the cache's entries of features."""
    return {
        path.relative_to(root).as_posix(): {name: array.tobytes() for name, array in load_file(path).items()}
        for stage in ("motion", "clip")
        for path in (root / stage).rglob("*.safetensors")
    }


def test_extraction_gives_the_bits_of_local_processes(running: Any, tmp_path: Path, notes: list[str]) -> None:
    from moclip_lite.experiment.config import load_experiment
    from moclip_lite.experiment.session import Session

    class_folders(tmp_path / "clips", per_class=3)
    text_file(tmp_path / "clips" / "left").rename(tmp_path / "clips" / "left" / "broken.mp4")
    caches, failures = [], []
    for engine in ("local", "ray"):
        caches.append(tmp_path / engine)
        given = [f"data.root={tmp_path / 'clips'}", f"cache.dir={caches[-1]}", f"run.engine={engine}"]
        given += [f"run.ray_address={running.address}"] if engine == "ray" else []
        given += ["clip.positions=motion", "run.threads=1", "run.workers=0"]
        session = Session(load_experiment(FOLDER_YAML, [*TINY, *given]))
        clips = session.dataset.clips
        reports = [session.extractor.motion(clips), session.extractor.appearance(clips)]
        failures.append(
            [[(failure.name, failure.reason) for failure in report.failures] for report in reports]
        )
        assert [report.made for report in reports] == [len(clips) - 1, len(clips) - 1]
    assert failures[0] == failures[1]
    local, remote = map(entries_of, caches)
    assert len(local) == 2 * (len(clips) - 1)
    assert local == remote


def test_a_grid_on_a_cluster(running: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_features(tmp_path / "f.safetensors", *labelled_features()[:3])
    settings = [
        f"data.root={tmp_path / 'f.safetensors'}",
        "data.kind=features",
        "data.protocol=official",
        f"cache.dir={tmp_path / 'c'}",
        "run.streams=[fusion]",
        "train_head.epochs=2",
        "run.engine=ray",
        f"run.ray_address={running.address}",
    ]
    path = tmp_path / "g.yaml"
    values = {"set": settings, "grid": {"fusion.head": ["late_average", "concat_mlp"]}, "seeds": [0]}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    outcome = assert_ok(moclip("ablate", path, "--out", "out", "--json"))
    rows = json.loads(outcome.out)
    assert {row["fusion.head"] for row in rows} == {"late_average", "concat_mlp"}
    assert "2 runs in 2 process(es)" in outcome.err
    assert len(list((tmp_path / "out").rglob("metrics.json"))) == 2
    # Not on the nodes.
    monkeypatch.setattr("moclip_lite.experiment.session.Session.fingerprint", "of other features")
    refused = assert_refused(moclip("ablate", path, "--out", "other"), "the data, features or weights on")
    assert "are others than here; put them on storage that all nodes see" in refused


def test_nodes_prepare_a_data_set(running: Any, tmp_path: Path) -> None:
    class_folders(tmp_path / "originals", per_class=2, frames=6)
    words = ("dataset", "prepare", "folder", "--root", tmp_path / "originals", "--json")
    engine = ("--engine", "ray", "--ray-address", running.address)
    made = json.loads(assert_ok(moclip(*words, "--out", tmp_path / "ray", *engine)).out)
    here = json.loads(assert_ok(moclip(*words, "--out", tmp_path / "local", "--workers", 1)).out)
    same = ("recipe", "made", "kept", "frames", "failures")
    assert [made[name] for name in same] == [here[name] for name in same]
    names = [{p.relative_to(tmp_path / e) for p in (tmp_path / e).rglob("*.mp4")} for e in ("ray", "local")]
    assert names[0] == names[1]
    again = json.loads(assert_ok(moclip(*words, "--out", tmp_path / "ray", *engine)).out)
    assert (again["made"], again["kept"]) == (0, made["made"])


def test_nodes_label_files_as_this_machine_does(running: Any, trained: TrainedRun, tmp_path: Path) -> None:
    clips = sorted(trained.data.rglob("*.mp4"))[:3]
    broken = text_file(tmp_path)
    words = (
        "predict",
        *clips,
        broken,
        "--model",
        trained.folder,
        "--set",
        f"cache.dir={trained.cache}",
        "--json",
    )
    answers = []
    for more in ((), ("--ray-address", running.address)):
        outcome = moclip(*words, *more)
        assert outcome.code == 2
        (refusal,) = [line for line in outcome.err.splitlines() if line.startswith("moclip: ")]
        assert refusal.startswith(f"moclip: {broken}: not a video file that can be opened")
        rows = json.loads(outcome.out)
        answers.append([{k: v for k, v in row.items() if "seconds" not in k} for row in rows])
    assert [row["path"] for row in answers[0]] == [str(clip) for clip in clips]
    assert answers[0] == answers[1]


def test_the_cluster_that_was_named_is_joined_whatever_the_process_belongs_to(running: Any) -> None:
    import ray

    from moclip_lite.parallel.runner import make_runner

    def runner(address: str | None) -> Any:
        return make_runner("ray", 0, address, print)

    port = running.address.rpartition(":")[2]
    runner(running.address)
    with pytest.raises(MoclipError, match=r"no Ray head answers at 127\.0\.0\.1:1 "):
        runner("127.0.0.1:1")
    ray.init(address=running.address)
    try:
        assert runner(None).processes == runner(f"127.0.0.1:{port}").processes == 2
        for other in ("127.0.0.1:1", f"no-such-host.invalid:{port}", "x"):
            with pytest.raises(MoclipError, match=f"belongs to the cluster at {running.address}, .* {other}"):
                runner(other)
    finally:
        ray.shutdown()


def test_nodes_tell_the_versions_of_all_packages_that_decide_a_result() -> None:
    assert {name for stage in STAGES.values() for name in stage.packages} <= set(PACKAGES)


def test_a_loopback_address_is_the_head_of_this_machine_alone() -> None:
    from moclip_lite.parallel.cluster import _same_head

    assert _same_head("127.0.0.1:6379", "127.0.0.1:6379")
    for asked in ("127.0.0.1:6379", "localhost:6379", "203.0.113.8:6379", "127.0.0.1:1"):
        assert not _same_head(asked, "203.0.113.7:6379")


def test_commands_name_the_cluster_that_is_missing(tmp_path: Path) -> None:
    class_folders(tmp_path / "clips", per_class=1)
    model = ("--model", "mobileviclip-tiny", "--pretrained", "none")
    index = ("index", *model, "--out", tmp_path / "i.safetensors")
    for command in (("extract", "motion"), ("extract", "clip"), ("run",), index):
        outcome = moclip(*command, tmp_path / "clips", "--engine", "ray", "--ray-address", "127.0.0.1:1")
        assert_refused(outcome, "no Ray head answers at 127.0.0.1:1")
    words = ("--root", tmp_path / "clips", "--out", tmp_path / "out", "--engine", "ray")
    assert_refused(moclip("dataset", "prepare", "folder", *words, "--ray-address", "x"), "HOST:PORT")
    assert_refused(moclip("dataset", "prepare", "folder", *words[:-1], "slurm"), "--engine")
