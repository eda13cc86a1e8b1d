"""``moclip convert``: checkpoints of other projects as files of this program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from .console import ConsoleReporter, err, print_json
from .options import Json, WeightsOf
from .videotext import model_spec

__all__ = ["convert"]


Checkpoint: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="Checkpoint of MobileCLIP (Apple's, open_clip's or timm's) "
        "or MobileViCLIP, or of --model's open_clip model (a tag too)."
    ),
]
Out: TypeAlias = Annotated[Path, typer.Option("--out", "-o", help="The .safetensors file to write.")]
Model: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="mobileviclip-tiny, mobileviclip-small, or a model of open_clip.")
]
Partial: TypeAlias = Annotated[bool, typer.Option("--partial", help="Accept missing and unexpected tensors.")]
Rename: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="REGEX=REPLACEMENT on the file's names. Repeatable.")
]
Fold: TypeAlias = Annotated[bool, typer.Option("--fold", help="Write the folded form, for inference.")]


def convert(
    checkpoint: Checkpoint,
    out: Out,
    model: Model = "mobileviclip-small",
    weights_of: WeightsOf = None,
    partial: Partial = False,
    rename: Rename = None,
    fold: Fold = False,
    json: Json = False,
) -> None:
    """Convert a checkpoint of another project to this program's format and report which tensors matched.

    For a model of open_clip, --weights-of is stored in the file,
    so that --pretrained FILE needs nothing else.

    Example: moclip convert mobileviclip_small.pt --out small.safetensors
    """
    from ..appearance.settings import OPEN_CLIP, VIDEO_MODELS
    from ..storage.files import check_output

    model = model.removeprefix(f"{OPEN_CLIP}:")
    check_output(out)
    if out.suffix.lower() != ".safetensors":
        raise typer.BadParameter(f"--out must end in .safetensors, got {out}")
    if not model.startswith(VIDEO_MODELS):
        if partial or rename or fold:
            raise typer.BadParameter(f"--partial, --rename and --fold are for MobileViCLIP, not for {model}")
        _convert_open_clip(checkpoint, out, model, weights_of, json)
        return
    if weights_of is not None:
        raise typer.BadParameter(f"--weights-of is for models of open_clip, not for {model}")
    from ..errors import ConfigError
    from ..mobileviclip import build, import_checkpoint, save_model, variant
    from ..mobileviclip.weights import is_ours

    renamings = _renamings(rename or [])
    if is_ours(checkpoint):
        raise ConfigError(
            f"{checkpoint} has this program's format already; use it as it is: --pretrained {checkpoint}"
        )
    network = build(variant(model_spec(model, "none", 0).name))
    report = import_checkpoint(network, checkpoint, partial=partial, rename=renamings)
    save_model(out, network.reparameterize() if fold else network)
    reporter = ConsoleReporter()
    for pattern in report.idle:
        reporter.warn(f"--rename {pattern!r} matches none of the names in {checkpoint}")
    if network.random:
        reporter.warn(f"{out}: {network.describe()}; every answer will say so")
    if json:
        print_json({"out": str(out), **vars(report), "random_parts": network.random_parts})
        return
    err.print(f"{out}: {report.summary()}", markup=False)
    for kind, names in (("missing", report.missing), ("unexpected", report.unexpected)):
        for name in names:
            err.print(f"  {kind}: {name}", markup=False)


def _renamings(entries: list[str]) -> list[tuple[str, str]]:
    """(regular expression, replacement) of each --rename."""
    renamings = []
    for entry in entries:
        pattern, sign, replacement = entry.partition("=")
        if not pattern or not sign:
            raise typer.BadParameter("--rename takes REGEX=REPLACEMENT")
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise typer.BadParameter(f"--rename {pattern!r} is no regular expression: {error}") from error
        try:
            expression.sub(replacement, "")  # parses the replacement even without a match
        except (re.error, IndexError) as error:
            raise typer.BadParameter(f"--rename {entry}: the replacement can't be used: {error}") from error
        renamings.append((pattern, replacement))
    return renamings


def _convert_open_clip(checkpoint: Path, out: Path, model: str, weights_of: str | None, json: bool) -> None:
    from ..appearance.open_clip import OpenClipEncoder

    encoder = OpenClipEncoder(model, str(checkpoint), weights_of=weights_of)
    encoder.save(out)
    if json:
        print_json({"out": str(out), "model": model, "configuration": encoder.configuration})
        return
    err.print(f"{out}: {encoder.describe()}", markup=False)
