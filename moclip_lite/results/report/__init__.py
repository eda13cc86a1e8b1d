"""A run's report: one self-contained page, and Markdown with its pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...storage.files import atomic_path, write_text
from ..read import Run
from ..run_folder import RunFolder
from .tables import (
    HEADER,
    PUBLISHED,
    cost_rows,
    markdown_table,
    score_rows,
    score_table,
)

if TYPE_CHECKING:
    from .content import Content

__all__ = [
    "HEADER",
    "PUBLISHED",
    "cost_rows",
    "markdown_table",
    "score_rows",
    "score_table",
    "write_report",
]


def write_report(run: Run, paths: Mapping[str, Path]) -> None:
    """Write ``report.html``, ``report.md`` and ``figures/`` into the run folder.

    Args:
        run: its metrics, predictions and training.
        paths: clip name -> video, for the pictures.
    """
    from .content import gather
    from .html import report_page
    from .markdown import to_markdown

    content, folder = gather(run, paths), RunFolder(run.folder)
    _write_figures(folder.figures, content)
    write_text(folder.report_text, to_markdown(content))
    write_text(folder.report_page, report_page(content))


def _write_figures(folder: Path, content: Content) -> None:
    for stale in [*folder.glob("rescued_*.jpg"), *folder.glob("hurt_*.jpg"), folder / "curves.svg"]:
        stale.unlink(missing_ok=True)
    if content.curves:
        write_text(folder / "curves.svg", content.curves.replace("currentColor", "#444") + "\n")
    clips = {"rescued": content.rescue.rescued, "hurt": content.rescue.hurt} if content.rescue else {}
    for kind, shown in clips.items():
        for number, clip in enumerate(shown, start=1):
            if clip.picture:
                with atomic_path(folder / f"{kind}_{number}.jpg") as draft:
                    draft.write_bytes(clip.picture)
