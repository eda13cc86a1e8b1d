"""Push, pull and hf:// against a hub on this machine."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from moclip_lite import Classifier
from moclip_lite.errors import MoclipError
from moclip_lite.hub import HubAddress
from moclip_lite.hub.portable import RUN_FILES
from moclip_lite.hub.private import without_paths
from moclip_lite.results.run_folder import RunFolder

from support.cli import assert_ok, assert_refused, moclip
from support.hub_server import TOKEN, FakeHub, Repository

hub_client = pytest.importorskip("huggingface_hub")


def test_round_trip(hub: FakeHub, run: RunFolder, clip: Path, tmp_path: Path) -> None:
    pushed = assert_ok(moclip("push", run.path, "user/walks", "--license", "mit", "--json")).json
    stored = hub.repositories["user/walks"].files
    assert set(pushed["files"]) == set(stored) - {".gitattributes"}
    assert {"config.yaml", "labels.json", "motion.safetensors", "metrics.json", "README.md"} <= set(stored)
    for name, content in stored.items():
        assert str(tmp_path).encode() not in content, name
    assert not [name for name in stored if name.startswith(("predictions", "division", "tensorboard"))]

    assert_ok(moclip("pull", "user/walks", "-o", tmp_path / "pulled"))
    words = ("predict", clip, "--json", "--model")
    answers = [
        assert_ok(moclip(*words, place)).json[0]["predictions"]
        for place in (run.path, tmp_path / "pulled", "hf://user/walks")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert list(Classifier.load("hf://user/walks").labels) == ["left", "right"]
    assert TOKEN not in json.dumps([str(path) for path in tmp_path.rglob("*")])


def test_card_has_scores_costs_and_limits(hub: FakeHub, run: RunFolder) -> None:
    assert_ok(moclip("push", run.path, "user/walks", "--license", "mit"))
    card = hub.repositories["user/walks"].files["README.md"].decode()
    _, header, text = card.split("---\n", 2)
    values = yaml.safe_load(header)
    assert (values["library_name"], values["license"]) == ("moclip-lite", "mit")
    metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
    shown = values["model-index"][0]["results"][0]["metrics"][0]
    assert shown["value"] == round(metrics["motion"]["top1"], 1)
    assert f"{metrics['motion']['ci95'][0]:.1f} to {metrics['motion']['ci95'][1]:.1f}" in text
    for part in ("## Use", "hf://user/walks", "Protocol: holdout", "GFLOPs", "## Limits", "| 0 | left |"):
        assert part in text, part


def test_update_replaces_and_removes(hub: FakeHub, run: RunFolder) -> None:
    assert_ok(moclip("push", run.path, "user/walks"))
    assert_refused(moclip("push", run.path, "user/walks"), "holds a run already", "--update")
    repository = hub.repositories["user/walks"]
    repository.files |= {"fusion.safetensors": b"of another run", "notes.txt": b"mine"}
    run.report_text.unlink()
    assert_ok(moclip("push", run.path, "user/walks", "--update", "--quiet"))
    assert "fusion.safetensors" not in repository.files
    assert repository.files["notes.txt"] == b"mine"
    assert "report.md" not in repository.files
    assert len(repository.commits) == 2


def test_a_public_repository_does_not_become_private(hub: FakeHub, run: RunFolder) -> None:
    assert_ok(moclip("push", run.path, "user/walks"))
    commits = hub.repositories["user/walks"].sha
    message = assert_refused(moclip("push", run.path, "user/walks", "--update", "--private"))
    assert "public" in message
    assert hub.repositories["user/walks"].sha == commits


def test_private_repository(hub: FakeHub, run: RunFolder) -> None:
    assert_ok(moclip("push", run.path, "user/walks", "--private"))
    assert hub.repositories["user/walks"].private


@pytest.mark.parametrize("step", ["lfs/objects/batch", "storage", "commit", "preupload"])
def test_interrupted_push_goes_on(step: str, hub: FakeHub, run: RunFolder) -> None:
    hub.refuse[step] = 403
    assert_refused(moclip("push", run.path, "user/walks", "-q"), "user/walks", "permission to write")
    assert "config.yaml" not in hub.repositories["user/walks"].files
    hub.refuse.clear()
    assert_ok(moclip("push", run.path, "user/walks", "-q"))
    assert "config.yaml" in hub.repositories["user/walks"].files


def test_no_token(hub: FakeHub, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_client, "get_token", lambda: None)
    assert_refused(moclip("push", run.path, "user/walks"), "HF_TOKEN", "hf auth login")
    assert hub.requests == []


def test_token_is_never_printed(hub: FakeHub, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong9876543210")
    outcome = moclip("push", run.path, "user/walks", "--debug")
    assert outcome.code == 2
    assert "hf_wrong" not in outcome.out + outcome.err.partition("Traceback")[0]
    message = assert_refused(moclip("push", run.path, "user/walks"), "does not accept the token")
    assert "hf_wrong" not in message


def test_hub_that_refuses(hub: FakeHub, walks: Repository, tmp_path: Path) -> None:
    assert_refused(moclip("pull", "user/none", "-o", tmp_path / "out"), "there is no such repository")
    assert_refused(
        moclip("pull", "user/walks@v9", "-o", tmp_path / "out"), "no such repository, revision or file"
    )
    for status, words in ((403, "permission"), (429, "too many requests"), (500, "status 500")):
        hub.refuse["/api/models"] = status
        assert_refused(moclip("pull", "user/walks", "-o", tmp_path / "out"), words)
    assert not (tmp_path / "out").exists()


def test_download_that_breaks_off_goes_on(hub: FakeHub, walks: Repository, tmp_path: Path) -> None:
    hub.cut.add("motion.safetensors")
    hub.refuse["resolve/main"] = 500
    assert_ok(moclip("pull", "user/walks", "-o", tmp_path / "out", "-q"))
    assert (tmp_path / "out" / "motion.safetensors").read_bytes() == walks.files["motion.safetensors"]
    assert not list(tmp_path.glob(".out-*"))


def test_without_a_connection(
    hub: FakeHub, walks: Repository, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = assert_ok(moclip("predict", clip, "--json", "--model", "hf://user/walks")).json
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    kept = assert_ok(moclip("predict", clip, "--json", "--model", "hf://user/walks"))
    assert kept.json[0]["predictions"] == answer[0]["predictions"]
    assert "the copy of commit" in kept.err
    assert_refused(moclip("predict", clip, "--model", "hf://user/other"), "can't be reached")
    assert_refused(moclip("pull", "user/walks", "-o", tmp_path / "out"), "can't be reached")


def test_without_a_connection_an_address_means_what_it_meant(
    hub: FakeHub, walks: Repository, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCLIP_CACHE", str(tmp_path / "cache"))
    config = yaml.safe_load(walks.files["config.yaml"])
    commits = []
    for seed in (1, 2):
        config["run"]["seed"] = seed
        walks.files["config.yaml"] = yaml.safe_dump(config).encode()
        commits.append(walks.sha)
        assert Classifier.load("hf://user/walks").experiment.run.seed == seed
    place = tmp_path / "cache" / "hub" / "user--walks"
    os.utime(place / commits[1], (1, 1))  # whichever was used last
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    for revision, seed in (("", 2), ("@main", 2), (f"@{commits[0][:8]}", 1)):
        assert Classifier.load(f"hf://user/walks{revision}").experiment.run.seed == seed
    assert_refused(moclip("predict", clip, "--model", "hf://user/walks@v1"), "can't be reached")
    for length in (1, 2, 4, 6):  # tags that were never fetched
        tag = commits[0][:length]
        assert_refused(moclip("predict", clip, "--model", f"hf://user/walks@{tag}"), "can't be reached")
    (place / "revisions.json").unlink()
    assert_refused(moclip("predict", clip, "--model", "hf://user/walks"), "can't be reached")
    assert Classifier.load(f"hf://user/walks@{commits[1][:7]}").experiment.run.seed == 2


def test_only_a_commit_is_kept(hub: FakeHub, walks: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    Classifier.load(f"hf://user/walks@{walks.sha[:12]}")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    Classifier.load(f"hf://user/walks@{walks.sha[:12]}")
    with pytest.raises(MoclipError, match="can't be reached"):
        Classifier.load("hf://user/walks")


@pytest.mark.parametrize("address", ["hf://user/walks", "hf://user/walks@main"])
def test_a_server_names_the_repository(
    address: str, hub: FakeHub, walks: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the folder in the cache, which is called as the commit is."""
    commands: list[Sequence[str]] = []
    monkeypatch.setattr(
        "moclip_lite.serve.server.run_server", lambda _, command, __: commands.append(command)
    )
    assert_ok(moclip("serve", "--model", address))
    arguments = json.loads(commands[0][-1])
    commit = Path(arguments["model"]).name
    assert arguments["name"] == f"user/walks (commit {commit[:8]})"


