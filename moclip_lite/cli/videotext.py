"""``moclip train video-text`` and ``retrieval``, and the options that all video-text commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ..errors import DataError
from .configuration import settings_of
from .console import ConsoleReporter, print_failures, print_json, print_table
from .options import MAX_SEED, Cache, Device, Json, Quiet, finite

if TYPE_CHECKING:
    from ..mobileviclip.encoder import ModelSpec, VideoTextEncoder
    from ..mobileviclip.training.pairs import Pair

__all__ = ["Model", "Seed", "Weights", "load_encoder", "model_spec", "retrieval", "train_video_text"]

Model: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="mobileviclip-tiny or mobileviclip-small.")
]
Weights: TypeAlias = Annotated[
    str,
    typer.Option(
        "--pretrained",
        help="datacompdr (MobileCLIP's, from a hub), a checkpoint's path, or 'none' for random weights.",
    ),
]
Seed: TypeAlias = Annotated[
    int, typer.Option(min=0, max=MAX_SEED, help="Seed of random weights, order and augmentation.")
]


def model_spec(model: str, pretrained: str, seed: int) -> ModelSpec:
    """The model that options name.

    Raises:
        ConfigError: an unknown name.
    """
    from ..appearance.settings import VIDEO_MODELS
    from ..errors import ConfigError
    from ..mobileviclip import VARIANTS
    from ..mobileviclip.encoder import ModelSpec

    if model.removeprefix(VIDEO_MODELS) not in VARIANTS:
        raise ConfigError(
            f"--model must be one of {[VIDEO_MODELS + name for name in VARIANTS]}, got {model!r}"
        )
    return ModelSpec(name=model, pretrained=os.path.expanduser(pretrained), seed=seed)


def load_encoder(spec: ModelSpec, device: str, reporter: ConsoleReporter) -> VideoTextEncoder:
    """Load a model, and warn if its weights are random."""
    from ..mobileviclip.encoder import VideoTextEncoder
    from ..mobileviclip.weights import RANDOM
    from ..training.device import pick_device

    reporter.say(f"loading {spec.name} ({spec.pretrained})")
    encoder = VideoTextEncoder(spec, pick_device(device))
    if encoder.spec.pretrained == RANDOM:
        reporter.warn(f"{spec.name} has RANDOM weights, as asked for: its results are meaningless")
    elif encoder.random:
        reporter.warn(f"{encoder.describe()}: its results are unreliable")
    return encoder


Source: TypeAlias = Annotated[
    Path, typer.Argument(help="A CSV or parquet table of clips and captions, or a folder of class folders.")
]
Out: TypeAlias = Annotated[
    Path, typer.Option("--out", "-o", help="Run folder; an interrupted training continues in it.")
]
Root: TypeAlias = Annotated[
    Path | None, typer.Option("--root", help="Folder of the table's clips; by default the table's folder.")
]
Prompts: TypeAlias = Annotated[
    Path | None, typer.Option(help="YAML of templates and paraphrases, for class folders.")
]
Epochs: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Passes over the pairs.", show_default="3")
]
Warmup: TypeAlias = Annotated[
    float | None,
    typer.Option(min=0, callback=finite, help="Epochs in which the learning rate rises.", show_default="1.0"),
]
Batch: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Pairs per step and process.", show_default="32")
]
Lr: TypeAlias = Annotated[
    float | None, typer.Option(callback=finite, help="Peak learning rate.", show_default="1e-05")
]
WeightDecay: TypeAlias = Annotated[
    float | None, typer.Option(min=0, callback=finite, help="Weight decay of AdamW.", show_default="0.2")
]
TrainText: TypeAlias = Annotated[
    bool, typer.Option("--train-text", help="Train the text tower too; otherwise it is frozen.")
]
GradCheckpointing: TypeAlias = Annotated[
    bool, typer.Option("--grad-checkpointing", help="Use less memory for a third more time.")
]
Threads: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Threads that read clips ahead.", show_default="2")
]
Table: TypeAlias = Annotated[
    Path, typer.Argument(help="A CSV or parquet table of clips and captions, in the layout of MSR-VTT.")
]
RetrievalRoot: TypeAlias = Annotated[
    Path | None, typer.Option("--root", help="Folder of the clips; by default the table's folder.")
]


def train_video_text(
    source: Source,
    out: Out,
    root: Root = None,
    prompts: Prompts = None,
    model: Model = "mobileviclip-small",
    pretrained: Weights = "datacompdr",
    epochs: Epochs = None,
    warmup: Warmup = None,
    batch: Batch = None,
    lr: Lr = None,
    weight_decay: WeightDecay = None,
    train_text: TrainText = False,
    grad_checkpointing: GradCheckpointing = False,
    threads: Threads = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a MobileViCLIP on clips and captions. Under torchrun the batches of all processes form one batch.

    A clip that can't be read is reported and left out with its captions; the exit code is then 2.
    Clips that are not there are refused.

    Example: moclip train video-text captions.csv --root clips --out runs/video-text
    """
    from ..mobileviclip.training.run import train_video_text as train
    from ..mobileviclip.training.settings import VideoTextSettings
    from ..storage.files import check_output_folder
    from ..training.device import pick_device

    check_output_folder(out)
    reporter = ConsoleReporter(quiet)
    if lr is not None and lr <= 0:
        raise typer.BadParameter(f"--lr must be above 0, got {lr}")
    given = {
        "epochs": epochs,
        "warmup": warmup,
        "batch": batch,
        "lr": lr,
        "weight_decay": weight_decay,
        "freeze_text": False if train_text else None,
        "grad_checkpointing": grad_checkpointing or None,
        "threads": threads,
        "seed": seed,
    }
    settings = settings_of(VideoTextSettings, {k: v for k, v in given.items() if v is not None})
    pairs = _pairs(source, root, prompts, reporter)
    spec = model_spec(model, pretrained, seed)
    metrics = train(pairs, spec, settings, out, pick_device(device), reporter)
    reporter.close()
    if json:
        print_json(metrics)
    else:
        _print_training(out, metrics)
    if unread := metrics["unread"]:
        raise DataError(f"{len(unread)} clips could not be read; the model is trained on the others")


