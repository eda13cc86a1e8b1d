"""docs/errors.md: each message in its tables is what the program prints, with exit code 2."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from moclip_lite.experiment.config import Experiment, load_experiment
from moclip_lite.experiment.feature_pack import pack_file
from moclip_lite.experiment.inputs.feature_storage import save_features
from moclip_lite.experiment.session import Session
from moclip_lite.motion.network import build_motion_net
from moclip_lite.results.cascade import Cascade
from moclip_lite.results.run_folder import RunFolder
from moclip_lite.results.trained_on import write_division
from moclip_lite.storage.files import write_json, write_tensors
from moclip_lite.storage.lock import FolderLock
from moclip_lite.training.checkpoint import save_weights

from support.annotations import long_video
from support.broken_files import audio_file, empty_file, text_file, truncated_late
from support.cli import FOLDER_YAML, MOTION_ONLY, assert_refused, class_folders, moclip, sets
from support.clips import H264, encode, panning
from support.features import labelled_features
from support.paths import ROOT
from support.runs import made_run
from support.transport_stream import moved_to_another_stream

Words = tuple[object, ...]
_LOCKS: list[FolderLock] = []
_LISTENERS: list[socket.socket] = []
LOAD_PROBLEM = "the native module does not load on this system (GLIBC_2.38 not found); pip install ..."
RAY = ("--engine", "ray", "--ray-address")


def templates() -> list[str]:
    """The messages of the tables on errors."""
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def heads(path: Path, more: str = "") -> Path:
    """A grid of two heads."""
    return written(path / "grid.yaml", f"grid: {{fusion.head: [film, concat_mlp]}}\n{more}\n")


def two_seeds(path: Path) -> list[Path]:
    """Runs on the same clips whose folds have other names; the second tests a clip in two of them."""
    runs = [made_run(path / name, ["a", "b"], right=5.0).folder for name in ("one", "several")]
    for table in (table for run in runs for table in run.glob("predictions_*.csv")):
        header, *rows = table.read_text(encoding="utf-8").splitlines()
        tests = [f"{row},{table.parent.name}" for row in rows]
        if table.parent.name == "several":
            tests[-1] = f"{rows[0]},second"
        written(table, "\n".join([f"{header},fold", *tests]) + "\n")
    return runs


def held(path: Path) -> Path:
    """A folder that another process holds."""
    lock = FolderLock(folder(path) / ".lock")
    assert lock.acquire()
    _LOCKS.append(lock)
    return path


def one_clip(path: Path) -> Path:
    (path / "data" / "left").mkdir(parents=True)
    encode(path / "data" / "left" / "a.mp4", panning(4), **H264)
    return path / "data"


def video(path: Path) -> Path:
    return encode(path / "clip.mp4", panning(4), **H264)


def vp9(path: Path) -> Path:
    options = {"deadline": "realtime", "cpu-used": "8"}
    return encode(path / "web.webm", panning(4), "libvpx-vp9", **options)


def interlaced(path: Path) -> Path:
    return encode(path / "interlaced.avi", panning(6), "mpeg4", bf="1", flags="+ildct+ilme")


def arrays(path: Path) -> Path:
    np.savez(path, nobody=np.ones(3, np.float32))
    return path


def own_weights(path: Path) -> Path:
    """The metadata of a file of this program are enough to tell."""
    write_tensors(path, {}, {"format": "mobileviclip-1"})
    return path


def without_features(path: Path) -> Path:
    """A run on features of one's own, whose file is gone."""
    own, run = path / "own.npz", path / "run"
    clips = [str(clip.relative_to(path / "data")) for clip in data(path, per_class=6).rglob("*.mp4")]
    np.savez(own, **{name: np.ones(3, np.float32) for name in clips})
    settings = [f"data.root={path / 'data'}", f"data.appearance={own}", "train_head.epochs=1"]
    settings += ["run.streams=[appearance]", f"run.dir={run}", f"cache.dir={path / 'cache'}"]
    assert moclip("run", FOLDER_YAML, *sets(settings)).code == 0
    own.unlink()
    return run


def tensors(path: Path) -> Path:
    torch.save({"conv1.0.weight": torch.zeros(2)}, path)
    return path


