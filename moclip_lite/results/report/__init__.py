"""A run's report: one self-contained page, and Markdown with its pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...datasets import Clip
from ...storage.files import atomic_path, write_text
from ..read import Run
from ..run_folder import RunFolder
from .markdown import markdown_table
from .tables import COSTS, SCORES, failure_rows, stream_table

if TYPE_CHECKING:
    from .content import Content

__all__ = [
    "COSTS",
    "SCORES",
    "failure_rows",
    "markdown_table",
    "publishable_report",
    "stream_table",
    "write_report",
]


def write_report(run: Run, clips: Mapping[str, Clip]) -> None:
    """Write ``report.html``, ``report.md`` and ``figures/`` into the run folder.

    Args:
        run: its metrics, predictions and training.
        clips: clip name -> clip, for the pictures.
    """
    from .content import gather
    from .html import to_html
    from .markdown import to_markdown
    from .sections import report_document

    content = gather(run, clips)
    document = report_document(content)
    folder = RunFolder(run.folder)
    _write_figures(folder.figures, content)
    write_text(folder.report_text, to_markdown(document))
    write_text(folder.report_page, to_html(document))


def publishable_report(run: Run) -> tuple[str, str]:
    """The report in Markdown and as a page, without pictures and names of clips.

    Args:
        run: its metrics hold what a reader may know.
    """
    from .content import gather
    from .html import to_html
    from .markdown import to_markdown
    from .sections import report_document

    content = gather(run, {})
    if content.effect is not None:
        content = replace(content, effect=replace(content.effect, gained_clips=[], lost_clips=[]))
    alone = replace(content, curves=None)  # they are a file of their own
    return to_markdown(report_document(alone)), to_html(report_document(content))


def _write_figures(folder: Path, content: Content) -> None:
    for stale in [*folder.glob("gained_*.jpg"), *folder.glob("lost_*.jpg"), folder / "curves.svg"]:
        stale.unlink(missing_ok=True)
    if content.curves:
        write_text(folder / "curves.svg", content.curves.replace("currentColor", "#444") + "\n")
    effect = content.effect
    pictures = {"gained": effect.gained_clips, "lost": effect.lost_clips} if effect else {}
    for name, clips in pictures.items():
        for number, clip in enumerate(clips, start=1):
            if clip.jpeg:
                with atomic_path(folder / f"{name}_{number}.jpg") as draft:
                    draft.write_bytes(clip.jpeg)
