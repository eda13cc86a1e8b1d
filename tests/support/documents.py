"""Fenced blocks of the documents, and the commands in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "data/*.md", "docs/**/*.md")
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md"
)
EXPERIMENTS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("experiments/**/*.yaml"))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SKIP = re.compile(r"<!-- not run: (.+?) -->\s*\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of the document in the repository.
        line: number of its first line.
        language: what stands behind the opening fence, such as "python"; "" for nothing.
        text: its lines.
        skip: why it is not run, from a comment `<!-- not run: why -->` before it; None if it is.
    """

    page: str
    line: int
    language: str
    text: str
    skip: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """The blocks of all documents in these languages."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match[1] in languages:
                skip = _SKIP.search(text[: match.start()])
                line = text.count("\n", 0, match.start()) + 2
                found.append(Block(page, line, match[1], match[2], skip[1] if skip else None))
    return found


def shell_lines() -> list[tuple[str, list[str]]]:
    """(page:line, words) of every line of the shell blocks and of every command in an experiment's header."""
    places = [(str(block), block.text) for block in blocks("bash", "sh", "console", "")]
    for page in EXPERIMENTS:
        header = re.findall(
            r"^# +(moclip .*(?:\\\n#.*)*)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE
        )
        places += [(page, command.replace("\\\n#", "").split("   ")[0]) for command in header]
    lines = []
    for place, text in places:
        for line in text.replace("\\\n", "").splitlines():
            words = _words(line.removeprefix("$ "))
            if words:
                lines.append((place, words))
    return lines


def _words(line: str) -> list[str]:
    """Words of a line without its comment; none of a line that is no command, such as a part of a drawing."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return []


def makefile_targets() -> set[str]:
    """Targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*):", text, re.MULTILINE))


def script_of(words: list[str]) -> Path | None:
    """The script of the repository that a command runs with Python, if it is one."""
    scripts = [word for word in words[1:2] if word.endswith(".py")]
    return ROOT / scripts[0] if words[0] in ("python", "python3") and scripts else None
