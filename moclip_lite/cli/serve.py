"""``moclip serve``: the web page and its HTTP interface."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from .configuration import overrides_of, settings_of
from .console import ConsoleReporter, bugs_at_once, err
from .options import Device, Engine, LabelThreshold, Model, Pretrained, Sets, run_folder
from .timeline import check_windows

__all__ = ["serve"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def _bytes(text: str) -> int:
    """A size such as "500MB" or "2 GB" in bytes."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?b?)\s*", text.lower())
    unit = match[2] if match else "?"
    scale = _UNITS.get(unit if unit in _UNITS else f"{unit}b")
    size = int(float(match[1]) * scale) if match and scale else 0
    if size < 1:
        raise typer.BadParameter(f"{text!r} is no size; write it as 500MB or 2GB")
    return size


Host: TypeAlias = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all of this machine.")]
Port: TypeAlias = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")]
Root: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder whose videos may be named by path instead of uploaded.")
]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="MOCLIP_TOKEN",
        help="What clients must present; generated and printed where other machines can connect.",
    ),
]
AllowHost: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="A name by which clients may call this server, without a port. Repeatable."),
]
MaxUpload: TypeAlias = Annotated[str, typer.Option(help="Largest upload.")]
MaxLength: TypeAlias = Annotated[float, typer.Option(help="Longest video in seconds.")]
Queue: TypeAlias = Annotated[int, typer.Option(help="Videos that wait or are analysed.")]
PerClient: TypeAlias = Annotated[int, typer.Option(help="Of those, videos of one client.")]
TimeLimit: TypeAlias = Annotated[float, typer.Option(help="Seconds for the analysis of one video.")]
Keep: TypeAlias = Annotated[
    float, typer.Option(help="Seconds that results are kept after they were last asked for.")
]
Window: TypeAlias = Annotated[
    float | None, typer.Option(help="Seconds of a timeline's windows; by default the training clips' median.")
]


def serve(
    model: Model,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    root: Root = None,
    token: Token = None,
    allow_host: AllowHost = None,
    max_upload: MaxUpload = "1GB",
    max_length: MaxLength = 3600.0,
    queue: Queue = 8,
    per_client: PerClient = 4,
    time_limit: TimeLimit = 900.0,
    keep: Keep = 900.0,
    window: Window = None,
    threshold: LabelThreshold = None,
    device: Device = "auto",
    engine: Engine = "auto",
    pretrained: Pretrained = None,
    sets: Sets = None,
) -> None:
    """Serve a page that labels videos, and its HTTP interface.

    Only this machine can connect unless --host says otherwise; a token is then required. Uploads are removed
    once they are analysed.

    Example: moclip serve --model runs/x
    """
    from ..hub import run_name
    from ..serve.server import require_packages, run_server, with_token
    from ..serve.settings import ServeSettings
    from ..serve.worker import child_command

    require_packages()
    given = {"host": host, "port": port, "root": root, "token": token or None}
    given |= {"allow_host": tuple(allow_host or ()), "max_upload": _bytes(max_upload)}
    given |= {"max_length": max_length, "queue": queue, "per_client": per_client}
    given |= {"time_limit": time_limit, "keep": keep}
    windows = {"window": window, "threshold": threshold}
    check_windows(windows)
    settings, generated = with_token(settings_of(ServeSettings, given))
    reporter = ConsoleReporter()
    folder = run_folder(model)
    name = run_name(model, folder)
    reporter.say(f"loading {name} ...")

    def on_ready(address: str, about: dict[str, Any]) -> None:
        for warning in about["warnings"]:
            reporter.warn(warning)
        shown = f"{address}#token={settings.token}" if generated else address
        reporter.say(f"serving {about['model']} ({len(about['labels'])} labels) at {shown}")
        reporter.say("Ctrl-C stops the server and removes uploads and results")

    overrides = [*(sets or []), *overrides_of({"clip.pretrained": pretrained})]
    try:
        command = child_command(str(folder), device, overrides, windows, engine, name)
        with bugs_at_once():
            run_server(settings, command, on_ready)
    except KeyboardInterrupt:
        err.print("stopped")
