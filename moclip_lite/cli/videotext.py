"""``moclip train video-text``, ``index``, ``search``, ``retrieval`` and ``convert``: videos and sentences."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from ..errors import DataError
from .console import (
    ConsoleReporter,
    err,
    print_json,
    print_table,
)
from .data import print_failures
from .options import (
    Cache,
    Json,
    Quiet,
    WeightsOf,
    finite,
)

if TYPE_CHECKING:
    from ..mobileviclip.encoder import ModelSpec, VideoTextEncoder

__all__ = ["convert", "index", "retrieval", "search", "train_video_text"]

Model: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="mobileviclip-tiny or mobileviclip-small.")
]
Weights: TypeAlias = Annotated[
    str, typer.Option("--pretrained", help="datacompdr (MobileCLIP's, from a hub), a checkpoint's path, or 'none' for random weights.")
]  # fmt: skip
Seed: TypeAlias = Annotated[int, typer.Option(min=0, help="Of random weights, order and augmentation.")]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


def _spec(model: str, pretrained: str, seed: int) -> ModelSpec:
    from ..appearance.settings import VIDEO_MODELS
    from ..errors import ConfigError
    from ..mobileviclip import VARIANTS
    from ..mobileviclip.encoder import ModelSpec

    if model.removeprefix(VIDEO_MODELS) not in VARIANTS:
        raise ConfigError(
            f"--model must be one of {[VIDEO_MODELS + name for name in VARIANTS]}, got {model!r}"
        )
    return ModelSpec(name=model, pretrained=os.path.expanduser(pretrained), seed=seed)


def _encoder(spec: ModelSpec, device: str, reporter: ConsoleReporter) -> VideoTextEncoder:
    from ..mobileviclip.encoder import VideoTextEncoder
    from ..mobileviclip.weights import RANDOM
    from ..training.device import pick_device

    reporter.say(f"loading {spec.name} ({spec.pretrained})")
    encoder = VideoTextEncoder(spec, pick_device(device))
    if encoder.spec.pretrained == RANDOM:
        reporter.warn(f"{spec.name} has RANDOM weights, as asked for: what it finds means nothing")
    elif encoder.random:
        reporter.warn(f"{encoder.describe()}: what it finds means little")
    return encoder


def train_video_text(
    source: Annotated[Path, typer.Argument(help="A CSV or parquet table of clips and captions, or a folder of class folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; an interrupted training goes on in it.")],
    root: Annotated[Path | None, typer.Option("--root", help="Folder of the table's clips; the table's own by default.")] = None,
    prompts: Annotated[Path | None, typer.Option(help="YAML of templates and paraphrases, for class folders.")] = None,
    model: Model = "mobileviclip-small", pretrained: Weights = "datacompdr",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pairs.")] = 3,
    warmup: Annotated[float, typer.Option(min=0, callback=finite, help="Epochs in which the rate rises.")] = 1.0,
    batch: Annotated[int, typer.Option(min=1, help="Pairs per step and process.")] = 32,
    lr: Annotated[float, typer.Option(callback=finite, help="Peak learning rate.")] = 1e-5,
    weight_decay: Annotated[float, typer.Option(min=0, callback=finite, help="AdamW's.")] = 0.2,
    train_text: Annotated[bool, typer.Option("--train-text", help="Train the text tower too; it is frozen else.")] = False,
    grad_checkpointing: Annotated[bool, typer.Option("--grad-checkpointing", help="Less memory, a third more time.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads that read clips ahead.")] = 2,
    seed: Seed = 0, device: Device = "auto", json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Train a MobileViCLIP on clips and captions; under torchrun in several processes, whose batches are one.

    Example: moclip train video-text captions.csv --root clips --out runs/video-text
    """
    from ..datasets import load_folder
    from ..datasets.prompts import read_prompts
    from ..mobileviclip.training.pairs import class_pairs
    from ..mobileviclip.training.run import train_video_text as train
    from ..mobileviclip.training.settings import VideoTextSettings
    from ..mobileviclip.training.table import read_pairs
    from ..training.device import pick_device

    reporter = ConsoleReporter(quiet)
    if lr <= 0:
        raise typer.BadParameter(f"--lr must be above 0, got {lr}")
    if source.is_dir():
        found = load_folder(source)
        for note in found.notes:
            reporter.warn(note)
        pairs = class_pairs(found.clips, read_prompts(prompts).check(found.labels))
    else:
        pairs = read_pairs(source, root)
    settings = VideoTextSettings(
        epochs=epochs, warmup=warmup, batch=batch, lr=lr, weight_decay=weight_decay, freeze_text=not train_text,
        grad_checkpointing=grad_checkpointing, threads=threads, seed=seed,
    )  # fmt: skip
    metrics = train(pairs, _spec(model, pretrained, seed), settings, out, pick_device(device), reporter)
    reporter.close()
    if json:
        print_json(metrics)
        return
    rows = [[str(r["epoch"]), f"{r['loss']:.3f}", f"{r['temperature']:.3f}"] for r in metrics["epochs"]]
    print_table(f"{out / 'model.safetensors'}", ["epoch", "loss", "temperature"], rows)
    print_failures([{"name": n, "stage": "train", "reason": r} for n, r in metrics["unread"].items()])


