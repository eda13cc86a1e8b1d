"""Commands in the documents exist and take the options that they are given."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from moclip_lite.cli import app

from support.documents import makefile_targets, script_of, shell_lines

LINES = shell_lines()
PROGRAM: Any = typer.main.get_command(app)


def moclip_words(words: list[str]) -> list[str] | None:
    """Arguments of the program `moclip`, by whichever name it is called; None for other programs."""
    if words[0] == "moclip":
        return words[1:]
    if words[0] in ("python", "python3", "torchrun") and "moclip_lite" in words[1:]:
        return words[words.index("moclip_lite") + 1 :]
    return None


COMMANDS = [
    (place, arguments)
    for place, words in LINES
    if (arguments := moclip_words(words)) is not None and arguments
]
IDS = [f"{place} {' '.join(words[:2])}" for place, words in COMMANDS]


@pytest.mark.parametrize(("place", "arguments"), COMMANDS, ids=IDS)
def test_commands_of_the_program_parse(place: str, arguments: list[str]) -> None:
    words = list(arguments)
    command = PROGRAM
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not getattr(command, "commands", None), f"{place}: {arguments} names no command"
    command.make_context("moclip", words)


def test_every_command_stands_in_the_documents() -> None:
    """The pages show what the program can do: at least one example of most commands."""
    shown = {tuple(arguments[:1]) for _, arguments in COMMANDS}
    assert {("mv",), ("dataset",), ("run",), ("predict",), ("ablate",)} <= shown
    assert len(COMMANDS) > 20


def test_targets_of_make_exist() -> None:
    targets = makefile_targets()
    for place, words in LINES:
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, place


def test_scripts_exist_and_know_their_options() -> None:
    for place, words in LINES:
        script = script_of(words)
        if script is not None:
            assert script.is_file(), f"{place}: no {script}"
            text = script.read_text(encoding="utf-8")
            for option in (word for word in words if word.startswith("--")):
                assert f'"{option.partition("=")[0]}"' in text, f"{place}: {script.name} has no {option}"
