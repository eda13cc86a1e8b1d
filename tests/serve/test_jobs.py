"""Jobs: queue, bounds, cancelling, crashes, time-outs, what is kept and for how long."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from moclip_lite.serve.child.__main__ import Channel

from support.serving import STUB, Serving, serving, stub_command
from support.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("serve"), queue=3, per_client=2) as running:
        yield running


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One that gives a video two seconds."""
    with serving(tmp_path_factory.mktemp("hasty"), time_limit=2) as running:
        yield running


@pytest.fixture(autouse=True)
def _idle(server: Serving) -> Iterator[None]:
    """No job is left in work for the next test."""
    yield
    until(lambda: "moclip_jobs_waiting 0" in metrics(server) and "moclip_jobs_running 0" in metrics(server))


def metrics(server: Serving) -> str:
    return server.client.get("/metrics").text


def submit(server: Serving, word: str, name: str = "clip.mp4") -> httpx.Response:
    return server.client.post("/api/jobs", files={"file": (name, word.encode())})


def test_a_job_from_upload_to_download(server: Serving) -> None:
    created = submit(server, "fine", "my clip.mp4")
    assert created.status_code == 202
    job = created.json()["id"]
    assert created.headers["location"] == f"/api/jobs/{job}"
    status = server.wait(job)
    assert (status["state"], status["name"], status["error"]) == ("done", "my clip.mp4", None)
    assert server.client.get(status["links"]["result"]).json()["path"] == "my clip.mp4"
    for kind in ("csv", "json", "vtt"):
        answer = server.client.get(status["links"][kind])
        assert answer.text == f"a timeline as {kind}\n"
        assert "my%20clip." + kind in answer.headers["content-disposition"]
        assert "attachment" in answer.headers["content-disposition"]
    assert "video" not in status["links"]
    assert not [name for name in server.left() if "upload" in name]  # removed once it is analysed
    assert server.client.delete(f"/api/jobs/{job}").status_code == 204
    assert server.client.get(f"/api/jobs/{job}").status_code == 404
    assert server.left() == []


ENDS = {
    "bad": (422, "clip.mp4: not a video file that can be opened"),
    "long": (413, "the video is 2 hours long"),
    "crash": (422, "crashed"),
    "noise": (422, "crashed"),
    "flood": (422, "crashed"),
    "bug": (500, "a bug in this program"),
}


@pytest.mark.parametrize("word", ENDS)
def test_whatever_a_video_does_the_server_goes_on(word: str, server: Serving) -> None:
    code, sentence = ENDS[word]
    predicted = server.client.post("/api/predict", params={"name": "clip.mp4"}, content=word.encode())
    assert predicted.status_code == code
    assert sentence in predicted.json()["error"]
    assert server.wait(submit(server, word).json()["id"])["state"] == "failed"
    assert server.client.post("/api/predict", content=b"fine").status_code == 200
    assert not [name for name in server.left() if "upload" in name]


@pytest.mark.slow
def test_a_video_that_takes_too_long(hasty: Serving) -> None:
    predicted = hasty.client.post("/api/predict", params={"name": "clip.mp4"}, content=b"hang")
    assert predicted.status_code == 422
    assert "took longer than 2 s" in predicted.json()["error"]
    assert hasty.client.post("/api/predict", content=b"fine").status_code == 200
    assert not [name for name in hasty.left() if "upload" in name]


def test_a_result_before_its_time(tmp_path: Path) -> None:
    with serving(tmp_path) as busy:
        job = submit(busy, "hold").json()["id"]
        answer = busy.client.get(f"/api/jobs/{job}/result")
        assert answer.status_code == 409
        assert answer.headers["retry-after"]
        busy.release()
        assert busy.wait(job)["state"] == "done"


def test_temporary_files_of_the_process_end_with_it(server: Serving) -> None:
    """It may be ended while it writes a copy of a video."""
    job = submit(server, "hang").json()["id"]
    until(lambda: server.scratch.exists() and list(server.scratch.iterdir()))
    assert server.client.delete(f"/api/jobs/{job}").status_code == 204
    until(lambda: not server.scratch.exists())
    assert server.wait(submit(server, "fine").json()["id"])["state"] == "done"


def test_cancelling_ends_the_process(server: Serving) -> None:
    job = submit(server, "hang").json()["id"]
    until(lambda: server.client.get(f"/api/jobs/{job}").json()["stage"] == "predict")
    process = server.worker._process
    assert process is not None
    assert server.client.delete(f"/api/jobs/{job}").status_code == 204
    until(lambda: process.returncode is not None)
    until(lambda: not [name for name in server.left() if "upload" in name])
    assert server.wait(submit(server, "fine").json()["id"])["state"] == "done"