def test_only_known_files_are_fetched(hub: FakeHub, walks: Repository, tmp_path: Path) -> None:
    files = walks.files
    strange = ("../outside.txt", "/etc/outside", "weights.pkl", "a.py", "onnx/../../x.onnx", "report.html")
    files |= dict.fromkeys(strange, b"hostile")
    assert_ok(moclip("pull", "user/walks", "-o", tmp_path / "in" / "out", "-q"))
    fetched = {
        path.relative_to(tmp_path / "in" / "out").as_posix() for path in (tmp_path / "in" / "out").rglob("*")
    }
    assert fetched <= {*RUN_FILES, "onnx"}
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["out"]


HOSTILE = {
    "config.yaml": (
        b"",
        b"run: [\n",
        b"&a [*a]",
        b"motion: {segmnts: 3}\n",
        b"data: {kind: features}\n",
        b"\xff\xfe",
    ),
    "labels.json": (b"{}", b"[]", b"[1, 2]", b"nonsense"),
    "motion.safetensors": (b"", b"\x80\x04K\x01.", b"\xff" * 64),
    "metrics.json": (b"[]", b"{}", b'{"motion": 3}'),
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, content) for name, contents in HOSTILE.items() for content in contents]
)
def test_damaged_repositories_leave_nothing(
    name: str, content: bytes, hub: FakeHub, walks: Repository, tmp_path: Path
) -> None:
    walks.files[name] = content
    message = assert_refused(moclip("pull", "user/walks", "-o", tmp_path / "out", "-q"), "user/walks")
    assert str(tmp_path) not in message
    assert "pydantic" not in message
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out-*"))