def _print_training(out: Path, metrics: dict[str, Any]) -> None:
    rows = [[str(r["epoch"]), f"{r['loss']:.3f}", f"{r['temperature']:.3f}"] for r in metrics["epochs"]]
    print_table(f"{out / 'model.safetensors'}", ["epoch", "loss", "temperature"], rows)
    print_failures([{"name": n, "stage": "train", "reason": r} for n, r in metrics["unread"].items()])


def _pairs(source: Path, root: Path | None, prompts: Path | None, reporter: ConsoleReporter) -> list[Pair]:
    """Pairs of a table, or of class folders."""
    from ..datasets import load_folder
    from ..datasets.prompts import read_prompts
    from ..datasets.spellings import spelling_notes
    from ..mobileviclip.training.pairs import class_pairs
    from ..mobileviclip.training.table import read_pairs

    if not source.is_dir():
        return read_pairs(source, root)
    dataset = load_folder(source)
    for note in (*dataset.notes, *spelling_notes(dataset)):
        reporter.warn(note)
    sentences = read_prompts(prompts).check(dataset.labels)
    for note in sentences.shared_notes(dataset.labels):
        reporter.warn(note)
    return class_pairs(dataset.clips, sentences)


def retrieval(
    table: Table,
    root: RetrievalRoot = None,
    model: Model = "mobileviclip-small",
    pretrained: Weights = "datacompdr",
    seed: Seed = 0,
    cache: Cache = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure recall between captions and clips, in both directions, with and without dual softmax.

    A clip that can't be read is reported and left out with its captions; the exit code is then 2.
    Clips that are not there are refused.

    Example: moclip retrieval msrvtt_1ka.csv --root MSRVTT/videos
    """
    from ..mobileviclip.training.table import read_pairs
    from ..retrieval import evaluate_retrieval
    from ..storage.cache import FeatureCache

    reporter = ConsoleReporter(quiet)
    pairs = read_pairs(table, root)
    encoder = load_encoder(model_spec(model, pretrained, seed), device, reporter)
    result = evaluate_retrieval(pairs, encoder, FeatureCache(cache), reporter)
    reporter.close()
    if json:
        print_json(result)
    else:
        _print_scores(result)
    if failures := result["failures"]:
        raise DataError(f"{len(failures)} clips could not be read; the others are in the scores")


def _print_scores(result: dict[str, Any]) -> None:
    rows = []
    for suffix, scores in (("", result), (", dual softmax", result["dual_softmax"])):
        for key, direction in (("text_to_video", "text to video"), ("video_to_text", "video to text")):
            figures = [f"{scores[key][name]:.1f}" for name in ("r1", "r5", "r10", "median_rank")]
            rows.append([direction + suffix, *figures])
    title = f"{result['texts']} texts, {result['videos']} videos, {result['model']}"
    print_table(title, ["", "R@1 %", "R@5 %", "R@10 %", "median rank"], rows)
    print_failures(result["failures"])
