"""Print docs/cli.md, generated from the commands: python docs/make_cli.py > docs/cli.md"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import typer

from moclip_lite.cli import app


def _options(command: Any) -> list[str]:
    """Rows of the table of arguments and options."""
    rows = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        names = (
            ", ".join(f"`{name}`" for name in parameter.opts)
            if parameter.param_type_name == "option"
            else f"`{parameter.name.upper()}`"
        )
        text = getattr(parameter, "show_default", None)  # stands for a default that the settings hold
        default = text if isinstance(text, str) else parameter.default
        unsaid = default is None or default is False or default == ()
        suffix = "" if unsaid or parameter.required else f" Default: `{default}`."
        rows.append(f"| {names} | {(parameter.help or '').replace('|', '/')}{suffix} |")
    return rows


def _sections(command: Any, path: str) -> Iterator[tuple[str, str, list[str]]]:
    """(command line, description, Markdown lines) of each command below `command`."""
    subcommands = getattr(command, "commands", None)
    if subcommands:
        for name in sorted(subcommands):
            yield from _sections(subcommands[name], f"{path} {name}")
        return
    text, *examples = (command.help or "").split("Example:")
    description = " ".join(text.split())
    lines = [f"## {path}", "", description, ""]
    if examples:
        lines += ["```bash", *(" ".join(example.split()) for example in examples), "```", ""]
    yield path, description, [*lines, "| option | meaning |", "|---|---|", *_options(command), ""]


def main() -> None:
    sections = list(_sections(typer.main.get_command(app), "moclip"))
    lines = [
        "# Command line",
        "",
        "Generated from the commands by `make docs`. `python -m moclip_lite` is the same program.",
        "",
        "Exit codes: 0 success; 1 an internal error on some files, printed with its traceback, while the others were",
        "processed; 2 bad usage or input, with one sentence on stderr (`--debug` adds the traceback); 130 Ctrl-C,",
        "finished work is kept.",
        "",
        "| command | what it does |",
        "|---|---|",
    ]
    for path, description, _ in sections:
        first = re.split(r"(?<=[.;:]) ", description, maxsplit=1)[0].rstrip(".;:")
        lines.append(f"| [`{path}`](#{path.replace(' ', '-')}) | {first} |")
    lines.append("")
    for _, _, section in sections:
        lines += section
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