def pushable(path: Path) -> Path:
    """A run folder with weights."""
    return Path(str(motion_run(path)[-1]))


def motion_run(path: Path) -> Words:
    """A call of predict with a run folder whose motion network is not trained."""
    run, labels = RunFolder(folder(path / "run")), ["left", "right"]
    experiment = load_experiment(None, MOTION_ONLY)
    run.describe(experiment.to_yaml(), labels)
    save_weights(run.weights("motion"), build_motion_net(experiment.motion, 2), labels, {})
    return ("predict", video(path), "--model", run.path)


def with_other_weights(path: Path) -> Words:
    """The same with the cascade of another run."""
    words = motion_run(path)
    Cascade(0.9, 0.9, 40, 90.0, 90.0, 0.5, 0.5, {"motion": "of others"}).write(path / "run" / "cascade.json")
    return words


STREAMED = ("data.buffer=50",)


def shards(path: Path, damage: str = "") -> Path:
    """Shards of a file of features."""
    save_features(path / "f.safetensors", *labelled_features(80))
    pack_file(path / "f.safetensors", path / "shards")
    part = path / "shards" / "part-00000.parquet"
    content = part.read_bytes()
    if damage == "missing":
        part.unlink()
    elif damage:
        part.write_bytes(content[:-9] if damage == "cut" else content[:99] + b"x" + content[100:])
    return path / "shards"


def full(path: Path) -> Path:
    """A folder that holds a file."""
    folder(path / "full")
    (path / "full" / "notes.txt").touch()
    return path / "full"


def fold_folder(path: Path) -> Path:
    """The folder of a fold of a run."""
    path.mkdir(parents=True)
    RunFolder(path).describe(load_experiment(None, MOTION_ONLY).to_yaml(), ["left", "right"])
    return path


def data(path: Path, per_class: int = 4) -> Path:
    return class_folders(path / "data", per_class=per_class, frames=4)


def alike(path: Path) -> Path:
    """Clips whose names are printed alike."""
    left = folder(folder(path / "data") / "left")
    for name in ("a\nb.mp4", "a\\nb.mp4"):
        written(left / name, "")
    return path / "data"


def labels(path: Path, *rows: str, header: str = "video,label") -> Path:
    return written(path / "labels.csv", "\n".join([header, *rows]))


def overlapping(path: Path) -> Path:
    """A table whose splits divide a video between segments that overlap."""
    long_video(path / "long.mp4", ["left", "right"] * 3)
    parts = ("train", "train", "val", "val", "test", "test")
    rows = [f"long.mp4,{'lr'[i % 2]},{i * 0.4},{i * 0.4 + 0.7},{part}" for i, part in enumerate(parts)]
    return labels(path, *rows, header="video,label,start,end,split")


def two_runs(path: Path, other: list[str]) -> tuple[Path, Path]:
    return made_run(path / "one", ["a", "b"]).folder, made_run(path / "two", other).folder


def free_port() -> int:
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def taken_port() -> int:
    """A port that is listened on until the test ends."""
    _LISTENERS.append(socket.create_server(("127.0.0.1", 0)))
    return int(_LISTENERS[-1].getsockname()[1])


def labelled(path: Path) -> Path:
    """A run folder as far as its labels: tables are checked before weights are read."""
    run = folder(path / "run")
    written(run / "config.yaml", Experiment().to_yaml())
    write_json(run / "labels.json", ["left", "right"])
    return run


def cut_short(path: Path) -> Path:
    """A run folder whose configuration is empty."""
    run = labelled(path)
    written(run / "config.yaml", "")
    return run


def started(path: Path) -> Words:
    """A run that starts from weights of a run on the same clips."""
    data, weights = class_folders(path / "clips", frames=6), folder(path / "one") / "motion.safetensors"
    only = [*MOTION_ONLY, "run.streams=[motion]"]
    settings = load_experiment(None, [*only, f"data.root={data}"])
    save_weights(weights, build_motion_net(settings.motion, 2), ["left", "right"], {})
    session = Session(settings)
    write_division(weights.with_name("division.json"), session.folds[0], session.dataset.place, {})
    more = sets([*only, f"motion.pretrained={weights}"])
    return ("run", data, *more, "--run-dir", path / "two", "--cache", path / "cache")


