"""Makes optional packages look as if they were not installed, in this process and in those that it spawns."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from typing import Any

HIDDEN = frozenset(os.environ.get("MOCLIP_TEST_HIDDEN", "").split(","))


class VisiblePackages(PathFinder):
    """The usual finder, without the hidden packages."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.partition(".")[0] in HIDDEN:
            return None
        return super().find_spec(fullname, path, target)


sys.meta_path = [VisiblePackages if finder is PathFinder else finder for finder in sys.meta_path]