def test_bounds_of_a_client(tmp_path: Path) -> None:
    with serving(tmp_path, queue=3, per_client=2) as busy:
        jobs = [submit(busy, "hold").json()["id"] for _ in range(2)]
        third = submit(busy, "fine")
        assert third.status_code == 429
        assert "2 videos" in third.json()["error"]
        assert int(third.headers["retry-after"]) > 0
        busy.release()
        assert [busy.wait(job)["state"] for job in jobs] == ["done", "done"]
        assert submit(busy, "fine").status_code == 202


def test_a_full_queue(tmp_path: Path) -> None:
    with serving(tmp_path, queue=1, per_client=5) as small:
        job = submit(small, "hold").json()["id"]
        refused = submit(small, "fine")
        assert refused.status_code == 503
        assert "queue" in refused.json()["error"]
        assert refused.headers["retry-after"]
        small.release()
        assert small.wait(job)["state"] == "done"
        assert submit(small, "fine").status_code == 202


def test_two_uploads_at_once(server: Serving) -> None:
    answers: list[httpx.Response] = []
    words = (b"fine one", b"fine two")

    def ask(word: bytes) -> None:
        answers.append(server.client.post("/api/predict", params={"name": word.decode()}, content=word))

    threads = [threading.Thread(target=ask, args=(word,)) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.json()["path"] for answer in answers) == ["fine one", "fine two"]
    assert all(len(answer.json()["notes"]) == 1 for answer in answers)  # each folder held one upload


@pytest.mark.slow
def test_results_are_removed_when_nobody_asks(tmp_path: Path) -> None:
    with serving(tmp_path, keep=0.5, results=2) as small:
        first = submit(small, "fine").json()["id"]
        until(lambda: small.left() == [])  # asking for the job would keep it
        assert small.client.get(f"/api/jobs/{first}").status_code == 404


@pytest.mark.slow
def test_only_so_many_results_are_kept(tmp_path: Path) -> None:
    with serving(tmp_path, results=2) as small:
        jobs = [submit(small, "fine").json()["id"] for _ in range(4)]
        small.wait(jobs[-1])  # older ones may be removed already
        until(lambda: sum("/" not in name for name in small.left()) == 2)


@pytest.mark.parametrize("path", ["", "/result", "/video", "/timeline.csv", "/vectors/0"])
def test_unknown_jobs(path: str, server: Serving) -> None:
    for name in ("x", "..", "%2e%2e%2fetc", "a" * 5000):
        assert server.client.get(f"/api/jobs/{name}{path}").status_code in (404, 405, 400)


def test_other_files_of_a_result_cannot_be_named(server: Serving) -> None:
    job = submit(server, "fine").json()["id"]
    server.wait(job)
    for path in ("timeline.txt", "vectors/-1", "vectors/x", "vectors/99999999999999999999", "lock", "video"):
        assert server.client.get(f"/api/jobs/{job}/{path}").status_code in (404, 422), path


def test_a_cancelled_job_is_no_analysis_that_took_its_time(tmp_path: Path) -> None:
    """Their seconds would move the quantiles of those that came to an end."""
    with serving(tmp_path) as running:
        job = submit(running, "hang").json()["id"]
        until(lambda: "moclip_jobs_running 1" in metrics(running))
        assert running.client.delete(f"/api/jobs/{job}").status_code == 204
        until(lambda: 'moclip_jobs_total{state="cancelled"} 1' in metrics(running))
        assert running.client.post("/api/predict", content=b"fine").status_code == 200
        until(lambda: "moclip_analysis_seconds_count 1" in metrics(running))


def test_metrics_are_in_prometheus_format(server: Serving) -> None:
    text = metrics(server)
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        assert line.startswith(("# HELP ", "# TYPE ")) or (name and float(value) >= 0), line
    assert 'moclip_jobs_total{state="done"}' in text
    assert 'route="/api/jobs/{job_id}"' in text
    assert 'le="+Inf"' in text


def test_a_process_that_is_killed_is_started_again(server: Serving) -> None:
    assert server.client.post("/api/predict", content=b"fine").status_code == 200
    process = server.worker._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: process.returncode is not None)
    assert server.client.post("/api/predict", content=b"fine").status_code == 200
    restarts = [
        line for line in metrics(server).splitlines() if line.startswith("moclip_worker_restarts_total ")
    ]
    assert float(restarts[0].split()[1]) >= 1


