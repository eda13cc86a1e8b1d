"""Print docs/cli.md from the commands themselves: python docs/make_cli.py > docs/cli.md"""

from __future__ import annotations

import sys
from typing import Any

import typer

from moclip_lite.cli import app


def _options(command: Any) -> list[str]:
    lines = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        names = (
            ", ".join(f"`{name}`" for name in parameter.opts)
            if parameter.param_type_name == "option"
            else f"`{parameter.name.upper()}`"
        )
        default = parameter.default
        shown = "" if default in (None, False, ()) or parameter.required else f" Default: `{default}`."
        lines.append(f"| {names} | {(parameter.help or '').replace('|', '/')}{shown} |")
    return lines


def _walk(command: Any, path: str) -> list[str]:
    children = getattr(command, "commands", None)
    if children:
        return [line for name in sorted(children) for line in _walk(children[name], f"{path} {name}")]
    text, _, example = (command.help or "").partition("Example:")
    lines = [f"## {path}", "", " ".join(text.split()), ""]
    if example:
        lines += ["```", " ".join(example.split()), "```", ""]
    return [*lines, "| option | meaning |", "|---|---|", *_options(command), ""]


def main() -> None:
    lines = [
        "# The command line",
        "",
        "Made from the commands by `make docs`. `python -m moclip_lite` is the same program. Exit code 0 on",
        "success, 2 for bad usage or input with one sentence on stderr (`--debug` adds the traceback), 130 on",
        "Ctrl-C with finished work kept.",
        "",
    ]
    lines += _walk(typer.main.get_command(app), "moclip")
    sys.stdout.write("\n".join(lines))


if __name__ == "__main__":
    main()
