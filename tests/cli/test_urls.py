"""Every argument that is a path takes a URL or refuses it; no folder called ``memory:`` or ``s3:`` comes to be."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import typer.main

from moclip_lite.cli.app import app
from moclip_lite.cli.batch import refusal
from moclip_lite.cli.urls import TAKE_URLS, path_parameters
from moclip_lite.datasets.clip_errors import problem_of
from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import Experiment, load_experiment
from mv_tools.source import Source
from mv_tools.urls import ServerFailure

from support.cli import assert_ok, assert_refused, moclip
from support.runs import made_run

PARAMETERS = [(name, parameter) for name, parameter in path_parameters(typer.main.get_command(app))]
URL = "memory://bucket/absent.csv"


def option(parameter: object) -> list[str]:
    first = str(parameter.opts[0])  # type: ignore[attr-defined]
    return [first, URL] if first.startswith("-") else [URL]


def test_the_table_names_parameters_that_there_are() -> None:
    known = {(name, str(parameter.name)) for name, parameter in PARAMETERS}
    assert {(name, word) for name, words in TAKE_URLS.items() for word in words} <= known


@pytest.mark.parametrize(
    ("command", "parameter"),
    [  # a folder to index is listed after its network was built
        pytest.param(
            name,
            parameter,
            id=f"{name} {parameter.name}",
            marks=[pytest.mark.slow] * ((name, parameter.name) == ("index", "folder")),
        )
        for name, parameter in PARAMETERS
    ],
)
def test_a_url_is_taken_or_refused(
    command: str, parameter: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    # No weights are asked for.
    offline = ("--model", "mobileviclip-tiny", "--pretrained", "none") if command == "index" else ()
    outcome = moclip(*command.split(), *option(parameter), *offline)
    if parameter.name in TAKE_URLS.get(command, ()):  # type: ignore[attr-defined]
        assert "is a path on this machine" not in outcome.err
    else:
        assert_refused(outcome, "is a path on this machine", URL)
    assert "Traceback" not in outcome.err
    assert not [path for path in tmp_path.iterdir() if ":" in path.name]


PATHS = [
    f"{section}.{name}"
    for section, info in Experiment.model_fields.items()
    for name, field in info.annotation.model_fields.items()  # type: ignore[union-attr]
    if "Path" in str(field.annotation)
]


@pytest.mark.parametrize("key", PATHS)
def test_settings_take_urls_or_refuse_them(key: str) -> None:
    if key in ("data.root", "data.table", "run.dir", "cache.dir"):
        load_experiment(None, [f"{key}={URL}"])
    else:
        with pytest.raises(ConfigError, match="a path on this machine is expected"):
            load_experiment(None, [f"{key}={URL}"])


@pytest.mark.parametrize("key", PATHS)
def test_credentials_in_settings_are_not_repeated(key: str, tmp_path: Path) -> None:
    section, name = key.split(".")
    (tmp_path / "x.yaml").write_text(f"{section}:\n  {name}: s3://user:hush@bucket/x\n")
    with pytest.raises(ConfigError, match="must not hold credentials") as refused:
        load_experiment(tmp_path / "x.yaml")
    assert "hush" not in str(refused.value)
    sentence = assert_refused(
        moclip("run", tmp_path, "--set", f"{key}=s3://user:hush@bucket/x"), "credentials"
    )
    assert "hush" not in sentence


def test_a_comparison_is_read_from_urls_and_written_to_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "local"))
    memory = fsspec.filesystem("memory")
    for name, right in (("one", 0.3), ("two", 0.9)):
        made_run(tmp_path / name, ["a", "b"], right=right)
        memory.put(str(tmp_path / name), f"/runs/{name}", recursive=True)
    moclip("compare", "memory://runs/one", "memory://runs/two", "--out", "memory://runs/page.md")
    assert b"motion" in memory.cat_file("/runs/page.md")
    memory.rm("/runs", recursive=True)
    assert not [path for path in tmp_path.iterdir() if ":" in path.name]


def test_places_are_printed_as_urls(clip: Path) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for name in ("one/a b.mp4", "two/c.mp4"):
        memory.pipe_file(f"/printed/{name}", clip.read_bytes())
    listed = assert_ok(moclip("dataset", "list", "memory://printed", "--json")).json
    assert (listed["root"], listed["clips"]) == ("memory://printed", 2)
    assert "memory://printed: 2 clips" in assert_ok(moclip("dataset", "list", "memory://printed")).out
    url = "memory://printed/one/a b.mp4"
    assert assert_ok(moclip("mv", "probe", url, "--json")).json["path"] == url
    memory.rm("/printed", recursive=True)


def test_a_server_that_is_not_reached_is_said_of_what_was_named() -> None:
    sentence = assert_refused(moclip("dataset", "list", "http://127.0.0.1:9/x"), "it can't be reached")
    assert "http://127.0.0.1:9/x:" in sentence
    assert "config.yaml" not in sentence


def test_a_server_that_is_lost_leaves_answers_for_other_files(tmp_path: Path) -> None:
    lost = Path("http://127.0.0.1:9/x.mp4")
    with pytest.raises(ServerFailure) as failure:
        Source.of(lost)
    reason = "http://127.0.0.1:9/x.mp4: it can't be reached (ClientConnectorError)"
    assert refusal(lost, failure.value) == (lost, reason)
    with pytest.raises(ServerFailure):  # of a data set, all clips lie there
        problem_of("x.mp4", failure.value)
    assert pickle.loads(pickle.dumps(failure.value)).args == failure.value.args  # of another process
