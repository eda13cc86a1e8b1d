"""Options that have an effect only with certain others; elsewhere they are refused instead of ignored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from .tree import leaf_commands, spoken

__all__ = ["CONDITIONS", "Condition", "refuse_idle_options"]

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Condition:
    """When options of a command have an effect.

    Attributes:
        options: names of the parameters.
        effective: whether they have one, by the values of all parameters.
        reason: says why they have none, behind the option's name.
    """

    options: tuple[str, ...]
    effective: Callable[[Values], bool]
    reason: str


def _given(name: str) -> Callable[[Values], bool]:
    return lambda values: bool(values[name])


def _lacks(name: str) -> Callable[[Values], bool]:
    return lambda values: not values[name]


def _is(name: str, value: str) -> Callable[[Values], bool]:
    return lambda values: values[name] == value


_ENCODING: Final = ("gop", "bframes", "refs", "crf", "side")
_ORIGINALS: Final = ("root", "splits", "recipe", *_ENCODING, "group_pattern", "skip_missing")
_SEGMENTS: Final = ("window", "threshold", "csv", "strip")
_PACKED: Final = ("sets", "root", "pretrained", "workers", "cache", "skip_missing")
_DATA_SETS: Final = (".yaml", ".yml", ".safetensors")
_WITHIN_GOP: Final = Condition(
    ("bframes",),
    lambda values: values["gop"] != 1 or not values["bframes"],
    "has no effect with --gop 1, where each picture is an I picture",
)
_LONG: Final = "is for long videos; add --segments"
_WHOLE: Final = "is for whole files; leave it out with --segments"

CONDITIONS: Final[Mapping[str, Sequence[Condition]]] = {
    "cache prune": (
        Condition(
            ("all_",),
            lambda values: values["stage"] is None and values["days"] is None,
            "is not for --stage and --days, which remove some entries",
        ),
    ),
    "dataset import": (
        Condition(("classes",), _is("kind", "mmaction"), "is for mmaction"),
        Condition(("rate",), _is("kind", "label-studio"), "is for label-studio"),
        Condition(("attribute",), _is("kind", "cvat"), "is for cvat"),
    ),
    "dataset prepare": (
        Condition(("clips_per_class", "seed"), _is("kind", "synthetic"), "is for synthetic"),
        Condition(
            _ORIGINALS, lambda values: values["kind"] != "synthetic", "is for clips that are there already"
        ),
        Condition(("splits",), _is("kind", "ucf101"), "is for ucf101"),
        Condition(
            _ENCODING,
            _lacks("recipe"),
            "has no effect beside --recipe; write it as in --recipe gop12_b2_crf23",
        ),
        _WITHIN_GOP,
    ),
    "evaluate": (
        Condition(("window", "threshold"), _given("segments"), f"{_LONG} TABLE"),
        Condition(
            ("part", "cache"), _lacks("segments"), "is for the run's clips; leave it out with --segments"
        ),
    ),
    "export": (
        Condition(("int8",), _given("engine"), "is for predict's own files; add --engine"),
        Condition(
            ("pretrained",),
            lambda values: (
                not (values["engine"] or ":" in values["source"] or Path(values["source"]).exists())
            ),
            "is for a model's name, such as mobileviclip-small",
        ),
    ),
    "mv show": (
        Condition(
            ("frame",),
            lambda values: values["out"].suffix.lower() != ".mp4",
            "is for a .png; an .mp4 has all",
        ),
    ),
    "mv transcode": (
        Condition(("refs", "preset"), lambda values: values["codec"] != "mpeg4", "is for h264 and hevc"),
        _WITHIN_GOP,
    ),
    "pack": (
        Condition(
            ("out", "features", "fold", "shard_clips", *_PACKED),
            _lacks("verify"),
            "is for packing; leave it out with --verify",
        ),
        Condition(("fold",), _given("features"), "is for --features"),
        Condition(
            (*_PACKED, "features", "fold"),
            lambda values: values["source"].suffix.lower() != ".safetensors",
            "is not for a file of features, which is packed as it is",
        ),
    ),
    "predict": (
        Condition((*_SEGMENTS, "stride", "frames", "vtt", "chapters"), _given("segments"), _LONG),
        Condition(("table",), _lacks("segments"), "is for whole files; with --segments write --csv"),
        Condition(("top_k", "cascade", "ray_address"), _lacks("segments"), _WHOLE),
    ),
    "train video-text": (
        Condition(("root",), lambda values: not values["source"].is_dir(), "is for tables of captions"),
        Condition(("prompts",), lambda values: not values["source"].is_file(), "is for folders of classes"),
    ),
    "watch": (
        Condition(
            ("transport",),
            lambda values: any(re.match(r"([^/]*=)?rtsps?:", source) for source in values["sources"]),
            "is for rtsp:// cameras",
        ),
    ),
    "zero-shot": (
        Condition(
            ("prompts", "model", "pretrained", "weights_of"),
            lambda values: values["sources"][0].suffix.lower() != ".safetensors",
            "is not for a file of features, which holds the text embeddings of its classes",
        ),
        Condition(_SEGMENTS, _given("segments"), _LONG),
        Condition(("top_k",), _lacks("segments"), _WHOLE),
        Condition(
            ("top_k",),
            lambda values: (
                any(values[name] for name in ("labels", "label", "labels_file"))
                or not (values["sources"][0].is_dir() or values["sources"][0].suffix.lower() in _DATA_SETS)
            ),
            "is for video files with --labels",
        ),
    ),
}
"""Command -> conditions of its options."""


def refuse_idle_options(command: Any) -> None:
    """Let the commands of a tree refuse options that have no effect beside the others."""
    for name, leaf in leaf_commands(command):
        if name in CONDITIONS:
            leaf.invoke = _checked(leaf, CONDITIONS[name])


def _checked(command: Any, conditions: Sequence[Condition]) -> Callable[[Any], Any]:
    run = command.invoke

    def invoke(context: Any) -> Any:
        parameters = {parameter.name: parameter for parameter in command.params}
        for condition in conditions:
            if condition.effective(context.params):
                continue
            for option in condition.options:
                source = context.get_parameter_source(option)
                if (
                    source is not None
                    and source.name == "COMMANDLINE"
                    and context.params[option] is not False
                ):
                    raise typer.BadParameter(f"{spoken(parameters[option])} {condition.reason}")
        return run(context)

    return invoke
