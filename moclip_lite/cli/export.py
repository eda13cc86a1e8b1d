"""``moclip export``: networks for use without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import ConsoleReporter, print_json, print_table
from .options import Json, Quiet, run_folder

__all__ = ["export"]


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="A run folder, a MobileViCLIP weights file, mobileviclip-tiny or mobileviclip-small."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the .onnx files and model.json.")
    ] = None,
    engine: Annotated[
        bool,
        typer.Option(
            "--engine",
            help="Write the files into the run folder, where predict finds them, in place of --out.",
        ),
    ] = False,
    pretrained: Annotated[
        str, typer.Option(help="With a model name: datacompdr, a checkpoint's path, or 'none'.")
    ] = "datacompdr",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Export a classifier or a video-text model to ONNX files, verified against PyTorch.

    Example: moclip export runs/x --out exported

    Example: moclip export runs/x --engine
    """
    from ..appearance.settings import VIDEO_MODELS
    from ..errors import ConfigError
    from ..export import export_classifier, export_mobileviclip
    from ..mobileviclip import create_mobileviclip, load_model

    if engine == (out is not None):
        raise typer.BadParameter("say where to: --out FOLDER, or --engine for the run folder itself")
    reporter = ConsoleReporter(quiet)
    path = run_folder(Path(source), quiet)
    if out is None:
        from ..export.engine import export_engine

        exported = export_engine(path, reporter)
    elif path.is_dir():
        exported = export_classifier(path, out)
    elif path.suffix == ".safetensors" or source.startswith(VIDEO_MODELS):
        if path.suffix == ".safetensors":
            model = load_model(path)
        else:
            model = create_mobileviclip(source, None if pretrained == "none" else pretrained)
        if model.random:
            reporter.warn(f"{model.describe()}: the answers of {source} mean nothing")
        exported = export_mobileviclip(model, out)
    else:
        raise ConfigError(
            f"{source}: neither a run folder nor weights nor a model's name; there is nothing to export"
        )
    if json:
        print_json([{**vars(e), "path": str(e.path)} for e in exported])
        return
    rows = [[str(e.path), ", ".join(e.inputs), ", ".join(e.outputs), f"{e.difference:.1e}"] for e in exported]
    print_table(f"exported to {out or path}", ["file", "inputs", "outputs", "difference"], rows)
