"""``moclip watch``: events of live cameras."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, cast

import typer

from .configuration import overrides_of, settings_of
from .console import ConsoleReporter
from .options import Device, Engine, LabelThreshold, Model, Pretrained, Quiet, Sets, finite, run_folder

if TYPE_CHECKING:
    from ..engine.base import EngineName
    from ..watch.run import Watch
    from ..watch.sinks import Say, Sink

__all__ = ["watch"]


Sources: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="[NAME=]SOURCE...",
        help="rtsp://, rtsps://, rtp://, udp://, tcp:// or http(s):// (MPEG-TS), a file that grows, - for "
        "standard input, v4l2:/dev/video0, or lavfi:GRAPH.",
    ),
]
Window: TypeAlias = Annotated[
    float | None,
    typer.Option(callback=finite, help="Seconds of a window; by default the training clips' median."),
]
Stride: TypeAlias = Annotated[
    float | None,
    typer.Option(callback=finite, help="Seconds between windows; by default a quarter of the window."),
]
MaxLag: TypeAlias = Annotated[
    float,
    typer.Option(callback=finite, help="Seconds by which a window may be late; later ones are dropped."),
]
Transport: TypeAlias = Annotated[str, typer.Option(help="tcp or udp, for RTSP.")]
Timeout: TypeAlias = Annotated[
    float,
    typer.Option(
        callback=finite, help="Seconds without data until a camera is connected again; a file ends."
    ),
]
Events: TypeAlias = Annotated[Path | None, typer.Option(help="Append events to this file instead of stdout.")]
WatchCommand: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--exec",
        metavar="COMMAND",
        help="Run a program for each event, without a shell; "
        "{camera}, {label}, {start}, {end}, {score}, {latency} and {time} in its arguments are replaced; "
        "numbers take formats, as in {score:.2f}.",
    ),
]
WatchMqtt: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="URL", envvar="MOCLIP_MQTT", help="Publish to mqtt://[USER:PASSWORD@]HOST[:PORT]/TOPIC."
    ),
]


def watch(
    sources: Sources,
    model: Model,
    window: Window = None,
    stride: Stride = None,
    threshold: LabelThreshold = None,
    max_lag: MaxLag = 2.0,
    transport: Transport = "tcp",
    timeout: Timeout = 5.0,
    events: Events = None,
    command: WatchCommand = None,
    mqtt: WatchMqtt = None,
    device: Device = "auto",
    engine: Engine = "auto",
    pretrained: Pretrained = None,
    sets: Sets = None,
    quiet: Quiet = False,
) -> None:
    """Watch live cameras and print events as JSON lines.

    An event has camera, start and end in seconds since the camera's first picture, label, score, latency in
    seconds and time. A camera that breaks is connected again; the others continue. Ctrl-C ends with exit code
    130. User names and passwords in addresses are shown nowhere.

    Example: moclip watch door=rtsp://user:password@192.168.1.20/stream1 --model runs/x
    """
    from ..predict.classifier import Classifier
    from ..storage.files import check_output
    from ..watch.run import Watch, named_sources
    from ..watch.settings import WatchSettings

    reporter = ConsoleReporter(quiet)
    given = {"window": window, "stride": stride, "threshold": threshold, "max_lag": max_lag}
    settings = settings_of(WatchSettings, given | {"transport": transport, "timeout": timeout})
    named_sources(sources)  # refused before the model is loaded
    if events is not None and not events.exists():  # a pipe or a terminal may be there
        check_output(events)
    model = run_folder(model)
    overrides = [*(sets or []), *overrides_of({"clip.pretrained": pretrained})]
    with ExitStack() as opened:
        sinks = _sinks(events, command, mqtt, reporter.warn, opened)
        classifier = Classifier.load(
            model, device=device, overrides=overrides, engine=cast("EngineName", engine)
        )
        for warning in classifier.warnings:
            reporter.warn(warning)
        failures = _run(Watch.of(sources, classifier, settings), sinks, reporter)
    if failures:
        raise typer.Exit(2)


def _sinks(
    events: Path | None, command: str | None, mqtt: str | None, say: Say, opened: ExitStack
) -> list[Sink]:
    """Where events go; closed with `opened`."""
    from ..watch.sinks import Background, Command, JsonLines

    sinks: list[Sink] = [JsonLines(sys.stdout) if events is None else JsonLines.append(events)]
    opened.callback(sinks[0].close)
    if command is not None:
        sinks.append(Background(Command(command, say), "--exec", say))
        opened.callback(sinks[-1].close)
    if mqtt is not None:
        from ..watch.mqtt import Mqtt

        sinks.append(Mqtt(mqtt, say))
        opened.callback(sinks[-1].close)
    return sinks


def _run(watched: Watch, sinks: Sequence[Sink], reporter: ConsoleReporter) -> list[str]:
    def end(number: int, frame: Any) -> None:
        watched.stop.set()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
    names = ", ".join(camera.name for camera in watched.cameras)
    reporter.say(f"watching {names}; Ctrl-C ends")
    try:
        return watched.run(sinks, reporter.warn)
    finally:
        for line in watched.summary():
            reporter.say(line)