def test_a_stage_ends_with_its_last_step() -> None:
    """Steps that follow each other at once are left out, but the last."""
    out = io.BytesIO()
    channel = Channel(out)
    for stage, total in (("timeline", 3), ("vectors", 41)):
        for done in range(total + 1):
            channel.progress(stage, done, total)
    steps = [tuple(json.loads(line)["progress"]) for line in out.getvalue().splitlines()]
    assert {("timeline", 3, 3), ("vectors", 41, 41)} < set(steps)
    assert steps[-1] == ("vectors", 41, 41)


RELOADED = """
import json, runpy, sys
from pathlib import Path
content = Path(sys.argv[1])
about = {
    "model": "mine", "engine": content.read_text() if content.exists() else "", "labels": [], "streams": [],
    "warnings": [f"{content.read_text()} answers"] if content.exists() else [],
}
first = {"ready": about, "content": content.read_text()} if content.exists() else {
    "failed": {"kind": "CheckpointError", "sentence": "/secret/mine is not a run folder"}
}
sys.argv = [sys.argv[2], json.dumps(first)]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_another_model_does_not_answer_after_a_restart(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = tmp_path / "content"
    content.write_text("first")
    command = [sys.executable, "-c", RELOADED, str(content), str(STUB)]
    (tmp_path / "serve").mkdir()
    with caplog.at_level("WARNING", "moclip.serve"), serving(tmp_path / "serve", command) as running:
        about = running.client.get("/api/about").json()
        content.write_text("second") if change == "replaced" else content.unlink()
        assert running.client.post("/api/predict", content=b"fine").status_code == 200  # it is loaded
        assert running.client.post("/api/predict", content=b"crash").status_code == 422
        for _ in range(2):
            answer = running.client.post("/api/predict", content=b"fine")
            assert answer.status_code == 503
            assert answer.json()["error"].startswith("the model mine ")
            assert "secret" not in answer.json()["error"]
            assert running.client.get("/api/about").json() == about
        content.write_text("first")
        assert running.client.post("/api/predict", content=b"fine").status_code == 200
    (told,) = [record.getMessage() for record in caplog.records if record.name == "moclip.serve"]
    if change == "removed":
        assert "/secret/mine is not a run folder" in told
    else:
        assert "its engine is second, no longer first; restart the server\nsecond answers" in told


def test_files_below_the_root_are_played_and_never_removed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "clip.mp4").write_bytes(b"fine, and played in the page")
    with serving(tmp_path, root=root) as rooted:
        job = rooted.client.post("/api/jobs", json={"path": "clip.mp4"}).json()["id"]
        video = rooted.wait(job)["links"]["video"]
        part = rooted.client.get(video, headers={"range": "bytes=0-3"})
        assert (part.status_code, part.content) == (206, b"fine")
        assert part.headers["content-type"] == "video/mp4"
        assert rooted.client.delete(f"/api/jobs/{job}").status_code == 204
    assert (root / "clip.mp4").is_file()


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        submit(running, "hang")
        until(lambda: "moclip_jobs_running 1" in metrics(running))
        process = running.worker._process
    assert list(tmp_path.iterdir()) == []
    assert process is not None
    assert process.returncode is not None


def test_who_waits_when_the_server_ends_is_told(tmp_path: Path) -> None:
    """Before connections that last too long are cut."""
    with ThreadPoolExecutor(1) as pool:
        with serving(tmp_path) as ending:
            url = f"{ending.client.base_url}/api/predict"
            waiting = pool.submit(httpx.post, url, content=b"hang", timeout=60, trust_env=False)
            until(lambda: "moclip_jobs_running 1" in metrics(ending))
        answer = waiting.result()
    assert (answer.status_code, answer.json()) == (503, {"error": "the server is stopping"})


def test_the_task_names_the_bounds(tmp_path: Path) -> None:
    """The analysing process judges length and size of pictures, so it needs the limits."""
    seen = tmp_path / "task.json"
    code = (
        'import sys; print(\'{"ready": {"model": "m", "labels": [], "streams": [], "warnings": []}}\', flush=True);'
        f"open({str(seen)!r}, 'w').write(sys.stdin.readline())"
    )
    command = [stub_command()[0], "-c", code]
    with serving(tmp_path, command, max_length=12, max_pixels=34, time_limit=5) as running:
        running.client.post("/api/predict?name=a.mp4", content=b"x")
    task = json.loads(seen.read_text())
    assert (task["max_length"], task["max_pixels"], task["time_limit"], task["page"]) == (12, 34, 5, False)