def annotations(path: Path, *rows: str) -> Path:
    name = video(path).name
    return written(
        path / "truth.csv", "\n".join(["video,label,start,end", *(name + row for row in rows)]) + "\n"
    )


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def doubled(path: Path) -> Path:
    target = path / "twice.mp4"
    target.write_bytes(encode(path / "once.mp4", panning(25), **H264).read_bytes() * 2)
    return target


def moved_video(path: Path) -> Path:
    return moved_to_another_stream(encode(path / "first.ts", panning(25), **H264), path)


def unfinished(path: Path) -> Path:
    run = made_run(path / "run", ["a", "b"]).folder
    (run / "metrics.json").unlink()
    return run


CAUSES: dict[str, Callable[[Path], Words]] = {
    "no such video file": lambda p: ("mv", "probe", p / "missing.mp4"),
    "this is a folder": lambda p: ("mv", "probe", p),
    "the file is empty": lambda p: ("mv", "probe", empty_file(p)),
    "not a video file that can be opened": lambda p: ("mv", "probe", text_file(p)),
    "no video stream": lambda p: ("mv", "probe", audio_file(p)),
    "the file is cut short": lambda p: ("mv", "probe", truncated_late(p)),
    "on it is another file, which is not read": lambda p: ("mv", "probe", doubled(p)),
    "in a stream that was not there at its start": lambda p: ("mv", "probe", moved_video(p)),
    "libavcodec gives no vectors of": lambda p: ("mv", "extract", interlaced(p), "-o", p / "x.npz"),
    "gives no motion vectors": lambda p: ("mv", "extract", vp9(p), "-o", p / "x.npz"),
    "backend must be one of": lambda p: ("mv", "probe", video(p), "--backend", "ffmpg"),
    "the file must end in": lambda p: ("mv", "extract", video(p), "-o", p / "x.txt"),
    "--frame": lambda p: ("mv", "show", video(p), "-o", p / "x.png", "--frame", 99),
    "no such configuration file": lambda p: ("run", p / "missing.yaml"),
    "is too large for a <kind> file": lambda p: ("run", written(p / "large.yaml", "#" * 2**21)),
    "no such file or folder": lambda p: ("run", p / "missing"),
    "YAML file: it is not text": lambda p: ("run", video(p)),
    "YAML file, line": lambda p: ("ablate", written(p / "grid.yaml", "grid: [\n")),
    "unknown configuration key": lambda p: ("run", p, "--set", "motion.segmnts=3"),
    "<key>: <rule>, got": lambda p: ("run", p, "--set", "motion.segments=0"),
    "--set takes": lambda p: ("run", p, "--set", "motion.segments"),
    "is empty; is a shell variable": lambda p: ("run", p, "--root", ""),
    "No such command": lambda p: ("predct", p),
    "Missing option": lambda p: ("predict", p),
    "is no folder of shards": lambda p: ("pack", folder(p / "data"), "--verify"),
    "<file> is missing; <advice> writes it again": lambda p: ("pack", shards(p, "missing"), "--verify"),
    "of the index: it is cut": lambda p: ("pack", shards(p, "cut"), "--verify"),
    "does not match its checksum": lambda p: ("pack", shards(p, "changed"), "--verify"),
    "holds other shards": lambda p: ("pack", p / "f.safetensors", "--out", shards(p), "--shard-clips", 9),
    "is not empty": lambda p: ("pack", p / "f.safetensors", "--out", full(shards(p).parent)),
    "solved for all training clips": lambda p: ("run", shards(p), "--run-dir", p / "r", *sets(STREAMED)),
    "is a path on this machine;": lambda p: ("mv", "transcode", "memory://b/x.mp4", p / "y.mp4"),
    "a path on this machine is expected": lambda p: ("run", data(p), "--set", "data.splits_dir=memory://b/x"),
    "URLs are only read": lambda p: ("compare", *two_runs(p, ["a", "b"]), "--out", "https://127.0.0.1:9/x.md"),
    "is it the URL of a folder": lambda p: ("predict", video(p), "--model", "memory://nothing/here"),
    "it can't be reached": lambda p: ("mv", "probe", "http://127.0.0.1:9/x.mp4"),
    "is taken for the end of it": lambda p: ("compare", *two_runs(p, ["a", "b"]), "--out", "s3://b/x?versionId=1.md"),
    "credentials or a signature": lambda p: ("mv", "probe", "s3://key:secret@bucket/x.mp4"),
    "data.root is not set": lambda p: ("run", FOLDER_YAML),
    "where each folder is a class": lambda p: ("run", one_clip(p), "--run-dir", p / "data" / "run"),
    "would both be called": lambda p: ("run", alike(p)),
    "another preparation": lambda p: (
        "dataset", "prepare", "folder", "--root", data(p), "--out", held(folder(p / "out") / "gop12").parent
    ),
    "holds no class folders": lambda p: ("run", folder(p / "data")),
    "are too few to train": lambda p: ("run", one_clip(p)),
    "group(s), at most": lambda p: ("run", data(p, per_class=2)),
    "does not match the clip": lambda p: ("run", data(p), "--set", "data.group_pattern=^(zz)"),
    "needs one group in parentheses": lambda p: ("run", data(p), "--set", "data.group_pattern=^x"),
    "without official splits": lambda p: ("run", data(p), "--set", "data.protocol=official"),
    "data.splits_dir is not set": lambda p: ("run", data(p), "--set", "data.kind=ucf101"),
    ", column <name>: <reason>": lambda p: ("run", labels(p, "x.mp4,a")),
    "there is no column": lambda p: ("dataset", "list", labels(p, header="video")),
    "only a header": lambda p: ("run", labels(p)),
    "data.table is not set": lambda p: ("run", FOLDER_YAML, "--set", "data.kind=table"),
    "not a folder of clips": lambda p: ("run", FOLDER_YAML, "--set", f"data.root={labels(p)}"),
    "of a class, can't be divided into": lambda p: (
        "run", data(p), *sets(("data.protocol=kfold", "data.folds=5")),
    ),
    "group(s) can't be divided into": lambda p: ("run", data(p), *sets(("data.protocol=kfold", "data.folds=99"))),
    "overlap a segment or the whole": lambda p: ("run", overlapping(p)),
    "video(s) can't be used": lambda p: (
        "dataset", "import", "mmaction", written(p / "list.txt", "x.mp4 0"), "--out", p / "t.csv",
    ),
    "has a document type declaration": lambda p: (
        "dataset", "import", "cvat", written(p / "a.xml", "<!DOCTYPE a><a/>"), "--out", p / "t.csv",
    ),
    "no such folder (data.root)": lambda p: ("run", data(p), "--set", "data.recipe=gop12"),
    "is not a run folder": lambda p: ("evaluate", p),
    "has no effect on <run>": lambda p: (*motion_run(p), "--set", "train_motion.lr=0.1"),
    "the engine must be": lambda p: (*motion_run(p), "--engine", "tensorrt"),
    "is one fold of a run": lambda p: ("evaluate", fold_folder(p / "run" / "folds" / "a")),
    "compares frames with text": lambda p: (
        "run", data(p), *sets(("fusion.head=text_pool", "clip.pooling=mean_std")),
    ),
    "starts from text": lambda p: (
        "run", data(p), *sets(("fusion.head=tip_adapter", "clip.model=timm:test_resnet")),
    ),
    "has no ONNX files": lambda p: (*motion_run(p), "--engine", "onnx"),
    "was fitted for other weights": lambda p: (*with_other_weights(p), "--cascade"),
    "does not name the clips of its training": lambda p: ("export", pushable(p), "--engine", "--int8"),
    "is for the ONNX files that predict uses": lambda p: ("export", pushable(p), "--out", p / "run" / "onnx"),
    "has no thresholds for a cascade": lambda p: (*motion_run(p), "--cascade"),
    "is not finished": lambda p: ("compare", unfinished(p), made_run(p / "other", ["a", "b"]).folder),
    "--budget takes": lambda p: ("tune", p, "--budget", "2d"),
    "--search takes": lambda p: ("tune", p, "--search", "motion.frames=5"),
    "another run is at work": lambda p: ("run", data(p), "--run-dir", p / "run", *sets(MOTION_ONLY)),
    "can't be the run folder": lambda p: ("run", data(p), "--run-dir", written(p / "file", "x")),
    "the cache folder": lambda p: ("cache", "info", "--cache", written(p / "file", "x")),
    "there is no cache at": lambda p: ("cache", "verify", "--cache", p / "absent"),
    "clip.pretrained: unknown": lambda p: ("zero-shot", video(p), "--labels", "a, b", "--pretrained", "opnai"),
    "no such checkpoint": lambda p: ("zero-shot", video(p), "--labels", "a, b", "--pretrained", p / "missing.pt"),
    "does not say how it was trained": lambda p: (
        "zero-shot", video(p), "--labels", "a, b", "--pretrained", written(p / "weights.pt", "x"),
    ),
    "does not fit <model>": lambda p: (
        "extract", "clip", data(p), "--set", "clip.model=timm:test_resnet", "--pretrained", tensors(p / "weights.pth"),
    ),
    "is called like a clip": lambda p: ("run", FOLDER_YAML, "--root", data(p), "--set", f"data.appearance={arrays(p / 'own.npz')}"),
    "was trained on appearance features": lambda p: ("predict", video(p), "--model", without_features(p)),
    "has no text encoder": lambda p: ("zero-shot", video(p), "--labels", "a, b", "--model", "timm:test_resnet"),
    "has no words": lambda p: ("zero-shot", video(p), "--labels", "_, cooking"),
    "share the sentence": lambda p: (
        "zero-shot", video(p), "--labels", "a, b", "--prompts", written(p / "p.yaml", "classes: {a: [x], b: [x]}"),
    ),
    "format already": lambda p: ("convert", own_weights(p / "w.safetensors"), "--out", p / "x.safetensors"),
    "have different labels": lambda p: ("compare", *two_runs(p, ["a", "c"])),
    "but no fold": lambda p: ("compare", *two_seeds(p)),
    "the stream that is compared": lambda p: ("ablate", heads(p), "--set", "run.streams=[motion]"),
    "in 'set' has no effect": lambda p: ("ablate", heads(p, "set: [run.seed=1]")),
    "would both be written": lambda p: ("ablate", heads(p), heads(p), "--out", p / "out"),
    "another grid or search": lambda p: ("ablate", heads(p), "--out", held(p / "out")),
    "is named twice": lambda p: ("compare", p, p),
    "say what to remove": lambda p: ("cache", "prune", "--cache", p),
    "are not opened": lambda p: ("watch", "ftp://host/a.ts", "--model", p),
    "names no host": lambda p: ("watch", "rtsp:///a", "--model", p),
    "has an @ behind its host": lambda p: ("watch", "rtsp://user:a/b@host/x", "--model", p),
    "goes on behind the topic": lambda p: ("watch", "x.ts", "--model", p, "--mqtt", "mqtt://h/a?b"),
    "two cameras are named": lambda p: ("watch", "a=x.ts", "a=y.ts", "--model", p),
    "can be watched once only": lambda p: ("watch", "-", "-", "--model", p),
    "an unknown field or format": lambda p: ("watch", "x.ts", "--model", p, "--exec", "echo {nothing}"),
    "there is no program": lambda p: ("watch", "x.ts", "--model", p, "--exec", "no-such-program"),
    "the MQTT broker": lambda p: ("watch", "x.ts", "--model", p, "--mqtt", "mqtt://127.0.0.1:1/x"),
    "is for long videos": lambda p: ("predict", video(p), "--model", p, "--window", "2"),
    "is for whole files": lambda p: ("predict", video(p), "--model", p, "--segments", "--top-k", "2"),
    "has no effect beside --recipe": lambda p: (
        *("dataset", "prepare", "folder", "--root", p, "--out", p / "x", "--recipe", "gop12", "--gop", "9"),
    ),
    "--ray-address is for --engine ray; <advice>": lambda p: ("run", FOLDER_YAML, "--ray-address", "127.0.0.1:1"),
    "is a folder; name a file": lambda p: ("mv", "extract", video(p), "-o", folder(p / "x.npz")),
    "is not a regular file": lambda p: ("mv", "extract", video(p), "-o", pipe(p / "x.npz")),
    "can't be written": lambda p: ("mv", "extract", video(p), "-o", text_file(p) / "x.npz"),
    "would overwrite": lambda p: (
        "predict", video(p), "--model", p, "--segments", "--vtt", p / "clip.mp4",
    ),
    "frames must be one of": lambda p: (
        "predict", video(p), "--model", p, "--segments", "--frames", "all",
    ),
    "window must be": lambda p: (
        "predict", video(p), "--model", p, "--segments", "--window", "-1",
    ),
    "the model does not know": lambda p: (
        "evaluate", labelled(p), "--segments", annotations(p, ",left,0,1", ",up,1,2"),
    ),
    "segment overlaps": lambda p: (
        "evaluate", labelled(p), "--segments", annotations(p, ",left,0,1", ",right,0.5,2"),
    ),
    "needs --labels": lambda p: ("zero-shot", video(p)),
    "which is not installed": lambda p: ("demo", "--out", p / "demo"),
    "does not load on this system": lambda p: ("mv", "probe", video(p)),
    "cluster's head is HOST:PORT": lambda p: ("extract", "motion", one_clip(p), *RAY, "nowhere"),
    "no Ray head answers": lambda p: ("extract", "motion", one_clip(p), *RAY, f"127.0.0.1:{free_port()}"),
    "names no repository of the hub": lambda p: ("pull", "walks"),
    "there is no token": lambda p: ("push", pushable(p), "user/walks"),
    "or the connection broke off": lambda p: ("predict", video(p), "--model", "hf://user/walks"),
    "is there already; choose another": lambda p: ("pull", "user/walks", "-o", labelled(p)),
    "holds no weights": lambda p: ("push", labelled(p), "user/walks"),
    "is not the complete configuration": lambda p: ("evaluate", cut_short(p)),
    "its run used": started,
    "is in use by another program": lambda p: ("serve", "--model", p, "--port", taken_port()),
    "is no address of this machine": lambda p: ("serve", "--model", p, "--host", "192.0.2.1"),
    "--token: a token has": lambda p: ("serve", "--model", p, "--token", "short"),
    "--allow-host: ": lambda p: ("serve", "--model", p, "--allow-host", "http://example.org"),
    "--root must be a folder": lambda p: ("serve", "--model", p, "--port", 0, "--root", written(p / "file", "x")),
}  # fmt: skip
"""A part of each message -> a command line that causes it, given an empty folder."""


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches a hub or finds a token of the developer's."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


