"""Video-text training in a run folder: model, pairs, processes and results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from ...errors import CheckpointError, ConfigError
from ...parallel.ranks import joined
from ...progress import Reporter
from ...storage.content_digests import ContentDigests
from ...storage.digest import digest_bytes, digest_file
from ...storage.files import read_json, write_json
from ...training.checkpoint import weights_digest
from ..encoder import ModelSpec, create_model, located
from ..importers import MODEL_FILE
from ..model import MobileViCLIP
from ..weights import save_model
from .batches import pairs_per_step
from .pairs import FilePairs, Pair
from .settings import VideoTextSettings
from .task import fit_video_text

__all__ = ["train_video_text"]

_DESCRIPTION: Final = "training.json"
_METRICS: Final = "metrics.json"  # written last
_DIGEST: Final = "weights"  # of the weights file, in metrics.json


def train_video_text(
    pairs: Sequence[Pair],
    spec: ModelSpec,
    settings: VideoTextSettings,
    folder: Path,
    device: torch.device,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train on pairs and write `folder`/model.safetensors and `folder`/metrics.json.

    Under torchrun each process computes its part of every batch. The same call continues an interrupted
    training from the folder's checkpoint, and does nothing where it is finished.

    Returns:
        The metrics.

    Raises:
        ConfigError: the folder holds another training, or clips were replaced since.
        ConfigError, CheckpointError, WeightsUnavailable: see
            :func:`moclip_lite.mobileviclip.encoder.create_model`.
        DataError: the pairs can't be used.
    """
    spec = located(spec)
    with joined() as part:
        model = create_model(spec)
        source = FilePairs(pairs, model.config)
        step = pairs_per_step(len(pairs), settings.batch, part.world)
        description = _describe(spec, settings, step, model, source)
        description["contents"] = _contents(pairs, folder)
        known = _refuse_another(folder, description)
        if known and (metrics := _finished(folder, settings)) is not None:
            if part.leads:
                reporter.say(f"nothing to do, this training is finished: {folder / MODEL_FILE}")
            return metrics
        duplicates = source.duplicates()
        if part.leads:
            write_json(folder / _DESCRIPTION, description)
            reporter.say(f"training {model.describe()} on {len(pairs)} pairs, {step} per step")
            if duplicates.summary():
                reporter.say(duplicates.summary())

        def on_step(done: int, total: int, loss: float) -> None:
            if part.leads:
                reporter.progress("train", done, total)

        result = fit_video_text(
            model,
            source,
            settings,
            device=device,
            checkpoint=folder / "checkpoint.safetensors",
            fingerprint=description["fingerprint"],
            on_step=on_step,
        )
        unread = {str(pairs[index].clip): reason for index, reason in sorted(result.unread.items())}
        counts = {"pairs": len(pairs), "pairs_per_step": step, "repeats": asdict(duplicates)}
        metrics = {"epochs": result.history, **counts, "unread": unread}
        if part.leads:
            _name_weights(model, len(pairs), settings.freeze_text)
            save_model(folder / MODEL_FILE, model)
            write_json(folder / _METRICS, {**metrics, _DIGEST: digest_file(folder / MODEL_FILE)})
        return metrics


def _name_weights(model: MobileViCLIP, pairs: int, text_frozen: bool) -> None:
    """Describe the origin of trained weights; only a frozen text tower can still be random."""
    parts = ("text tower",) if model.weights == "random" else model.random_parts
    model.random_parts = tuple(part for part in parts if text_frozen and part.startswith("text tower"))
    start = "random weights" if model.weights == "random" else model.weights
    model.weights = f"trained on {pairs} pairs from {start}"


def _describe(
    spec: ModelSpec, settings: VideoTextSettings, step: int, model: MobileViCLIP, source: FilePairs
) -> dict[str, Any]:
    """Description of what is trained on what, in plain values, with its digest.

    It contains the pairs per step instead of the number of processes and each one's batch: two processes with
    16 pairs each train as one with 32.
    """
    chosen = {
        "spec": asdict(spec),
        "settings": settings.model_dump(mode="json", exclude={"batch", "threads"}),
        "pairs_per_step": step,
    }
    rows = [
        [str(pair.clip.absolute()), source.group(number), *pair.captions]
        for number, pair in enumerate(source.pairs)
    ]
    content = json.dumps([chosen, weights_digest(model), rows])
    fingerprint = digest_bytes([content.encode()])
    return {**chosen, "pairs": len(rows), "weights": model.weights, "fingerprint": fingerprint}


def _contents(pairs: Sequence[Pair], folder: Path) -> str:
    """Digest of the contents of all clips, by which one that is replaced under its name is noticed.

    Each file is read once: the folder remembers its digest. A file that can't be read counts as empty.
    """
    digests = ContentDigests(folder / "digests.sqlite").of(dict.fromkeys(pair.clip for pair in pairs))
    return digest_bytes([json.dumps([digests.get(pair.clip, "") for pair in pairs]).encode()])


def _finished(folder: Path, settings: VideoTextSettings) -> dict[str, Any] | None:
    """The metrics of a folder whose training is at its end and holds the weights it wrote, else None."""
    if not all((folder / name).is_file() for name in (MODEL_FILE, _METRICS)):
        return None
    try:
        metrics = read_json(folder / _METRICS)
    except CheckpointError:
        return None  # cut short: written again
    if not isinstance(metrics, dict) or len(metrics.get("epochs", ())) != settings.epochs:
        return None
    written = digest_file(folder / MODEL_FILE)
    return metrics if metrics.pop(_DIGEST, written) == written else None  # earlier versions kept none


def _refuse_another(folder: Path, description: dict[str, Any]) -> bool:
    """Refuse a folder that holds another training; tell whether it holds this one.

    Folders of earlier versions do not say what their clips contained, which is not compared then.

    Raises:
        ConfigError: it holds another; the message names a difference.
    """
    if not (folder / _DESCRIPTION).is_file():
        return False
    found = read_json(folder / _DESCRIPTION)
    existing = found if isinstance(found, dict) else {}
    if existing == description or {"contents": description["contents"], **existing} == description:
        return True
    there, here = _flatten(existing), _flatten(description)
    differences = [
        f"{key.rpartition('.')[2]} {there.get(key)} there, {value} here"
        for key, value in here.items()
        if there.get(key) != value and key not in (".fingerprint", ".contents")
    ]
    replaced = existing.get("fingerprint") == description["fingerprint"]
    unnamed = "clips were replaced" if replaced else "its clips, captions or initial weights differ"
    reason = differences[0] if differences else unnamed
    raise ConfigError(f"{folder} holds another training ({reason}); choose another folder with --out")


def _flatten(value: Any, key: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {".a.b": 1}."""
    if not isinstance(value, dict):
        return {key: value}
    return {
        name: leaf for part, inner in value.items() for name, leaf in _flatten(inner, f"{key}.{part}").items()
    }
