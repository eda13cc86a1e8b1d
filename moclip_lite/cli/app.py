"""The command tree and the program's entry point."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from ..parallel.threads import set_thread_policy
from . import (
    ablate,
    cache,
    compare,
    data,
    experiment,
    export,
    mv,
    predict,
    videotext,
)
from .console import collected_bugs, err, explain

__all__ = ["app", "main"]

# Raised where a command without arguments shows its help, by click 8.2 and later or by typer's copy of it.
_NO_ARGUMENTS = getattr(sys.modules[typer.BadParameter.__module__], "NoArgsIsHelpError", ())

app = typer.Typer(
    name="moclip",
    help="Recognise actions in video straight from the compressed stream.\n\nStart with: moclip demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(mv.app, name="mv")
app.add_typer(data.app, name="dataset")
app.add_typer(data.extract_app, name="extract")
app.add_typer(experiment.train_app, name="train")
app.add_typer(cache.app, name="cache")
for command in (experiment.run, experiment.evaluate, ablate.ablate, experiment.demo):
    app.command()(command)
app.command("zero-shot")(experiment.zero_shot)
app.command()(predict.predict)
app.command()(compare.compare)
experiment.train_app.command("video-text")(videotext.train_video_text)
app.command()(videotext.index)
app.command()(videotext.search)
app.command()(videotext.retrieval)
app.command()(videotext.convert)
app.command()(export.export)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"moclip {version('moclip-lite')}")
        raise typer.Exit


@app.callback()
def _program(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


def _expected() -> tuple[type[BaseException], ...]:
    from mv_tools import ArgumentError, MotionError

    from ..errors import MoclipError

    return (MoclipError, MotionError, OSError, ArgumentError)


@contextmanager
def _joined() -> Iterator[None]:
    """One of torchrun's processes joins the others; only the first one speaks."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    from ..parallel.ranks import joined

    with joined() as part, Path(os.devnull).open("w") as nowhere:
        if part.leads:
            yield
        else:
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                yield


def _at_home(word: str) -> str:
    """``~/x`` and ``--out=~/x`` with the home folder: a shell does the first, not always the second."""
    option, equals, value = word.partition("=")
    if equals and option.startswith("--") and value.startswith("~"):
        return f"{option}={os.path.expanduser(value)}"
    return os.path.expanduser(word)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Returns:
        The exit code: 0; 1 where a bug was met on some files and the work went on without them; 2 for bad
        usage or input; 130 on Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [_at_home(word) for word in words if word != "--debug"]
    set_thread_policy()
    with collected_bugs() as bugs:
        code = _run(words, debug)
        for bug in bugs:
            err.print(bug, markup=False)
    return 1 if bugs and code in (0, 2) else code


def _refuse_empty(words: Sequence[str]) -> None:
    """Refuse ``--root ""`` and ``--cache=``: an empty path is the current folder, without a word."""
    for place, word in enumerate(words):
        if not word.strip() or re.fullmatch(r"--[\w-]+=\s*", word):
            before = word.partition("=")[0].strip() or " ".join(words[max(0, place - 1) : place])
            raise typer.BadParameter(f"the argument after {before!r} is empty; is a shell variable not set?")


def _run(words: list[str], debug: bool) -> int:
    command = typer.main.get_command(app)
    try:
        _refuse_empty(words)
        with _joined():
            result = command.main(args=words, prog_name="moclip", standalone_mode=False)
        if result == 130:  # typer's answer to Ctrl-C
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        err.print("interrupted; finished work is kept, the same command goes on from there")
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        if isinstance(error, _NO_ARGUMENTS):
            err.print(str(error), markup=False)
            return 2
        usage = getattr(error, "format_message", None)
        if usage is None and not isinstance(error, _expected()):
            raise
        if debug:
            traceback.print_exc()
        err.print(f"moclip: {usage() if usage else explain(error)}", markup=False, style="red")
        return 2