def index(
    folder: Annotated[Path, typer.Argument(help="Videos, subfolders included.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The index, a .safetensors file.")] = Path("index.safetensors"),
    model: Model = "mobileviclip-small", pretrained: Weights = "datacompdr", seed: Seed = 0,
    window: Annotated[float, typer.Option(callback=finite, help="Seconds of a window at most.")] = 10.0,
    shots: Annotated[bool, typer.Option("--shots/--no-shots", help="End windows at shots, which motion vectors betray.")] = True,
    cache: Cache = None, device: Device = "auto", json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Index a folder of videos for search; what is known already is not computed again.

    A file that can't be read is reported and the rest goes on; the exit code is then 2.

    Example: moclip index holiday --out holiday.safetensors
    """
    from ..retrieval import WindowSpec, build_index, save_index
    from ..storage.cache import FeatureCache

    if window <= 0:
        raise typer.BadParameter(f"--window must be above 0 seconds, got {window}")
    if out.suffix != ".safetensors":
        raise typer.BadParameter(f"--out must end in .safetensors, got {out}")
    if not folder.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(folder))
    reporter = ConsoleReporter(quiet)
    encoder = _encoder(_spec(model, pretrained, seed), device, reporter)
    made = build_index(
        folder, encoder, WindowSpec(longest=window, shots=shots), FeatureCache(cache), reporter
    )
    reporter.close()
    save_index(out, made)
    failures = [vars(failure) for failure in made.failures]
    if json:
        about = {"index": str(out), "model": made.model_text, "videos": len(made.videos)}
        print_json({**about, "windows": len(made.vectors), "failures": failures})
    else:
        err.print(
            f"{out}: {len(made.vectors)} windows of {len(made.videos)} videos, {made.model_text}",
            markup=False,
        )
        print_failures(failures)
    if failures:
        raise DataError(f"{len(failures)} videos could not be read, the others are in the index")


def search(
    queries: Annotated[list[str], typer.Argument(help="What to look for, a sentence each.")],
    index: Annotated[Path, typer.Option("--index", "-I", help="Of moclip index.")] = Path("index.safetensors"),
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Windows per sentence.")] = 10,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The index's own by default.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="The index's own by default.")] = None,
    device: Device = "auto", json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Find the windows of indexed videos that a sentence describes.

    Example: moclip search "a person juggling" --index holiday.safetensors -k 10
    """
    from ..retrieval import load_index
    from ..retrieval import search as find

    reporter = ConsoleReporter(quiet)
    if not all(query.strip() for query in queries):
        raise typer.BadParameter("a query is empty; say what to look for")
    loaded = load_index(index)
    own = loaded.model
    spec = _spec(model or own.name, pretrained or own.pretrained, own.seed)
    encoder = _own_encoder(index, spec, device, reporter) if spec == own else _encoder(spec, device, reporter)
    hits, warnings = find(loaded, encoder, queries, top_k)
    for warning in warnings:
        reporter.warn(warning)
    if json:
        found = [
            {"query": q, "results": [vars(hit) for hit in row]} for q, row in zip(queries, hits, strict=True)
        ]
        print_json({"model": loaded.model_text, "queries": found, "warnings": warnings})
        return
    for query, row in zip(queries, hits, strict=True):
        shown = [[hit.path, _time(hit.start), _time(hit.stop), f"{hit.score:.3f}"] for hit in row]
        print_table(f"{query} ({encoder.describe()})", ["video", "from", "to", "cosine"], shown)


def _own_encoder(index: Path, spec: ModelSpec, device: str, reporter: ConsoleReporter) -> VideoTextEncoder:
    """The model that an index names; what is wrong with it is told by the index's name."""
    from ..errors import CheckpointError, ConfigError

    try:
        return _encoder(spec, device, reporter)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(
            f"{index} names a model that can't be loaded ({error}); if its weights have moved, give --pretrained"
        ) from error


def _time(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def retrieval(
    table: Annotated[Path, typer.Argument(help="A CSV or parquet table of clips and captions, as MSR-VTT's.")],
    root: Annotated[Path | None, typer.Option("--root", help="Folder of the clips; the table's own by default.")] = None,
    model: Model = "mobileviclip-small", pretrained: Weights = "datacompdr", seed: Seed = 0,
    cache: Cache = None, device: Device = "auto", json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Recall of captions and clips for each other, both ways, with and without dual softmax.

    Example: moclip retrieval msrvtt_1ka.csv --root MSRVTT/videos
    """
    from ..mobileviclip.training.table import read_pairs
    from ..retrieval import evaluate_retrieval
    from ..storage.cache import FeatureCache

    reporter = ConsoleReporter(quiet)
    pairs = read_pairs(table, root)
    encoder = _encoder(_spec(model, pretrained, seed), device, reporter)
    result = evaluate_retrieval(pairs, encoder, FeatureCache(cache), reporter)
    reporter.close()
    if json:
        print_json(result)
        return
    rows = []
    for name, scores in (("", result), (", dual softmax", result["dual_softmax"])):
        for key, title in (("text_to_video", "text to video"), ("video_to_text", "video to text")):
            s = scores[key]
            rows.append([title + name, *(f"{s[k]:.1f}" for k in ("r1", "r5", "r10", "median_rank"))])
    title = f"{result['texts']} texts, {result['videos']} videos, {result['model']}"
    print_table(title, ["", "R@1 %", "R@5 %", "R@10 %", "median rank"], rows)
    print_failures(result["failures"])


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="Of MobileCLIP (Apple's, open_clip's, timm's) or MobileViCLIP, or of --model's open_clip model (a tag too).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .safetensors file of this program.")],
    model: Annotated[str, typer.Option("--model", "-m", help="mobileviclip-tiny, mobileviclip-small, or a model of open_clip.")] = "mobileviclip-small",
    weights_of: WeightsOf = None,
    partial: Annotated[bool, typer.Option("--partial", help="Accept missing and unexpected tensors.")] = False,
    rename: Annotated[list[str] | None, typer.Option(help="REGEX=REPLACEMENT on the file's names. Repeatable.")] = None,
    fold: Annotated[bool, typer.Option("--fold", help="Write the folded form, for inference.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Bring a checkpoint of another project into this program's form; says what matched and what did not.

    For a model of open_clip the file's header says how the weights were trained (--weights-of), so that
    --pretrained FILE needs nothing beside it.

    Example: moclip convert mobileviclip_small.pt --out small.safetensors
    """
    import re

    from ..appearance.settings import VIDEO_MODELS

    if not model.startswith(VIDEO_MODELS):
        if partial or rename or fold:
            raise typer.BadParameter(f"--partial, --rename and --fold are for MobileViCLIP, not for {model}")
        _convert_clip(checkpoint, out, model, weights_of, json)
        return
    if weights_of is not None:
        raise typer.BadParameter(f"--weights-of is for models of open_clip, not for {model}")
    from ..mobileviclip import (
        build,
        import_checkpoint,
        save_model,
        variant,
    )

    pairs = [tuple(entry.split("=", 1)) for entry in rename or []]
    if any(len(entry) != 2 or not entry[0] for entry in pairs):
        raise typer.BadParameter("--rename takes REGEX=REPLACEMENT")
    for entry in pairs:
        try:
            pattern = re.compile(entry[0])
        except re.error as error:
            raise typer.BadParameter(f"--rename {entry[0]!r} is no regular expression: {error}") from error
        try:
            pattern.sub(entry[1], "")  # reads the replacement, whether it matches or not
        except (re.error, IndexError) as error:
            raise typer.BadParameter(
                f"--rename {entry[0]}={entry[1]}: the replacement can't be used: {error}"
            ) from error
    made = build(variant(_spec(model, "none", 0).name))
    report = import_checkpoint(made, checkpoint, partial=partial, rename=pairs)  # type: ignore[arg-type]
    save_model(out, made.reparameterize() if fold else made)
    if made.random:
        ConsoleReporter().warn(f"{out}: {made.describe()}; every answer will say so")
    if json:
        print_json({"out": str(out), **_plain(vars(report)), "random_parts": list(made.random_parts)})
        return
    err.print(f"{out}: {report.summary()}", markup=False)
    for kind, names in (("missing", report.missing), ("unexpected", report.unexpected)):
        for name in names:
            err.print(f"  {kind}: {name}", markup=False)


def _convert_clip(checkpoint: Path, out: Path, model: str, weights_of: str | None, json: bool) -> None:
    from ..appearance.open_clip import OpenClipEncoder

    if out.suffix != ".safetensors":
        raise typer.BadParameter(f"--out must end in .safetensors, got {out}")
    encoder = OpenClipEncoder(model, str(checkpoint), weights_of=weights_of)
    encoder.save(out)
    if json:
        print_json({"out": str(out), "model": model, "configuration": encoder.configuration})
        return
    err.print(f"{out}: {encoder.describe()}", markup=False)


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    return {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}
