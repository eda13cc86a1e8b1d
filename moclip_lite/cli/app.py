"""The command tree and the program's entry point."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import out_of_memory
from ..extras import install_hint
from ..parallel.threads import set_thread_policy
from ..versions import package_version
from . import (
    ablate,
    cache,
    compare,
    convert,
    experiment,
    export,
    extract,
    hub,
    import_table,
    listing,
    mv,
    pack,
    predict,
    prepare,
    pretrain,
    search,
    serve,
    tune,
    videotext,
    watch,
    zero_shot,
)
from .conditions import refuse_idle_options
from .console import collected_bugs, err, explain
from .outputs import refuse_overwritten_inputs
from .standard_streams import complete_streams, drop_unwritten, watched_reader
from .urls import refuse_credentials, refuse_urls

__all__ = ["app", "main"]

# Raised by click 8.2 and later, or typer's copy of it, where a command without arguments shows its help.
_NO_ARGUMENTS = getattr(sys.modules[typer.BadParameter.__module__], "NoArgsIsHelpError", ())

app = typer.Typer(
    name="moclip",
    help="Recognise actions in video from motion vectors of compressed streams.\n\nStart with: moclip demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(mv.app, name="mv")
dataset_app = typer.Typer(help="Prepare and list data sets.", no_args_is_help=True)
dataset_app.command()(prepare.prepare)
dataset_app.command("list")(listing.list_dataset)
dataset_app.command("import")(import_table.import_table)
app.add_typer(dataset_app, name="dataset")
app.add_typer(extract.app, name="extract")
app.add_typer(experiment.train_app, name="train")
app.add_typer(cache.app, name="cache")
for command in (experiment.run, experiment.evaluate, ablate.ablate, experiment.demo):
    app.command()(command)
app.command()(tune.tune)
app.command()(pretrain.pretrain)
app.command("zero-shot")(zero_shot.zero_shot)
app.command()(predict.predict)
app.command()(compare.compare)
experiment.train_app.command("video-text")(videotext.train_video_text)
app.command()(search.index)
app.command()(search.search)
app.command()(videotext.retrieval)
app.command()(convert.convert)
app.command()(pack.pack)
app.command()(export.export)
app.command()(serve.serve)
app.command()(hub.push)
app.command()(hub.pull)
app.command()(watch.watch)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"moclip {package_version()}")
        raise typer.Exit


@app.callback()
def _program(
    show: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Define the options of the program itself."""


def _user_errors() -> tuple[type[BaseException], ...]:
    """Exceptions about the user's input or machine; everything else is a bug."""
    from mv_tools import ArgumentError, MotionError

    from ..errors import MoclipError

    return (MoclipError, MotionError, OSError, ArgumentError)


@contextmanager
def _process_group() -> Iterator[None]:
    """Join the process group if torchrun started this process; only the leading process prints."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    from ..parallel.ranks import joined

    with joined() as rank, Path(os.devnull).open("w") as devnull:
        if rank.leads:
            yield
        else:
            with redirect_stdout(devnull), redirect_stderr(devnull):
                yield


def _expand_home(word: str) -> str:
    """Expand ``~/x`` and ``--out=~/x``; shells expand the first, but not always the second."""
    option, equals, value = word.partition("=")
    if equals and option.startswith("--") and value.startswith("~"):
        return f"{option}={os.path.expanduser(value)}"
    return os.path.expanduser(word)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Returns:
        The exit code: 0; 1 if a bug in this program occurred on some files and the others were processed;
        2 for wrong usage or input; 130 on Ctrl-C.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [_expand_home(word) for word in words if word != "--debug"]
    complete_streams()
    set_thread_policy()
    with collected_bugs() as bugs, watched_reader() as reader_is_gone:
        code = _run(words, debug, reader_is_gone)
        for bug in bugs:
            err.print(bug, markup=False)
    drop_unwritten()
    return 1 if bugs and code in (0, 2) else code


def _refuse_empty(words: Sequence[str]) -> None:
    """Refuse ``--root ""`` and ``--cache=``, because an empty path would be the current folder.

    Raises:
        BadParameter: an argument is empty.
    """
    for position, word in enumerate(words):
        if not word.strip() or re.fullmatch(r"--[\w-]+=\s*", word):
            before = word.partition("=")[0].strip() or " ".join(words[max(0, position - 1) : position])
            raise typer.BadParameter(f"the argument after {before!r} is empty; is a shell variable not set?")


@lru_cache(maxsize=1)
def _command() -> Any:
    """The command tree, built once per process."""
    command = typer.main.get_command(app)
    refuse_urls(command)
    refuse_idle_options(command)
    refuse_overwritten_inputs(command)
    return command


def _call(words: list[str]) -> Any:
    """What a command returns, or the exit code that it asks for.

    Raises:
        BrokenPipeError: a pipe broke; typer and rich would end the program with the code 1.
    """
    try:
        return _command().main(args=words, prog_name="moclip", standalone_mode=False)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise


def _run(words: list[str], debug: bool, reader_is_gone: Callable[[], bool]) -> int:
    try:
        _refuse_empty(words)
        if words[:1] != ["watch"]:  # addresses of cameras may hold a password; they are kept nowhere
            refuse_credentials(words)
        with _process_group():
            result = _call(words)
        sys.stdout.flush()
        if result == 130:  # typer's answer to Ctrl-C
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except KeyboardInterrupt:
        live = words[:1] == ["watch"]  # there is nothing to resume
        err.print("ended" if live else "interrupted; finished work is kept, the same command resumes")
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError) and reader_is_gone():
            return 0
        if isinstance(error, _NO_ARGUMENTS):
            err.print(str(error), markup=False)
            return 2
        usage = getattr(error, "format_message", None)
        missing = install_hint(error)
        known = usage or missing or out_of_memory(error) or isinstance(error, _user_errors())
        if not known:
            raise
        if debug:
            traceback.print_exc()
        sentence = missing or (usage() + _hint_at_file(error, words) if usage else explain(error))
        err.print(f"moclip: {sentence}", markup=False, style="red")
        return 2


def _hint_at_file(error: Exception, words: Sequence[str]) -> str:
    """How to name a file that was taken for an option; "" where none was."""
    if not hasattr(error, "possibilities"):  # of options that there are not
        return ""
    files = [word for word in words if word.startswith("-") and os.path.lexists(word)]
    return f" To name the file {files[0]}, write ./{files[0]}" if files else ""
