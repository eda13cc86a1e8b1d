"""A training on files from beginning to end: model, pairs, run folder, processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import weights_digest
from ..digest import digest_bytes
from ..distributed import joined
from ..errors import ConfigError
from ..reporting import Reporter
from ..storage import read_json, write_json
from .encoder import ModelSpec
from .fit import VideoTextSettings, fit_video_text
from .pairs import FilePairs, Pair
from .weights import RANDOM, create_mobileviclip, save_model

__all__ = ["train_video_text"]


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
    with joined() as part:
        pretrained = None if spec.pretrained == RANDOM else spec.pretrained
        model = create_mobileviclip(spec.name, pretrained, spec.num_frames, seed=spec.seed)
        origin = model.weights
        what = {"spec": asdict(spec), "settings": asdict(replace(settings, threads=1))}
        said = [[str(pair.clip), *pair.captions] for pair in pairs]
        text = json.dumps([what, weights_digest(model), said])
        fingerprint = digest_bytes([text.encode()])
        about = json.loads(
            json.dumps({**what, "pairs": len(pairs), "weights": origin})
        )  # tuples become lists
        note = out / "training.json"
        if note.is_file() and read_json(note) != {**about, "fingerprint": fingerprint}:
            raise ConfigError(f"{out} holds another training; choose another folder with --out")
        if part.leads:
            write_json(note, {**about, "fingerprint": fingerprint})
            reporter.say(f"training {model.describe()} on {len(pairs)} pairs")

        def tell(done: int, total: int, loss: float) -> None:
            if part.leads:
                reporter.progress("train", done, total)

        result = fit_video_text(
            model, FilePairs(pairs, model.config), settings, device=device,
            checkpoint=out / "checkpoint.safetensors", fingerprint=fingerprint, on_step=tell,
        )  # fmt: skip
        unread = {str(pairs[index].clip): reason for index, reason in sorted(result.unread.items())}
        metrics = {"epochs": result.history, "pairs": len(pairs), "unread": unread}
        if part.leads:
            start = "random weights" if origin == "random" else origin
            model.weights = f"trained on {len(pairs)} pairs from {start}"
            save_model(out / "model.safetensors", model)
            write_json(out / "metrics.json", metrics)
        return metrics
