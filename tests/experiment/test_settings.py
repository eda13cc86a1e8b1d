"""Settings: what a value means is its field's to say, and 0 is a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import typer
from pydantic import BaseModel, ValidationError

from moclip_lite.cli.app import app
from moclip_lite.cli.configuration import experiment_of
from moclip_lite.cli.tree import leaf_commands, parameter_types
from moclip_lite.datasets.prompts import read_prompts
from moclip_lite.errors import ConfigError
from moclip_lite.experiment.config import Experiment, load_experiment
from moclip_lite.fusion import build_head, create_head
from moclip_lite.mobileviclip.training.settings import VideoTextSettings
from moclip_lite.motion.network import build_motion_net, create_motion_net
from moclip_lite.serve.settings import ServeSettings
from moclip_lite.settings import Settings
from moclip_lite.storage.cache import FeatureCache
from moclip_lite.storage.plain_yaml import parse_yaml
from moclip_lite.training.device import pick_device
from moclip_lite.watch.settings import WatchSettings

from support.cli import FOLDER_YAML, assert_refused, class_folders, moclip, sets

WORDS = (
    "007",
    "2024-01-01",
    "on",
    "1e3",
    "1:30",
    "0x10",
    "no",
    "1_000",
    "a #b",
    "a: b",
    "[x]",
    "{",
    "- a",
    "it's",
)
"""Text that YAML takes for something else."""


def fields() -> dict[str, Any]:
    """Key -> type, of every setting."""
    found = {}
    for section, info in Experiment.model_fields.items():
        kind = info.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        found |= {f"{section}.{name}": str(field.annotation) for name, field in kind.model_fields.items()}
    return found


def value_of(experiment: Experiment, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(experiment, section), name)


PATHS = sorted(key for key, kind in fields().items() if "Path" in kind)
TEXTS = ("clip.pretrained", "clip.model", "data.group_pattern", "data.recipe")
NUMBERS = sorted(
    key
    for key, kind in fields().items()
    if ("int" in kind or "float" in kind or "Count" in kind) and "tuple" not in kind
)


def test_the_sweeps_see_all_fields() -> None:
    assert len(PATHS) >= 6
    assert len(NUMBERS) > 40


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("word", WORDS)
def test_a_path_is_text(key: str, word: str, tmp_path: Path) -> None:
    if key == "motion.pretrained" and word in ("on", "no"):
        assert value_of(load_experiment(None, [f"{key}={word}"]), key) is (word == "on")
        return
    assert value_of(load_experiment(None, [f"{key}={word}"]), key) == Path(word)
    assert value_of(experiment_of(None, None, {key: word}), key) == Path(word)
    section, name = key.split(".")
    file = tmp_path / "x.yaml"
    if word in WORDS[:8]:  # the others are not plain scalars in a file
        file.write_text(f"{section}:\n  {name}: {word}\n", encoding="utf-8")
        assert value_of(load_experiment(file), key) == Path(word)
    file.write_text(load_experiment(None, [f"{key}={word}"]).to_yaml(), encoding="utf-8")
    assert value_of(load_experiment(file), key) == Path(word)


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("word", WORDS)
def test_text_is_text(key: str, word: str) -> None:
    if key == "clip.model" and ":" in word:  # a prefix names a library
        return
    assert value_of(load_experiment(None, [f"{key}={word}"]), key) == word


@pytest.mark.parametrize("key", PATHS)
def test_home_is_found(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert value_of(load_experiment(None, [f"{key}=~/x"]), key) == Path("/home/someone/x")
    assert load_experiment(None, ["clip.pretrained=~/w"]).clip.pretrained == "/home/someone/w"


@pytest.mark.parametrize("key", NUMBERS)
def test_zero_is_honoured_or_refused(key: str) -> None:
    try:
        found = value_of(load_experiment(None, [f"{key}=0"]), key)
    except ConfigError as error:
        assert key in str(error)  # noqa: PT017
    else:
        assert found == 0
        assert type(found) in (int, float)


def _huge(kind: Any, number: str) -> str | None:
    """YAML of a value of a type that is a number, or holds one, too large for anything; None for other types."""
    inside = get_args(kind)
    if get_origin(kind) is tuple:
        numbers = [_huge(part, number) for part in inside if part is not Ellipsis]
        return None if None in numbers else f"[{', '.join(text for text in numbers if text)}]"
    if get_origin(kind) is dict:
        number_inside = _huge(inside[1], number)
        return None if number_inside is None else f"{{x: {number_inside}}}"
    if inside and all(type(value) is int for value in inside):  # literals
        return number
    if inside:
        return next((text for part in inside if (text := _huge(part, number)) is not None), None)
    return number if kind in (int, float) else None


SECTIONS: dict[str, Any] = {
    **{section: info.annotation for section, info in Experiment.model_fields.items()},
    "watch": WatchSettings,
    "serve": ServeSettings,
    "video-text": VideoTextSettings,
}
HUGE = [
    (kind, section, name, text)
    for section, kind in SECTIONS.items()
    for name, field in kind.model_fields.items()
    for number in (str(10**21), "1e300", "-1e300")
    if (text := _huge(field.annotation, number)) is not None
]


@pytest.mark.parametrize(("kind", "section", "name", "text"), HUGE)
def test_a_number_has_bounds(kind: type[Settings], section: str, name: str, text: str) -> None:
    if section in Experiment.model_fields:
        with pytest.raises(ConfigError, match=f"^{section}.{name}"):
            load_experiment(None, [f"{section}.{name}={text}"])
    else:
        with pytest.raises(ValidationError):
            kind.model_validate({name: parse_yaml(text)})


def test_the_sweep_of_bounds_sees_all_fields() -> None:
    seen = {f"{section}.{name}" for _, section, name, _ in HUGE}
    assert {key for key in NUMBERS if not key.endswith(".precision")} <= seen  # float32 is a word
    assert {"run.seeds", "motion.grid", "data.splits", "train_head.lr_scales", "test.crops"} <= seen


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("word", [".inf", "nan", "-inf", "on", "false", "1:30", "null_"])
def test_a_number_is_a_number(key: str, word: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load_experiment(None, [f"{key}={word}"])


@pytest.mark.parametrize(
    "word",
    [
        "run.streams=[]",
        "data.splits=[]",
        "data.splits=[0]",
        "run.seed=-1",
        "run.device=gpu",
        "train_head.lr_scales={a: nan}",
        "run.dir=''",
        "train_motion.milestones=[-1]",
    ],
)
def test_values_that_mean_nothing(word: str) -> None:
    with pytest.raises(ConfigError, match=word.partition("=")[0]):
        load_experiment(None, [word])


def test_numbers_keep_their_meaning() -> None:
    found = load_experiment(
        None,
        [
            "run.seed=010",
            "train_head.lr=1e-3",
            "motion.grid=[12, 16]",
            "test.crops=5",
            "motion.pretrained=yes",
            "data.root=null",
            "train_motion.lr_scales={on: 0.5}",
        ],
    )
    assert (found.run.seed, found.train_head.lr, found.motion.grid) == (10, 1e-3, (12, 16))
    assert (found.test.crops, found.motion.pretrained, found.data.root) == (5, True, None)
    assert found.train_motion.lr_scales == {"on": 0.5}


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("run:\n  seed: 1\n  seed: 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="'seed' is given twice"):
        load_experiment(file)


@pytest.mark.parametrize("name", ["seed", "workers"])
def test_options_of_zero_win(name: str) -> None:
    key = f"run.{name}"
    assert value_of(experiment_of(None, [f"{key}=3"], {key: 0}), key) == 0
    assert value_of(experiment_of(None, [f"{key}=3"], {key: None}), key) == 3


ZERO = {
    *("seed", "workers", "parts", "crf", "bframes", "warmup", "weight_decay", "start", "frame", "days"),
    *("port", "threshold"),
}
"""Options for which 0 is a value."""
OPTIONS = sorted(
    (words, parameter.opts[0], parameter.name)
    for words, command in leaf_commands(typer.main.get_command(app))
    for parameter in command.params
    for annotation in [str(parameter_types(command).get(parameter.name))]
    if any(word in annotation for word in ("int", "float")) and "[str]" not in annotation
)


@pytest.mark.parametrize(("command", "option", "name"), [o for o in OPTIONS if o[2] not in ZERO])
def test_options_of_zero_are_refused(
    command: str, option: str, name: str, clip: Path, tmp_path: Path
) -> None:
    """The value is refused before anything else is looked at, or before anything is written."""
    words = {
        "mv extract": (clip, "-o", tmp_path / "x.npz"),
        "mv transcode": (clip, tmp_path / "x.mp4"),
        "dataset prepare": (
            *(("synthetic",) if name == "clips_per_class" else ("folder", "--root", clip.parent)),
            *("--out", tmp_path / "out"),
        ),
        "index": (clip.parent,),
        "search": ("x",),
        "predict": (clip, "--model", tmp_path),
        "zero-shot": (clip, "--labels", "a,b"),
        "train video-text": (clip.parent, "--out", tmp_path / "out"),
        "dataset import": ("mmaction", clip, "--out", tmp_path / "table.csv"),
        "evaluate": (tmp_path, "--segments", clip),
        "serve": ("--model", tmp_path),
        "watch": (clip, "--model", tmp_path),
        "pack": (clip.parent, "--out", tmp_path / "out"),
        "pretrain": (FOLDER_YAML, "--out", tmp_path / "x.safetensors"),
    }
    message = assert_refused(moclip(*command.split(), *words[command], option, 0))
    assert (
        name.replace("_", "-") in message or name.replace("_", " ") in message or "clips per class" in message
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "option", "number"),
    [
        *[(command, option, 2**32) for command, option, name in OPTIONS if name == "seed"],
        ("pretrain", "--steps", 10**30),
        *[
            ("train video-text", f"--{name}", 10**30)
            for name in ("batch", "epochs", "lr", "threads", "warmup")
        ],
        ("train video-text", "--weight-decay", 10**30),
        ("dataset prepare", "--clips-per-class", 10**30),
        ("dataset prepare", "--side", 10**30),
        ("mv transcode", "--side", 10**30),
    ],
)
def test_numbers_beyond_all_use_are_refused(
    command: str, option: str, number: int, clip: Path, tmp_path: Path
) -> None:
    more: tuple[object, ...] = (clip.parent,)
    if command == "dataset prepare":
        originals = ("folder", "--root", clip.parent) if option == "--side" else ("synthetic",)
        more = (*originals, "--out", tmp_path / "out")
    elif command == "mv transcode":
        more = (clip, tmp_path / "x.mp4")
    elif command == "train video-text":
        more = (clip.parent, "--out", tmp_path / "out")
    assert_refused(moclip(*command.split(), *more, option, number), option.strip("-"))
    assert list(tmp_path.iterdir()) == []


def test_numbers_without_end_are_refused(clip: Path, tmp_path: Path) -> None:
    for word in ("inf", "nan"):
        for option in ("--lr", "--weight-decay", "--warmup"):
            words = ("train", "video-text", clip.parent, "--out", tmp_path / "o", option, word)
            assert_refused(moclip(*words), option)
        assert_refused(moclip("index", clip.parent, "--window", word), "--window")
        assert_refused(moclip("cache", "prune", "--days", word), "--days")


@pytest.mark.parametrize("name", ["cuda", "cuda:5", "mps", "gpu", "cpu:1", "cuda:x"])
def test_a_device_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"device"):
        pick_device(name)
    if name in ("cuda", "mps"):
        words = ("--set", f"run.device={name}", "--root", tmp_path, "--run-dir", tmp_path / "run")
        assert_refused(moclip("run", FOLDER_YAML, *words), f"no device '{name}'")
        words = ("--model", "mobileviclip-tiny", "--pretrained", "none", "--device", name)
        assert_refused(moclip("index", tmp_path, *words), f"no device '{name}'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (("motion.net=resnet",), "motion.net must be one of"),
        (("motion.pretrained=weights.pt",), "it is no file of weights"),
        (("clip.model=ViT-B-33", "clip.pretrained=none"), "ViT-B-33"),
        (("clip.model=timm:nothing", "clip.pretrained=none"), "timm:nothing"),
        (("clip.model=timm:test_resnet", "clip.pretrained=weights.pt"), "it is no file of weights"),
    ],
)
def test_networks_that_can_not_be_built_are_refused_before_clips_are_read(
    settings: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pt").write_text("none")
    data = class_folders(tmp_path / "data")
    words = (*settings, "run.streams=[motion,appearance,fusion]", f"cache.dir={tmp_path / 'cache'}")
    message = assert_refused(moclip("run", FOLDER_YAML, "--root", data, *sets(words), "--run-dir", "run"))
    assert says in message
    assert {entry.stage for entry in FeatureCache(tmp_path / "cache").entries()} <= {"folds"}


# prompts


def test_prompt_files_hold_text(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("classes:\n  on: [007, 1e3]\n  2024-01-01: [no]\n", encoding="utf-8")
    found = read_prompts(file)
    assert found.paraphrases == {"on": ("007", "1e3"), "2024-01-01": ("no",)}
    assert found.check(("on", "2024-01-01")) is found
    assert found.check(("on",)) is found  # a file for more classes than there are


def test_misspelt_classes_of_prompts_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("classes:\n  jumpimg: [jumping]\n  left: [going left]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"'jumpimg' is none of the 3 labels.*'jumping'"):
        read_prompts(file).check(("jumping", "left", "right"))
    for text in (
        "classes: [a]",
        "classes: {a: b}",
        "classes: {a: [null]}",
        "templates: [a]",
        "classes: {a: [b], a: [c]}",
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"p\.yaml"):
            read_prompts(file)


def test_an_old_key_leads_to_its_new_name() -> None:
    with pytest.raises(
        ConfigError, match=r"'train_head\.clip'; the nearest valid name is 'train_head\.max_grad"
    ):
        load_experiment(None, ["train_head.clip=1"])


def test_the_library_builds_the_networks_of_the_command_line() -> None:
    experiment = load_experiment()
    library = create_motion_net(experiment.motion.net, 3)
    ours = build_motion_net(experiment.motion, 3)
    assert [p.shape for p in library.parameters()] == [p.shape for p in ours.parameters()]
    head = create_head(experiment.fusion.head, 6, 5, 3)
    other = build_head(experiment.fusion, experiment.fusion.head, 6, 5, 3)
    assert str(head) == str(other)
