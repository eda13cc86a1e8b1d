"""``moclip index`` and ``search``: search of video folders by sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from mv_tools.urls import is_url, spelled

from ..errors import DataError
from ..storage.names import is_blank
from .configuration import runner_of_options
from .console import ConsoleReporter, err, print_failures, print_json, print_table
from .options import Cache, Device, Json, Quiet, RayAddress, RunEngine, finite
from .videotext import Model, Seed, Weights, load_encoder, model_spec

if TYPE_CHECKING:
    from ..mobileviclip.encoder import ModelSpec, VideoTextEncoder

__all__ = ["index", "search"]


Folder: TypeAlias = Annotated[Path, typer.Argument(help="Videos, subfolders included; or its URL.")]
Out: TypeAlias = Annotated[
    Path, typer.Option("--out", "-o", help="The index, a .safetensors file, or its URL.")
]
Window: TypeAlias = Annotated[
    float, typer.Option(callback=finite, help="Maximum duration of a window in seconds.")
]
Shots: TypeAlias = Annotated[
    bool,
    typer.Option("--shots/--no-shots", help="End windows at shot boundaries detected from motion vectors."),
]


def index(
    folder: Folder,
    out: Out = Path("index.safetensors"),
    model: Model = "mobileviclip-small",
    pretrained: Weights = "datacompdr",
    seed: Seed = 0,
    window: Window = 10.0,
    shots: Shots = True,
    cache: Cache = None,
    device: Device = "auto",
    engine: RunEngine = None,
    ray_address: RayAddress = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Index a folder of videos for search; windows in the cache are not computed again.

    With --engine ray the nodes of a cluster compute the windows. A file that can't be read is reported and
    the others are indexed; the exit code is then 2.

    Example: moclip index holiday --out holiday.safetensors
    """
    from ..retrieval import WindowSpec, build_index, save_index
    from ..storage.cache import FeatureCache
    from ..storage.files import check_output

    if window <= 0:
        raise typer.BadParameter(f"--window must be above 0 seconds, got {window}")
    if out.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"--out must end in .safetensors, got {out}")
    check_output(out)
    if not is_url(folder) and not folder.is_dir():
        raise FileNotFoundError(2, "there is no such folder", str(folder))
    reporter = ConsoleReporter(quiet)
    runner = runner_of_options(None, engine, ray_address, reporter)
    encoder = load_encoder(model_spec(model, pretrained, seed), device, reporter)
    windows = WindowSpec(longest=window, shots=shots)
    video_index = build_index(folder, encoder, windows, FeatureCache(cache), reporter, runner)
    reporter.close()
    save_index(out, video_index)
    failures = [vars(failure) for failure in video_index.failures]
    videos, vectors, name = len(video_index.videos), len(video_index.vectors), video_index.model_text
    if json:
        summary = {"index": spelled(out), "model": name, "videos": videos, "windows": vectors}
        print_json({**summary, "failures": failures})
    else:
        err.print(f"{spelled(out)}: {vectors} windows of {videos} videos, {name}", markup=False)
        print_failures(failures)
    if failures:
        raise DataError(f"{len(failures)} videos could not be read; the others are in the index")


def search(
    queries: Annotated[list[str], typer.Argument(help="Sentences to search for.")],
    index: Annotated[
        Path, typer.Option("--index", "-I", help="File written by moclip index, or its URL.")
    ] = Path("index.safetensors"),
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Windows per sentence.")] = 10,
    model: Annotated[str | None, typer.Option("--model", "-m", help="By default the index's model.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="By default the index's weights.")] = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find the windows of indexed videos that a sentence describes.

    Example: moclip search "a person juggling" --index holiday.safetensors -k 10
    """
    from ..retrieval import load_index
    from ..retrieval import search as find_windows

    reporter = ConsoleReporter(quiet)
    if any(is_blank(query) for query in queries):
        raise typer.BadParameter("a query is empty; say what to look for")
    video_index = load_index(index)
    original = video_index.model
    asked = model_spec(model or original.name, pretrained or original.pretrained, original.seed)
    spec = replace(asked, num_frames=original.num_frames)
    if spec == original:
        encoder = _load_original(index, spec, device, reporter)
    else:
        encoder = load_encoder(spec, device, reporter)
    hits, warnings = find_windows(video_index, encoder, queries, top_k)
    for warning in warnings:
        reporter.warn(warning)
    answers = list(zip(queries, hits, strict=True))
    if json:
        results = [{"query": query, "results": [vars(hit) for hit in row]} for query, row in answers]
        print_json({"model": video_index.model_text, "queries": results, "warnings": warnings})
        return
    for query, row in answers:
        rows = [[hit.path, _time(hit.start), _time(hit.stop), f"{hit.score:.3f}"] for hit in row]
        print_table(f"{query} ({encoder.describe()})", ["video", "from", "to", "cosine"], rows)


def _load_original(index: Path, spec: ModelSpec, device: str, reporter: ConsoleReporter) -> VideoTextEncoder:
    """Load the model that an index names; errors name the index."""
    from ..errors import CheckpointError, ConfigError

    try:
        return load_encoder(spec, device, reporter)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(
            f"{spelled(index)} names a model that can't be loaded ({error}); "
            "if its weights have moved, give --pretrained"
        ) from error


def _time(seconds: float) -> str:
    tenths = round(10 * seconds)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"
