"""Names of repositories: USER/NAME and hf://USER/NAME, with @REVISION."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ConfigError

__all__ = ["HubAddress"]

_WORD: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(
    rf"(?P<user>{_WORD})/(?P<name>{_WORD})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}))?"
)
_SCHEME: Final = re.compile(r"hf:/{1,2}")  # Path("hf://a/b") is "hf:/a/b"


@dataclass(frozen=True)
class HubAddress:
    """A repository of the hub.

    Attributes:
        user, name: of the repository; letters, digits, ".", "_" and "-",
            so that neither can lead out of a folder.
        revision: a branch, tag or commit; None for the main branch.
    """

    user: str
    name: str
    revision: str | None = None

    @property
    def repository(self) -> str:
        """USER/NAME."""
        return f"{self.user}/{self.name}"

    def __str__(self) -> str:
        return self.repository + (f"@{self.revision}" if self.revision else "")

    @classmethod
    def parse(cls, text: str) -> HubAddress:
        """Read USER/NAME, USER/NAME@REVISION, or either with hf:// before it.

        Raises:
            ConfigError: it is none of these.
        """
        plain = _SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text
        match = _ADDRESS.fullmatch(plain)
        if not match or ".." in plain or "--" in plain or match["name"].endswith(".git"):
            raise ConfigError(
                f"{plain!r} names no repository of the hub; write it as USER/NAME "
                "or hf://USER/NAME, in letters, digits, '.', '_' and '-'"
            )
        return cls(match["user"], match["name"], match["revision"])

    @staticmethod
    def is_meant(path: Path | str) -> bool:
        """Whether a run folder is given as hf://..."""
        return bool(_SCHEME.match(Path(path).as_posix()))
