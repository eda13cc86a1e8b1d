"""Places of the repository and of the real videos."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("MOCLIP_SHARED", ROOT.parent / "shared"))
"""Folder of real videos; may be absent."""
