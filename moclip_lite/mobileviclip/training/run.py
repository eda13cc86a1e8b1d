"""A training on files from beginning to end: model, pairs, run folder, processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from ...errors import ConfigError
from ...parallel.ranks import joined
from ...progress import Reporter
from ...storage.digest import digest_bytes
from ...storage.files import read_json, write_json
from ...training.checkpoint import weights_digest
from ..encoder import ModelSpec, located
from ..model import MobileViCLIP
from ..weights import RANDOM, create_mobileviclip, save_model
from .batches import pairs_per_step
from .fit import VideoTextSettings, fit_video_text
from .pairs import FilePairs, Pair

__all__ = ["train_video_text"]

_NOTE: Final = "training.json"


def train_video_text(
    pairs: Sequence[Pair],
    spec: ModelSpec,
    settings: VideoTextSettings,
    out: Path,
    device: torch.device,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train on pairs and write `out`/model.safetensors and `out`/metrics.json.

    Under torchrun each process takes its share of every batch. What was finished before is kept: the same
    call goes on from the folder's checkpoint.

    Raises:
        ConfigError: the folder holds a training of something else.
        ConfigError, CheckpointError, WeightsUnavailable: the model can't be had.
        DataError: the pairs can't be used.
    """
    spec = located(spec)
    with joined() as part:
        pretrained = None if spec.pretrained == RANDOM else spec.pretrained
        model = create_mobileviclip(spec.name, pretrained, spec.num_frames, seed=spec.seed)
        origin = model.weights
        source = FilePairs(pairs, model.config)
        step = pairs_per_step(len(pairs), settings.batch, part.world)
        about = _about(spec, settings, step, model, source)
        _refuse_another(out, about)
        duplicates = source.duplicates()
        if part.leads:
            write_json(out / _NOTE, about)
            reporter.say(f"training {model.describe()} on {len(pairs)} pairs, {step} per step")
            if duplicates.summary():
                reporter.say(duplicates.summary())

        def tell(done: int, total: int, loss: float) -> None:
            if part.leads:
                reporter.progress("train", done, total)

        result = fit_video_text(
            model, source, settings, device=device, checkpoint=out / "checkpoint.safetensors",
            fingerprint=about["fingerprint"], on_step=tell,
        )  # fmt: skip
        unread = {str(pairs[index].clip): reason for index, reason in sorted(result.unread.items())}
        metrics = {
            "epochs": result.history, "pairs": len(pairs), "pairs_per_step": step, "repeats": asdict(duplicates),
            "unread": unread,
        }  # fmt: skip
        if part.leads:
            model.random_parts = _still_random(model, origin, settings.freeze_text)
            start = "random weights" if origin == "random" else origin
            model.weights = f"trained on {len(pairs)} pairs from {start}"
            save_model(out / "model.safetensors", model)
            write_json(out / "metrics.json", metrics)
        return metrics


def _still_random(model: MobileViCLIP, origin: str, text_frozen: bool) -> tuple[str, ...]:
    """What is random after training as well: what a frozen text tower was not given."""
    if not text_frozen:
        return ()
    before = ("text tower",) if origin == "random" else model.random_parts
    return tuple(part for part in before if part.startswith("text tower"))


def _about(
    spec: ModelSpec, settings: VideoTextSettings, step: int, model: MobileViCLIP, source: FilePairs
) -> dict[str, Any]:
    """What is trained on what, in plain values, with a digest of it all.

    The processes and each one's batch have no part in it, the pairs of a step do: two processes with 16 pairs
    each train as one with 32.
    """
    chosen = {key: value for key, value in asdict(settings).items() if key not in ("batch", "threads")}
    what = {"spec": asdict(spec), "settings": chosen, "pairs_per_step": step}
    rows = enumerate(source.pairs)
    said = [[str(pair.clip.absolute()), source.group(number), *pair.captions] for number, pair in rows]
    text = json.dumps([what, weights_digest(model), said])
    about = {
        **what,
        "pairs": len(said),
        "weights": model.weights,
        "fingerprint": digest_bytes([text.encode()]),
    }
    plain: dict[str, Any] = json.loads(json.dumps(about))  # tuples become lists
    return plain


def _refuse_another(out: Path, about: dict[str, Any]) -> None:
    """Refuse a folder that holds the training of something else.

    Raises:
        ConfigError: it does; the message says in what they differ.
    """
    if not (out / _NOTE).is_file():
        return
    before = read_json(out / _NOTE)
    if before == about:
        return
    there, here = _leaves(before), _leaves(about)
    different = [
        f"{key.rpartition('.')[2]} {there.get(key)} there, {value} here"
        for key, value in here.items()
        if there.get(key) != value and key != ".fingerprint"
    ]
    reason = different[0] if different else "its clips, captions or first weights are others"
    raise ConfigError(f"{out} holds another training ({reason}); choose another folder with --out")


def _leaves(value: Any, key: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {".a.b": 1}."""
    if not isinstance(value, dict):
        return {key: value}
    return {
        name: leaf for part, inner in value.items() for name, leaf in _leaves(inner, f"{key}.{part}").items()
    }
