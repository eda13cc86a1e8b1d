"""Options that several commands share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

__all__ = [
    "MAX_SEED",
    "Cache",
    "Device",
    "Engine",
    "Json",
    "LabelThreshold",
    "Model",
    "Pretrained",
    "Quiet",
    "RayAddress",
    "Root",
    "RunDir",
    "RunEngine",
    "Seed",
    "SegmentTable",
    "SegmentThreshold",
    "SegmentWindow",
    "Segments",
    "Sets",
    "SkipMissing",
    "Source",
    "WeightsOf",
    "Workers",
    "finite",
    "run_folder",
]

Source: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="An experiment's YAML file, a folder of class folders, "
        "an annotation table, or a run folder; or its URL."
    ),
]
Sets: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a configuration value: section.key=value. Repeatable."),
]
Root: TypeAlias = Annotated[
    Path | None, typer.Option("--root", help="data.root: folder of the clips, or its URL.")
]
RunDir: TypeAlias = Annotated[
    Path | None, typer.Option("--run-dir", help="run.dir: folder for results, or its URL.")
]
Pretrained: TypeAlias = Annotated[
    str | None,
    typer.Option(help="clip.pretrained: a tag, a checkpoint's path, or 'none' for random weights."),
]
WeightsOf: TypeAlias = Annotated[
    str | None, typer.Option(help="clip.weights_of: the tag of a checkpoint file, such as openai.")
]
MAX_SEED: Final = 2**32 - 1  # of NumPy's and scikit-learn's generators

Seed: TypeAlias = Annotated[
    int | None, typer.Option(min=0, max=MAX_SEED, help="run.seed: seed of splits, weights and training.")
]
Workers: TypeAlias = Annotated[
    int | None, typer.Option(min=0, help="run.workers: processes; 0 for one per core.")
]
RunEngine: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--engine", help="run.engine: local processes, or ray: the nodes of a cluster. [default: local]"
    ),
]
RayAddress: TypeAlias = Annotated[
    str | None, typer.Option("--ray-address", help="run.ray_address: HOST:PORT of the cluster's head.")
]
Cache: TypeAlias = Annotated[
    Path | None, typer.Option(help="cache.dir: folder of cached features, or its URL.")
]
SkipMissing: TypeAlias = Annotated[
    bool, typer.Option("--skip-missing", help="data.skip_missing: continue without missing clips.")
]
Engine: TypeAlias = Annotated[
    str,
    typer.Option(
        help="auto, onnx, onnx-int8 or torch: what computes the networks. onnx starts in a second, from "
        "the run's ONNX files; auto takes it where it can. onnx-int8: the image encoder in 8-bit integers; "
        "auto takes it where the run's validation clips show that it loses nothing."
    ),
]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Segments: TypeAlias = Annotated[
    bool, typer.Option("--segments", help="Label the parts of long videos: start, end, label, score.")
]
SegmentWindow: TypeAlias = Annotated[
    float | None, typer.Option(help="--segments: seconds of a window; else the training clips' length.")
]
SegmentThreshold: TypeAlias = Annotated[
    float | None, typer.Option(help="--segments: least probability of a label, 0 to 1; else the run's own.")
]
SegmentTable: TypeAlias = Annotated[
    Path | None, typer.Option(help="--segments: write a table video,start,end,label,score.")
]
LabelThreshold: TypeAlias = Annotated[
    float | None, typer.Option(min=0, max=1, help="Least probability of a label; by default the run's own.")
]
Model: TypeAlias = Annotated[
    Path, typer.Option("--model", "-m", help="A run folder, its URL, or hf://USER/NAME of the hub.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet: TypeAlias = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and results.")]


def run_folder(run: Path, quiet: bool = False) -> Path:
    """The run folder that is meant: as it is, or fetched where it is a URL or hf://USER/NAME."""
    from ..hub import local_run
    from .console import ConsoleReporter

    reporter = ConsoleReporter(quiet)
    folder = local_run(run, reporter)
    reporter.close()
    return folder


def finite(value: float | None) -> float | None:
    """Callback of options: neither infinite nor "nan", which no bound holds back."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"must be a finite number, got {value}")
    return value