def test_paths_of_a_fetched_configuration_are_taken_out(
    hub: FakeHub, walks: Repository, tmp_path: Path
) -> None:
    config = yaml.safe_load(walks.files["config.yaml"])
    config["run"]["dir"] = config["cache"]["dir"] = config["data"]["root"] = "/etc/moclip"
    config["clip"] |= {"pretrained": "/etc/weights.pt", "prompts": "/etc/prompts.yaml"}
    walks.files["config.yaml"] = yaml.safe_dump(config).encode()
    assert_ok(moclip("pull", "user/walks", "-o", tmp_path / "out", "-q"))
    assert "/etc" not in (tmp_path / "out" / "config.yaml").read_text(encoding="utf-8")


def test_sizes_are_bounded(hub: FakeHub, walks: Repository, tmp_path: Path) -> None:
    hub.claimed["config.yaml"] = 2**21
    assert_refused(
        moclip("pull", "user/walks", "-o", tmp_path / "out", "-q"), "config.yaml is too large (2 MB)"
    )
    del hub.claimed["config.yaml"]
    hub.claimed["labels.json"] = 10**9
    assert_refused(moclip("pull", "user/walks", "-o", tmp_path / "out", "-q"), "labels.json is too large")
    hub.claimed["labels.json"] = 3
    assert_refused(moclip("pull", "user/walks", "-o", tmp_path / "out", "-q"), "another size")


@pytest.mark.parametrize(
    "name",
    ["walks", "user/", "/walks", "../walks", "user/..", "a/b/c", "user/a b", "user/-x", "user/x--y", "user/x.git",
     "user/é", "user/x@../y", "https://host/user/walks", "C:\\x", "user/x@" + "1" * 200],
)  # fmt: skip
def test_names_that_are_refused(name: str, hub: FakeHub) -> None:
    assert_refused(moclip("push", "run", name), "names no repository")
    assert_refused(moclip("pull", name), "names no repository")
    assert hub.requests == []


def test_addresses() -> None:
    assert (
        HubAddress.parse("hf://a/b@v1.0")
        == HubAddress.parse(str(Path("hf://a/b@v1.0")))
        == HubAddress("a", "b", "v1.0")
    )
    assert HubAddress.is_meant(Path("hf://a/b"))
    assert not HubAddress.is_meant(Path("a/b"))


def test_folders_that_are_no_run(hub: FakeHub, run: RunFolder, tmp_path: Path) -> None:
    assert_refused(moclip("push", tmp_path / "none", "user/walks"), "is not a run folder")
    run.weights("motion").unlink()
    assert_refused(moclip("push", run.path, "user/walks"), "holds no weights")
    assert hub.requests == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x", encoding="utf-8")
    assert_refused(moclip("pull", "user/walks", "-o", tmp_path / "out"), "is there already")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("data in /home/ann/clips/walk, 1/2/3", "data in …/walk, 1/2/3"),
        ("<td>/srv/a/b</td><br/>", "<td>…/b</td><br/>"),
        (r"C:\Users\ann\clips", "…/clips"),
        (
            '<img src="data:image/jpeg;base64,/9j/4AAQ+/ab/cd==">',
            '<img src="data:image/jpeg;base64,/9j/4AAQ+/ab/cd==">',
        ),
        ("left/up and km/h and https://host/a/b", "left/up and km/h and https://host/a/b"),
    ],
)
def test_paths_in_texts_are_shortened(text: str, wanted: str) -> None:
    assert without_paths(text) == wanted