@pytest.fixture(autouse=True)
def _close_listeners() -> Iterator[None]:
    """Free the ports of :func:`taken_port`."""
    yield
    while _LISTENERS:
        _LISTENERS.pop().close()


def test_every_message_has_a_cause() -> None:
    listed = templates()
    assert len(listed) == len(CAUSES)
    for part in CAUSES:
        assert sum(part in template for template in listed) == 1, part


SLOW = (
    "was trained on appearance features",
    "none of its arrays",
    "clip.pretrained",
    "does not fit <model>",
    "does not say how it was trained",
)
"""Causes that train or import libraries of image networks take seconds."""


def marked(template: str) -> object:
    """A template with the mark of its cause."""
    return pytest.param(template, marks=[pytest.mark.slow] * any(part in template for part in SLOW))


@pytest.mark.parametrize("template", [marked(template) for template in templates()])
def test_message_is_what_the_program_prints(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "which is not installed" in template:
        monkeypatch.setattr("moclip_lite.errors.find_spec", lambda name: None)
    if "does not load" in template:
        monkeypatch.setattr("mv_tools.pictures.native_headers.native_problem", lambda: LOAD_PROBLEM)
    (cause,) = (words for part, words in CAUSES.items() if part in template)
    words = cause(tmp_path)
    if "another run" in template:
        with RunFolder(tmp_path / "run").locked():
            message = assert_refused(moclip(*words))
    else:
        message = assert_refused(moclip(*words))
    pattern = re.sub("<[^>]+>", ".+", re.escape(template).replace(r"\<", "<").replace(r"\>", ">"))
    assert re.fullmatch(f"moclip: {pattern}", message), message
