"""``moclip export``: networks for use without PyTorch."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from mv_tools.urls import is_url

from .console import ConsoleReporter, print_json, print_table
from .options import Json, Quiet, run_folder

if TYPE_CHECKING:
    from ..export import Exported
    from ..progress import Reporter

__all__ = ["export"]


Source: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="A run folder, a MobileViCLIP weights file, mobileviclip-tiny or mobileviclip-small."
    ),
]
Out: TypeAlias = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder for the .onnx files and model.json.")
]
Engine: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--engine", help="Write the files into the run folder, where predict finds them, in place of --out."
    ),
]
Int8: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--int8",
        help="With --engine: insist on the image encoder in 8-bit integers, "
        "for predict --engine onnx-int8, with fewer than 30 validation clips too. "
        "Without, it is written where these show that it loses nothing.",
    ),
]
Pretrained: TypeAlias = Annotated[
    str, typer.Option(help="With a model name: datacompdr, a checkpoint's path, or 'none'.")
]


def export(
    source: Source,
    out: Out = None,
    engine: Engine = False,
    int8: Int8 = False,
    pretrained: Pretrained = "datacompdr",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Export a classifier or a video-text model to ONNX files, verified against PyTorch.

    Example: moclip export runs/x --out exported

    Example: moclip export runs/x --engine

    Example: moclip export runs/x --engine --int8
    """
    if engine == (out is not None):
        raise typer.BadParameter("say where to: --out FOLDER, or --engine for the run folder itself")
    from ..storage.files import check_output_folder

    if out is not None:
        check_output_folder(out)
    reporter = ConsoleReporter(quiet)
    if engine and is_url(Path(source)):
        raise typer.BadParameter(
            f"{source}: name a local run folder with --engine; `moclip run` writes these files for a URL"
        )
    path = run_folder(Path(source), quiet)
    if out is None:
        exported = _export_engine(path, int8, reporter)
    elif path.is_dir():
        from ..errors import DataError
        from ..experiment.config import load_run_settings
        from ..experiment.output_place import refuse_among_classes
        from ..export import export_classifier
        from ..results.run_folder import RunFolder

        folder = RunFolder(path)
        folder.require()
        with suppress(DataError):  # of a data set that the export does not need
            refuse_among_classes(load_run_settings(folder.config).data, out, "--out")
        exported = export_classifier(path, out)
    else:
        exported = _export_model(source, pretrained, out, reporter)
    if json:
        print_json([{**vars(e), "path": str(e.path)} for e in exported])
        return
    rows = [[str(e.path), ", ".join(e.inputs), ", ".join(e.outputs), f"{e.difference:.1e}"] for e in exported]
    print_table(f"exported to {out or path}", ["file", "inputs", "outputs", "difference"], rows)


def _export_engine(run: Path, int8: bool, reporter: Reporter) -> list[Exported]:
    """The files that predict takes, in the run folder."""
    from ..export.compared_clips import require_clips
    from ..export.engine import export_engine
    from ..export.int8 import consider_int8, export_int8

    if int8:
        require_clips(run)
    exported = export_engine(run, reporter)
    if int8:
        encoder = export_int8(run, reporter)
        reporter.say(f"{encoder.path}: {encoder.comparison.words}")
    else:
        consider_int8(run, reporter)
    return exported


def _export_model(source: str, pretrained: str, out: Path, reporter: Reporter) -> list[Exported]:
    """A video-text model, by its name or its weights file.

    Raises:
        ConfigError: it is neither.
    """
    from ..appearance.settings import VIDEO_MODELS
    from ..errors import ConfigError
    from ..export import export_mobileviclip
    from ..mobileviclip import create_mobileviclip, load_model

    if source.endswith(".safetensors"):
        model = load_model(Path(source))
    elif source.startswith(VIDEO_MODELS):
        model = create_mobileviclip(source, None if pretrained == "none" else pretrained)
    else:
        raise ConfigError(
            f"{source}: neither a run folder nor weights nor a model's name; there is nothing to export"
        )
    if model.random:
        reporter.warn(f"{model.describe()}: its outputs are random")
    return export_mobileviclip(model, out)
